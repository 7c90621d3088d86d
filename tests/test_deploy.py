"""The check that a user runs on TF Serving, here on the development server; deployment files."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from agents.serving.server import read_configs
from tests import serving

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "docs" / "deploy"


def check_answers(*arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, DEPLOY / "check_answers.py", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_a_server_of_the_version_passes_and_one_of_another_does_not(exported, tmp_path):
    with serving.served(serving.config(exported.parent)) as server:
        addresses = (f"127.0.0.1:{server.ports.grpc}", server.url)
        flags = [f"--address={address}" for address in addresses]
        run = check_answers(f"--version_dir={exported}", *flags)
        assert (run.returncode, run.stderr) == (0, "")
        lines = [line.split(" answers, within ")[0] for line in run.stdout.splitlines()]
        counts = {"serving_default": 32, "serving_bytes": 32, "frames": 4}
        assert lines == [f"{a}: {s}: {n}" for a in addresses for s, n in counts.items()]
        other = tmp_path / "policy" / "1"
        golden = other / "assets.extra" / "golden.npz"
        golden.parent.mkdir(parents=True)
        content = dict(np.load(exported / "assets.extra" / "golden.npz"))
        np.savez(golden, **content | {"q_values": content["q_values"] + 1})
        run = check_answers(f"--version_dir={other}", *flags)
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith(f"error: {addresses[0]}: serving_default: the Q-values differ")


def test_the_model_configuration_can_be_read():
    (config,) = read_configs(DEPLOY / "models.config")
    assert (config.name, config.base_path) == ("space_invaders", "/models/space_invaders")
    assert config.version_labels == {"stable": 1}


def test_the_scripts_are_sound():
    subprocess.run(["bash", "-n", DEPLOY / "check.sh"], check=True)
