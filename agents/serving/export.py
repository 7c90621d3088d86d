"""Export: a trained agent goes in, a SavedModel as TF Serving expects it comes out.

    export_dir/<name>/<version>/         TF Serving serves the highest integer it finds
        saved_model.pb, variables/       the signatures of `agents.serving.signatures`
        assets.extra/model.json          game, actions, preprocessing, origin, scores
        assets.extra/golden.npz          inputs and the agent's answers, see `agents.serving.golden`
        assets.extra/tf_serving_warmup_requests
        assets.extra/policy.tflite, policy.onnx     where asked for

A version is written in a hidden directory beside its place, read back and compared with the agent,
and renamed when it is on the disk: under its number it is whole, wherever the process is killed.
"""

import errno
import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from agents import configuration, protocols
from agents.algorithms.dqn import DQN
from agents.checkpoints import sync, sync_all
from agents.environments import FRAME_SIZE, STACK_SIZE, AtariEnvironment
from agents.errors import UserError
from agents.evaluation import Evaluator
from agents.networks import OBSERVATION_SHAPE
from agents.serving import examples, golden
from agents.serving.signatures import preprocess, signatures

# An operation outside this list may need Python (PyFunc), draw numbers (Random...), or be unknown
# to another runtime.
_OPERATIONS = frozenset(
    {
        # networks, and the expectations of distributional ones
        *("Placeholder", "Const", "Identity", "NoOp", "StatefulPartitionedCall", "ReadVariableOp"),
        *("Cast", "Reshape", "AddV2", "Mul", "MatMul", "Conv2D", "BiasAdd", "Relu", "ArgMax"),
        # IMPALA, its pooling, spectral and layer normalization
        *("MaxPool", "Max", "Pack", "GatherV2", "Square", "Sqrt", "Rsqrt", "Maximum", "RealDiv"),
        *("Range", "Squeeze", "Fill", "FusedBatchNormV3"),
        # dueling heads, distributions, quantile fractions
        *("Mean", "Sub", "Sum", "Softmax", "Cos", "Tile", "Transpose", "ExpandDims"),
        *("Shape", "StridedSlice", "Prod", "ConcatV2", "BatchMatMulV2", "Tanh"),
        # bytes, frames, checks of shapes
        *("EnsureShape", "DecodeRaw", "Round", "ResizeArea"),
    }
)
# Examples in golden.npz, and agent steps from one to the next; at its start a game stands still.
_OBSERVATIONS, _OBSERVATIONS_STRIDE = 32, 8
_FRAMES, _FRAMES_STRIDE = 4, 32


def export_agent(
    agent: DQN,
    env: AtariEnvironment,
    export_dir: Path,
    *,
    name: str,
    origin: Mapping[str, Any],
    writers: Sequence[Callable[[Path], None]] = (),
) -> Path:
    """Writes and checks one version.

    Args:
      agent: its `q_values` are exported, in the precision they have here. Its run's configuration
        is in force.
      env: one copy of its game, in which some random actions are played for the check.
      export_dir: holds one directory per name; made if need be.
      name: of the model.
      origin: what `model.json` says of where the agent comes from.
      writers: of further formats; each takes the version's directory.

    Returns:
      The version's directory: the integer after the highest one there.

    Raises:
      UserError: the name cannot be one, the directory cannot be written, or the network is made
        of operations that not every server has.
      RuntimeError: what was written does not compute the agent's Q-values.
    """
    if not re.fullmatch(r"[\w-]+", name, re.ASCII):
        raise UserError(f"the name {name!r} must be made of letters, digits, _ and -")
    model_dir = export_dir.expanduser() / name
    partial = model_dir / f".{uuid.uuid4().hex}.partial"
    try:
        extra = partial / "assets.extra"
        extra.mkdir(parents=True)
        _save(signatures(agent, examples.screen_shape(env.game)), partial)
        _write_golden(agent, env, partial)
        _write_warm_up(name, partial)
        content = json.dumps(_description(agent, env, origin), indent=1)
        (extra / "model.json").write_text(content + "\n")
        _check(partial)
        for write in writers:
            write(partial)
        sync_all(partial)
        final = _publish(partial, model_dir)
        sync(model_dir)
    except (OSError, tf.errors.OpError) as e:
        reason = e.strerror if isinstance(e, OSError) else e.message
        raise UserError(
            f"{model_dir} cannot be written ({reason}): choose another --export_dir"
        ) from e
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _publish(partial: Path, model_dir: Path) -> Path:
    """Gives the version its number; another export may take one meanwhile."""
    while True:
        taken = [int(path.name) for path in model_dir.iterdir() if path.name.isdecimal()]
        final = model_dir / str(max(taken, default=0) + 1)
        try:
            return partial.rename(final)
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


