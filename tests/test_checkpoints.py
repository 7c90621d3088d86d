"""Checkpoints are complete or not there, and damage is found."""

import errno
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from agents import checkpoints
from agents.checkpoints import SNAPSHOTS, BestAgent, Checkpoints, Snapshots
from agents.errors import UserError


class Model(tf.Module):
    def __init__(self, value: float):
        super().__init__()
        self.variable = tf.Variable(value)


def save_replay(directory):
    directory.mkdir()
    (directory / "items").write_bytes(bytes(range(256)))


@pytest.fixture
def kept(tmp_path):
    return Checkpoints(tmp_path / "checkpoints")


def save(kept: Checkpoints, agent_steps: int):
    return kept.save(agent_steps, Model(agent_steps / 100), save_replay, {"n": agent_steps})


def test_what_is_saved_is_loaded(kept):
    path = save(kept, 700)
    model = Model(0.0)
    checkpoints.load_agent(path, model)
    assert kept.latest(pytest.fail) == path
    assert model.variable.numpy() == 7.0
    assert checkpoints.load_state(path) == {"n": 700}


def test_nothing_saved_is_no_checkpoint(kept):
    assert kept.latest(pytest.fail) is None


def test_the_oldest_go(kept):
    for agent_steps in (1, 20, 300):
        save(kept, agent_steps)
    names = sorted(path.name for path in kept.latest(pytest.fail).parent.iterdir())
    assert names == ["000000000020", "000000000300"]


def test_a_save_that_breaks_off_leaves_the_one_before(kept):
    path = save(kept, 100)

    def break_off(directory):
        save_replay(directory)
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        kept.save(200, Model(2.0), break_off, {})
    assert kept.latest(pytest.fail) == path
    assert save(kept, 200).name == "000000000200"


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name", ["replay/items", "state.json", "agent/ckpt.index", "manifest.json"]
)
@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, lambda path: path.unlink()])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(kept, name, damage):
    good, bad = save(kept, 100), save(kept, 200)
    damage(bad / name)
    warnings = []
    assert kept.latest(warnings.append) == good
    (warning,) = warnings
    assert warning.startswith(f"checkpoint {bad} is damaged (")
    assert warning.endswith("): taking the one before")


def test_a_missing_file_is_damage_though_the_manifest_is_whole(kept):
    good, bad = save(kept, 100), save(kept, 200)
    manifest = json.loads((bad / "manifest.json").read_text())
    assert set(manifest["files"]) >= {"replay/items", "state.json", "agent/ckpt.index"}
    (bad / "replay" / "items").unlink()
    warnings = []
    assert kept.latest(warnings.append) == good
    assert "replay/items" in warnings[0]


@pytest.mark.parametrize("name", ["/dev/zero", "../../outside"])
def test_a_manifest_reaches_no_file_outside(kept, name):
    good, bad = save(kept, 100), save(kept, 200)
    (bad.parent.parent / "outside").write_text("private")
    path = bad / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = {"bytes": 7, "sha256": hashlib.sha256(b"private").hexdigest()}
    path.write_text(json.dumps(manifest))
    warnings = []
    assert kept.latest(warnings.append) == good
    assert name in warnings[0]


@pytest.mark.parametrize("files", [[], None, {"state.json": "x"}])
def test_a_manifest_of_another_shape_is_damage(kept, files):
    good, bad = save(kept, 100), save(kept, 200)
    path = bad / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": files}))
    assert kept.latest(lambda warning: None) == good


def test_only_damaged_checkpoints_are_an_error(kept):
    _truncate(save(kept, 100) / "state.json")
    with pytest.raises(UserError, match=r"all checkpoints .* are damaged"):
        kept.latest(lambda warning: None)


def test_a_damaged_checkpoint_does_not_push_out_a_whole_one(kept):
    good, bad = save(kept, 100), save(kept, 200)
    _truncate(bad / "state.json")
    assert kept.latest(lambda warning: None) == good
    newest = save(kept, 210)  # the run has passed the damaged one
    assert checkpoints.numbered(good.parent) == [good, newest]


def test_a_damaged_future_does_not_push_out_the_checkpoint_the_run_went_on_from(kept):
    good, *damaged = (save(kept, agent_steps) for agent_steps in (100, 300))
    damaged.append(good.with_name("000000000400"))
    shutil.copytree(damaged[0], damaged[1])
    for path in damaged:
        _truncate(path / "state.json")
    new = save(kept, 200)
    assert sorted(good.parent.iterdir()) == [good, new]
    assert kept.latest(pytest.fail) == new


def test_all_is_on_the_disk_before_it_has_its_final_name(kept, tmp_path, monkeypatch):
    synced, fsync = set(), os.fsync

    def record(descriptor):
        fsync(descriptor)
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", record)
    final = save(kept, 100)
    partial = final.with_name(".partial")
    written = {str(partial / path.relative_to(final)) for path in final.rglob("*")}
    assert synced == {str(partial), str(final.parent)} | written


def test_the_laid_replay_is_the_saved_one_and_survives_its_removal(kept, tmp_path):
    path = save(kept, 100)
    scratch_dir = tmp_path / "scratch"
    (scratch_dir / "left over").mkdir(parents=True)
    checkpoints.lay_replay(path, scratch_dir)
    assert [p.name for p in scratch_dir.iterdir()] == ["0"]
    assert (scratch_dir / "0" / "items").read_bytes() == bytes(range(256))
    (scratch_dir / "0" / "items").unlink()
    assert kept.latest(pytest.fail) == path


