"""Checkpoints: a training's parts go in, complete directories come out, and the other way round.

    checkpoints/000000500000/          named after the agent steps
        agent/ckpt.*                   networks, optimizer, target counter (tf.train.Checkpoint)
        replay/                        Reverb's own checkpoint of the table
        state.json                     counters, the random state of exploration, statistics
        manifest.json                  sizes and SHA-256 of the files above; written last

A checkpoint is written in `checkpoints/.partial`, and renamed when its manifest is on the disk:
under its final name it is complete, wherever the process is killed.

    best/000000400000/                 the agent that evaluated best, without what a resume needs;
                                       before it those that were it at a kept checkpoint or later
        agent/ckpt.*
        evaluation.json                its mean score

    snapshots/000000300000/            an agent of some other evaluation
        agent/ckpt.*
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from agents.errors import UserError

FORMAT = 1
KEPT = 2  # checkpoints
SNAPSHOTS = 8
_PARTIAL = ".partial"
_REMOVED = ".removed"
_MANIFEST = "manifest.json"
_EVALUATION = "evaluation.json"


class Checkpoints:
    """The checkpoints of one run directory, the newest `KEPT` of them."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._damaged: set[Path] = set()  # as far as `latest` has seen

    def save(
        self,
        agent_steps: int,
        agent: tf.Module,
        save_replay: Callable[[Path], None],
        state: dict[str, Any],
    ) -> Path:
        """Writes a checkpoint and removes the oldest ones.

        Damaged checkpoints go first, and those of more agent steps, which the run went on from
        before: they must not count among the newest.

        Args:
          agent_steps: its name.
          agent: with all variables.
          save_replay: writes the replay into the directory it is given, which does not exist.
          state: the rest, as JSON.

        Returns:
          The complete directory.
        """
        for path in numbered(self._directory):
            if int(path.name) > agent_steps or path in self._damaged:
                _remove(path)
        partial = self._directory / _PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        _write_agent(partial, agent)
        save_replay(partial / "replay")
        _write(partial / "state.json", state)
        _write_manifest(partial)
        sync_all(partial)
        final = self._directory / f"{agent_steps:012d}"
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        sync(self._directory)
        for old in numbered(self._directory)[:-KEPT]:
            _remove(old)
        return final

    def oldest_agent_steps(self) -> int:
        """Of those that are kept, the only ones that a run can go back to; at least one must be."""
        return int(numbered(self._directory)[0].name)

    def latest(self, warn: Callable[[str], None]) -> Path | None:
        """The newest checkpoint whose files are all there and whole; None if there is none.

        Args:
          warn: is told of each damaged one that is passed over, in one line.

        Raises:
          UserError: there are checkpoints, and all are damaged.
        """
        paths = numbered(self._directory)
        for path in reversed(paths):
            damage = _damage(path)
            if damage is None:
                return path
            self._damaged.add(path)
            warn(f"checkpoint {path} is damaged ({damage}): taking the one before")
        if paths:
            raise UserError(
                f"all checkpoints in {self._directory} are damaged: "
                "choose another --run_dir to start anew"
            )
        return None


class BestAgent:
    """The agent of a run that had the best evaluation, whether or not its checkpoint is kept."""

    def __init__(self, directory: Path, agent_steps: int):
        """Forgets what a run that goes on from `agent_steps` has not reached yet.

        Args:
          directory: `best/` of the run.
          agent_steps: of the checkpoint that the run goes on from, 0 at its start.
        """
        self._directory = directory
        _forget(directory, agent_steps)

    def offer(self, agent_steps: int, agent: tf.Module, mean: float) -> None:
        """Keeps the agent if no kept one has a better mean.

        The ones before stay until `prune`, since the run may have to go back behind this one.
        """
        kept = numbered(self._directory)  # each better than the one before
        if kept and mean < json.loads((kept[-1] / _EVALUATION).read_text())["mean"]:
            return
        _keep(self._directory, agent_steps, agent, {"mean": mean})

    def prune(self, agent_steps: int) -> None:
        """Removes those that were no longer the best at `agent_steps`, the oldest checkpoint's."""
        reached = [path for path in numbered(self._directory) if int(path.name) <= agent_steps]
        for path in reached[:-1]:
            _remove(path)