class _Variables(tf.Module):
    """What a graph reads; not the network itself, which would want its own package at loading."""

    def __init__(self, variables: Iterable[tf.Variable]):
        super().__init__()
        self.held = list(variables)


def _save(functions: dict[str, Any], directory: Path) -> None:
    variables = {
        variable.ref(): variable
        for function in functions.values()
        for variable in function.get_concrete_function().variables
    }
    tf.saved_model.save(_Variables(variables.values()), str(directory), signatures=functions)


def _write_golden(agent: DQN, env: AtariEnvironment, directory: Path) -> None:
    actions = examples.random_actions(env.num_actions, _OBSERVATIONS_STRIDE * _OBSERVATIONS - 1)
    observation = examples.observations(env, actions)[::_OBSERVATIONS_STRIDE]
    actions = actions[: _FRAMES_STRIDE * (_FRAMES - 1)]
    frames = examples.frames(env.game, actions, env.frameskip)[::_FRAMES_STRIDE]
    q_values = agent.q_values(tf.constant(observation)).numpy()
    frames_q_values = agent.q_values(preprocess(tf.constant(frames))).numpy()
    np.savez_compressed(
        directory / golden.PATH,
        observation=observation,
        action=q_values.argmax(axis=-1),
        q_values=q_values,
        frames=frames,
        frames_action=frames_q_values.argmax(axis=-1),
        frames_q_values=frames_q_values,
    )


def _write_warm_up(name: str, directory: Path) -> None:
    """One request per signature, which TF Serving sends itself before it serves a version."""
    path = directory / "assets.extra" / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for case in golden.cases(directory):
            record = prediction_log_pb2.PredictionLog()
            request = record.predict_log.request
            request.model_spec.name = name
            request.model_spec.signature_name = case.signature
            for key, value in case.inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value[:1]))
            writer.write(record.SerializeToString())


def _description(agent: DQN, env: AtariEnvironment, origin: Mapping[str, Any]) -> dict[str, Any]:
    frames = "one emulator frame"
    if env.frameskip > 1:
        frames = f"maximum of the last two of {env.frameskip} emulator frames"
    return {
        "game": env.game,
        "action_meanings": env.action_meanings(),
        "algorithm": agent.name,
        **origin,
        "protocol": env.protocol,
        "rules": protocols.rules(configuration.bindings()),
        "evaluation_epsilon": configuration.argument(Evaluator, "epsilon"),
        "tensorflow": tf.__version__,
        "observation": {
            "shape": list(OBSERVATION_SHAPE),
            "dtype": "uint8",
            "frames": f"the last {STACK_SIZE} agent steps, oldest first; black before the game",
            "frame": f"{frames}, ALE grayscale 0 to 255, area-resized to {FRAME_SIZE}x{FRAME_SIZE}",
            "emulator_frames_per_agent_step": env.frameskip,
        },
    }


def _check(directory: Path) -> None:
    """Loads what is on the disk and compares it with the agent's answers."""
    loaded = tf.saved_model.load(str(directory)).signatures
    for case in golden.cases(directory):
        signature = loaded[case.signature]
        graph = signature.graph.as_graph_def()
        nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
        foreign = sorted({node.op for node in nodes} - _OPERATIONS)
        if foreign:
            raise UserError(
                f"the network has operations that not every server can run ({', '.join(foreign)}):"
                " build it without them, or allow them in agents/serving/export.py"
            )
        outputs = signature(**{key: tf.constant(value) for key, value in case.inputs.items()})
        try:
            case.check({key: value.numpy() for key, value in outputs.items()})
        except ValueError as e:
            raise RuntimeError(f"{e}; nothing was exported") from e
