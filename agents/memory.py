"""The room a replay needs: a number of transitions goes in, bytes or a refusal come out.

Measured with 8 random players of Space Invaders and Breakout, n-step returns of 1 and 3, Reverb
0.14, between 40,000 and 120,000 transitions: 2,106 to 2,135 bytes of resident memory per
transition, most of it Reverb's own bookkeeping. Frames take 450 (Breakout) to 770 bytes (Space
Invaders) of that. Of 104 games played at random for 3,000 steps the frames of the busiest one
(Yars' Revenge) take 1,900, so 3,600 covers every game.

A saved transition takes 135 bytes (Breakout) to 310 (Space Invaders); of those 104 games all but
three stay below 800 (Up'n Down, Journey Escape, Yars' Revenge: at most 1,730).
"""

import shutil
from pathlib import Path

import psutil

from agents.checkpoints import KEPT
from agents.errors import UserError

BYTES_PER_TRANSITION = 3_600
SAVED_BYTES_PER_TRANSITION = 800
_CGROUP = Path("/sys/fs/cgroup")


def require_room(transitions: int, run_dir: Path) -> None:
    """Refuses a run whose replay does not fit in memory or, saved, on the disk.

    Args:
      transitions: that the replay will hold at most, without those it holds now.
      run_dir: on the disk that will hold the checkpoints: those that are kept and the next one.

    Raises:
      UserError: with both figures and what to change.
    """
    _require(transitions, BYTES_PER_TRANSITION, free_memory(), "memory is", "")
    saved = SAVED_BYTES_PER_TRANSITION * (KEPT + 1)
    free = shutil.disk_usage(run_dir).free
    _require(transitions, saved, free, f"the disk of {run_dir} is", ", or choose another --run_dir")


def free_memory() -> int:
    """Bytes that this process may still take, of the machine and of its container (cgroup)."""
    free = psutil.virtual_memory().available
    for limit, usage, stat, cache in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        try:
            pages = dict(line.split() for line in (_CGROUP / stat).read_text().splitlines())
            used = int((_CGROUP / usage).read_text()) - int(pages[cache])
            free = min(free, int((_CGROUP / limit).read_text()) - used)
        except (OSError, ValueError, KeyError):
            continue  # no such version of cgroups, or no limit ("max")
    return free


def _require(transitions: int, bytes_each: int, free: int, where: str, remedy: str) -> None:
    if transitions * bytes_each > free:
        fitting = max(0, free // bytes_each // 1_000 * 1_000)
        raise UserError(
            f"the replay of {transitions:,} transitions may take "
            f"{transitions * bytes_each / 1e9:.1f} GB, only {free / 1e9:.1f} GB of {where} free: "
            f"bind Replay.capacity to {fitting:,} or less{remedy}"
        )
