"""Runs: folders go in; the runs that lie there come out, with what they are about."""

import ast
import dataclasses
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from agents import configuration, protocols
from agents.errors import NotYetError, UserError
from agents.games import rom_name
from agents.run_directory import no_run

_CONFIG = "config.json"
# Bindings in which runs may differ that count as seeds of one another.
_NOT_LEARNING = (
    r"Training\.(seed|agent_steps|\w+_period_\w+):|Evaluator\.|q_network\.precision:"
    r"|AtariEnvironment\.(game|num_threads):"
)
_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Run:
    """A training, running or not."""

    path: Path
    game: str  # ALE name
    algorithm: str
    rules: dict[str, Any]  # of `agents.protocols`
    bindings: dict[str, str]  # of `agents.configuration`
    length_agent_steps: int  # that it was, or will be, trained for


def find(folders: Iterable[Path]) -> list[Run]:
    """The runs that these folders are, or that lie somewhere below them.

    Raises:
      UserError: a folder has none, or one that cannot be read.
    """
    runs = []
    for folder in (path.expanduser() for path in folders):
        if not (found := [_read(path) for path in sorted(_below(folder))]):
            raise no_run(folder)
        runs += found
    return runs


def _below(folder: Path) -> Iterator[Path]:
    """Run directories; what lies within one is its training's, which removes it at any moment."""
    for name, folders, files in os.walk(folder):
        if _CONFIG in files:
            folders.clear()
            yield Path(name)


def game_and_algorithm(bindings: Mapping[str, str]) -> tuple[str, str]:
    """The game's ALE name and the algorithm's name, of `configuration.bindings`."""
    game = rom_name(ast.literal_eval(bindings["AtariEnvironment.game"]))
    agent = bindings["Training.agent"].rpartition("/")[2].lstrip("@")
    return game, ast.literal_eval(bindings.get("DQN.name", "None")) or agent


def _read(path: Path) -> Run:
    try:
        bindings = json.loads((path / _CONFIG).read_text())
        length_agent_steps = ast.literal_eval(bindings["Training.agent_steps"])
        rules = protocols.rules(bindings)
        return Run(path, *game_and_algorithm(bindings), rules, bindings, length_agent_steps)
    except (OSError, ValueError, SyntaxError, LookupError, TypeError, AttributeError) as e:
        raise UserError(f"{path} holds no run that can be read ({e!r})") from e


def gather(runs: Iterable[Run], of: Callable[[Run], _T]) -> dict[str, _T]:
    """What `of` says of each run, by its path; those too young for it are left out and warned of.

    Raises:
      NotYetError: all are too young.
    """
    found, left_out = {}, []
    for run in runs:
        try:
            found[str(run.path)] = of(run)
        except NotYetError as e:
            left_out.append(e)
    if not found:
        raise left_out[0]
    for error in left_out:
        print(f"warning: left out: {error}", file=sys.stderr)
    return found


def warn_of_unlike_seeds(runs: Iterable[Run]) -> None:
    """Warns of runs that count as seeds of one algorithm on one game but learn otherwise."""
    first_of: dict[tuple[str, str], Run] = {}
    for run in runs:
        first = first_of.setdefault((run.game, run.algorithm), run)
        unlike = [
            line
            for line in configuration.differences(first.bindings, run.bindings)
            if not re.match(_NOT_LEARNING, line)
        ]
        if unlike:
            print(
                f"warning: {first.path} and {run.path} count as seeds of {run.algorithm}, "
                f"but differ in {unlike[0].partition(':')[0]}: if that matters, leave one out",
                file=sys.stderr,
            )


def check_one_protocol(runs: Iterable[Run]) -> None:
    """Raises a UserError if runs that shall be compared have different rules."""
    first, *others = runs
    for other in others:
        differing = [name for name in first.rules if other.rules[name] != first.rules[name]]
        if differing:
            (name, *_) = differing
            raise UserError(
                f"{first.path} and {other.path} differ in {name} ({first.rules[name]} and "
                f"{other.rules[name]}): runs of different protocols do not compare: "
                "name those of one"
            )
