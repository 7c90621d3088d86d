"""In: how many transitions of which game a replay is to hold. Out: the memory and the disk that it
takes, and a refusal where there is less. Also gives memory back that is no longer in use.

Measured with Reverb 0.14, 8 environments, random play and 1-step returns, as the growth of resident
memory over 24,000 to 80,000 transitions and the size of the checkpoint, in bytes per transition:
2,120 and 310 on Space Invaders, 2,140 and 140 on Breakout, 2,190 and 140 on Pong, 2,300 and 380 on
Ms. Pac-Man, 3,070 and 700 on Frogger; 3,730 and 510 on Turmoil, 4,090 and 1,450 on Journey Escape,
4,870 and 1,750 on Yars' Revenge. Saving takes another 560 to 700 bytes while it lasts. The other
games for one player were played for 3,000 transitions, by which their frames compress better than
those of the last three.
"""

import contextlib
import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from agents.checkpoints import KEPT
from agents.errors import UserError

# Of these, nearly the whole picture changes at every step.
BUSY_GAMES = frozenset({"journey_escape", "turmoil", "yars_revenge"})
# What a run takes beside its replay once the libraries are loaded: networks, games, graphs.
OTHER_MEMORY_BYTES = 500_000_000
CHECKPOINTS = KEPT + 1  # one is written while the others are kept


def memory_bytes_per_transition(game: str) -> int:
    """The memory that a replay of this game takes at most, also while it is saved."""
    return 6_000 if game in BUSY_GAMES else 4_000


def disk_bytes_per_transition(game: str) -> int:
    """The disk that a checkpoint of a replay of this game takes at most."""
    return 2_000 if game in BUSY_GAMES else 1_000


def check_memory(transitions: int, game: str) -> None:
    """Refuses a replay that the memory cannot hold.

    Args:
      transitions: those that are still to come until the replay is at its fullest.
      game: by its ALE name.

    Raises:
      UserError: with what it takes, what is free, and the `Replay.capacity` that would fit.
    """
    free = max(0, available_memory_bytes() - OTHER_MEMORY_BYTES)
    fitting = free // memory_bytes_per_transition(game)
    if transitions > fitting:
        raise UserError(
            f"a replay of {transitions:,} transitions takes up to "
            f"{size(transitions * memory_bytes_per_transition(game))} of memory, "
            f"{size(free)} are free for it: {_remedy(fitting)}"
        )


def check_disk(transitions: int, game: str, run_dir: Path) -> None:
    """Refuses a replay whose checkpoints the run directory's disk cannot hold.

    Args:
      transitions: the most that the replay will hold.
      game: by its ALE name.
      run_dir: an existing directory. The checkpoints in it are room for those to come.

    Raises:
      UserError: with what they take, what is free, and the `Replay.capacity` that would fit.
    """
    free = shutil.disk_usage(run_dir).free + occupied_bytes(run_dir / "checkpoints")
    bytes_per_transition = CHECKPOINTS * disk_bytes_per_transition(game)
    fitting = free // bytes_per_transition
    if transitions > fitting:
        need = transitions * bytes_per_transition
        raise UserError(
            f"{CHECKPOINTS} checkpoints of {transitions:,} transitions take up to "
            f"{size(need)} of disk, {size(free)} are free for them in {run_dir}: "
            f"choose another --run_dir, or {_remedy(fitting)}"
        )


def available_memory_bytes(
    own_cgroups: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> int:
    """Memory that this process can still take: the machine's, within the limits of its cgroups.

    Containers and batch systems set such limits, of which the machine's own figures know nothing.

    Args:
      own_cgroups: the process's cgroups in Linux's format, version 1, 2 or both.
      mount: where the cgroups are mounted.
    """
    rooms = _cgroup_rooms(own_cgroups, mount)
    return min([psutil.virtual_memory().available, *rooms])


def _cgroup_rooms(own_cgroups: Path, mount: Path) -> Iterator[int]:
    """Bytes left in each cgroup that limits memory: the process's own and those around it."""
    try:
        lines = own_cgroups.read_text().splitlines()
    except OSError:
        return  # no Linux, or none that has cgroups
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            root, limit, usage, cache = mount, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, usage = mount / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        # In a container the path may be the host's, and the container's own cgroup the root.
        own = root / path.lstrip("/")
        for cgroup in (own, *own.parents[: len(own.relative_to(root).parts)]):
            try:
                room = int((cgroup / limit).read_text()) - int((cgroup / usage).read_text())
                statistics = (cgroup / "memory.stat").read_text().split()
            except (OSError, ValueError):  # not here, or "max"
                continue
            # Files that the kernel keeps in memory count as used, and go when room is needed.
            yield max(0, room + int(statistics[statistics.index(cache) + 1]))


def give_back_free_memory() -> None:
    """Gives the system the pages that the C library keeps for later; takes some milliseconds.

    Reverb's and TensorFlow's threads allocate side by side, and what they free lies in ever more
    places: without this a training's resident memory grows, though what it uses does not.
    """
    ctypes.CDLL(None).malloc_trim(0)


def occupied_bytes(directory: Path) -> int:
    """Disk that the files in a directory take, each counted once however often it is linked."""
    sizes = {}
    for folder, _, files in os.walk(directory):  # which passes over what it cannot read
        for name in files:
            with contextlib.suppress(OSError):
                stat = os.stat(os.path.join(folder, name))
                sizes[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(sizes.values())


def size(number: int) -> str:
    """Bytes in GB, or in MB where there are less than one of these."""
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def _remedy(transitions: int) -> str:
    """What to do if no more than these transitions fit; their number is rounded down."""
    if transitions < 1000:
        return "make room"
    unit = 10 ** (len(str(transitions)) - 2)
    return f"set Replay.capacity to {transitions // unit * unit:,} or less"
