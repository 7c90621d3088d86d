"""The loop: exact ratios, a complete record, resume, and errors that damage nothing."""

import json
import os
import resource
import signal

import numpy as np
import pytest
import tensorflow as tf

from agents import checkpoints, configuration, training
from agents.checkpoints import Checkpoints
from agents.errors import UserError
from agents.replay import MAX_PENDING_ITEMS, PENDING_CHECK_PERIOD_TIME_STEPS, Replay
from agents.run_directory import RunDirectory
from tests.training_process import BINDINGS, Silent, points, prepared, train

AGENT_STEPS = 600


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    train(path, AGENT_STEPS)
    return path


def test_the_ratio_of_updates_to_agent_steps_is_exact_at_every_logged_point(run_dir):
    logged = points(run_dir)["3_learning/updates"]
    assert len(logged) == AGENT_STEPS // 50
    for agent_steps, updates in logged:
        assert updates == max(0, agent_steps - 100) // 4


@pytest.mark.parametrize("ratio", [1 / 3, 2.0, 1])
def test_other_ratios_are_exact_too(tmp_path, ratio):
    run = train(tmp_path, 160, f"Training.updates_per_agent_step = {ratio}")
    updates = checkpoints.load_state(Checkpoints(tmp_path / "checkpoints").latest(print))["log"]
    assert updates["updates"] == int((run.agent_steps - 100) * ratio + 1e-9)


def test_tensorboard_has_the_whole_story(run_dir):
    tags = points(run_dir)
    stages = ("environment", "acting", "writing", "sampling", "learning", "evaluation", "saving")
    assert set(tags) >= {
        "configuration",
        "1_score/training_mean_of_100_games",
        "1_score/clipped_return",
        "1_score/game_length_frames",
        "2_evaluation/mean",
        "2_evaluation/median",
        "2_evaluation/sd",
        "2_evaluation/human_normalized",
        "2_evaluation/game",
        "3_learning/loss",
        "3_learning/q_value",
        "3_learning/target",
        "3_learning/gradient_norm",
        "3_learning/epsilon",
        "3_learning/replay_transitions",
        "4_speed/agent_steps_per_second",
        "4_speed/frames_per_second",
        *(f"5_seconds/{stage}" for stage in stages),
    }
    assert "AtariEnvironment.game = 'space_invaders'" in str(tags["configuration"][0][1])
    width, height, gif = tags["2_evaluation/game"][0][1]
    assert (width, height) == (b"84", b"84")
    assert gif.startswith(b"GIF89a")


