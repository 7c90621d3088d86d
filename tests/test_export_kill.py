"""An export killed with SIGKILL at random moments leaves only versions that a server can load."""

import multiprocessing
import random
import time
from pathlib import Path

from agents.serving import golden
from agents.serving.servable import Servable

KILLS = 30

# The server imports TensorFlow once; its children export in a fraction of the time.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["agents.training", "agents.serving.export"])


def wait_until(condition, process):
    while not condition():
        assert process.is_alive(), "the export ended by itself"
        time.sleep(0.002)


def export_for_ever(export_dir: Path) -> None:
    from agents.serving.export import export_agent
    from tests import tiny_dqn

    agent, env = tiny_dqn.for_space_invaders()
    (export_dir / "started").touch()
    while True:
        export_agent(agent, env, export_dir, name="policy", origin={})


def test_thirty_kills(tmp_path, exported):
    seed = random.randrange(1_000_000)
    print(f"seed of the kills: {seed}")
    rng = random.Random(seed)
    model_dir = tmp_path / "policy"

    def versions():
        return [path for path in model_dir.glob("*") if path.name.isdecimal()]

    def start():
        (tmp_path / "started").unlink(missing_ok=True)
        process = _context.Process(target=export_for_ever, args=(tmp_path,))
        process.start()
        wait_until((tmp_path / "started").exists, process)
        return process

    process = start()
    since = time.monotonic()
    wait_until(versions, process)
    seconds_of_an_export = time.monotonic() - since
    for _ in range(KILLS):
        time.sleep(rng.uniform(0, 1.2 * seconds_of_an_export))
        assert process.is_alive()
        process.kill()
        process.join()
        process = start()
    process.kill()
    process.join()
    unfinished = [path for path in model_dir.iterdir() if path.name.startswith(".")]
    print(f"{len(versions())} versions, {len(unfinished)} kills fell into an export")
    assert len(unfinished) > KILLS / 2
    whole = {path.relative_to(exported) for path in exported.rglob("*")}
    for version in versions():
        assert {path.relative_to(version) for path in version.rglob("*")} == whole
        assert [case.signature for case in golden.cases(version)]
        Servable(version, int(version.name), lambda rows: None)
