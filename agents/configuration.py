"""In: gin files and bindings. Out: arguments bound to `@configurable` constructors and functions.

A gin file holds lines such as `AtariEnvironment.game = "pong"`, macros (`GAMMA = 0.99`, used as
`%GAMMA`) and `include "dqn.gin"`. Values are Python literals, never evaluated as code, and a file
may import modules of this package only, so a configuration that came from elsewhere runs nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import importlib.resources
import inspect
import numbers
import re
import tokenize
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gin
from gin import config as gin_config
from gin import config_parser

from agents.errors import UserError

_T = TypeVar("_T", bound=Callable)
_Key = tuple[str, str, str]  # scope, complete selector, parameter: what gin binds a value to

_SHIPPED = Path(str(importlib.resources.files("gin_configs"))).resolve()
_WORDS = {int: "an int", float: "a float", str: "a str", bool: "a bool", type(None): "None"}
_origins: dict[_Key, _Source] = {}  # where each binding in force was made


# ---------------------------------------------------------------------------------------- arguments


def configurable(function_or_class: _T) -> _T:
    """Lets gin bind the arguments of a function, or of a class's constructor, and checks them.

    Arguments annotated with int, float, str, bool, None, a Literal or a union of these are checked
    at each call, whoever passes them. An int serves as a float; a bool serves as neither.

    Raises (at the call):
      UserError: an argument has the wrong type, or such an argument has no value at all.
    """
    name = function_or_class.__name__
    if not inspect.isclass(function_or_class):
        return gin.configurable(_checked(function_or_class, name))
    if not hasattr(
        function_or_class.__init__, "checks_arguments"
    ):  # else inherited from one of ours
        function_or_class.__init__ = _checked(function_or_class.__init__, name)
    return gin.configurable(function_or_class)


def _checked(function: Callable, name: str) -> Callable:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args, **kwargs):
        given = signature.bind_partial(*args, **kwargs).arguments
        for argument, parameter in signature.parameters.items():
            hint = _hints(function).get(argument)
            if argument in given:
                _check(f"{name}.{argument}", given[argument], hint)
            elif _expected(hint) and parameter.default is parameter.empty:
                raise UserError(f"{name}.{argument} has no value: bind it to {_expected(hint)}")
        return function(*args, **kwargs)

    # gin reads a signature without following __wrapped__, but copies and honours these two.
    vars(checked).update(__signature__=signature, checks_arguments=True)
    return checked


@functools.cache
def _hints(function: Callable) -> Mapping[str, Any]:
    """The annotations that can be resolved; an inherited constructor may have others."""
    unwrapped = inspect.unwrap(function)
    hints = {}
    for argument, annotation in unwrapped.__annotations__.items():
        one = types.SimpleNamespace(__annotations__={argument: annotation})
        with contextlib.suppress(NameError, AttributeError):
            hints |= typing.get_type_hints(one, unwrapped.__globals__)
    return hints


def _members(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _expected(hint: Any) -> str:
    """What a hint allows, as "an int or None"; empty where it is not one to check."""
    words = []
    for member in _members(hint):
        if typing.get_origin(member) is typing.Literal:
            words += map(repr, typing.get_args(member))
        elif member in _WORDS:
            words.append(_WORDS[member])
        else:
            return ""
    return " or ".join(words)


def _fits(value: Any, member: Any) -> bool:
    if typing.get_origin(member) is typing.Literal:
        choices = typing.get_args(member)
        return any(value == choice and type(value) is type(choice) for choice in choices)
    if isinstance(value, bool):
        return member is bool
    return isinstance(value, {int: numbers.Integral, float: numbers.Real}.get(member, member))


def _check(name: str, value: Any, hint: Any) -> None:
    expected = _expected(hint)
    if expected and not any(_fits(value, member) for member in _members(hint)):
        is_whole = isinstance(value, float) and value.is_integer() and int in _members(hint)
        remedy = f": write {int(value)}" if is_whole else ""
        raise UserError(f"{name} must be {expected}, got {value!r}{remedy}")


# ------------------------------------------------------------------------------------------ loading


def load(gin_files: Sequence[str], bindings: Sequence[str] = ()) -> None:
    """Replaces the configuration by these files, in their order, followed by these bindings.

    A file is looked for as it is given, then among the shipped ones, with or without its ".gin";
    an included one first beside the file that includes it. A later line overrides an earlier one.
    Modules with configurables must have been imported before. After an error nothing is bound.

    Raises:
      UserError: a missing file, a line that cannot be read, an unknown name, a wrong type.
    """
    _clear()
    try:
        for name in gin_files:
            _load_file(name, included_from=_Source())
        for binding in bindings:
            _load_text(binding, _Source())
        _check_values()
    except BaseException:
        _clear()
        raise


def _clear() -> None:
    gin.clear_config()
    _origins.clear()


@dataclasses.dataclass(frozen=True)
class _Source:
    """A line of a file, or the command line where there is no file."""

    files: tuple[Path, ...] = ()  # the file, preceded by those that include it
    line: int = 0

    def __str__(self) -> str:
        return f"{self.files[-1].name}:{self.line}: " if self.files else ""

    @property
    def is_shipped(self) -> bool:
        return bool(self.files) and self.files[-1].parent == _SHIPPED


def _load_file(name: str, included_from: _Source) -> None:
    path = _find(name, included_from)
    if path in included_from.files:
        raise UserError(f"{included_from}{name} includes itself: remove this line")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{included_from}cannot read the gin file {path}: {error}") from None
    _load_text(text, _Source((*included_from.files, path)))


def _find(name: str, included_from: _Source) -> Path:
    beside = [path.parent / name for path in included_from.files[-1:]]
    for candidate in [*beside, Path(name), _SHIPPED / name, _SHIPPED / f"{name}.gin"]:
        if candidate.is_file():
            return candidate.resolve()
    shipped = sorted(path.name for path in _SHIPPED.glob("*.gin"))
    wanted = f"{Path(name).name.removesuffix('.gin')}.gin"
    remedy = _did_you_mean(wanted, shipped) or f"shipped are {', '.join(shipped)}"
    raise UserError(f"{included_from}there is no gin file {name!r}, here or shipped: {remedy}")


def _load_text(text: str, source: _Source) -> None:
    for statement, at in _statements(text, source):
        if isinstance(statement, config_parser.IncludeStatement):
            _load_file(statement.filename, at)
        elif isinstance(statement, config_parser.ImportStatement):
            _import(statement, at)
        elif isinstance(statement, config_parser.BindingStatement):
            key = _key(statement, at)
            gin.bind_parameter(key, statement.value)
            _origins[key] = at


def _statements(text: str, source: _Source) -> Iterator[tuple[Any, _Source]]:
    """Each statement of the text with its place; what gin raises becomes a line for the user."""
    line = 1
    try:
        parser = config_parser.ConfigParser(text, _Values())
        while statement := parser.parse_statement():
            line = statement.location.line_num
            yield statement, dataclasses.replace(source, line=line)
            line = parser.current_token.start[0]
        return
    except SyntaxError as error:
        problem, line = error.msg, error.lineno or line
    except tokenize.TokenError as error:
        problem, (line, _) = error.args
    except (UserError, ValueError) as error:
        problem = str(error)
    unquoted = re.search(r"Failed to parse token '(\w+)'", problem)
    if unquoted:
        problem = f"text needs quotes, as in '{unquoted[1]}'"
    lines = text.splitlines()
    content = lines[min(line, len(lines)) - 1].strip()  # a bracket never closed: one line further
    at = dataclasses.replace(source, line=line)
    raise UserError(f"{at}cannot read {content!r}: {problem.splitlines()[0].rstrip('.')}")


class _Values(gin_config.ParserDelegate):
    """Makes the references of `@name` from the name that `_lookup` finds."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool):
        *scopes, name = scoped_configurable_name.split("/")
        return gin_config.ConfigurableReference("/".join([*scopes, _name(_lookup(name))]), evaluate)