class Snapshots:
    """Agents from all over a run, the first and the newest among them, at most `SNAPSHOTS`."""

    def __init__(self, directory: Path, agent_steps: int):
        """As `BestAgent`, with `snapshots/` of the run."""
        self._directory = directory
        _forget(directory, agent_steps)

    def add(self, agent_steps: int, agent: tf.Module) -> None:
        """Keeps the agent; one of too many goes, that with the closest neighbours."""
        _keep(self._directory, agent_steps, agent)
        kept = numbered(self._directory)
        if len(kept) > SNAPSHOTS:
            steps = [int(path.name) for path in kept]
            inner = range(1, len(kept) - 1)
            _remove(kept[min(inner, key=lambda i: steps[i + 1] - steps[i - 1])])


def numbered(directory: Path) -> list[Path]:
    """The complete directories, which are named after their agent steps, in their order."""
    return sorted(path for path in directory.glob("[0-9]*") if path.name.isdecimal())


def save_networks(directory: Path, agent_steps: int, agent: tf.Module) -> Path:
    """Writes a checkpoint that is enough to act, not to go on training.

    Args:
      directory: of checkpoints, where none has this name.
      agent_steps: its name.
      agent: its networks and its optimizer are written.

    Returns:
      The checkpoint.
    """
    path = directory / f"{agent_steps:012d}"
    _write_agent(path, agent)
    _write_manifest(path)
    return path


def load_state(path: Path) -> dict[str, Any]:
    """The `state` of a checkpoint.

    Raises:
      UserError: it has none, so a training cannot go on from it.
    """
    if not (path / "state.json").exists():
        raise UserError(
            f"{path} holds networks only, so a training cannot go on from it: evaluate or export "
            "it, or train its config.gin in another --run_dir"
        )
    return json.loads((path / "state.json").read_text())


def load_agent(path: Path, agent: tf.Module) -> None:
    """Sets all variables of an agent, its optimizer's included."""
    status = tf.train.Checkpoint(agent=agent).read(str(path / "agent" / "ckpt"))
    status.assert_existing_objects_matched()


def lay_replay(path: Path | None, scratch_dir: Path) -> None:
    """Lays the saved table, or nothing, where a Reverb server that uses `scratch_dir` will look.

    Files are hard links, or copies where the file system has none, since Reverb deletes what it
    has superseded: all but the last name in alphabetical order, so this one must come before a
    date.
    """
    shutil.rmtree(scratch_dir, ignore_errors=True)
    if path:
        shutil.copytree(path / "replay", scratch_dir / "0", copy_function=_link)


def sync_all(directory: Path) -> None:
    """Returns when a directory and all below it is on the disk, so that it can be renamed."""
    for path in (*directory.rglob("*"), directory):
        sync(path)


def sync(path: Path) -> None:
    """Returns when a file, or a directory's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _digest(path: Path) -> dict[str, Any]:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
    return {"bytes": path.stat().st_size, "sha256": sha256.hexdigest()}


def _forget(directory: Path, agent_steps: int) -> None:
    """Removes the agents that a run which goes on from `agent_steps` has not reached yet."""
    for path in numbered(directory):
        if agent_steps == 0 or int(path.name) > agent_steps:
            _remove(path)


def _remove(path: Path) -> None:
    """Under its name a directory is complete, also where its removal is broken off."""
    removed = path.parent / _REMOVED
    shutil.rmtree(removed, ignore_errors=True)
    path.rename(removed)
    shutil.rmtree(removed)


def _keep(
    directory: Path, agent_steps: int, agent: tf.Module, evaluation: dict[str, Any] | None = None
) -> None:
    """Writes an evaluated agent aside and renames it to its agent steps, unless it is there."""
    final = directory / f"{agent_steps:012d}"
    if final.exists():
        return
    partial = directory / _PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    _write_agent(partial, agent)
    if evaluation:
        _write(partial / _EVALUATION, evaluation)
    sync_all(partial)
    partial.rename(final)
    sync(directory)


def _write_agent(path: Path, agent: tf.Module) -> None:
    (path / "agent").mkdir(parents=True)
    tf.train.Checkpoint(agent=agent).write(str(path / "agent" / "ckpt"))


def _write_manifest(path: Path) -> None:
    files = {str(file.relative_to(path)): _digest(file) for file in _files(path)}
    _write(path / _MANIFEST, {"format": FORMAT, "files": files})


def _damage(path: Path) -> str | None:
    try:
        manifest = json.loads((path / _MANIFEST).read_text())
        if manifest["format"] != FORMAT:
            return f"its format is {manifest['format']}, not {FORMAT}"
        files = {str(file.relative_to(path)): file for file in _files(path)}
        for name, digest in manifest["files"].items():
            if name not in files or _digest(files[name]) != digest:
                return f"{name} has changed since it was written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        return str(e)
    return None


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1))
