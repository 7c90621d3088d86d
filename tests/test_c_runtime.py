"""An export in a C program on TensorFlow's C API, the runtime of TF Serving, without Python."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from agents.serving import golden

SOURCE = Path(__file__).with_name("c_runtime.c")


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler: apt-get install gcc libc6-dev"
    library = Path(tf.sysconfig.get_lib())
    program = tmp_path_factory.mktemp("c") / "c_runtime"
    libraries = [library / "libtensorflow_cc.so.2", library / "libtensorflow_framework.so.2"]
    options = ["-Wall", "-Werror", f"-I{tf.sysconfig.get_include()}", f"-Wl,-rpath,{library}"]
    subprocess.run([compiler, *options, SOURCE, *libraries, "-o", program], check=True)
    return program


@pytest.fixture(scope="module")
def run(program, exported):
    """Runs a signature; gives exit status, the answer's bytes, stderr."""
    content = (exported / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs

    def run(signature: str, tensor: np.ndarray):
        definition = graph.signature_def[signature]
        (info,) = definition.inputs.values()
        names = [info.name, *(definition.outputs[key].name for key in ("action", "q_values"))]
        dims = ",".join(map(str, tensor.shape))
        done = subprocess.run(
            [program, exported, *names, dims],
            input=tensor.tobytes(),
            capture_output=True,
            env={"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        return done.returncode, done.stdout, done.stderr.decode()

    return run


def test_the_golden_answers(run, exported):
    cases = {case.signature: case for case in golden.cases(exported)}
    for signature in ("serving_default", "frames"):
        (tensor,) = cases[signature].inputs.values()
        returncode, answer, stderr = run(signature, tensor)
        assert returncode == 0, stderr
        end = 8 * len(tensor)
        action, q_values = np.frombuffer(answer[:end], np.int64), answer[end:]
        q_values = np.frombuffer(q_values, np.float32).reshape(len(action), -1)
        cases[signature].check({"action": action, "q_values": q_values})


# The last convolution of the usual network makes 7x7 of 90x90 too, and would answer.
@pytest.mark.parametrize("shape", [(1, 90, 90, 4), (84, 84, 4), (1, 84, 84, 3)])
def test_a_wrong_shape_is_an_error_of_the_graph(run, shape):
    returncode, _, stderr = run("serving_default", np.zeros(shape, np.uint8))
    assert returncode == 1
    sizes = ",".join(map(str, shape))
    assert stderr.startswith("3 ")  # INVALID_ARGUMENT
    assert f"[{sizes}] is not compatible with expected shape [?,84,84,4]" in stderr
