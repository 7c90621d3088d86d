"""Protocols: a configuration goes in; the rules of its games, and what they are called, come out.

A protocol is one of the shipped gin files that `NAMES` lists. Some have equal rules.
"""

import ast
import importlib.resources
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from agents.environments import AtariEnvironment

NAMES = ("dopamine", "nature", "atari_100k", "ale_v5", "rl_zoo")
OF_THE_NETWORK = ("full_action_space", "frameskip")  # what it was made for, whoever judges it
_NOT_RULES = {"game", "num_envs", "seed", "num_threads"}
_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(AtariEnvironment.__init__).parameters.items()
    if name not in {"self", *_NOT_RULES}
}


def rules(bindings: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of `AtariEnvironment` that are rules of the game, with their defaults.

    Args:
      bindings: as `configuration.bindings` gives them and a run's `config.json` holds them.
    """
    bound = {name: bindings.get(f"AtariEnvironment.{name}") for name in _DEFAULTS}
    return {
        name: _DEFAULTS[name] if value is None else ast.literal_eval(value)
        for name, value in bound.items()
    }


def names(rules: Mapping[str, Any], *, in_training: bool) -> list[str]:
    """The protocols that have these rules; none for rules of one's own.

    Args:
      rules: of `rules`.
      in_training: whether `terminal_on_life_loss` counts; an evaluation plays whole games.
    """
    ignored = set() if in_training else {"terminal_on_life_loss"}
    wanted = {name: value for name, value in rules.items() if name not in ignored}
    return [name for name in NAMES if wanted.items() <= shipped(name).items()]


def bindings(rules: Mapping[str, Any], *, keep: Iterable[str]) -> list[str]:
    """Rules as lines of gin, but for those to `keep` as they are."""
    kept = set(keep)
    values = {rule: value for rule, value in rules.items() if rule not in kept}
    return [f"AtariEnvironment.{rule} = {value!r}" for rule, value in values.items()]


def shipped(name: str) -> dict[str, Any]:
    """The rules of a protocol."""
    text = (importlib.resources.files("gin_configs") / f"{name}.gin").read_text()
    return rules(dict(re.findall(r"^(AtariEnvironment\.\w+) = (\S+)", text, re.MULTILINE)))
