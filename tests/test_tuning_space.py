"""The search space: what Optuna is given, what gin is given back, one line for each mistake."""

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import agents.training  # noqa: F401 (makes every name known to gin)
import gin_configs
from agents import configuration
from agents.errors import UserError
from agents.tuning import space

SHIPPED = sorted(path.name for path in Path(gin_configs.__file__).parent.glob("*.space"))


@pytest.fixture(autouse=True)
def _no_configuration_stays():
    yield
    configuration.load([])


@pytest.fixture
def load(tmp_path):
    def load(text: str) -> space.Space:
        (tmp_path / "my.space").write_text(text)
        return space.load(str(tmp_path / "my.space"), ["pong.gin"], ["DQN.gamma = 0.9"])

    return load


def test_a_line_becomes_a_distribution(load):
    found = load("""
        # Comments are gin's.
        adam.learning_rate = {'low': 1e-5, 'high': 1e-3, 'log': True}
        LinearEpsilon.final = {'low': 0, 'high': 0.1}
        DQN.n_step = {'low': 1, 'high': 5}
        DQN.loss = {'choices': ['mse', 'huber']}
        Training.agent = {'choices': [@DQN]}
        LEARNING_STARTS_AGENT_STEPS = {'low': 100, 'high': 1000, 'log': True}
    """)
    assert found == {
        "adam.learning_rate": FloatDistribution(1e-5, 1e-3, log=True),
        "LinearEpsilon.final": FloatDistribution(0, 0.1),
        "DQN.n_step": IntDistribution(1, 5),
        "DQN.loss": CategoricalDistribution(["'mse'", "'huber'"]),
        "Training.agent": CategoricalDistribution(["@DQN"]),
        "LEARNING_STARTS_AGENT_STEPS": IntDistribution(100, 1000, log=True),
    }
    assert configuration.bindings()["DQN.gamma"] == "0.9", "the configuration is in force"
    assert configuration.bindings()["DQN.loss"] == "'mse'"


def test_what_optuna_suggests_becomes_gin():
    suggested = {"adam.learning_rate": 1e-05, "DQN.n_step": 3, "DQN.loss": "'huber'"}
    lines = space.trial_bindings(suggested | {"Training.agent": "@DQN"})
    configuration.load(["pong.gin"], lines)
    bindings = configuration.bindings()
    assert bindings["Training.agent"] == "@DQN"
    assert {name: bindings[name] for name in suggested} == {
        "adam.learning_rate": "1e-05",
        "DQN.n_step": "3",
        "DQN.loss": "'huber'",
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_space_fits_the_shipped_games(name):
    assert len(space.load(name, ["space_invaders.gin"], [])) > 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"my\.space is empty"),
        ("DQN.n_stp = {'choices': [1]}", r"my\.space:1: unknown parameter 'n_stp' of DQN: did you"),
        ("DQN.n_step = 3", r"my\.space:1: DQN\.n_step: 3 is no range: write \{'low'"),
        ("DQN.n_step = {'choices': []}", r"is no range"),
        ("DQN.n_step = {'choices': [1], 'log': True}", r"is no range"),
        ("DQN.n_step = {'low': 1}", r"is no range"),
        ("DQN.n_step = {'low': 1, 'high': 5, 'step': 2}", r"is no range"),
        ("DQN.n_step = {'low': '1', 'high': 5}", r"is no range"),
        ("DQN.n_step = {'low': 5, 'high': 1}", r"my\.space:1: DQN\.n_step: .*low"),
        ("adam.epsilon = {'low': 0.0, 'high': 1.0, 'log': True}", r"my\.space:1: adam\.epsilon: "),
        ("\nDQN.n_step = {'low': 0.5, 'high': 2}", r"my\.space:2: DQN\.n_step: .*must be an int"),
        ("DQN.loss = {'choices': ['mse', 'mae']}", r"my\.space:1: DQN\.loss: "),
        ("Training.agent = {'choices': [@DQM]}", r"DQM"),
        ("include 'pong.gin'", r"my\.space:1: this file may hold bindings only"),
        ("import os", r"my\.space:1: this file may hold bindings only"),
        ("DQN.n_step = __import__('os').getpid()", r"my\.space:1: cannot read"),
    ],
)
def test_a_mistake_is_one_line(load, text, message):
    with pytest.raises(UserError, match=message):
        load(text)


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"there is no space file 'mine\.space'"):
        space.load("mine.space", ["pong.gin"], [])
