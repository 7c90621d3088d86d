"""Restoring: a run directory goes in, its trained agent comes out, ready to act.

Only reads: needs neither the run's lock nor its replay, so it works beside the training.
"""

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import tensorflow as tf

from agents import configuration, protocols
from agents.algorithms.dqn import DQN
from agents.checkpoints import Checkpoints, numbered
from agents.environments import AtariEnvironment
from agents.errors import NotYetError, UserError
from agents.networks import Precision
from agents.run_directory import start_facts
from agents.training import make_agent


@dataclasses.dataclass(frozen=True)
class RestoredAgent:
    """An agent as a checkpoint has it, and what it was trained on."""

    agent: DQN
    env: AtariEnvironment  # one copy of the game, in the run's protocol
    agent_steps: int  # of the checkpoint
    commit: str | None  # with which the run was started


def restore_agent(
    run_dir: Path,
    agent_steps: int | Literal["best"] | None = None,
    precision: Precision | None = None,
    protocol: str | None = None,
) -> RestoredAgent:
    """Builds the agent that the run's configuration describes and sets its networks.

    The run's configuration is in force afterwards, so what is made next, such as an `Evaluator`,
    follows the run's protocol.

    Args:
      run_dir: of a training, running or not.
      agent_steps: names the checkpoint; "best" takes the agent that evaluated best during the
        training, None the newest checkpoint that is whole, with a warning of each damaged one
        passed over.
      precision: of the network's arithmetic; None leaves the run's own.
      protocol: one of `protocols.NAMES`, whose rules replace the run's own.

    Raises:
      UserError: no run, no checkpoint, a damaged one, or a configuration that does not fit it.
    """
    run_dir = run_dir.expanduser()
    commit = start_facts(run_dir).get("commit")
    _load_configuration(run_dir / "config.gin", precision, protocol)
    path = _checkpoint(run_dir, agent_steps)
    env = AtariEnvironment(num_envs=1, num_threads=1)
    agent = make_agent(env.num_actions)
    _set_networks(agent, path)
    return RestoredAgent(agent, env, int(path.name), commit)


def saved_agents(run_dir: Path) -> dict[int, Path]:
    """What `restore_agent` can restore, by agent steps in their order."""
    # Of equal names the last counts: a checkpoint has a manifest.
    folders = ("snapshots", "best", "checkpoints")
    paths = [path for folder in folders for path in numbered(run_dir / folder)]
    return dict(sorted({int(path.name): path for path in paths}.items()))


def _load_configuration(path: Path, precision: Precision | None, protocol: str | None) -> None:
    configuration.load([str(path)])
    own = configuration.bindings()
    if "Training.agent" not in own:
        raise UserError(f"{path} has no Training.agent: take the one that the run wrote")
    bindings = []
    if precision:
        networks = {
            value.removeprefix("@")
            for name, value in own.items()
            if name.endswith(".network")  # of the agent, or of the class it inherits from
        }
        bindings += [f"{network}.precision = {precision!r}" for network in sorted(networks)]
    if protocol:
        bindings += protocols.bindings(protocols.shipped(protocol), keep=protocols.OF_THE_NETWORK)
    configuration.load([str(path)], bindings)


def _checkpoint(run_dir: Path, agent_steps: int | Literal["best"] | None) -> Path:
    if agent_steps is None:
        latest = Checkpoints(run_dir / "checkpoints").latest(_warn)
        if latest is None:
            raise NotYetError(
                f"{run_dir} has no checkpoint yet: a training writes one every "
                "Training.checkpoint_period_agent_steps, and at Ctrl-C"
            )
        return latest
    if agent_steps == "best":
        best = numbered(run_dir / "best")
        if not best:
            raise UserError(
                f"{run_dir} has no best agent, since none was evaluated in training yet: take the "
                "last checkpoint"
            )
        return best[-1]
    saved = saved_agents(run_dir)
    if agent_steps not in saved:
        raise UserError(
            f"{run_dir} has no checkpoint at {agent_steps} agent steps: there are "
            f"{_names(run_dir, saved) or 'none'}"
        )
    return saved[agent_steps]


def _names(run_dir: Path, saved: Iterable[int]) -> str:
    """The checkpoints with what else `--checkpoint` calls them: "304, 500 (best), 600 (last)"."""
    roles = {"best": numbered(run_dir / "best"), "last": numbered(run_dir / "checkpoints")}
    newest = {role: int(paths[-1].name) for role, paths in roles.items() if paths}
    names = []
    for agent_steps in saved:
        own = ", ".join(role for role, at in newest.items() if at == agent_steps)
        names.append(f"{agent_steps} ({own})" if own else str(agent_steps))
    return ", ".join(names)


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)


def _set_networks(agent: DQN, path: Path) -> None:
    try:
        status = tf.train.Checkpoint(agent=agent).read(str(path / "agent" / "ckpt"))
        # What there is more is of a run of another algorithm's optimizer, or older.
        status.assert_existing_objects_matched().expect_partial()
    except tf.errors.OpError as e:
        raise UserError(
            f"the checkpoint {path} is damaged or was removed ({e.message}): name another"
        ) from e
    except (AssertionError, ValueError) as e:
        raise UserError(
            f"the checkpoint {path} does not fit the run's config.gin, which must be the one "
            f"that the run wrote: {e}"
        ) from e
