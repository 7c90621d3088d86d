"""In: a function with annotated arguments. Out: the same one, which checks what it is given.

Checked are int, float, str, bool, None, Literal, Callable and unions of these; any other annotation
passes. An int serves as a float; a bool serves as neither. A class, or a function that is annotated
to return one, serves as a Callable that returns it or a base of it.
"""

import contextlib
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from agents.errors import UserError

_WORDS = {int: "an int", float: "a float", str: "a str", bool: "a bool", type(None): "None"}


def checked(function: Callable, name: str) -> Callable:
    """Wraps `function` so that each call checks the arguments, which errors call `name.argument`.

    Raises (at the call):
      UserError: an argument has the wrong type, or one that would be checked has no value.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        given = signature.bind_partial(*args, **kwargs).arguments
        for argument, parameter in signature.parameters.items():
            hint = hints(function).get(argument)
            if argument in given:
                check(f"{name}.{argument}", given[argument], hint)
            elif _allowed(hint) and parameter.default is parameter.empty:
                raise UserError(f"{name}.{argument} has no value: bind it to {_allowed(hint)}")
        return function(*args, **kwargs)

    # Set for those that read a signature without following __wrapped__, as gin does.
    vars(wrapper).update(__signature__=signature, checks_arguments=True)
    return wrapper


@functools.cache
def hints(function: Callable) -> Mapping[str, Any]:
    """The annotations that can be resolved; a constructor inherited from elsewhere has others."""
    unwrapped = inspect.unwrap(function)
    resolved = {}
    for argument, annotation in unwrapped.__annotations__.items():
        one = types.SimpleNamespace(__annotations__={argument: annotation})
        with contextlib.suppress(NameError, AttributeError):
            resolved |= typing.get_type_hints(one, unwrapped.__globals__)
    return resolved


def check(name: str, value: Any, hint: Any) -> None:
    """Raises a UserError where `value`, which the error calls `name`, does not fit the hint."""
    if not _allowed(hint) or any(_fits(value, member) for member in _members(hint)):
        return
    is_whole = isinstance(value, float) and value.is_integer() and int in _members(hint)
    remedy = f": write {int(value)}" if is_whole else ""
    shown = f"@{value.__name__}" if callable(value) else repr(value)
    raise UserError(f"{name} must be {_allowed(hint)}, got {shown}{remedy}")


def takes_callables(hint: Any) -> bool:
    """Whether a hint, or a member of it, is a Callable."""
    return any(typing.get_origin(member) is Callable for member in _members(hint))


def _members(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _allowed(hint: Any) -> str:
    """What a hint allows, as "an int or None"; empty where it is not one to check."""
    words = []
    for member in _members(hint):
        if typing.get_origin(member) is typing.Literal:
            words += map(repr, typing.get_args(member))
        elif takes_callables(member):
            made = typing.get_args(member)[1]
            words.append(f"a reference, @name, to what makes a {getattr(made, '__name__', made)}")
        elif member in _WORDS:
            words.append(_WORDS[member])
        else:
            return ""
    return " or ".join(words)


def _fits(value: Any, member: Any) -> bool:
    if typing.get_origin(member) is typing.Literal:
        choices = typing.get_args(member)
        return any(value == choice and type(value) is type(choice) for choice in choices)
    if takes_callables(member):
        made = typing.get_args(member)[1]
        returned = value if inspect.isclass(value) else _returned(value)
        are_classes = inspect.isclass(returned) and inspect.isclass(made)
        return callable(value) and (not are_classes or issubclass(returned, made))
    if isinstance(value, bool):
        return member is bool
    return isinstance(value, {int: numbers.Integral, float: numbers.Real}.get(member, member))


def _returned(value: Any) -> Any:
    is_function = callable(value) and inspect.isfunction(inspect.unwrap(value))
    return hints(value).get("return") if is_function else None
