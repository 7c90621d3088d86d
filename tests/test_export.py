"""An exported agent is a plain SavedModel with the agent's Q-values, whole or not there."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from agents import configuration, protocols
from agents.algorithms.dqn import DQN
from agents.algorithms.optimizers import adam
from agents.errors import UserError
from agents.restoring import RestoredAgent, restore_agent
from agents.serving import golden
from agents.serving.export import export_agent
from tests import tiny_dqn

ROOT = Path(__file__).parent.parent
POLICY = {"name": "policy", "origin": {}}
OBSERVATIONS = np.random.default_rng(0).integers(0, 256, (16, 84, 84, 4), np.uint8)

# Runs where neither this project nor TF-Agents is imported: what a user of the model has.
PLAIN_TENSORFLOW = """
import sys
import numpy as np
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
observations = np.load(sys.argv[2])
whole = serve(observation=tf.constant(observations))
single = [serve(observation=tf.constant(row[None]))["q_values"][0] for row in observations]
assert not {"agents", "tf_agents", "reverb", "gin"} & set(sys.modules)
np.savez(sys.argv[3], single=np.stack(single), **whole)
"""


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / "launch" / "export.py"), *map(str, arguments)]


def run_command(*arguments: str | Path, **options) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command(*arguments), env=env, capture_output=True, text=True, check=False, **options
    )


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def restored(small_run) -> RestoredAgent:
    restored = restore_agent(small_run, precision="float32")
    configuration.load([])
    return restored


@pytest.fixture(scope="module")
def tiny():
    return tiny_dqn.for_space_invaders()


@pytest.fixture(scope="module")
def version(small_run, tmp_path_factory) -> Path:
    """What the command writes for the newest checkpoint."""
    export_dir = tmp_path_factory.mktemp("exports")
    run = run_command(f"--run_dir={small_run}", f"--export_dir={export_dir}")
    path = export_dir / "space_invaders" / "1"
    assert (run.returncode, run.stdout, run.stderr) == (0, f"exported: {path}\n", "")
    return path


def test_plain_tensorflow_computes_the_agents_q_values(version, restored, tmp_path):
    np.save(tmp_path / "observations.npy", OBSERVATIONS)
    arguments = (version, tmp_path / "observations.npy", tmp_path / "out.npz")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    script = [sys.executable, "-c", PLAIN_TENSORFLOW, *map(str, arguments)]
    subprocess.run(script, env=env, cwd=tmp_path, check=True)
    out = np.load(tmp_path / "out.npz")
    q_values = restored.agent.q_values(tf.constant(OBSERVATIONS)).numpy()
    tolerance = 1e-5 * np.abs(q_values).max()
    assert (out["q_values"].dtype, out["q_values"].shape) == (np.float32, (16, 6))
    np.testing.assert_allclose(out["q_values"], q_values, rtol=0, atol=tolerance)
    np.testing.assert_allclose(out["single"], q_values, rtol=0, atol=tolerance)
    assert out["action"].dtype == np.int64
    np.testing.assert_array_equal(out["action"], q_values.argmax(axis=-1))


def test_the_model_holds_only_what_every_server_runs(version):
    model = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    (graph,) = model.meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]

    def specs(tensors):
        return {
            name: (types_pb2.DataType.Name(t.dtype), [d.size for d in t.tensor_shape.dim])
            for name, t in tensors.items()
        }

    signatures = {n: s for n, s in graph.signature_def.items() if not n.startswith("__")}
    assert {name: specs(signature.inputs) for name, signature in signatures.items()} == {
        "serving_default": {"observation": ("DT_UINT8", [-1, 84, 84, 4])},
        "serving_bytes": {"observation_bytes": ("DT_STRING", [-1])},
        "frames": {"frames": ("DT_UINT8", [-1, 4, 2, 210, 160, 3])},
    }
    for signature in signatures.values():
        assert specs(signature.outputs) == {
            "action": ("DT_INT64", [-1]),
            "q_values": ("DT_FLOAT", [-1, 6]),
        }
    saving = ("__inference__traced_save", "__inference__traced_restore")  # TensorFlow's own
    functions = [
        function
        for function in graph.graph_def.library.function
        if not function.signature.name.startswith(saving)
    ]
    nodes = [node for function in functions for node in function.node_def]
    assert {"Conv2D", "MatMul", "ArgMax"} <= {node.op for node in nodes}
    assert {node.device for node in nodes} == {""}
    holders = [*functions, *nodes]
    assert not any(holder.attr["_XlaMustCompile"].b for holder in holders)
    types = {attribute.type for holder in holders for attribute in holder.attr.values()}
    assert types_pb2.DT_FLOAT in types
    assert not {types_pb2.DT_BFLOAT16, types_pb2.DT_HALF} & types


def test_the_model_says_what_it_is(version, small_run):
    description = json.loads((version / "assets.extra" / "model.json").read_text())
    observation = description.pop("observation")
    evaluation = json.loads((small_run / "evaluations.jsonl").read_text().splitlines()[-1])
    assert description == {
        "game": "space_invaders",
        "action_meanings": ["NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"],
        "algorithm": "DQN",
        "agent_steps": 600,
        "commit": json.loads((small_run / "run.json").read_text())["commit"],
        "evaluation": evaluation,
        "evaluations": [],
        "protocol": "sticky actions 0.25, no no-ops, a lost life does not end an episode, "
        "108,000 frames a game at most",
        "rules": protocols.shipped("dopamine"),
        "evaluation_epsilon": 0.001,
        "tensorflow": tf.__version__,
    }
    assert (observation["shape"], observation["dtype"]) == ([84, 84, 4], "uint8")
    assert observation["emulator_frames_per_agent_step"] == 4


def test_the_golden_answers_are_those_of_the_agent(version, restored):
    by_signature = {case.signature: case for case in golden.cases(version)}
    assert by_signature.keys() == {"serving_default", "serving_bytes", "frames"}
    case = by_signature["serving_default"]
    observation = case.inputs["observation"]
    assert observation.shape == (32, 84, 84, 4)
    assert len(np.unique(observation, axis=0)) > 24  # a game may stand still
    assert len(np.unique(by_signature["frames"].inputs["frames"], axis=0)) > 2
    np.testing.assert_array_equal(case.q_values, restored.agent.q_values(observation).numpy())
    np.testing.assert_array_equal(case.action, case.q_values.argmax(axis=-1))


def test_warm_up_has_a_request_of_one_row_per_signature(version):
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    requests = [log.predict_log.request for log in logs]
    assert {request.model_spec.name for request in requests} == {"space_invaders"}
    signatures = tf.saved_model.load(str(version)).signatures
    assert {request.model_spec.signature_name for request in requests} == signatures.keys()
    for request in requests:
        inputs = {key: tf.constant(tf.make_ndarray(x)) for key, x in request.inputs.items()}
        signature = signatures[request.model_spec.signature_name]
        assert signature(**inputs)["q_values"].shape == (1, 6)


def test_nothing_else_is_left_beside_the_version(version):
    assert [path.name for path in version.parent.iterdir()] == ["1"]
    assert [path.name for path in version.parent.parent.iterdir()] == ["space_invaders"]


def test_a_damaged_checkpoint_gives_way_and_exports_default_to_the_run(small_run, tmp_path):
    run_dir = shutil.copytree(small_run, tmp_path / "run")
    (run_dir / "checkpoints" / "000000000600" / "agent" / "ckpt.index").write_bytes(b"")
    run = run_command(f"--run_dir={run_dir}")
    version = run_dir / "exports" / "space_invaders" / "1"
    assert (run.returncode, run.stdout) == (0, f"exported: {version}\n")
    assert "000000000600 is damaged" in run.stderr
    assert "variables/variables.index" in files(version)


@pytest.mark.parametrize(
    ("taken", "number"), [([], 1), (["1", "2"], 3), (["7", "partial", ".9", "10x"], 8)]
)
def test_a_version_takes_the_next_number_and_leaves_the_others(tiny, tmp_path, taken, number):
    for name in taken:
        (tmp_path / "policy" / name).mkdir(parents=True)
        (tmp_path / "policy" / name / "theirs").write_text(name)
    assert export_agent(*tiny, tmp_path, **POLICY) == tmp_path / "policy" / str(number)
    for name in taken:
        assert [path.name for path in (tmp_path / "policy" / name).iterdir()] == ["theirs"]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (".", "run is no run directory: give that of a training"),
        ("checkpoints", "run has no checkpoint yet: "),
    ],
)
def test_a_run_that_cannot_be_exported_is_one_line(small_run, tmp_path, missing, message):
    run_dir = shutil.copytree(small_run, tmp_path / "run")
    shutil.rmtree(run_dir / missing)
    run = run_command(f"--run_dir={run_dir}", f"--export_dir={tmp_path / 'exports'}")
    assert (run.returncode, run.stdout) == (2, "")
    (error,) = run.stderr.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "exports").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a run: --run_dir=runs/space_invaders_DQN_1"),
        (["--run_dir=r", "--checkpoint=x"], "--checkpoint must be last, best or a number, got 'x'"),
    ],
)
def test_a_command_line_that_says_too_little_is_one_line(tmp_path, arguments, message):
    run = run_command(*arguments, cwd=tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", f"error: {message}\n")


def test_a_directory_that_cannot_be_written_is_one_line(small_run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    run = run_command(f"--run_dir={small_run}", f"--export_dir={tmp_path / 'file' / 'exports'}")
    model_dir = tmp_path / "file" / "exports" / "space_invaders"
    assert (run.returncode, run.stdout, run.stderr) == (
        2,
        "",
        f"error: {model_dir} cannot be written (Not a directory): choose another --export_dir\n",
    )


def test_a_write_that_breaks_off_leaves_nothing(restored, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # bytes; the variables take more
    try:
        with pytest.raises(UserError, match=r"policy cannot be written \(.*too large"):
            export_agent(restored.agent, restored.env, tmp_path, **POLICY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "policy").iterdir()) == []


def agent_with(layer: tf.keras.layers.Layer) -> DQN:
    def network(num_actions: int) -> tf.keras.Model:
        return tf.keras.Sequential(
            [
                tf.keras.layers.Input((84, 84, 4), dtype=tf.uint8),
                tf.keras.layers.Rescaling(1 / 255),
                tf.keras.layers.Flatten(),
                tf.keras.layers.Dense(num_actions),
                layer,
            ]
        )

    return DQN(6, network=network, optimizer=lambda: adam(1e-4, 1e-4))


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda x: x + tf.random.normal(tf.shape(x)), "RandomStandardNormal"),
        (lambda x: tf.ensure_shape(tf.numpy_function(np.sin, [x], tf.float32), x.shape), "PyFunc"),
    ],
)
def test_operations_that_need_python_or_chance_are_refused(tiny, tmp_path, function, operation):
    agent = agent_with(tf.keras.layers.Lambda(function))
    with pytest.raises(UserError, match=operation):
        export_agent(agent, tiny[1], tmp_path, **POLICY)
    assert files(tmp_path) == set()


class Drifting(DQN):
    """Gives other Q-values at each call from Python, but not from a graph."""

    calls = 0

    def q_values(self, observation):
        self.calls += 1
        return super().q_values(observation) * (1 + self.calls / 1000)


def test_an_export_that_differs_from_the_agent_is_not_published(tiny, tmp_path):
    agent = agent_with(tf.keras.layers.ReLU())
    agent.__class__ = Drifting
    with pytest.raises(RuntimeError, match="differ from the agent's"):
        export_agent(agent, tiny[1], tmp_path, **POLICY)
    assert files(tmp_path) == set()


def test_a_version_that_appears_meanwhile_is_kept(tiny, tmp_path, monkeypatch):
    theirs = tmp_path / "policy" / "1" / "theirs"
    rename = Path.rename

    def late_rename(self, target):
        if not theirs.exists():
            theirs.parent.mkdir()
            theirs.write_text("theirs")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late_rename)
    assert export_agent(*tiny, tmp_path, **POLICY) == tmp_path / "policy" / "2"
    assert files(theirs.parent) == {"theirs"}


@pytest.mark.parametrize("name", ["", "..", "a/b", "a:b", ".hidden"])
def test_a_name_that_no_url_can_hold_is_refused(tiny, tmp_path, name):
    with pytest.raises(UserError, match="must be made of letters"):
        export_agent(*tiny, tmp_path, name=name, origin={})
    assert list(tmp_path.iterdir()) == []
