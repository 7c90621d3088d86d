"""Players: a run, or an exported model, goes in; an agent comes out, with a protocol in force.

Both compute in float32, so a run and its export play alike, whatever the run trained in.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

import tensorflow as tf

from agents import configuration, protocols
from agents.collection import QFunction
from agents.environments import AtariEnvironment
from agents.errors import UserError
from agents.restoring import restore_agent
from agents.serving import signatures


@dataclasses.dataclass(frozen=True)
class Player:
    """A trained agent and where it comes from."""

    agent: QFunction
    game: str
    algorithm: str
    agent_steps: int  # of its training
    frames: int  # of its training
    commit: str | None  # that trained it


def from_run(
    run_dir: Path, agent_steps: int | Literal["best"] | None = None, protocol: str | None = None
) -> Player:
    """The agent of a checkpoint, which `agent_steps` names as for `restore_agent`.

    Raises:
      UserError: as `restore_agent`.
    """
    restored = restore_agent(run_dir, agent_steps, "float32", protocol)
    return _player(
        restored.agent,
        restored.env,
        restored.agent.name,
        restored.agent_steps,
        restored.commit,
    )


def from_model(model_dir: Path, protocol: str | None = None) -> Player:
    """The agent of a version that `agents.serving.export` wrote.

    Args:
      model_dir: of the version.
      protocol: one of `protocols.NAMES`; None takes the rules of the run that trained it, or
        Dopamine's where the version is from before exports knew them.

    Raises:
      UserError: no such model, or its game has other actions here.
    """
    model_dir = model_dir.expanduser()
    try:
        description = json.loads((model_dir / "assets.extra" / "model.json").read_text())
        game, meanings = description["game"], description["action_meanings"]
        frameskip = description["observation"]["emulator_frames_per_agent_step"]
        epsilon = description.get("evaluation_epsilon", 0.001)
        own_rules = {} if protocol else description.get("rules", {})
        rules = protocols.shipped(protocol or "dopamine")
        rules |= {name: own_rules[name] for name in rules.keys() & own_rules.keys()}
        trained = [description[name] for name in ("algorithm", "agent_steps", "commit")]
        agent = _ExportedAgent(model_dir, len(meanings))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as e:
        raise UserError(
            f"{model_dir} holds no exported model ({e}): give what launch/export.py printed"
        ) from e
    bindings = [
        f"AtariEnvironment.game = {game!r}",
        f"AtariEnvironment.frameskip = {frameskip!r}",
        f"AtariEnvironment.full_action_space = {len(meanings) == 18}",
        f"Evaluator.epsilon = {epsilon!r}",
    ]
    bindings += protocols.bindings(rules, keep=protocols.OF_THE_NETWORK)
    configuration.load([], bindings)
    env = AtariEnvironment(num_envs=1, num_threads=1)
    if env.action_meanings() != meanings:
        raise UserError(f"{model_dir} was made for other actions of {game} than it has here")
    return _player(agent, env, *trained)


class _ExportedAgent:
    """A SavedModel as an agent."""

    def __init__(self, model_dir: Path, num_actions: int):
        self._model = tf.saved_model.load(str(model_dir))  # whose variables live as long as it
        self._serve = self._model.signatures[signatures.DEFAULT]
        self.num_actions = num_actions

    def q_values(self, observation: tf.Tensor, training: bool = False) -> tf.Tensor:
        del training  # an export has no noise
        return self._serve(observation=tf.cast(observation, tf.uint8))["q_values"]


def _player(
    agent: QFunction, env: AtariEnvironment, algorithm: str, agent_steps: int, commit: str | None
) -> Player:
    return Player(
        agent=agent,
        game=env.game,
        algorithm=algorithm,
        agent_steps=agent_steps,
        frames=agent_steps * env.frameskip,
        commit=commit,
    )
