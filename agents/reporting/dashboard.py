"""In: runs. Out: a folder in which TensorBoard shows them over the published curve of their games.

The published curve is a run of its own, "published/<game>/events", with points under the tags of
the training's and of the evaluation's score, so that both charts show it.
"""

import ast
import json
from pathlib import Path
from urllib.parse import quote

import tensorflow as tf

from agents.errors import UserError
from agents.reporting import curves

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
    runs = [
        path.parent for path in logdir.rglob("config.json") if (path.parent / "events").is_dir()
    ]
    if not runs:
        raise UserError(f"{logdir} holds no run: give a run directory, or one above runs")
    (folder / logdir.resolve().name).symlink_to(logdir.resolve())
    lengths: dict[str, int] = {}  # of the longest run of each game
    for run in runs:
        game = curves.game(run)
        lengths[game] = max(lengths.get(game, 0), _agent_steps(run))
    for game, agent_steps in lengths.items():
        _write_published(game, agent_steps, folder / "published" / game / "events")


def _agent_steps(run_dir: Path) -> int:
    """How long the run was, or will be."""
    bindings = json.loads((run_dir / "config.json").read_text())
    return ast.literal_eval(bindings["Training.agent_steps"])


def _write_published(game: str, agent_steps: int, directory: Path) -> None:
    """As far as there are runs; a curve ten times longer would press theirs together."""
    end = agent_steps + curves.WINDOW_AGENT_STEPS
    windows = [window for window in curves.dopamine(game) if window.agent_steps < end]
    if not windows:
        return
    writer = tf.summary.create_file_writer(str(directory))
    with writer.as_default():
        for window in windows:
            for tag in _WITH_PUBLISHED:
                tf.summary.scalar(tag, window.mean, window.agent_steps)
    writer.close()


def address(server: str) -> str:
    """Where TensorBoard shows `FIRST` first, as pinned cards."""
    cards = [{"plugin": "scalars", "tag": tag} for tag in FIRST]
    return f"{server.rstrip('/')}/?pinnedCards={quote(json.dumps(cards))}#timeseries"
