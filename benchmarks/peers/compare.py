"""Times this project's training loop and Stable-Baselines3's in turn, A B A B, on this machine.

    python benchmarks/peers/compare.py
    python benchmarks/peers/compare.py --precision=float32 --pairs=5 --json=ratio.json

Both train the Nature network ("valid" padding, 512 units) on Space Invaders: batch 32, one update
per 4 agent steps, a replay of 100,000. Each is timed in a process of its own after a warm-up. The
first call makes an environment for Stable-Baselines3 beside the checkout's `.venv`.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from absl import flags

from launch import command

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent

FLAGS = flags.FLAGS
flags.DEFINE_integer("pairs", 5, "How often each is timed.", 1)
flags.DEFINE_integer("agent_steps", 12_000, "That are timed, each time.", 1)
flags.DEFINE_integer("num_envs", 16, "Environments of this project's loop.", 1)
flags.DEFINE_integer("sb3_num_envs", 1, "Environments of Stable-Baselines3's; RL-Zoo takes 1.", 1)
flags.DEFINE_enum("precision", "auto", ["auto", "float32", "mixed_bfloat16"], "Of this project's.")
flags.DEFINE_string("sb3_dir", str(ROOT / ".venv-sb3"), "The environment of Stable-Baselines3.")
flags.DEFINE_string("json", None, "A file for the figures and the machine.")


def main(argv: list[str]) -> None:
    del argv
    from agents.run_directory import environment_facts

    command.check_file("json")
    python = sb3_python(Path(FLAGS.sb3_dir))
    pairs = []
    for pair in range(FLAGS.pairs):
        ours, theirs = time_ours(), time_sb3(python)
        pairs.append({"ours": ours, "sb3": theirs, "ratio": ours / theirs})
        print(f"pair {pair + 1}: {ours:.0f} and {theirs:.0f} agent steps/s, {ours / theirs:.2f}x")
    ratios = [pair["ratio"] for pair in pairs]
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"median {middle:.2f}x, minimum {low:.2f}x, maximum {high:.2f}x")
    if FLAGS.json:
        report = environment_facts() | {"flags": FLAGS.flag_values_dict(), "pairs": pairs}
        Path(FLAGS.json).write_text(json.dumps(report, indent=1) + "\n")


def sb3_python(directory: Path) -> Path:
    """The interpreter of an environment with Stable-Baselines3, made if need be."""
    python = directory / "bin" / "python"
    if not python.exists():
        venv.create(directory, with_pip=True)
        install = [python, "-m", "pip", "install", "-r", HERE / "requirements.txt"]
        subprocess.run(install, check=True)
    return python


def time_ours() -> float:
    """Agent steps per second of this project's loop."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        arguments = [
            "--what=loop",
            f"--num_envs={FLAGS.num_envs}",
            f"--agent_steps={FLAGS.agent_steps}",
            f"--precision={FLAGS.precision}",
            "--replay_transitions=1_000",
            "--gin_bindings=Replay.capacity = 100_000",
            f"--json={report.name}",
        ]
        benchmark = [sys.executable, ROOT / "launch" / "benchmark.py", *arguments]
        subprocess.run(benchmark, check=True, stdout=subprocess.DEVNULL)
        (loop,) = json.load(report)["loop"]
    return loop["agent_steps_per_second"]


def time_sb3(python: Path) -> float:
    """Agent steps per second of Stable-Baselines3's loop."""
    arguments = [f"--agent_steps={FLAGS.agent_steps}", f"--num_envs={FLAGS.sb3_num_envs}"]
    run = [python, HERE / "sb3.py", *arguments]
    output = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    return float(output.splitlines()[-1])


if __name__ == "__main__":
    command.run(main)
