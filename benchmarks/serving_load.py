"""Loads a development server with concurrent clients while a new version is swapped in.

    python benchmarks/serving_load.py --version_dir=runs/NAME/exports/space_invaders/1

Serves copies of the version in a process of its own; in the midst, version 2 appears and version 1
is removed. Prints requests per second, latencies and errors by gRPC and by REST, one observation
per request.
"""

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_string("version_dir", None, "An exported version.")
flags.DEFINE_multi_integer("clients", [1, 8, 32], "Concurrent clients; several one by one.", 1)
flags.DEFINE_integer("seconds", 20, "Duration, per number of clients and interface.", 4)

ROOT = Path(__file__).parent.parent


def main(argv: list[str]) -> None:
    del argv
    if not FLAGS.version_dir:
        raise UserError("name an export: --version_dir=exports/space_invaders/1")

    from rich.console import Console
    from rich.table import Table

    table = Table(
        *("interface", "clients", "requests/s", "median ms", "99% ms", "errors"),
        *("versions loaded", "unloaded"),
    )
    for interface in ("gRPC", "REST"):
        for clients in FLAGS.clients:
            with tempfile.TemporaryDirectory() as folder:
                row = load(Path(folder, "policy"), interface, clients)
            table.add_row(interface, str(clients), *row)
    Console(width=100).print(table)


def load(base_path: Path, interface: str, clients: int) -> list[str]:
    """One row of the table: what the clients saw in the time they had."""
    import numpy as np

    from agents.serving import golden
    from agents.serving.client import connect

    version = Path(FLAGS.version_dir).expanduser()
    case = next(golden.cases(version))
    rows = np.array([row.tobytes() for row in case.inputs["observation"]], object)
    latencies: list[float] = []
    errors: list[Exception] = []
    lay(version, base_path, 1)
    with serving(base_path) as (addresses, lines):
        begin = threading.Barrier(clients + 1)
        end = [0.0]

        def client(seed: int) -> None:
            rng, ask = np.random.default_rng(seed), connect(addresses[interface], "policy")
            begin.wait()
            while (start := time.perf_counter()) < end[0]:
                index = rng.integers(len(rows))
                try:
                    answer = ask("serving_bytes", "observation_bytes", rows[[index]])
                    if answer["action"] != case.action[index]:
                        raise ValueError("another action than the agent's")
                except Exception as e:
                    errors.append(e)
                latencies.append(time.perf_counter() - start)

        threads = [threading.Thread(target=client, args=(seed,)) for seed in range(clients)]
        for thread in threads:
            thread.start()
        end[0] = time.perf_counter() + FLAGS.seconds
        begin.wait()
        time.sleep(FLAGS.seconds / 3)
        lay(version, base_path, 2)
        time.sleep(FLAGS.seconds / 3)
        shutil.rmtree(base_path / "1")
        for thread in threads:
            thread.join()
    if errors:
        print(f"first error: {errors[0]!r}")
    median, late = 1e3 * np.percentile(latencies, [50, 99])
    rate = len(latencies) / FLAGS.seconds
    swaps = [str(sum(text in line for line in lines)) for text in ("is served", "no longer served")]
    return [f"{rate:.0f}", f"{median:.1f}", f"{late:.1f}", str(len(errors)), *swaps]


def lay(version: Path, base_path: Path, number: int) -> None:
    aside = base_path / f".{number}.partial"
    shutil.copytree(version, aside)
    aside.rename(base_path / str(number))


@contextlib.contextmanager
def serving(base_path: Path) -> Iterator[tuple[dict[str, str], list[str]]]:
    """The addresses of a server in a process of its own, and the lines it prints."""
    process = subprocess.Popen(
        [
            sys.executable,
            ROOT / "launch" / "serve.py",
            *("--port=0", "--rest_api_port=0", f"--model_base_path={base_path}"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    lines: list[str] = []
    while not lines or lines[-1] != "Ctrl-C stops":
        line = process.stdout.readline()
        if not line:
            raise UserError("the server did not start: see above")
        lines.append(line.strip())
    text = "\n".join(lines)
    addresses = {
        "gRPC": re.findall(r"gRPC: (\S+)", text)[0],
        "REST": re.findall(r"REST: (http://[^/]+)", text)[0],
    }
    try:
        yield addresses, lines
    finally:
        process.terminate()
        lines += process.communicate()[0].splitlines()


if __name__ == "__main__":
    command.run(main)
