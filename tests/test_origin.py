"""An export says which evaluations are of its checkpoint."""

import json

from agents.serving import origin


def lines(*contents: dict, rest: str = "") -> str:
    return "".join(json.dumps(content) + "\n" for content in contents) + rest


def test_the_checkpoints_evaluations_and_the_last_one_before_it(tmp_path):
    during = [{"agent_steps": steps, "mean": steps / 10} for steps in (0, 100, 200, 300)]
    after = [{"agent_steps": 250, "seed": seed} for seed in (1, 2)]
    (tmp_path / "evaluations.jsonl").write_text(lines(*during))
    (tmp_path / "evaluate.jsonl").write_text(lines({"agent_steps": 100}, *after))
    assert origin.of_run(tmp_path, 250, "abc") == {
        "agent_steps": 250,
        "commit": "abc",
        "evaluation": during[2],
        "evaluations": after,
    }
    assert origin.of_run(tmp_path, 300, None)["evaluation"] == during[3]


def test_a_run_that_was_never_evaluated_and_a_line_that_is_not_finished(tmp_path):
    assert origin.of_run(tmp_path, 9, None)["evaluation"] is None
    (tmp_path / "evaluations.jsonl").write_text(lines({"agent_steps": 1}, rest='{"agent_st'))
    (tmp_path / "evaluate.jsonl").write_text('{"agent_st')
    of_run = origin.of_run(tmp_path, 9, None)
    assert (of_run["evaluation"], of_run["evaluations"]) == ({"agent_steps": 1}, [])
