"""The doctor finds what is there, and says what to do about what is not."""

import importlib.metadata
import re
import socket
import sys

import pytest

from agents import doctor
from tests.training_process import command

INSTALLATION = ["python", "packages", "extras", "libraries"]
MACHINE = ["games", "GPU", "precision", "memory", "disk", "films", "ports"]


def run(folder, *arguments):
    """The exit status and the lines, {topic: (verdict, text)}."""
    finished = command(folder, *arguments, name="doctor")
    lines = {}
    for line in finished.stdout.splitlines():
        verdict, topic, text = line[:6].strip(), line[7:17].strip(), line[18:]
        lines[topic] = verdict, text
    return finished, lines


def test_a_machine_that_passes_these_tests_is_well(tmp_path):
    finished, lines = run(tmp_path, "--gin_file=pong.gin", "--gin_bindings=Replay.capacity=1000")
    assert list(lines) == INSTALLATION + MACHINE, finished.stderr
    assert {verdict for verdict, _ in lines.values()} == {"ok"}, finished.stdout
    assert "pong starts" in lines["games"][1]
    assert re.search(r"1,000 transitions takes up to [1-9][\d.]* MB$", lines["memory"][1])
    assert finished.exit_code == 0


def test_what_does_not_fit_the_configuration_is_told_with_the_remedy(tmp_path):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        bindings = [
            f"Replay.port = {port}",
            "Replay.capacity = 2_000_000_000",
            "Training.agent_steps = 2_000_000_000",
        ]
        finished, lines = run(tmp_path, *(f"--gin_bindings={binding}" for binding in bindings))
    wrong = {topic: text for topic, (verdict, text) in lines.items() if verdict == "TO DO"}
    assert set(wrong) == {"memory", "disk", "ports"}
    assert "set Replay.capacity to" in wrong["memory"]
    assert "choose another --run_dir" in wrong["disk"]
    assert f"port {port} of Replay.port cannot be used" in wrong["ports"]
    assert finished.exit_code == 1


def test_a_configuration_without_a_length_is_told(tmp_path):
    finished, lines = run(tmp_path, "--gin_file=nature.gin")
    verdict, text = lines["memory"]
    assert (finished.exit_code, verdict) == (1, "TO DO")
    assert text.startswith("nothing binds Training.agent_steps: name a game")


def test_an_unknown_game_is_told(tmp_path):
    finished, lines = run(tmp_path, "--gin_bindings=AtariEnvironment.game = 'pacmen'")
    verdict, text = lines["games"]
    assert (finished.exit_code, verdict) == (1, "TO DO")
    assert text.startswith("unknown game 'pacmen': did you mean")


def test_a_wrong_question_is_one_line_and_exit_status_2(tmp_path):
    finished, lines = run(tmp_path, "--gin_file=pnog.gin")
    assert finished.exit_code == 2
    assert finished.stderr == (
        "error: there is no gin file 'pnog.gin', here or shipped: did you mean 'pong.gin'?\n"
    )
    assert list(lines) == INSTALLATION


def findings(*topics):
    found = {finding.topic: finding for finding in doctor.examine_installation()}
    return [found[topic] for topic in topics]


def test_packages_that_do_not_fit_are_named(monkeypatch):
    wanted = ["numpy>=99", "no-such-package>=2", "pillow>=1", "nor-this; extra == 'video'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted)
    packages, extras = findings("packages", "extras")
    version = importlib.metadata.version("numpy")
    assert not packages.is_ok
    assert packages.text.startswith(
        f"numpy >=99 is wanted, {version} is here; no-such-package >=2 is missing: pip install "
    )
    assert extras.is_ok
    assert extras.text.endswith("not always needed: video")


def test_a_package_that_is_not_installed_itself_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "_PACKAGE", "no-such-package")
    assert [finding.is_ok for finding in findings("packages", "extras")] == [False, False]


@pytest.mark.parametrize("module", ["reverb", "ale_py"])
def test_a_library_that_does_not_load_is_named(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    (libraries,) = findings("libraries")
    assert not libraries.is_ok
    assert libraries.text.startswith(f"{module} does not load (")
