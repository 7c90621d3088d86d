"""An export killed with SIGKILL at random moments leaves only versions that a server can load."""

import multiprocessing
import random
import time
from pathlib import Path

from agents.serving import golden
from agents.serving.servable import Servable

KILLS = 30
AT_ONCE = 3

# The server imports TensorFlow once; its children export in a fraction of the time.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["agents.training", "agents.serving.export"])


def export_for_ever(export_dir: Path) -> None:
    from agents.serving.export import export_agent
    from tests import tiny_dqn

    agent, env = tiny_dqn.for_space_invaders()
    while True:
        export_agent(agent, env, export_dir, name="policy", origin={})


def test_thirty_kills(tmp_path, exported):
    seed = random.SystemRandom().randrange(1_000_000)  # fixtures seed the other one
    print(f"seed of the kills: {seed}")
    rng = random.Random(seed)
    model_dir = tmp_path / "policy"

    def versions():
        return [path for path in model_dir.glob("*") if path.name.isdecimal()]

    def start():
        """Several at once, in one directory."""
        processes = [
            _context.Process(target=export_for_ever, args=(tmp_path,)) for _ in range(AT_ONCE)
        ]
        for process in processes:
            process.start()
        return time.monotonic(), processes

    began, processes = start()
    while len(versions()) < AT_ONCE:
        assert all(process.is_alive() for process in processes)
        time.sleep(0.01)
    seconds = time.monotonic() - began
    for _ in range(KILLS // AT_ONCE):
        for process, moment in zip(
            processes, sorted(rng.uniform(0.3, 1.5) for _ in processes), strict=True
        ):
            time.sleep(max(0, began + moment * seconds - time.monotonic()))
            assert process.is_alive(), "the export ended by itself"
            process.kill()
            process.join()
        began, processes = start()
    for process in processes:
        process.kill()
        process.join()
    unfinished = [path for path in model_dir.iterdir() if path.name.startswith(".")]
    print(f"{len(versions())} versions, {len(unfinished)} kills fell into an export")
    assert unfinished
    whole = {path.relative_to(exported) for path in exported.rglob("*")}
    for version in versions():
        assert {path.relative_to(version) for path in version.rglob("*")} == whole
        servable = Servable(version, int(version.name), lambda rows: None)
        for case in golden.cases(version):
            assert case.signature in servable.signatures