def test_it_is_evaluated_before_the_first_step_periodically_and_after_the_last(run_dir):
    lines = (run_dir / "evaluations.jsonl").read_text().splitlines()
    evaluated = [json.loads(line)["agent_steps"] for line in lines]
    assert (evaluated[0], evaluated[1] // 400, evaluated[2] // AGENT_STEPS) == (0, 1, 1)
    assert len(evaluated) == 3
    assert all(len(json.loads(line)["scores"]) == 2 for line in lines)


def test_the_agent_that_evaluated_best_is_kept(run_dir):
    lines = [json.loads(line) for line in (run_dir / "evaluations.jsonl").read_text().splitlines()]
    means = {line["agent_steps"]: line["mean"] for line in lines if line["agent_steps"]}
    best = max(means, key=lambda agent_steps: (means[agent_steps], agent_steps))
    assert max(int(path.name) for path in (run_dir / "best").iterdir()) == best


def saved_transitions(checkpoint, scratch_dir):
    """How many transitions a checkpoint's replay has."""
    checkpoints.lay_replay(checkpoint, scratch_dir)
    replay = Replay(1, 1, scratch_dir, capacity=2000, batch_size=8)
    transitions = len(replay)
    replay.close()
    return transitions


def test_the_replay_holds_every_agent_step(run_dir, tmp_path):
    newest = Checkpoints(run_dir / "checkpoints").latest(print)
    saved = checkpoints.load_state(newest)["log"]["agent_steps"]
    assert saved_transitions(newest, tmp_path / "scratch") == saved


def assert_same_variables(one, other):
    """Networks, optimizer slots and counters of two `tf.train.Checkpoint`s are equal."""
    one, other = tf.train.load_checkpoint(str(one)), tf.train.load_checkpoint(str(other))
    names = set(one.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    assert names == set(other.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    assert any(".OPTIMIZER_SLOT" in name for name in names)
    for name in names:
        np.testing.assert_array_equal(one.get_tensor(name), other.get_tensor(name), name)


def test_a_resumed_training_holds_what_was_saved_before_its_first_step(tmp_path):
    train(tmp_path / "run", 300)
    newest = Checkpoints(tmp_path / "run" / "checkpoints").latest(print)
    state = checkpoints.load_state(newest)
    assert state["log"]["updates"] == (state["log"]["agent_steps"] - 100) // 4
    with prepared(tmp_path / "run", 500) as run:
        try:
            assert run.agent_steps == state["log"]["agent_steps"]
            assert run._learner.updates == state["log"]["updates"]
            assert run._rng.bit_generator.state == state["rng"]
            assert state["rng"] != np.random.default_rng(0).bit_generator.state
            tf.train.Checkpoint(agent=run.agent).write(str(tmp_path / "ckpt"))
            assert_same_variables(newest / "agent" / "ckpt", tmp_path / "ckpt")
            assert len(run._replay) == state["log"]["agent_steps"]
            # Nothing has been written since: what is drawn can only be what was saved.
            for window in run._replay.dataset().take(10):
                assert window.frames.shape == (8, 5, 84, 84)
                assert tf.reduce_all(tf.reduce_max(window.frames[:, -1], axis=(1, 2)) > 0)
        finally:
            run._log.close()
            run._replay.close()


def test_an_untrained_agent_is_evaluated_briefly_and_is_not_the_best(tmp_path):
    train(tmp_path, 100, "Evaluator.episodes = 11")
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert [len(json.loads(line)["scores"]) for line in lines] == [10, 11]
    (best,) = (tmp_path / "best").iterdir()
    assert int(best.name) >= 100
    configuration.load(["space_invaders.gin", "drq_eps.gin"])
    with RunDirectory(tmp_path / "other") as owned:
        run = training.Training(owned, Silent())
        run._log.close()
        run._replay.close()
        frames = (run._evaluator, run._untrained_evaluator)
    assert [evaluator.max_frames_per_episode for evaluator in frames] == [108_000, 7_200]


def test_a_resumed_run_goes_on_where_it_was(tmp_path):
    train(tmp_path, 300)
    kept = Checkpoints(tmp_path / "checkpoints")
    resumed_at = checkpoints.load_state(kept.latest(print))["log"]["agent_steps"]
    reporter = Silent()
    run = train(tmp_path, 500, reporter=reporter)
    assert reporter.started_at == resumed_at
    assert any("resumed at" in message for message in reporter.messages)
    assert not any("evaluation at 0" in message for message in reporter.messages)
    assert reporter.evaluated[0] == (0, 2, 0), "games over, games, frames of those under way"
    assert reporter.evaluated[1] == (0, 2, 4)
    assert reporter.evaluated[-1][:2] == (2, 2)

    transitions = points(tmp_path)["3_learning/replay_transitions"]
    agent_steps, first = next(point for point in transitions if point[0] > resumed_at)
    # What a writer has yet to send is not in the table.
    most_pending = 4 * (MAX_PENDING_ITEMS + PENDING_CHECK_PERIOD_TIME_STEPS)
    assert agent_steps - most_pending <= first <= agent_steps
    after = checkpoints.load_state(kept.latest(print))["log"]
    assert after["agent_steps"] == run.agent_steps
    assert after["updates"] == (run.agent_steps - 100) // 4
    assert saved_transitions(kept.latest(print), tmp_path / "scratch") == run.agent_steps

    steps = [agent_steps for agent_steps, _ in points(tmp_path)["3_learning/updates"]]
    assert [step // 50 for step in steps] == list(range(1, 11)), "a gap or an overlap"


def test_priorities_are_saved_and_go_on(tmp_path):
    prioritized = (
        "Replay.priority_exponent = 0.5",
        "ImportanceExponent.final = 1.0",
        "ImportanceExponent.annealing_agent_steps = 400",
    )
    train(tmp_path, 300, *prioritized)
    state = checkpoints.load_state(Checkpoints(tmp_path / "checkpoints").latest(print))
    with prepared(tmp_path, 500, *prioritized) as run:
        try:
            assert run._replay.max_priority == state["max_priority"] >= 1
            window = next(iter(run._replay.dataset()))
            assert len(set(window.probability.numpy())) > 1, "no update has reached the table"
        finally:
            run._log.close()
            run._replay.close()


class Interrupts(Silent):
    """Sends SIGINT in the first evaluation of a trained network."""

    def evaluating(self, games_over, games, frames):
        super().evaluating(games_over, games, frames)
        if frames and "evaluating at 0 " not in self.messages[-1]:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("checkpoint_period", [100, 1_000])
def test_a_stop_gives_up_an_evaluation_and_the_next_start_makes_it(tmp_path, checkpoint_period):
    bindings = (
        "Training.evaluation_period_agent_steps = 200",
        f"Training.checkpoint_period_agent_steps = {checkpoint_period}",
    )

    def evaluated():
        lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
        return [json.loads(line)["agent_steps"] for line in lines]

    for agent_steps in (300, 200):  # stopped in the midst of a run, and after its last step
        reporter = Interrupts()
        with prepared(tmp_path, agent_steps, *bindings, reporter=reporter) as run:
            assert not run.run()
        assert "gave up the evaluation" in " ".join(reporter.messages)
        assert reporter.evaluated[-1][2] == 4, "it played on"
        assert evaluated() == [0]
        assert 200 <= int(Checkpoints(tmp_path / "checkpoints").latest(print).name) < 204
    run = train(tmp_path, 300, *bindings)
    assert [steps // 4 for steps in evaluated()] == [0, 50, run.agent_steps // 4]


class FillsTheDisk(Silent):
    """From some step on no file can grow; TensorFlow has written its graphs' code then."""

    def progress(self, agent_steps, **values):
        if agent_steps >= 300:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))


def test_a_record_that_cannot_be_written_is_one_line(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    rarely = [f"Training.{kind}_period_agent_steps = 1_000_000" for kind in ("log", "checkpoint")]
    with prepared(tmp_path, 3_000, *rarely, reporter=FillsTheDisk()) as run:
        try:
            with pytest.raises(UserError, match=r"the record at \d+ .*look at the disk of"):
                run.run()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    files = (run._log._episodes_file, run._log._evaluations_file)
    assert all(file.closed for file in files)


def test_going_on_with_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    train(tmp_path, 100)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
        full = r"the record at 10\d agent steps could not be written .*look at the disk of"
        with pytest.raises(UserError, match=full), prepared(tmp_path, 200):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert train(tmp_path, 200).agent_steps >= 200


def test_a_resumed_run_draws_other_noise(tmp_path):
    def drawn():
        with prepared(tmp_path, 200) as run:
            try:
                return tf.random.uniform([4]).numpy().tolist()
            finally:
                run._log.close()
                run._replay.close()

    first = drawn()
    assert drawn() == first
    train(tmp_path, 100)
    assert drawn() != first


@pytest.mark.parametrize(
    ("file", "binding"),
    [
        ("c51.gin", "DQN.loss = 'huber'"),
        ("qr_dqn.gin", "DQN.loss = 'mse'"),
        ("iqn.gin", "DQN.loss = 'huber'"),
        ("iqn.gin", "QRDQN.num_quantiles = 500"),
        ("c51.gin", "C51.loss = 'huber'"),
        ("qr_dqn.gin", "QRDQN.loss = 'huber'"),
        ("iqn.gin", "IQN.loss = 'huber'"),
        ("iqn.gin", "IQN.num_quantiles = 500"),
    ],
)
def test_what_an_algorithm_has_no_use_for_is_refused(tmp_path, file, binding):
    configuration.load(["space_invaders.gin", file], [*BINDINGS, binding])
    agent, argument = binding.split()[0].split(".")
    unused = rf"nothing in this run uses {agent}\.{argument}|{agent} has no use for {argument}"
    with RunDirectory(tmp_path) as owned, pytest.raises(UserError, match=unused):
        training.Training(owned, Silent())


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    train(tmp_path, 200)
    before = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    run = train(tmp_path, 200)
    assert 200 <= run.agent_steps < 204
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == before
    with pytest.raises(UserError, match=r"has 20\d agent steps already: leave .* = 100 out"):
        train(tmp_path, 100)
    assert "Training.agent_steps = 200" in (tmp_path / "config.gin").read_text()


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"not finite.*last checkpoint is"):
        train(tmp_path, 3000, "adam.learning_rate = 1e30", "LEARNING_STARTS_AGENT_STEPS = 110")
    newest = Checkpoints(tmp_path / "checkpoints").latest(print)
    assert newest is not None
    assert newest.name.startswith("00000000010")


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("Training.agent_steps = 0", "Training.agent_steps must be at least 1"),
        (
            "Training.updates_per_agent_step = 0",
            "Training.updates_per_agent_step must be between 1e-6 and 1e6",
        ),
        ("Training.log_period_agent_steps = -1", "Training.log_period_agent_steps must be"),
        ("LEARNING_STARTS_AGENT_STEPS = 0", "Training.learning_starts_agent_steps must be"),
        ("rmsprop.learning_rate = 0.1", "rmsprop.learning_rate"),
        ("ImportanceExponent.final = 1.0", "nothing in this run uses ImportanceExponent.final"),
    ],
)
def test_bad_values_are_named(tmp_path, binding, message):
    configuration.load(["space_invaders.gin"], [*BINDINGS, binding])
    with RunDirectory(tmp_path) as owned, pytest.raises(UserError, match=message):
        training.Training(owned, Silent())
    assert not (tmp_path / "config.gin").exists()


def test_runs_are_named_after_game_and_algorithm():
    configuration.load(["space_invaders.gin"], ["AtariEnvironment.game = 'ALE/Pong-v5'"])
    assert training.run_name() == "pong_DQN"
    configuration.load(["space_invaders.gin", "rainbow.gin"])
    assert training.run_name() == "space_invaders_rainbow"
