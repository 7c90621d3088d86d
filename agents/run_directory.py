"""The run directory: holds everything a run leaves behind, and belongs to one process at a time.

    config.gin             every binding in force, enough to repeat the run
    operative_config.gin   those that were used, with all defaults
    run.json               versions, commit, machine, start
    native.log             what C++ libraries print
    events/, episodes.csv, evaluations.jsonl   see `agents.summaries`
    checkpoints/           see `agents.checkpoints`

It can be copied to another machine and resumed there.
"""

import contextlib
import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import gin

from agents.configuration import bindings, differences
from agents.errors import UserError

_CONFIG = "config.json"
_LOCK = ".lock"
_PACKAGES = ("atari-dqn", "tensorflow", "tf-agents", "dm-reverb", "ale-py", "gymnasium", "numpy")


class RunDirectory:
    """A directory that this process owns; a context manager."""

    def __init__(self, path: Path):
        """Makes and locks it.

        Raises:
          UserError: it cannot be written, or another process owns it.
        """
        self.path = path.expanduser().resolve()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / _LOCK).open("a")
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

    @property
    def native_log(self) -> Path:
        """For what C++ libraries print."""
        return self.path / "native.log"

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def check_same_configuration(self) -> None:
        """Refuses to mix two configurations in one directory; a run may only be made longer.

        Raises:
          UserError: the run that is here has other bindings; the message shows which.
        """
        path = self.path / _CONFIG
        if not path.exists():
            return
        here, now = json.loads(path.read_text()), bindings()
        for either in (here, now):
            either.pop("Training.agent_steps", None)
        if differing := differences(here, now):
            raise UserError(
                f"{self.path} holds a run of another configuration ({'; '.join(differing)}): "
                "take these back or choose another --run_dir"
            )

    def write_configuration(self) -> None:
        """Writes the configuration in force and, in a new directory, what else a rerun needs."""
        self._write("config.gin", gin.config_str())
        self._write("operative_config.gin", gin.operative_config_str())
        self._write(_CONFIG, json.dumps(bindings(), indent=1))
        if not (self.path / "run.json").exists():
            self._write("run.json", json.dumps(environment_facts(), indent=1))

    def _write(self, name: str, text: str) -> None:
        aside = self.path / (name + ".partial")
        aside.write_text(text + "\n")
        aside.replace(self.path / name)

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        """Lets another process have it; removes it if no run was started in it."""
        self._lock.close()
        if not (self.path / _CONFIG).exists():
            (self.path / _LOCK).unlink()
            self.native_log.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty
                self.path.rmdir()


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
