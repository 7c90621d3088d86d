"""Fixtures that several test files use."""

import signal
from pathlib import Path

import pytest

# Under nohup it is ignored, by all that the tests start too; some of them test what it does.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

SMALL_RUN_BINDINGS = (
    "LEARNING_STARTS_AGENT_STEPS = 200",
    "AtariEnvironment.num_envs = 8",
    "Replay.capacity = 2000",
    "Replay.batch_size = 8",
    "Evaluator.episodes = 1",
    "Evaluator.max_frames_per_episode = 400",
    "Evaluator.film_agent_steps = 10",
    "Training.agent_steps = 600",
    "Training.log_period_agent_steps = 100",
    "Training.checkpoint_period_agent_steps = 300",
)


@pytest.fixture(scope="module", autouse=True)
def _no_configuration_is_left_to_the_next_file():
    from agents import configuration

    yield
    configuration.load([])


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a complete short training on Space Invaders, with two checkpoints.

    It is shared: copy it before you change anything in it.
    """
    # Here, since these imports take seconds that tests without a run need not wait.
    from agents import configuration
    from agents.reporting.console import Console
    from agents.run_directory import RunDirectory
    from agents.training import Training

    path = tmp_path_factory.mktemp("runs") / "small"
    configuration.load(["space_invaders.gin"], SMALL_RUN_BINDINGS)
    with Console() as console, RunDirectory(path) as run_dir:
        assert Training(run_dir, console).run()
    configuration.load([])
    return path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 of a model `policy` for Space Invaders, of a tiny network.

    It is shared: copy it before you change anything in it.
    """
    from agents.serving.export import export_agent
    from tests import tiny_dqn

    agent, env = tiny_dqn.for_space_invaders()
    return export_agent(agent, env, tmp_path_factory.mktemp("models"), name="policy", origin={})
