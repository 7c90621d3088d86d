"""In: runs. Out: a folder in which TensorBoard shows them over published curves.

A published curve is a run of its own, "published/<game>_<agent>/events", with points under the tags
of the training's and of the evaluation's score, so that both charts show it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import tensorflow as tf

from agents.reporting import curves, runs
from agents.scores import WINDOW_AGENT_STEPS, Published

# What the first page shows, in this order.
FIRST = (
    "1_score/training_mean_of_100_games",
    "2_evaluation/mean",
    "4_speed/agent_steps_per_second",
    "3_learning/loss",
)
_WITH_PUBLISHED = FIRST[:2]


def lay_out(logdir: Path, folder: Path) -> None:
    """Fills an empty folder, which sees the runs through a link.

    Args:
      logdir: a run directory, or one above runs.
      folder: for TensorBoard.

    Raises:
      UserError: there is no run.
    """
    found = runs.find([logdir])
    # Where the runs' folder is called "published", so is not the link, or curves would go there.
    name = logdir.resolve().name
    (folder / ("runs" if name == "published" else name)).symlink_to(logdir.resolve())
    # As far as the longest run: a curve ten times longer would press the runs together.
    published = {}
    for run in sorted(found, key=lambda run: run.length_agent_steps):
        end = run.length_agent_steps + WINDOW_AGENT_STEPS
        windows = [window for window in curves.published(run) if window.agent_steps < end]
        if windows:
            published[f"{run.game}_{windows[0].agent}"] = windows
    for name, windows in published.items():
        _write(windows, folder / "published" / name / "events")


def _write(windows: Sequence[Published], path: Path) -> None:
    writer = tf.summary.create_file_writer(str(path))
    with writer.as_default():
        for window in windows:
            for tag in _WITH_PUBLISHED:
                tf.summary.scalar(tag, window.mean, window.agent_steps)
    writer.close()


def address(server: str) -> str:
    """Where TensorBoard shows `FIRST` first, as pinned cards."""
    cards = [{"plugin": "scalars", "tag": tag} for tag in FIRST]
    return f"{server.rstrip('/')}/?pinnedCards={quote(json.dumps(cards))}#timeseries"
