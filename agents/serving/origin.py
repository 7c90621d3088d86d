"""Origin: a run directory goes in, what an export says of where it comes from comes out."""

from pathlib import Path
from typing import Any

from agents.reporting.records import json_lines


def of_run(run_dir: Path, agent_steps: int, commit: str | None) -> dict[str, Any]:
    """For `model.json`: the training's commit and the checkpoint's scores.

    Args:
      run_dir: of a training.
      agent_steps: of the checkpoint.
      commit: that trained it.

    Returns:
      `evaluation` is the training's own last one up to the checkpoint, which may be of an earlier
      network, or None; `evaluations` are those of the evaluate command at the checkpoint itself.
    """
    during = [
        line
        for line in json_lines(run_dir / "evaluations.jsonl")
        if line.get("agent_steps", agent_steps + 1) <= agent_steps
    ]
    after = [
        line
        for line in json_lines(run_dir / "evaluate.jsonl")
        if line.get("agent_steps") == agent_steps
    ]
    return {
        "agent_steps": agent_steps,
        "commit": commit,
        "evaluation": during[-1] if during else None,
        "evaluations": after,
    }
