"""Tables: lines of `evaluate.jsonl` go in; what a screen or a page shows of them comes out."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from agents.errors import UserError

BENCHMARK_COLUMNS = (
    *("run", "game", "algorithm", "agent steps", "frames", "protocol", "epsilon", "games"),
    *("mean", "sd", "median", "IQM", "95% interval of the mean", "human-normalized"),
)


def evaluation_table(line: Mapping[str, Any]) -> Table:
    """One evaluation."""
    table = Table("", "", show_header=False)
    table.add_row("agent", f"{line['algorithm']} on {line['game']}, {_training(line)}")
    table.add_row("protocol", f"{protocol(line)}; {_rules(line['rules'])}")
    table.add_row("games", f"{line['episodes']}, epsilon {line['epsilon']:g}, seed {line['seed']}")
    table.add_row("mean", f"{line['mean']:.1f} {_interval(line['mean_interval'])}")
    table.add_row("IQM", f"{line['iqm']:.1f} {_interval(line['iqm_interval'])}")
    table.add_row("median", f"{line['median']:.1f}")
    table.add_row("sd", f"{line['sd']:.1f}")
    if "human_normalized" in line:
        table.add_row("human-normalized", f"{line['human_normalized']:.3f}")
    verdict = {None: "", True: ", passes the course", False: ", the course asks for more"}
    table.add_row("grade (mean - sd)", f"{line['grade']:.1f}{verdict[line.get('passes')]}")
    table.add_row("mean length", f"{line['mean_frames']:,.0f} frames")
    return table


def published_table(line: Mapping[str, Any]) -> Table:
    """What was published for the evaluation's game, protocol and length of training."""
    table = Table("published", "source", "runs", "agent steps", "mean", "low", "high")
    for row in line["published"]:
        table.add_row(
            *(row["agent"], row["source"], str(row["runs"]), f"{row['agent_steps']:,}"),
            *(f"{row[name]:.1f}" for name in ("mean", "low", "high")),
        )
    return table


def benchmark_rows(lines: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """One row of `BENCHMARK_COLUMNS` per run; `lines` by the run's name."""
    return [
        [
            run,
            line["game"],
            line["algorithm"],
            str(line["agent_steps"]),
            str(line["frames"]),
            protocol(line),
            f"{line['epsilon']:g}",
            str(line["episodes"]),
            *(f"{line[name]:.1f}" for name in ("mean", "sd", "median", "iqm")),
            _interval(line["mean_interval"]),
            f"{line['human_normalized']:.3f}" if "human_normalized" in line else "",
        ]
        for run, line in lines.items()
    ]


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def comma_separated(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def protocol(line: Mapping[str, Any]) -> str:
    """The names of an evaluation's protocol; those with equal rules are joined by "="."""
    return "=".join(line["protocols"]) or "its own"


def _training(line: Mapping[str, Any]) -> str:
    return f"{line['agent_steps']:,} agent steps ({line['frames']:,} frames)"


def _rules(rules: Mapping[str, Any]) -> str:
    noops = f"up to {rules['noop_max']}" if rules["noop_max"] else "no"
    fire = "FIRE pressed, " * rules["use_fire_reset"]
    return (
        f"sticky actions {rules['repeat_action_probability']:g}, {noops} no-ops, "
        f"{fire}{rules['max_frames_per_episode']:,} frames at most"
    )


def _interval(bounds: Sequence[float] | None) -> str:
    return f"[{bounds[0]:.1f}, {bounds[1]:.1f}]" if bounds else ""


def save(path: Path, text: str) -> None:
    """Writes a table.

    Raises:
      UserError: it cannot be written.
    """
    try:
        path.write_text(text)
    except OSError as e:
        raise UserError(f"{path} cannot be written ({e.strerror}): choose another --out") from e
