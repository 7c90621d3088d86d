"""Runs: folders go in; the runs that lie there come out, with what they are about."""

import ast
import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agents import protocols
from agents.environments import rom_name
from agents.errors import UserError

_CONFIG = "config.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """A training, running or not."""

    path: Path
    game: str  # ALE name
    algorithm: str
    rules: dict[str, Any]  # of `agents.protocols`


def find(folders: Iterable[Path]) -> list[Run]:
    """The runs that these folders are, or that lie somewhere below them.

    Raises:
      UserError: a folder has none, or one that cannot be read.
    """
    runs = []
    for folder in (path.expanduser() for path in folders):
        below = [folder / _CONFIG] if (folder / _CONFIG).exists() else folder.rglob(_CONFIG)
        if not (found := [_read(path.parent) for path in sorted(below)]):
            raise UserError(f"{folder} holds no run: give the run directory of a training")
        runs += found
    return runs


def game_and_algorithm(bindings: Mapping[str, str]) -> tuple[str, str]:
    """The game's ALE name and the algorithm's name, of `configuration.bindings`."""
    game = rom_name(ast.literal_eval(bindings["AtariEnvironment.game"]))
    agent = bindings["Training.agent"].rpartition("/")[2].lstrip("@")
    return game, ast.literal_eval(bindings.get("DQN.name", "None")) or agent


def _read(path: Path) -> Run:
    try:
        bindings = json.loads((path / _CONFIG).read_text())
        return Run(path, *game_and_algorithm(bindings), protocols.rules(bindings))
    except (OSError, ValueError, KeyError, AttributeError) as e:
        raise UserError(f"{path} holds no run that can be read ({e!r})") from e


def check_one_protocol(runs: Iterable[Run]) -> None:
    """Raises a UserError if runs that shall be compared have different rules."""
    first, *others = runs
    for other in others:
        differing = [name for name in first.rules if other.rules[name] != first.rules[name]]
        if differing:
            (name, *_) = differing
            raise UserError(
                f"{first.path} and {other.path} differ in {name} ({first.rules[name]} and "
                f"{other.rules[name]}): runs of different protocols do not compare"
            )
