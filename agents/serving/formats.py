"""Formats: an exported version goes in, a file for another runtime is laid into `assets.extra/`.

Input and outputs are those of `serving_default`; the Q-values are compared with TensorFlow's.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from agents.errors import UserError
from agents.networks import OBSERVATION_SHAPE
from agents.reporting.console import native_stderr_to
from agents.serving import golden
from agents.serving.signatures import DEFAULT

_OPSET = 15  # the newest that tf2onnx writes by default


def write_tflite(version: Path) -> None:
    """Writes `policy.tflite`.

    Raises:
      RuntimeError: it does not compute the policy's Q-values.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(version), signature_keys=[DEFAULT])
    with native_stderr_to(Path(os.devnull)):  # statistics of the conversion
        content = converter.convert()
    (version / "assets.extra" / "policy.tflite").write_bytes(content)
    run = tf.lite.Interpreter(model_content=content).get_signature_runner()
    _check(version, lambda observation: run(observation=observation))


def write_onnx(version: Path) -> None:
    """Writes `policy.onnx`.

    Raises:
      UserError: the extra `onnx` is not installed.
      RuntimeError: it does not compute the policy's Q-values.
    """
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
        import tf2onnx  # pyright: ignore[reportMissingImports]
    except ImportError as e:
        raise UserError(
            f"--format=onnx needs {e.name}: pip install -c constraints.txt -e '.[onnx]'"
        ) from e
    path = str(version / "assets.extra" / "policy.onnx")
    loaded = tf.saved_model.load(str(version))  # holds the variables
    policy = loaded.signatures[DEFAULT]
    signature = [tf.TensorSpec((None, *OBSERVATION_SHAPE), tf.uint8, "observation")]
    tf2onnx.convert.from_function(
        tf.function(lambda observation: policy(observation=observation), signature),
        signature,
        opset=_OPSET,
        output_path=path,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    _check(version, lambda x: dict(zip(names, session.run(names, {"observation": x}), strict=True)))


def _check(version: Path, run: Callable[[np.ndarray], dict[str, np.ndarray]]) -> None:
    case = next(golden.cases(version))
    try:
        case.check(run(case.inputs["observation"]))
    except ValueError as e:
        raise RuntimeError(f"{e}; nothing was exported") from e


WRITERS = {"tflite": write_tflite, "onnx": write_onnx}
