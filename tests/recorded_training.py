"""In: the flags of launch/train.py. Out: the record of a training in which no game was played.

For tests of what goes on around a training, since it takes no time. The learning rate decides:
the score is -|log10(rate) + 4|, and above 0.1 the training fails. With a file `wait` beside the run
directory it stays at its first evaluation until the file has gone, or it is stopped and goes on
from there at its next start.
"""

import json
import math
import signal
import sys
import time
from pathlib import Path

EVALUATIONS = 4


def main() -> None:
    flags = dict(flag.lstrip("-").split("=", 1) for flag in reversed(sys.argv[1:]))
    bindings = dict(
        flag.split("=", 2)[1:] for flag in sys.argv[1:] if flag.startswith("--gin_bindings=")
    )
    learning_rate = float(bindings["adam.learning_rate "])
    run_dir = Path(flags["run_dir"])
    if learning_rate > 0.1:
        sys.exit("some chatter\nerror: the loss is not finite: lower the learning rate\n")
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    record = run_dir / "evaluations.jsonl"
    done = len(record.read_text().splitlines()) if record.exists() else 0
    for name in ("best", "checkpoints", "snapshots"):
        (run_dir / name).mkdir(exist_ok=True)
    for number in range(done, EVALUATIONS + 1):
        mean = -abs(math.log10(learning_rate) + 4) if number else 0.0
        with record.open("a") as file:
            file.write(json.dumps({"agent_steps": 100 * number, "mean": mean}) + "\n")
        while number == 1 and (run_dir.parent / "wait").exists():
            if stopped:
                print("stopped")
                return
            time.sleep(0.02)


if __name__ == "__main__":
    main()
