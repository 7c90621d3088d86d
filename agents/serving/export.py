"""Export: a trained agent goes in, a SavedModel as TF Serving expects it comes out.

    export_dir/<game>/<agent_steps>/     the agent steps are the version: TF Serving serves the
        saved_model.pb, variables/       highest integer it finds
        assets.extra/model.json          game, actions, preprocessing, origin

    serving_default: observation uint8 [B, 84, 84, 4]
                     -> action int64 [B], q_values float32 [B, num_actions]; B is free

A version is written in a hidden directory beside it, read back and compared with the agent, and
renamed when it is on the disk: under its number it is whole, wherever the process is killed.
"""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from agents.algorithms.dqn import DQN
from agents.environments import FRAME_SIZE, STACK_SIZE, AtariEnvironment
from agents.errors import UserError
from agents.networks import OBSERVATION_SHAPE

SIGNATURE = "serving_default"
RELATIVE_TOLERANCE = 1e-5  # of the largest Q-value

# An operation outside this list may need Python (PyFunc), draw numbers (Random...), or be unknown
# to another runtime.
_OPERATIONS = frozenset(
    {
        *("Placeholder", "Const", "Identity", "NoOp", "StatefulPartitionedCall", "ReadVariableOp"),
        *("Cast", "Reshape", "AddV2", "Mul", "MatMul", "Conv2D", "BiasAdd", "Relu", "ArgMax"),
        # IMPALA, its pooling, spectral and layer normalization
        *("MaxPool", "Max", "Pack", "GatherV2", "Square", "Sqrt", "Rsqrt", "Maximum", "RealDiv"),
        *("Range", "Squeeze", "Fill", "FusedBatchNormV3"),
        # dueling heads, distributions, quantile fractions
        *("Mean", "Sub", "Sum", "Softmax", "Cos", "Tile", "Transpose", "ExpandDims"),
        *("Shape", "StridedSlice", "Prod", "ConcatV2"),
    }
)
_CHECKED_OBSERVATIONS = 32


def export_agent(
    agent: DQN,
    env: AtariEnvironment,
    export_dir: Path,
    *,
    agent_steps: int,
    commit: str | None,
) -> Path:
    """Writes and checks one version.

    Args:
      agent: its `q_values` are exported, in the precision they have here.
      env: one copy of its game, in which some random actions are played for the check.
      export_dir: holds one directory per game; made if need be.
      agent_steps: of the agent's training; the version.
      commit: that trained it.

    Returns:
      The version's directory.

    Raises:
      UserError: the version exists, the directory cannot be written, or the network is made of
        operations that not every server has.
      RuntimeError: what was written does not compute the agent's Q-values.
    """
    final = export_dir.expanduser() / env.game / str(agent_steps)
    partial = final.with_name(f".{agent_steps}.{uuid.uuid4().hex}.partial")
    try:
        with _write_errors(final):
            if final.exists():
                raise FileExistsError
            partial.mkdir(parents=True)
            _save(agent, partial)
            extra = partial / "assets.extra"
            extra.mkdir()
            content = json.dumps(_description(agent, env, agent_steps, commit), indent=1)
            (extra / "model.json").write_text(content + "\n")
        _check(agent, partial, _play(env))
        with _write_errors(final):
            for path in [*partial.rglob("*"), partial]:
                _sync(path)
            partial.rename(final)
            _sync(final.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


@contextlib.contextmanager
def _write_errors(final: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, tf.errors.OpError) as e:
        if final.exists():
            raise UserError(
                f"{final} exists and is never overwritten: choose another --export_dir, or "
                "another --checkpoint"
            ) from e
        reason = e.strerror if isinstance(e, OSError) else e.message
        raise UserError(f"{final} cannot be written ({reason}): choose another --export_dir") from e


class _Variables(tf.Module):
    """What a graph reads; not the network itself, which would want its own package at loading."""

    def __init__(self, variables: Iterable[tf.Variable]):
        super().__init__()
        self.held = list(variables)


def _save(agent: DQN, directory: Path) -> None:
    @tf.function(
        input_signature=[tf.TensorSpec((None, *OBSERVATION_SHAPE), tf.uint8, "observation")]
    )
    def policy(observation: tf.Tensor) -> dict[str, tf.Tensor]:
        q_values = agent.q_values(observation)
        return {"action": tf.argmax(q_values, axis=-1), "q_values": q_values}

    module = _Variables(policy.get_concrete_function().variables)
    tf.saved_model.save(module, str(directory), signatures={SIGNATURE: policy})


def _description(
    agent: DQN, env: AtariEnvironment, agent_steps: int, commit: str | None
) -> dict[str, object]:
    return {
        "game": env.game,
        "action_meanings": env.action_meanings(),
        "algorithm": agent.name,
        "agent_steps": agent_steps,
        "commit": commit,
        "observation": {
            "shape": list(OBSERVATION_SHAPE),
            "dtype": "uint8",
            "frames": f"the last {STACK_SIZE} agent steps, oldest first; black before the game",
            "frame": f"maximum of the last two of {env.frameskip} emulator frames, "
            f"ALE grayscale 0 to 255, area-resized to {FRAME_SIZE}x{FRAME_SIZE}",
            "emulator_frames_per_agent_step": env.frameskip,
        },
    }


def _play(env: AtariEnvironment) -> np.ndarray:
    """Observations of a game played at random, uint8 [_CHECKED_OBSERVATIONS, 84, 84, 4]."""
    actions = np.random.default_rng(0).integers(
        env.num_actions, size=(_CHECKED_OBSERVATIONS - 1, 1), dtype=np.int32
    )
    observations = [env.reset().observation]
    observations += [env.step(action).observation for action in actions]
    return np.concatenate(observations)


def _check(agent: DQN, directory: Path, observations: np.ndarray) -> None:
    """Loads what is on the disk and compares it with the agent."""
    signature = tf.saved_model.load(str(directory)).signatures[SIGNATURE]
    graph = signature.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    foreign = sorted({node.op for node in nodes} - _OPERATIONS)
    if foreign:
        raise UserError(
            f"the network has operations that not every server can run ({', '.join(foreign)}): "
            "build it without them, or allow them in agents/serving/export.py"
        )
    expected = agent.q_values(tf.constant(observations)).numpy()
    exported = signature(observation=tf.constant(observations))
    q_values, action = exported["q_values"].numpy(), exported["action"].numpy()
    difference, largest = np.abs(q_values - expected).max(), np.abs(expected).max()
    if not difference <= RELATIVE_TOLERANCE * largest or (action != q_values.argmax(axis=-1)).any():
        raise RuntimeError(
            f"the exported Q-values differ from the agent's by up to {difference:.1e}, "
            f"the largest of which is {largest:.1e}; nothing was exported"
        )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
