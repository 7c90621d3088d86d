"""In: replays that fit and replays that do not. Out: a line with the figures and the remedy."""

import os
import re

import psutil
import pytest
from ale_py import roms

from agents import memory
from agents.checkpoints import lay_replay
from agents.errors import UserError

MANY = 10**9  # transitions: more than any machine holds


def refusal(check, *arguments):
    with pytest.raises(UserError) as error:
        check(*arguments)
    return str(error.value)


def test_memory():
    free = memory.available_memory_bytes() - memory.OTHER_MEMORY_BYTES
    line = refusal(memory.check_memory, MANY, "pong")
    gigabytes, capacity = re.fullmatch(
        r"a replay of 1,000,000,000 transitions takes up to 4000\.00 GB of memory, (\d+\.\d\d) GB "
        r"are free for it: set Replay\.capacity to ([\d,]+) or less",
        line,
    ).groups()
    capacity = int(capacity.replace(",", ""))
    assert float(gigabytes) == pytest.approx(free / 1e9, rel=0.2)  # others use memory meanwhile
    assert capacity * 4000 == pytest.approx(free, rel=0.2)
    memory.check_memory(capacity // 2, "pong")
    refusal(memory.check_memory, 2 * capacity, "pong")


def test_free_memory_is_given_back():
    blocks = [b"x" * 100_000 for _ in range(2_000)]  # small enough to come from the heap
    last = blocks.pop()
    blocks.clear()  # the last block is in the way of what the C library does by itself
    kept = psutil.Process().memory_info().rss
    memory.give_back_free_memory()
    assert psutil.Process().memory_info().rss < kept - 100_000_000
    assert len(last) == 100_000


def test_busy_games_take_more(tmp_path):
    assert "takes up to 6000.00 GB" in refusal(memory.check_memory, MANY, "yars_revenge")
    assert "take up to 6000.00 GB" in refusal(memory.check_disk, MANY, "yars_revenge", tmp_path)
    assert set(roms.get_all_rom_ids()) >= memory.BUSY_GAMES


def test_disk(tmp_path):
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    line = refusal(memory.check_disk, 10 * MANY, "pong", tmp_path)
    gigabytes, capacity = re.fullmatch(
        r"3 checkpoints of 10,000,000,000 transitions take up to 30000\.00 GB of disk, "
        rf"(\d+\.\d\d) GB are free for them in {tmp_path}: "
        r"choose another --run_dir, or set Replay\.capacity to ([\d,]+) or less",
        line,
    ).groups()
    capacity = int(capacity.replace(",", ""))
    assert float(gigabytes) == pytest.approx(free / 1e9, rel=0.2)
    assert capacity * 3000 == pytest.approx(free, rel=0.2)
    memory.check_disk(capacity // 2, "pong", tmp_path)
    refusal(memory.check_disk, 2 * capacity, "pong", tmp_path)


def test_present_checkpoints_are_room_for_others(tmp_path):
    def free():
        line = refusal(memory.check_disk, 10 * MANY, "pong", tmp_path)
        return float(re.search(r"disk, (\S+) GB", line)[1])

    before = free()
    replay = tmp_path / "checkpoints" / "000000000001" / "replay"
    replay.mkdir(parents=True)
    with (replay / "chunks.tfrecord").open("wb") as file:
        file.truncate(10**13)  # a hole: 10 TB in name, nothing on the disk
    lay_replay(replay.parent, tmp_path / "checkpoints" / ".reverb")  # a hard link
    assert free() - before == pytest.approx(10_000, rel=0.01)


def cgroup(directory, **files):
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(f"{content}\n")


V2_STAT = "anon 5000\nfile 900\nkernel 10\ninactive_file 300\nactive_file 600"
V1_STAT = "cache 900\ninactive_file 1\nhierarchical_memory_limit 8000\ntotal_inactive_file 300"


def test_limits_of_cgroups_version_2(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/user.slice/job\n")
    mount = tmp_path / "cgroup"
    cgroup(mount, memory__stat=V2_STAT)  # a host's root has no limit and no usage
    parent = {"memory__max": 9000, "memory__current": 6000, "memory__stat": V2_STAT}
    cgroup(mount / "user.slice", **parent)
    cgroup(mount / "user.slice" / "job", memory__max="max", memory__current=5000)
    assert memory.available_memory_bytes(own, mount) == 3000 + 300
    (mount / "user.slice" / "job" / "memory.max").write_text("7000\n")
    (mount / "user.slice" / "job" / "memory.stat").write_text(V2_STAT)
    assert memory.available_memory_bytes(own, mount) == 2000 + 300
    (mount / "user.slice" / "job" / "memory.current").write_text("8000\n")  # lowered afterwards
    assert memory.available_memory_bytes(own, mount) == 0


def test_limits_of_cgroups_version_1(tmp_path):
    own = tmp_path / "own"
    own.write_text("12:cpuset:/\n4:memory:/docker/0123\n1:name=systemd:/docker/0123\n0::/\n")
    # What a container is shown: its own cgroup as the root, beside the host's path in `own`.
    cgroup(
        tmp_path / "memory",
        memory__limit_in_bytes=8000,
        memory__usage_in_bytes=6000,
        memory__stat=V1_STAT,
    )
    assert memory.available_memory_bytes(own, tmp_path) == 2000 + 300
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")  # none
    of_machine = psutil.virtual_memory().available
    assert memory.available_memory_bytes(own, tmp_path) == pytest.approx(of_machine, rel=0.2)


def test_without_cgroups(tmp_path):
    of_machine = psutil.virtual_memory().available
    available = memory.available_memory_bytes(tmp_path / "none", tmp_path)
    assert available == pytest.approx(of_machine, rel=0.2)
