"""The room a replay needs, against what the machine and its container have."""

import psutil
import pytest

from agents import memory
from agents.errors import UserError


def test_what_fits_is_let_through(tmp_path):
    memory.require_room(1_000, tmp_path)


def test_what_does_not_fit_is_refused_with_figures_and_the_binding(tmp_path):
    transitions = 10 * psutil.virtual_memory().total // memory.BYTES_PER_TRANSITION
    with pytest.raises(UserError, match=r"GB of memory is free: bind Replay.capacity to") as error:
        memory.require_room(transitions, tmp_path)
    fitting = int(str(error.value).split(" to ")[-1].split()[0].replace(",", ""))
    memory.require_room(fitting * 9 // 10, tmp_path)


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "SAVED_BYTES_PER_TRANSITION", 10**12)
    with pytest.raises(UserError, match=r"GB of the disk of .* is free: .*another --run_dir"):
        memory.require_room(1_000, tmp_path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"memory.max": "5000", "memory.current": "3000", "memory.stat": "inactive_file 1000"},
            3000,
        ),
        ({"memory.max": "max", "memory.current": "3000", "memory.stat": "inactive_file 0"}, None),
        (
            {
                "memory/memory.limit_in_bytes": "7000",
                "memory/memory.usage_in_bytes": "2000",
                "memory/memory.stat": "cache 1\ntotal_inactive_file 500",
            },
            5500,
        ),
        ({}, None),
    ],
)
def test_a_containers_limit_counts(tmp_path, monkeypatch, files, expected):
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content + "\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    if expected is None:
        assert memory.free_memory() > 10**8
    else:
        assert memory.free_memory() == expected
