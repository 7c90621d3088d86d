"""Compares an export with its golden answers in a runtime that is not TensorFlow.

    benchmarks/runtimes.sh exports/space_invaders/1     # each runtime in an environment of its own
    python benchmarks/runtimes.py --runtime=openvino --version_dir=exports/space_invaders/1

onnxruntime and litert read the files that --format=onnx and --format=tflite write.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import app, flags

from agents.serving import golden

FLAGS = flags.FLAGS
Run = Callable[[np.ndarray], dict[str, np.ndarray]]


def openvino(version: Path) -> Run:
    """Reads the SavedModel itself."""
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(version), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda x: {key.any_name: value for key, value in compiled([x]).to_dict().items()}


def onnxruntime(version: Path) -> Run:
    """Reads `policy.onnx`."""
    import onnxruntime

    path = version / "assets.extra" / "policy.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda x: dict(zip(names, session.run(names, {"observation": x}), strict=True))


def litert(version: Path) -> Run:
    """Reads `policy.tflite`."""
    from ai_edge_litert.interpreter import Interpreter

    path = version / "assets.extra" / "policy.tflite"
    run = Interpreter(str(path)).get_signature_runner()
    return lambda x: run(observation=x)


RUNTIMES = {run.__name__: run for run in (openvino, onnxruntime, litert)}

flags.DEFINE_enum("runtime", None, list(RUNTIMES), "Which one.", required=True)
flags.DEFINE_string("version_dir", None, "An exported version.", required=True)


def main(argv: list[str]) -> None:
    del argv
    version = Path(FLAGS.version_dir)
    case = next(golden.cases(version))
    difference = case.check(RUNTIMES[FLAGS.runtime](version)(case.inputs["observation"]))
    assert "tensorflow" not in sys.modules
    print(f"{FLAGS.runtime}: {len(case.action)} equal actions, Q-values within {difference:.1e}")


if __name__ == "__main__":
    app.run(main)
