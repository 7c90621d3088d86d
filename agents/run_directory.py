"""The run directory: holds everything a run leaves behind, and belongs to one process at a time.

    config.gin             every binding in force, enough to repeat the run
    operative_config.gin   those that were used, with all defaults
    run.json               versions, commit, machine, precision and time of the start and of each
                           resume
    native.log             what C++ libraries print
    events/, episodes.csv, evaluations.jsonl   see `agents.summaries`
    checkpoints/, best/, snapshots/            see `agents.checkpoints`

It can be copied to another machine and resumed there.
"""

import contextlib
import difflib
import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

import gin

from agents.configuration import bindings, differences
from agents.errors import UserError

_CONFIG = "config.json"
_LOCK = ".lock"
_NEAR_RUNS = 3
_PACKAGES = ("atari-dqn", "tensorflow", "tf-agents", "dm-reverb", "ale-py", "gymnasium", "numpy")


class RunDirectory:
    """A directory that this process owns; a context manager."""

    def __init__(self, path: Path):
        """Makes and locks it.

        Raises:
          UserError: it cannot be written or locked, or another process owns it.
        """
        self.path = path.expanduser().resolve()
        try:
            self._is_made_here = _make(self.path)
            self._lock = locked(self.path / _LOCK)
        except BlockingIOError as e:
            raise UserError(
                f"another process trains in {path}: wait for it or choose another --run_dir"
            ) from e
        except OSError as e:
            raise UserError(
                f"the run directory {path} cannot be written or locked ({e.strerror}): "
                "choose another with --run_dir"
            ) from e

    @property
    def native_log(self) -> Path:
        """For what C++ libraries print."""
        return self.path / "native.log"

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def check_same_configuration(self) -> None:
        """Refuses to mix two configurations in one directory; a run may only be made longer.

        A run that finished no game and saved no checkpoint has nothing to mix with.

        Raises:
          UserError: the run that is here has other bindings, which the message shows, or they
            cannot be read.
        """
        if not (self.path / _CONFIG).exists():
            return
        here, now = self._read(_CONFIG), bindings()
        if not self.has_progress():
            return
        for either in (here, now):
            either.pop("Training.agent_steps", None)
        if differing := differences(here, now):
            raise UserError(
                f"{self.path} holds a run of another configuration ({'; '.join(differing)}): "
                "take these back or choose another --run_dir"
            )

    def write_configuration(self, agent_steps: int, precision: str) -> None:
        """Writes the configuration in force, and what else a rerun needs.

        Args:
          agent_steps: done by now; 0 begins the run, more resume it.
          precision: in which this machine computes, where the configuration leaves it the choice.

        Raises:
          UserError: the record of the run's start cannot be read.
        """
        self._write("config.gin", gin.config_str())
        self._write("operative_config.gin", gin.operative_config_str())
        self._write(_CONFIG, json.dumps(bindings(), indent=1))
        facts = environment_facts() | {"precision": precision}
        if agent_steps > 0 and (self.path / "run.json").exists():
            run = self._read("run.json")
            facts["agent_steps"] = agent_steps
            facts = run | {"resumes": [*run.get("resumes", []), facts]}
        self._write("run.json", json.dumps(facts, indent=1))

    def has_progress(self) -> bool:
        """Whether a run has finished a game or saved a checkpoint here."""
        episodes = self.path / "episodes.csv"
        has_episodes = episodes.exists() and len(episodes.read_text().splitlines()) > 1
        return has_episodes or any(self.path.glob("checkpoints/[0-9]*"))

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return dict(json.loads((self.path / name).read_text()))
        except (OSError, ValueError, TypeError) as e:
            raise UserError(f"{self.path / name} is damaged: choose another --run_dir") from e

    def _write(self, name: str, text: str) -> None:
        aside = self.path / (name + ".partial")
        with aside.open("w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path / name)

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        """Lets another process have it; removes what was made here if no run was started."""
        with self._lock:  # held until all is removed
            if (self.path / _CONFIG).exists():
                return
            self.native_log.unlink(missing_ok=True)
            (self.path / _LOCK).unlink(missing_ok=True)
            if self._is_made_here:
                with contextlib.suppress(OSError):  # not empty
                    self.path.rmdir()


def _make(directory: Path) -> bool:
    """Whether it had to be made."""
    try:
        directory.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def locked(path: Path) -> TextIO:
    """A file, open, and locked as long as it is; other descriptors cannot lock it meanwhile.

    Raises:
      BlockingIOError: another process has locked it, or removed it before it was locked here.
      OSError: it cannot be opened or locked.
    """
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise BlockingIOError(f"{path} was removed")
    except OSError:
        file.close()
        raise
    return file


def check_is_run(path: Path) -> None:
    """Raises the error of `no_run` unless a training began there."""
    if not (path / _CONFIG).exists():
        raise no_run(path)


def no_run(path: Path) -> UserError:
    """That a path is no run directory, with the runs near it."""
    if not (runs := runs_near(path)):
        return UserError(f"{path} is no run directory: give that of a training")
    return UserError(f"{path} is no run directory: there are {', '.join(map(str, runs))}")


def start_facts(path: Path) -> dict[str, Any]:
    """What `run.json` says of a run's start, as `environment_facts`, and of its resumes.

    Raises:
      UserError: there is no run, or this file of it cannot be read.
    """
    check_is_run(path)
    try:
        return {"resumes": []} | dict(json.loads((path / "run.json").read_text()))
    except (OSError, ValueError, TypeError) as e:
        raise UserError(f"{path / 'run.json'} cannot be read ({e}): copy the run again") from e


def next_run_directory(parent: Path, name: str) -> Path:
    """`parent/name_1`, or the first number after those that exist."""
    taken = [0]
    for path in parent.glob(f"{name}_*"):
        number = path.name.removeprefix(f"{name}_")
        if number.isdigit():
            taken.append(int(number))
    return parent / f"{name}_{max(taken) + 1}"


def runs_near(path: Path) -> list[Path]:
    """Up to three runs below `path`, or else beside it, there those with the closest names first.

    `path` itself, there or not, is none of them.
    """
    if below := sorted(config.parent for config in path.glob(f"*/{_CONFIG}")):
        return below[:_NEAR_RUNS]
    beside = [config.parent.name for config in path.parent.glob(f"*/{_CONFIG}")]
    others = [name for name in beside if name != path.name]
    closest = difflib.get_close_matches(path.name, others, n=_NEAR_RUNS, cutoff=0.0)
    return [path.parent / name for name in closest]


def as_seen_from_here(path: Path) -> Path:
    """The path relative to the current folder where that is there and it lies below it."""
    with contextlib.suppress(OSError, ValueError):
        return path.relative_to(Path.cwd())
    return path


def environment_facts() -> dict[str, Any]:
    """Versions, commit and machine, for whoever wants to repeat a run."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": current_commit(),
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


def current_commit() -> str | None:
    """The commit of the checkout this file belongs to, with "+" if it was changed since."""
    try:
        # Installed packages may lie in another project's checkout, in its virtual environment.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as cpuinfo:
            for line in cpuinfo:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