def _import(statement: config_parser.ImportStatement, at: _Source) -> None:
    if statement.module.split(".")[0] != "agents":
        raise UserError(f"{at}a gin file may import modules of agents only: remove this line")
    try:
        gin.parse_config(statement.format())
    except ImportError:
        raise UserError(f"{at}there is no module {statement.module}: correct this line") from None


def _key(statement: config_parser.BindingStatement, at: _Source) -> _Key:
    """The full key of a binding; a line without a dot (`GAMMA = 0.99`) defines a macro."""
    scope, name, argument = statement.scope, statement.selector, statement.arg_name
    if not argument:
        return (f"{scope}/{name}" if scope else name), "gin.macro", "value"
    try:
        found = _lookup(name)
    except UserError as error:
        raise UserError(f"{at}{error}") from None
    parameters = inspect.signature(_construction(found)).parameters
    takes_any = any(known.kind is known.VAR_KEYWORD for known in parameters.values())
    if argument not in parameters and not takes_any:
        remedy = _did_you_mean(argument, parameters) or f"it has {', '.join(parameters)}"
        raise UserError(f"{at}unknown parameter {argument!r} of {_name(found)}: {remedy}")
    return scope, found.selector, argument


def _construction(found: gin_config.Configurable) -> Callable:
    return found.wrapped.__init__ if inspect.isclass(found.wrapped) else found.wrapped


