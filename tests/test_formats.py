"""Further formats give the golden answers, or nothing is exported."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from agents.errors import UserError
from agents.serving import formats, golden
from agents.serving.export import export_agent
from tests import tiny_dqn


def test_tflite_gives_the_golden_answers(tmp_path):
    agent, env = tiny_dqn.for_space_invaders()
    version = export_agent(
        agent, env, tmp_path, name="policy", origin={}, writers=[formats.write_tflite]
    )
    path = version / "assets.extra" / "policy.tflite"
    run = tf.lite.Interpreter(str(path)).get_signature_runner("serving_default")
    case = next(golden.cases(version))
    outputs = run(observation=case.inputs["observation"])
    assert (outputs["q_values"].dtype, outputs["action"].dtype) == (np.float32, np.int64)
    case.check(outputs)


def test_without_its_extra_onnx_says_what_to_install(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match=r"--format=onnx needs .*: pip install .*\.\[onnx\]"):
        formats.write_onnx(exported)


def test_a_file_that_answers_otherwise_is_not_exported(exported):
    case = next(golden.cases(exported))
    wrong = {"action": case.action, "q_values": case.q_values + 1}
    with pytest.raises(RuntimeError, match=r"differ from the agent's.*nothing was exported"):
        formats._check(exported, lambda observation: wrong)
