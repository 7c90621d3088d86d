"""Fixtures that several test files use."""

from pathlib import Path

import pytest

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