def _lookup(name: str) -> gin_config.Configurable:
    """The configurable of a name; ours where TF-Agents has one of the same name."""
    selectors = gin_config._REGISTRY.matching_selectors(name)
    ours = [selector for selector in selectors if selector.startswith("agents.")]
    selectors = ours or sorted(selectors)
    if len(selectors) > 1:
        raise UserError(f"{name!r} is ambiguous: write one of {', '.join(selectors)}")
    if not selectors:
        known = [found.name for _, found in gin_config._REGISTRY.items()]
        remedy = _did_you_mean(name, known) or "nothing here has a name like it"
        raise UserError(f"unknown name {name!r}: {remedy}")
    return gin_config._REGISTRY[selectors[0]]


def _name(found: gin_config.Configurable) -> str:
    """The shortest name that `_lookup` understands."""
    try:
        return found.name if _lookup(found.name) is found else found.selector
    except UserError:
        return found.selector


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _check_values() -> None:
    """Checks the bound values now, so that none fails hours later; references when they are made."""
    for key, value in _bound():
        construction = _construction(gin_config._REGISTRY[key[1]])
        if hasattr(construction, "checks_arguments") and not _is_reference(value):
            try:
                _check(_binding(key), value, _hints(construction).get(key[2]))
            except UserError as error:
                raise UserError(f"{_origins[key]}{error}") from None


# ----------------------------------------------------------------------------------------- questions


def bindings() -> dict[str, str]:
    """All bindings in force, by name: {"AtariEnvironment.game": "'pong'"}, macros resolved."""
    return dict(sorted((_binding(key), repr(value)) for key, value in _bound()))


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """One line per binding that differs between a run's `bindings()` and the present ones."""
    return [
        f"{name}: {old.get(name, 'not set')} in the run, {new.get(name, 'not set')} now"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def check_used() -> None:
    """Call once everything is constructed, and has been called that takes its arguments from gin.

    Bindings of shipped files are exempt: these files compose, and one may replace what another set.

    Raises:
      UserError: nothing took a binding of the command line or of a user's file.
    """
    used = set(_used())
    unused = [
        _binding(key) + (f" ({str(at)[:-2]})" if at.files else "")
        for key, at in _origins.items()
        if key not in used and not at.is_shipped
    ]
    if unused:
        raise UserError(f"nothing in this run uses {', '.join(unused)}: remove it or correct it")


def _used() -> Iterator[_Key]:
    """The bindings that gin handed out; in a nested scope the innermost binding wins."""
    for (scope, selector), arguments in gin_config._OPERATIVE_CONFIG.items():
        scopes = scope.split("/") if scope else []
        enclosing = ["/".join(scopes[:depth]) for depth in range(len(scopes), -1, -1)]
        for argument in arguments:
            keys = [(outer, selector, argument) for outer in enclosing]
            yield from [key for key in keys if key in _origins][:1]


def _bound() -> Iterator[tuple[_Key, Any]]:
    for (scope, selector), arguments in gin_config._CONFIG.items():
        for argument, value in arguments.items():
            if selector != "gin.macro":
                key = scope, selector, argument
                yield key, _resolved(value, key)


def _resolved(value: Any, key: _Key, within: tuple[str, ...] = ()) -> Any:
    """The value with every `%MACRO` in it replaced by what the macro stands for."""
    if isinstance(value, dict):
        pairs = [(name, _resolved(item, key, within)) for name, item in value.items()]
        return dict(pairs)
    if isinstance(value, list | tuple):
        return type(value)(_resolved(item, key, within) for item in value)
    if not _is_reference(value) or value.configurable.wrapped is not gin_config.macro:
        return value
    name = "/".join(value.scopes)
    macros = {scope for scope, selector in gin_config._CONFIG if selector == "gin.macro"}
    if name in within or name not in macros:
        problem = "is defined by itself" if name in within else "is not defined"
        remedy = _did_you_mean(name, macros - {name}) or f"add a line {name} = ..."
        raise UserError(f"{_origins[key]}%{name}, for {_binding(key)}, {problem}: {remedy}")
    return _resolved(gin_config._CONFIG[name, "gin.macro"]["value"], key, (*within, name))


def _is_reference(value: Any) -> bool:
    return isinstance(value, gin_config.ConfigurableReference)


def _binding(key: _Key) -> str:
    scope, selector, argument = key
    if selector == "gin.macro":
        return scope
    return f"{scope}/" * bool(scope) + f"{_name(gin_config._REGISTRY[selector])}.{argument}"
