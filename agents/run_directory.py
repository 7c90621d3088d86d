"""The run directory: holds everything a run leaves behind, and belongs to one process at a time.

    config.gin             every binding in force, enough to repeat the run
    operative_config.gin   those that were used, with all defaults
    run.json               versions, commit, machine, start
    events/, episodes.csv, evaluations.jsonl   see `agents.summaries`
    checkpoints/           see `agents.checkpoints`

It can be copied to another machine and resumed there.
"""

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from agents.errors import UserError

_PACKAGES = ("atari-dqn", "tensorflow", "tf-agents", "dm-reverb", "ale-py", "gymnasium", "numpy")


class RunDirectory:
    """A directory that this process owns until it closes it."""

    def __init__(self, path: Path):
        """Makes and locks it.

        Raises:
          UserError: it cannot be written, or another process owns it.
        """
        self.path = path.expanduser().resolve()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / ".lock").open("a")
        except OSError as e:
            raise UserError(
                f"the run directory {path} cannot be written ({e.strerror}): "
                "choose another with --run_dir"
            ) from e
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise UserError(
                f"another process trains in {path}: wait for it or choose another --run_dir"
            ) from e

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def write_json(self, name: str, content: Any) -> None:
        """Writes a file whole or not at all."""
        self.write_text(name, json.dumps(content, indent=1) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes a file whole or not at all."""
        aside = self.path / (name + ".partial")
        aside.write_text(text)
        aside.replace(self.path / name)

    def close(self) -> None:
        """Lets another process have it."""
        self._lock.close()


def next_run_directory(parent: Path, name: str) -> Path:
    """`parent/name_1`, or the first number after those that exist."""
    taken = [0]
    for path in parent.glob(f"{name}_*"):
        number = path.name.removeprefix(f"{name}_")
        if number.isdigit():
            taken.append(int(number))
    return parent / f"{name}_{max(taken) + 1}"


def environment_facts() -> dict[str, Any]:
    """Versions, commit and machine, for whoever wants to repeat a run."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout this file is in, with "+" if it was changed since."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as cpuinfo:
            for line in cpuinfo:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
