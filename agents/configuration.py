"""In: gin files and bindings. Out: arguments bound to `@configurable` constructors and functions.

A gin file holds lines such as `AtariEnvironment.game = "pong"`, macros (`GAMMA = 0.99`, used as
`%GAMMA`) and `include "dqn.gin"`. Values are Python literals, never evaluated as code, and a file
may import modules of this package only, so a configuration that came from elsewhere runs nothing.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib.resources
import inspect
import itertools
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gin
from gin import config as gin_config  # its registry has no public access; setup.py pins gin to 0.5
from gin import config_parser

from agents import arguments
from agents.errors import UserError

_T = TypeVar("_T", bound=Callable)
_Key = tuple[str, str, str]  # scope, complete selector, parameter: what gin binds a value to

_SHIPPED = Path(str(importlib.resources.files("gin_configs"))).resolve()
_PROTOCOL = "AtariEnvironment.frameskip"  # every protocol file sets it
_ALGORITHM = "DQN.name"  # every algorithm file sets it, but for the default one
_DEFAULT_ALGORITHM = "dqn.gin"
_DEFAULTS = (_DEFAULT_ALGORITHM, "dopamine.gin")  # which a game's file includes
_origins: dict[_Key, _Source] = {}  # where each binding in force was made
_algorithms: set[Path] = set()  # files that include the default algorithm, and it itself


def configurable(function_or_class: _T) -> _T:
    """Lets gin bind the arguments of a function, or of a class's constructor, and checks them.

    See `agents.arguments` for what is checked, at each call and whoever passes the value.
    """
    name = function_or_class.__name__
    if not inspect.isclass(function_or_class):
        return gin.configurable(arguments.checked(function_or_class, name))
    if not hasattr(function_or_class.__init__, "checks_arguments"):  # else inherited from ours
        function_or_class.__init__ = arguments.checked(function_or_class.__init__, name)
    return gin.configurable(function_or_class)


def load(
    gin_files: Sequence[str], bindings: Sequence[str] = (), *, are_composed: bool = False
) -> None:
    """Replaces the configuration by these files, in their order, followed by these bindings.

    A file is looked for as it is given, then among the shipped ones, with or without its ".gin";
    an included one first beside the file that includes it. A later line overrides an earlier one,
    but dqn.gin and dopamine.gin are defaults: where another file brings them in, they replace
    nothing, so a game's file may stand before or after an algorithm's. Modules with configurables
    must have been imported before. After an error nothing is bound.

    Args:
      gin_files: their paths or names.
      bindings: lines of gin.
      are_composed: the files are what an earlier run had loaded, so they may hold bindings that
        a later one of its files made useless, as shipped files may.

    Raises:
      UserError: a missing file, a line that cannot be read, an unknown name, a wrong type, two
        protocols or algorithms.
    """
    _clear()
    try:
        for name in gin_files:
            _load_file(name, included_from=_Source(is_composed=are_composed))
        for binding in bindings:
            _load_text(binding, _Source())
        _check_values()
    except BaseException:
        _clear()
        raise


def read(name: str) -> list[tuple[str, Any, str]]:
    """The bindings of one file, which may include none, without putting them in force.

    Returns:
      The full name, the value and the place (`"file.gin:3: "`) of each.

    Raises:
      UserError: as `load`.
    """
    path = _find(name, _Source())
    found = []
    for statement, at in _statements(_text(path, _Source()), _Source((path,))):
        if not isinstance(statement, config_parser.BindingStatement):
            raise UserError(f"{at}this file may hold bindings only: remove this line")
        found.append((_binding_name(_key(statement, at)), statement.value, str(at)))
    return found


def located(name: str) -> str:
    """The name of a gin file as it is understood from anywhere: shipped, or an absolute path.

    Raises:
      UserError: there is no such file.
    """
    path = _find(name, _Source())
    return path.name if path.parent == _SHIPPED else str(path)


def _clear() -> None:
    gin.clear_config()
    _origins.clear()
    _algorithms.clear()


@dataclasses.dataclass(frozen=True)
class _Source:
    """A line of a file, or the command line where there is no file."""

    files: tuple[Path, ...] = ()  # the file, preceded by those that include it
    line: int = 0
    is_composed: bool = False  # with files that replace each other's bindings

    def __str__(self) -> str:
        return f"{self.files[-1].name}:{self.line}: " if self.files else ""


def _load_file(name: str, included_from: _Source) -> None:
    path = _find(name, included_from)
    if path in included_from.files:
        raise UserError(f"{included_from}{name} includes itself: remove this line")
    text = _text(path, included_from)
    is_composed = included_from.is_composed or path.parent == _SHIPPED
    source = _Source((*included_from.files, path), is_composed=is_composed)
    if path.name == _DEFAULT_ALGORITHM:
        _algorithms.update(source.files)
        for key, before in _origins.items():
            chosen, later = _branches(before, source)
            is_named = len(later) == 1  # then it is an algorithm as others
            if is_named and _binding_name(key) == _ALGORITHM:
                _check_one_algorithm(chosen, later)
    _load_text(text, source)


def _text(path: Path, included_from: _Source) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{included_from}cannot read the gin file {path}: {error}") from None


def _find(name: str, included_from: _Source) -> Path:
    beside = [path.parent / name for path in included_from.files[-1:]]
    for candidate in [*beside, Path(name), _SHIPPED / name, _SHIPPED / f"{name}.gin"]:
        if candidate.is_file():
            return candidate.resolve()
    if Path(name).is_dir():
        raise UserError(f"{included_from}{name} is a directory: name a file in it")
    kind = "space" if name.endswith(".space") else "gin"
    shipped = sorted(path.name for path in _SHIPPED.glob(f"*.{kind}"))
    close = difflib.get_close_matches(f"{Path(name).stem}.{kind}", shipped, n=1)
    remedy = f"did you mean '{close[0]}'?" if close else f"shipped are {', '.join(shipped)}"
    raise UserError(f"{included_from}there is no {kind} file {name!r}, here or shipped: {remedy}")


def _load_text(text: str, source: _Source) -> None:
    for statement, at in _statements(text, source):
        if isinstance(statement, config_parser.IncludeStatement):
            _load_file(statement.filename, at)
        elif isinstance(statement, config_parser.ImportStatement):
            _import(statement, at)
        elif isinstance(statement, config_parser.BindingStatement):
            key = _key(statement, at)
            if key not in _origins or _replaces(key, _origins[key], at):
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
    except (UserError, ValueError, TypeError) as error:
        problem = str(error)
    if found := re.search(r"Failed to parse token '(\w+)'", problem):
        is_constant = found[1].capitalize() in ("True", "False", "None")
        remedy = f"did you mean {found[1].capitalize()}?"
        if not is_constant:
            remedy = f"write text in quotes, {found[1]!r}"
        problem = f"{found[1]} is not a value, {remedy}"
    elif problem.startswith("Expected newline"):
        problem = "one binding to a line, and to a --gin_bindings"
    lines = text.splitlines()
    content = lines[min(line, len(lines)) - 1].strip()  # a bracket never closed: one line further
    at = dataclasses.replace(source, line=line)
    raise UserError(f"{at}cannot read {content!r}: {problem.splitlines()[0].rstrip('.')}")


def _replaces(key: _Key, before: _Source, now: _Source) -> bool:
    """Whether a line takes the place of an earlier one: not that of a choice, if it is a default.

    Raises:
      UserError: the lines are of two algorithms, or of two protocols of which the first was named
        for itself.
    """
    chosen, later = _branches(before, now)
    is_implied = len(later) > 1  # by what was named or included there, not named itself
    if later and later[-1].name in _DEFAULTS and (is_implied or not chosen):
        return before.files[-1:] in [(_SHIPPED / name,) for name in _DEFAULTS]
    name = _binding_name(key)
    if name == _ALGORITHM:
        _check_one_algorithm(chosen, later)
    if name == _PROTOCOL and len(chosen) == 1 and later:
        first, second = chosen[0].name, later[0].name
        if not is_implied:
            raise UserError(
                f"{first} and {second} both set {_PROTOCOL}, as protocols do: "
                "name one of them, or include one in the other"
            )
        raise UserError(f"{second} would replace the protocol {first}: name {first} after it")
    return True


def _check_one_algorithm(chosen: Sequence[Path], later: Sequence[Path]) -> None:
    """An algorithm's file begins with dqn.gin; one that only gives another name does not."""
    if chosen and later and {chosen[0], later[0]} <= _algorithms:
        raise UserError(
            f"{chosen[0].name} and {later[0].name} are two algorithms: name one of them"
        )