def test_the_replay_is_copied_where_there_are_no_hard_links(kept, tmp_path, monkeypatch):
    def link(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    path = save(kept, 100)
    checkpoints.lay_replay(path, tmp_path / "scratch")
    items = tmp_path / "scratch" / "0" / "items"
    assert items.read_bytes() == bytes(range(256))
    assert not items.samefile(path / "replay" / "items")


def test_without_a_checkpoint_the_replay_is_empty(tmp_path):
    (tmp_path / "scratch" / "left over").mkdir(parents=True)
    checkpoints.lay_replay(None, tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


def kept_best(directory):
    """Value of each kept agent by its agent steps."""
    found = {}
    for path in sorted(directory.glob("[!.]*")):
        found[int(path.name)] = model = Model(0.0)
        checkpoints.load_agent(path, model)
    return {agent_steps: model.variable.numpy() for agent_steps, model in found.items()}


def test_only_a_better_agent_is_kept(tmp_path):
    best = BestAgent(tmp_path, 0)
    for agent_steps, mean in ((0, 3.0), (100, 5.0), (200, 4.0), (300, 5.0), (400, 4.9)):
        best.offer(agent_steps, Model(mean), mean)
    assert kept_best(tmp_path) == {0: 3.0, 100: 5.0, 300: 5.0}


@pytest.mark.parametrize(
    ("oldest_checkpoint", "kept"),
    [(99, [50, 100, 300]), (100, [100, 300]), (299, [100, 300]), (300, [300]), (400, [300])],
)
def test_what_was_the_best_at_a_kept_checkpoint_stays(tmp_path, oldest_checkpoint, kept):
    best = BestAgent(tmp_path, 0)
    for agent_steps in (50, 100, 300):
        best.offer(agent_steps, Model(1.0), agent_steps)
    best.prune(oldest_checkpoint)
    assert list(kept_best(tmp_path)) == kept


def test_a_run_that_goes_back_behind_a_damaged_checkpoint_has_the_best_agent_of_then(
    kept, tmp_path
):
    best = BestAgent(tmp_path / "best", 0)
    for agent_steps in (100, 200, 300):
        best.offer(agent_steps, Model(float(agent_steps)), agent_steps)
        newest = save(kept, agent_steps)
        best.prune(kept.oldest_agent_steps())
    (newest / "state.json").unlink()
    goes_on_from = kept.latest(lambda warning: None)
    BestAgent(tmp_path / "best", int(goes_on_from.name))
    assert kept_best(tmp_path / "best") == {200: 200.0}


def test_a_run_that_goes_back_has_the_best_agent_of_before(tmp_path):
    best = BestAgent(tmp_path, 0)
    for agent_steps in (100, 200, 300):
        best.offer(agent_steps, Model(float(agent_steps)), agent_steps)
    resumed = BestAgent(tmp_path, 200)
    assert kept_best(tmp_path) == {100: 100.0, 200: 200.0}
    resumed.offer(250, Model(150.0), 150.0)
    assert kept_best(tmp_path) == {100: 100.0, 200: 200.0}


def test_a_run_that_starts_anew_has_no_best_agent(tmp_path):
    BestAgent(tmp_path, 0).offer(0, Model(1.0), 1.0)
    BestAgent(tmp_path, 0)
    assert kept_best(tmp_path) == {}


def test_a_best_agent_that_breaks_off_leaves_the_one_before(tmp_path):
    best = BestAgent(tmp_path, 0)
    best.offer(100, Model(1.0), 1.0)
    with pytest.raises(TypeError):
        best.offer(200, Model(2.0), np.float32(2.0))  # not JSON
    assert kept_best(tmp_path) == {100: 1.0}
    best.offer(300, Model(3.0), 3.0)
    assert kept_best(tmp_path) == {100: 1.0, 300: 3.0}


def test_an_evaluation_that_is_made_again_changes_nothing(tmp_path):
    best, snapshots = BestAgent(tmp_path / "best", 0), Snapshots(tmp_path / "snapshots", 0)
    for _ in range(2):
        best.offer(100, Model(1.0), 1.0)
        snapshots.add(100, Model(1.0))
    assert kept_best(tmp_path / "best") == kept_best(tmp_path / "snapshots") == {100: 1.0}


def test_snapshots_are_spread_over_the_run(tmp_path):
    snapshots = Snapshots(tmp_path, 0)
    for number in range(40):
        snapshots.add(100 * number, Model(float(number)))
        steps = [int(path.name) for path in checkpoints.numbered(tmp_path)]
        gaps = np.diff(steps)
        assert len(steps) == min(number + 1, SNAPSHOTS)
        assert (steps[0], steps[-1]) == (0, 100 * number)
        assert number == 0 or gaps.max() <= 2 * gaps.mean()
    model = Model(0.0)
    checkpoints.load_agent(tmp_path / f"{steps[3]:012d}", model)
    assert model.variable.numpy() == steps[3] / 100
    Snapshots(tmp_path, steps[4])
    assert [int(path.name) for path in checkpoints.numbered(tmp_path)] == steps[:5]


def test_a_removal_that_breaks_off_leaves_no_half_an_agent_under_its_name(tmp_path, monkeypatch):
    snapshots = Snapshots(tmp_path, 0)
    for number in range(SNAPSHOTS):
        snapshots.add(number, Model(1.0))

    def killed(path, **_):
        if any(path.glob("agent/*")):
            next(path.glob("agent/*")).unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", killed)
        snapshots.add(SNAPSHOTS, Model(1.0))
    assert len(checkpoints.numbered(tmp_path)) == SNAPSHOTS
    for path in checkpoints.numbered(tmp_path):
        checkpoints.load_agent(path, Model(0.0))
    Snapshots(tmp_path, 1).add(2, Model(1.0))
    assert [int(path.name) for path in checkpoints.numbered(tmp_path)] == [0, 2]
