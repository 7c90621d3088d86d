"""In: a file that says what to search. Out: Optuna's distributions, and the bindings of a trial.

The file looks like gin, and like gin it holds literals that are never evaluated as code:

    adam.learning_rate = {'low': 1e-5, 'high': 1e-3, 'log': True}
    DQN.n_step = {'low': 1, 'high': 5}                # both ends are whole numbers, so all are
    adam.epsilon = {'choices': [1e-8, 1.5e-4]}
    q_network.encoder = {'choices': [@nature_encoder, @impala_encoder]}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from agents import configuration
from agents.errors import UserError

Space = Mapping[str, BaseDistribution]


def load(name: str, gin_files: Sequence[str], bindings: Sequence[str]) -> Space:
    """Reads the space and tries each end and each choice on the configuration it belongs to.

    Args:
      name: a path, or the name of a shipped file.
      gin_files: as for `configuration.load`.
      bindings: as for `configuration.load`. They and the files are in force afterwards.

    Raises:
      UserError: a line that cannot be read, or a value that the configuration does not take.
    """
    space = {}
    for binding, value, place in configuration.read(name):
        try:
            space[binding] = _distribution(value)
            for extreme in _extremes(space[binding]):
                configuration.load(gin_files, [*bindings, *trial_bindings({binding: extreme})])
        except (UserError, ValueError) as e:
            raise UserError(f"{place}{binding}: {e}") from e
    if not space:
        raise UserError(f"the search space {name} is empty: give it a line for each binding")
    configuration.load(gin_files, bindings)
    return space


def trial_bindings(parameters: Mapping[str, Any]) -> list[str]:
    """Lines of gin that set what Optuna suggested; a choice is gin's own text already."""
    return [
        f"{name} = {value if isinstance(value, str) else repr(value)}"
        for name, value in parameters.items()
    ]


def _distribution(value: Any) -> BaseDistribution:
    match value:
        case {"choices": [_, *_] as choices, **rest} if not rest:
            return CategoricalDistribution([repr(choice) for choice in choices])
        case {"low": int() | float() as low, "high": int() | float() as high, **rest} if rest in (
            {},
            {"log": True},
            {"log": False},
        ):
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, **rest)
            return FloatDistribution(low, high, **rest)
    raise UserError(
        f"{value!r} is no range: write {{'low': 1e-5, 'high': 1e-3, 'log': True}} "
        "or {'choices': [1, 3]}"
    )


def _extremes(distribution: BaseDistribution) -> Sequence[Any]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices
        case IntDistribution(low=low, high=high) | FloatDistribution(low=low, high=high):
            return low, high
    raise AssertionError(distribution)