def _branches(before: _Source, now: _Source) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The files of two lines without those that lead to both."""
    pairs = zip(before.files, now.files, strict=False)
    common = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return before.files[common:], now.files[common:]


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
    parameters = _bindable(found)
    known = [parameter.name for parameter in parameters]
    if argument not in known and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        remedy = _did_you_mean(argument, known) or f"it has {', '.join(known)}"
        raise UserError(f"{at}unknown parameter {argument!r} of {_name(found)}: {remedy}")
    return scope, found.selector, argument


def _bindable(found: gin_config.Configurable) -> list[inspect.Parameter]:
    """The parameters that gin may set: where a signature has a `*`, the code passes those before.

    `Replay.scratch_dir` is such a one: Reverb deletes what it finds there.
    """
    parameters = _parameters(found)
    after = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    has_star = any(p.kind is p.KEYWORD_ONLY for p in parameters)
    return after if has_star and found.selector.startswith("agents.") else parameters


def _parameters(found: gin_config.Configurable) -> list[inspect.Parameter]:
    """The parameters, also of base classes whose constructors get the `**kwargs`."""
    if not inspect.isclass(found.wrapped):
        return list(inspect.signature(found.wrapped).parameters.values())
    parameters = []
    for base in found.wrapped.__mro__:
        if "__init__" in vars(base):
            _, *own = inspect.signature(base.__init__).parameters.values()
            passes_on = any(p.kind is p.VAR_KEYWORD for p in own) and base is not object
            parameters += [p for p in own if not (passes_on and p.kind is p.VAR_KEYWORD)]
            if not passes_on:
                break
    return parameters


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
    """Checks bound values at once, so that none fails hours later; what is made, only then."""
    for key, value in _bound():
        construction = _construction(gin_config._REGISTRY[key[1]])
        if hasattr(construction, "checks_arguments"):
            hint = arguments.hints(construction).get(key[2])
            if _is_reference(value) and (value.evaluate or arguments.takes_callables(hint)):
                continue
            try:
                arguments.check(_binding_name(key), value, hint)
            except UserError as error:
                raise UserError(f"{_origins[key]}{error}") from None


def bindings() -> dict[str, str]:
    """All bindings in force, by name: {"AtariEnvironment.game": "'pong'"}, macros resolved."""
    return dict(sorted((_binding_name(key), repr(value)) for key, value in _bound()))


def argument(of: Callable, name: str) -> Any:
    """What is bound to an argument of a configurable, a literal; its default where nothing is."""
    bound = bindings().get(f"{of.__name__}.{name}")
    if bound is None:
        return inspect.signature(of).parameters[name].default
    return ast.literal_eval(bound)


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """One line per binding that differs between a run's `bindings()` and the present ones."""
    return [
        f"{name}: {old.get(name, 'not set')} in the run, {new.get(name, 'not set')} now"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def check_own() -> None:
    """For a configuration of unknown origin: refuses what is not this package's own.

    gin evaluates nothing, but `@name` makes whatever is registered under a name be called later,
    and other libraries register functions that read and write files.

    Raises:
      UserError: a binding of something else, or a reference to it.
    """
    for key, value in _bound():
        named = [key[1], *(found.selector for found in _referenced(value))]
        foreign = [selector for selector in named if not selector.startswith("agents.")]
        if foreign:
            raise UserError(
                f"{_origins[key]}{_binding_name(key)} names {foreign[0]}, which is not of this "
                "package: a configuration from elsewhere may not"
            )


def _referenced(value: Any) -> Iterator[gin_config.Configurable]:
    """What the references within a value stand for."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        for item in value:
            yield from _referenced(item)
    elif _is_reference(value):
        yield value.configurable


def check_used() -> None:
    """Call once everything is constructed, and has been called that takes its arguments from gin.

    Bindings of shipped files are exempt: these files compose, and one may replace what another set.

    Raises:
      UserError: nothing took a binding of the command line or of a user's file.
    """
    used = set(_used())
    unused = [
        _binding_name(key) + (f" ({str(at)[:-2]})" if at.files else "") + _closest_used(key)
        for key, at in _origins.items()
        if key not in used and not at.is_composed
    ]
    if unused:
        raise UserError(f"nothing in this run uses {', '.join(unused)}: remove it or correct it")


def _closest_used(unused: _Key) -> str:
    """The full names of what takes a value in this run under the same last part, or a like one."""
    by_last_part: dict[str, set[str]] = {}
    for (scope, selector), values in gin_config._OPERATIVE_CONFIG.items():
        is_macro = selector == "gin.macro"
        if is_macro or selector.startswith("agents."):
            for argument in values:
                name = _binding_name((scope if is_macro else "", selector, argument))
                by_last_part.setdefault(_last_part(name), set()).add(name)
    wrong = _binding_name(unused)
    last = _last_part(wrong)
    close = [last] if last in by_last_part else difflib.get_close_matches(last, by_last_part)
    names = [name for part in close for name in sorted(by_last_part[part] - {wrong})]
    return f" (did you mean {', '.join(names)}?)" if names else ""


def _last_part(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _used() -> Iterator[_Key]:
    """The bindings that gin handed out; in a nested scope the innermost binding wins."""
    for (scope, selector), values in gin_config._OPERATIVE_CONFIG.items():
        scopes = scope.split("/") if scope else []
        enclosing = ["/".join(scopes[:depth]) for depth in range(len(scopes), -1, -1)]
        for argument in values:
            keys = [(outer, selector, argument) for outer in enclosing]
            yield from [key for key in keys if key in _origins][:1]


def _bound() -> Iterator[tuple[_Key, Any]]:
    for (scope, selector), values in gin_config._CONFIG.items():
        for argument, value in values.items():
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
        raise UserError(f"{_origins[key]}%{name}, for {_binding_name(key)}, {problem}: {remedy}")
    return _resolved(gin_config._CONFIG[name, "gin.macro"]["value"], key, (*within, name))


def _is_reference(value: Any) -> bool:
    return isinstance(value, gin_config.ConfigurableReference)


def _binding_name(key: _Key) -> str:
    scope, selector, argument = key
    if selector == "gin.macro":
        return scope
    return f"{scope}/" * bool(scope) + f"{_name(gin_config._REGISTRY[selector])}.{argument}"
