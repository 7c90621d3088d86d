"""What tables show of an evaluation, and what stands in the files."""

import csv
import io

import pytest
from rich.console import Console

from agents.errors import UserError
from agents.reporting import tables
from agents.scores import beside

LINE = {
    "game": "space_invaders",
    "algorithm": "DQN",
    "agent_steps": 1_000_004,
    "frames": 4_000_016,
    "protocols": ["dopamine", "ale_v5"],
    "rules": {
        "repeat_action_probability": 0.25,
        "noop_max": 0,
        "use_fire_reset": False,
        "max_frames_per_episode": 108_000,
    },
    "epsilon": 0.001,
    "seed": 3,
    "episodes": 30,
    "mean": 501.25,
    "sd": 100.0,
    "median": 490.0,
    "iqm": 495.0,
    "mean_interval": [450.0, 550.0],
    "iqm_interval": [440.0, 560.0],
    "grade": 401.25,
    "passes": True,
    "mean_frames": 3200.4,
    "human_normalized": 0.2323,
    "published": [p._asdict() for p in beside("space_invaders", ["dopamine"], 1_000_004)],
}


def rendered(table):
    console = Console(width=140, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_an_evaluation_is_told_with_its_protocol():
    text = rendered(tables.evaluation_table(LINE))
    for part in (
        "DQN on space_invaders, 1,000,004 agent steps (4,000,016 frames)",
        "dopamine=ale_v5; sticky actions 0.25, no no-ops, 108,000 frames at most",
        "30, epsilon 0.001, seed 3",
        "501.2 [450.0, 550.0]",
        "401.2, passes the course",
        "0.232",
    ):
        assert part in text
    with_fire = tables.evaluation_table(LINE | {"rules": LINE["rules"] | {"use_fire_reset": True}})
    assert "no no-ops, FIRE pressed, 108,000 frames" in rendered(with_fire)


@pytest.mark.parametrize(
    ("passes", "text"),
    [
        (False, "401.2, the course asks for more"),
        (None, "401.2 "),
        (True, "401.2, passes the course"),
    ],
)
def test_a_grade_passes_where_there_is_a_mark(passes, text):
    assert text in rendered(tables.evaluation_table(LINE | {"passes": passes}))


def test_one_game_has_no_interval():
    text = rendered(tables.evaluation_table(LINE | {"mean_interval": None, "iqm_interval": None}))
    assert "[" not in text


def test_published_scores_stand_beside():
    text = rendered(tables.published_table(LINE))
    assert text.count("Dopamine, training returns") == 5
    assert "415.9" in text


def test_the_benchmark_is_the_same_in_markdown_and_csv():
    rows = tables.benchmark_rows({"si_1": LINE, "si_2": LINE | {"protocols": []}})
    columns = tables.BENCHMARK_COLUMNS
    markdown = tables.markdown(columns, rows).splitlines()
    assert markdown[0].startswith("| run | game | algorithm | agent steps |")
    assert markdown[2].startswith(
        "| si_1 | space_invaders | DQN | 1000004 | 4000016 | dopamine=ale_v5 | 0.001 | 30 | 501.2"
    )
    assert "| its own |" in markdown[3]
    parsed = list(csv.reader(tables.comma_separated(columns, rows).splitlines()))
    assert parsed == [list(columns), *rows]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match="choose another --out"):
        tables.save(tmp_path / "nowhere" / "table.md", "")
