"""What bfloat16 changes in a run's agents. A run directory goes in, two tables come out.

    python benchmarks/precision.py --run_dir=runs/space_invaders_dopamine_dqn_1

Acting: how often both precisions choose the same action, and what Q-value (float32's) is lost where
they do not. Learning: how far updates on the same batches of the run's last replay lead apart in
the two precisions, beside how far float32 leads apart on other batches; without importance weights.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from agents.errors import UserError
from launch import command

if TYPE_CHECKING:
    import numpy as np

    from agents.algorithms.dqn import DQN
    from agents.replay import Window

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "Of a training that is over or stopped.")
flags.DEFINE_multi_integer("checkpoint", None, "Agent steps of agents; default: all kept ones.")
flags.DEFINE_integer("updates", 1_000, "Of learning.", 1)
flags.DEFINE_integer("seed", 0, "Of the games in which the states are met.")

ENVIRONMENTS = 8
AGENT_STEPS_PER_GAME = 400
PERIOD_AGENT_STEPS = 4  # between two states of a game
EPSILON = 0.05
BATCHES_HELD_OUT = 16  # of the replay, in whose states what was learned is compared
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "other batches": "float32"}


def main(argv: list[str]) -> None:
    del argv
    if not FLAGS.run_dir:
        raise UserError("name a run: --run_dir=runs/NAME")
    from agents.reporting.console import native_stderr_to
    from agents.restoring import saved_agents
    from agents.run_directory import check_is_run

    run_dir = Path(FLAGS.run_dir)
    check_is_run(run_dir)
    trained = [agent_steps for agent_steps in saved_agents(run_dir) if agent_steps]
    if not (chosen := FLAGS.checkpoint or trained):
        raise UserError(f"{run_dir} has no trained agent yet: train longer")
    show("Acting", [acting(run_dir, agent_steps) for agent_steps in chosen])
    with native_stderr_to(Path(os.devnull)):  # Reverb's chatter
        rows = [row for steps in chosen for row in learning(run_dir, steps, FLAGS.updates)]
    show(f"{FLAGS.updates:,} updates", rows)


def acting(run_dir: Path, agent_steps: int) -> dict[str, str]:
    """Compares the actions of one agent in states of games that it plays in float32."""
    import numpy as np

    from agents.environments import AtariEnvironment
    from agents.restoring import restore_agent

    one = restore_agent(run_dir, agent_steps, "float32").agent
    other = restore_agent(run_dir, agent_steps, "mixed_bfloat16").agent
    env = AtariEnvironment(num_envs=ENVIRONMENTS, seed=FLAGS.seed)
    rng = np.random.default_rng(FLAGS.seed)
    observation = env.reset().observation
    values, others = [], []
    for step in range(AGENT_STEPS_PER_GAME):
        q = one.q_values(observation).numpy()
        if step % PERIOD_AGENT_STEPS == 0:
            values.extend(q)
            others.extend(other.q_values(observation).numpy())
        explore = rng.random(ENVIRONMENTS) < EPSILON
        random = rng.integers(one.num_actions, size=ENVIRONMENTS)
        actions = np.where(explore, random, q.argmax(axis=1)).astype(np.int32)
        observation = env.step(actions).observation
    q, best = np.array(values), np.argmax(others, axis=1)
    ordered = np.sort(q, axis=1)
    return {
        "agent steps": f"{agent_steps:,}",
        "states": f"{len(q):,}",
        "same action": f"{np.mean(q.argmax(axis=1) == best):.1%}",
        "mean loss of Q": f"{np.mean(ordered[:, -1] - q[np.arange(len(q)), best]):.6f}",
        "median gap of the best two": f"{np.median(ordered[:, -1] - ordered[:, -2]):.4f}",
    }


def learning(run_dir: Path, agent_steps: int, updates: int) -> list[dict[str, str]]:
    """Compares what updates make of one agent: of bfloat16, and of float32 on other batches."""
    import numpy as np
    import tensorflow as tf

    from agents import checkpoints
    from agents.replay import Replay, to_transition
    from agents.restoring import restore_agent

    newest = checkpoints.Checkpoints(run_dir / "checkpoints").latest(print)
    if newest is None:
        raise UserError(f"{run_dir} has no checkpoint, whose replay is needed: train longer")
    agents, update = {}, {}
    for name, precision in PRECISIONS.items():
        agents[name] = agent = restore_agent(run_dir, agent_steps, precision).agent
        update[name] = one_update(agent)
    with tempfile.TemporaryDirectory(dir=run_dir) as scratch_dir:
        checkpoints.lay_replay(newest, Path(scratch_dir))
        replay = Replay(1, agent.n_step, scratch_dir)
        try:
            batches = replay.dataset()
            states = tf.concat(
                [
                    to_transition(window, agent.gamma, None).time_step.observation
                    for window in batches.take(BATCHES_HELD_OUT)
                ],
                axis=0,
            )
            before = weights(agent)
            windows = iter(batches)
            for _ in range(updates):
                window = next(windows)
                update["float32"](window)
                update["bfloat16"](window)
                update["other batches"](next(windows))
        finally:
            replay.close()
    q = {name: agent.q_values(states).numpy() for name, agent in agents.items()}
    changes = {name: weights(agent) - before for name, agent in agents.items()}
    rows = []
    for name in ("bfloat16", "other batches"):
        difference = q[name] - q["float32"]
        change, reference = changes[name], changes["float32"]
        cosine = change @ reference / np.linalg.norm(change) / np.linalg.norm(reference)
        advantages = difference - difference.mean(axis=1, keepdims=True)
        rows.append(
            {
                "agent steps": f"{agent_steps:,}",
                "beside float32": name,
                "distance of Q": f"{np.abs(difference).mean():.4f}",
                "of the advantages": f"{np.abs(advantages).mean():.4f}",
                "cosine of the changes": f"{cosine:.2f}",
            }
        )
    return rows


def one_update(agent: "DQN") -> "Callable[[Window], None]":
    """The update by one batch, as a graph."""
    import tensorflow as tf

    from agents.replay import to_transition

    @tf.function
    def update(window):
        agent.train(to_transition(window, agent.gamma, agent.max_abs_reward))

    return update


def weights(agent: "DQN") -> "np.ndarray":
    """All weights of the online network, float32 [M]."""
    import numpy as np

    return np.concatenate([weight.numpy().ravel() for weight in agent.policy.variables()])


def show(title: str, rows: list[dict[str, str]]) -> None:
    """Prints one line per row."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*row.values())
    Console(width=100).print(table)


if __name__ == "__main__":
    command.run(main)
