"""In: a command's main function. Out: its exit status; what the commands share around `main`.

A mistake of the user's ends a command with one line, `error: ...`, and exit status 2. `--help`
shows the docstring of the command's module and its flags.
"""

import contextlib
import difflib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from absl import app, flags

from agents.errors import UserError

flags.disclaim_key_flags()  # a flag belongs to the command that calls the functions below


def define_gin_flags() -> None:
    """Defines --gin_file and --gin_bindings, each of which may be given several times."""
    flags.DEFINE_multi_string(
        "gin_file", [], "A gin file: a path, or the name of a shipped one. Later files win."
    )
    flags.DEFINE_multi_string(
        "gin_bindings",
        [],
        "One line of gin, as in \"AtariEnvironment.game='pong'\"; wins over files.",
    )


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Around imports that need this extra of setup.py; a UserError names what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing: pip install -e '.[{name}]'") from error


def check_file(name: str) -> None:
    """Raises a UserError where --NAME is given and no file can be there."""
    path = Path(flags.FLAGS[name].value or os.devnull)
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"no file can be made at --{name}={path}: choose another")


def run(main: Callable[[list[str]], None], actions: Sequence[str] = ()) -> None:
    """Parses the command line, calls `main` with what no flag took, and exits.

    Args:
      main: gets the program's name and, where there are actions, one of them.
      actions: words, one of which the user must give.
    """
    module = sys.modules[main.__module__]
    if {"--help", "-help", "-h"} & set(sys.argv[1:]):
        options = flags.FLAGS.module_help(module).partition(":\n")[2]
        print(f"{module.__doc__}\nOptions:\n{options}")
        sys.exit(0)

    def guarded(argv: list[str]) -> None:
        try:
            main(argv)
        except UserError as error:
            _fail(str(error).splitlines()[0])  # gin appends lines about its configurables
        except KeyboardInterrupt:
            sys.exit(130)

    app.run(guarded, flags_parser=lambda argv: _parse(argv, actions, module))


def _parse(argv: list[str], actions: Sequence[str], module: ModuleType) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        own = [flag.name for flag in flags.FLAGS.get_key_flags_for_module(module)]
        close = difflib.get_close_matches(error.flagname, own, n=1)
        remedy = "see --help, and docs/from_rl_zoo.md for flags of RL-Zoo"
        if close:
            remedy = f"did you mean --{close[0]}?"
        _fail(f"no flag --{error.flagname}: {remedy}")
    except flags.Error as error:
        _fail(" ".join(str(error).split()))
    if actions and rest[1:2] not in [[action] for action in actions]:
        _fail(f"say {' or '.join(actions)}, see --help")
    if rest[1 + bool(actions) :]:
        _fail(f"unexpected argument {rest[-1]!r}: every option starts with --, see --help")
    if flags.FLAGS["verbosity"].using_default_value:
        flags.FLAGS.verbosity = -1  # warnings; absl would turn on the libraries' own chatter
    return rest


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
