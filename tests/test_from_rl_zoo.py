"""docs/from_rl_zoo.md: its commands run as they stand there, its bindings are those of the file."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from agents import configuration
from agents.games import rom_name
from tests.training_process import BINDINGS, command

PAGE = (Path(__file__).parent.parent / "docs" / "from_rl_zoo.md").read_text()
FILES = ["space_invaders.gin", "rl_zoo_dqn.gin"]
RUN_HERE = {"train", "evaluate", "record", "plot"}  # the others have tests of their own
SMALL = [f"--gin_bindings={line}" for line in (*BINDINGS, "Training.agent_steps = 600")]


@pytest.fixture(autouse=True)
def _no_configuration_stays():
    yield
    configuration.load([])


def test_the_bindings_beside_dqn_yml_are_those_of_the_gin_file():
    import agents.training  # noqa: F401 (makes every name known to gin)

    lines = re.findall(r"`([\w.]+ = [^`]+)`", PAGE.partition("`hyperparams/dqn.yml`")[2])
    assert len(lines) == 11
    configuration.load(FILES)
    expected = configuration.bindings()
    configuration.load(FILES, lines)
    assert configuration.bindings() == expected


def test_the_other_bindings_are_taken():
    import agents.training  # noqa: F401 (makes every name known to gin)

    lines = re.findall(r'`--gin_bindings="([^"]+)"`', PAGE)
    assert len(lines) == 7
    configuration.load(FILES, lines)
    assert (
        rom_name(ast.literal_eval(configuration.bindings()["AtariEnvironment.game"]))
        == "beam_rider"
    )


def test_the_commands_run_one_after_the_other(tmp_path):
    found = re.findall(r"`python launch/(\w+)\.py ([^`]+)`", PAGE)
    commands = [(name, shlex.split(line)) for name, line in found if name in RUN_HERE]
    assert [name for name, _ in commands] == ["train", "train", "evaluate", "record", "plot"]
    commands[0][1].extend(SMALL)
    commands[1][1].append("--gin_bindings=Training.agent_steps = 700")
    outputs = []
    for name, arguments in commands:
        finished = command(tmp_path, *arguments, name=name)
        assert finished.exit_code == 0, (name, finished.stderr)
        outputs.append(finished.stdout)
    assert "resumed at 600 agent steps" in outputs[1]
    assert (tmp_path / "runs/space_invaders_rl_zoo_dqn_1/videos/700_best.mp4").exists()
    assert '"protocols": ["rl_zoo"]' in next(tmp_path.glob("runs/*/evaluate.jsonl")).read_text()
