"""Aggregates over games: evaluations of runs go in; rliable's statistics and plots come out.

Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice".
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.errors import UserError
from agents.reporting.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("statistic", "algorithm", "runs", "games", "value", "low", "high")
_RESAMPLES = 2_000
_PROFILE_SCORES = np.linspace(0, 2, 41)


class Estimate(NamedTuple):
    """A statistic with its 95% interval, by a bootstrap over runs stratified by game."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Aggregates(NamedTuple):
    """What rliable says of algorithms; scores are human-normalized."""

    shapes: dict[str, tuple[int, int]]  # runs and games by algorithm
    statistics: dict[str, dict[str, Estimate]]  # scalars by name and algorithm
    profiles: dict[str, Estimate]  # [41] by algorithm: the runs above each of _PROFILE_SCORES
    improvements: dict[str, Estimate]  # scalars by "A > B": how probable it is on a random game


def matrices(lines: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Human-normalized means by algorithm, float64 [runs, games], from lines of `evaluate.jsonl`.

    Raises:
      UserError: protocols differ, a game has no human score, or the runs fill no matrix.
    """
    protocol = ("rules", "epsilon")
    if any(line[name] != lines[0][name] for line in lines for name in protocol):
        raise UserError("the runs were evaluated in different protocols: evaluate them alike")
    if unknown := {line["game"] for line in lines if "human_normalized" not in line}:
        raise UserError(f"no human score is known for {', '.join(sorted(unknown))}: leave it out")
    games = sorted({line["game"] for line in lines})
    found = {}
    for algorithm in sorted({line["algorithm"] for line in lines}):
        own = [line for line in lines if line["algorithm"] == algorithm]
        columns = [[e["human_normalized"] for e in own if e["game"] == game] for game in games]
        counts = dict(zip(games, map(len, columns), strict=True))
        if len(set(counts.values())) > 1:
            raise UserError(f"{algorithm} needs equally many runs of every game, got {counts}")
        found[algorithm] = np.transpose(columns)
    return found


def aggregate(scores: Mapping[str, np.ndarray]) -> Aggregates:
    """Computes all; the same scores give the same intervals.

    Args:
      scores: of `matrices`.

    Raises:
      UserError: rliable is missing.
    """
    try:
        from rliable import library, metrics
    except ImportError as e:
        raise UserError("aggregates need rliable: pip install -e '.[plot]'") from e
    names = ("IQM", "median", "mean", "optimality gap")

    def statistics(matrix: np.ndarray) -> np.ndarray:
        return np.array(
            [
                metrics.aggregate_iqm(matrix),
                metrics.aggregate_median(matrix),
                metrics.aggregate_mean(matrix),
                metrics.aggregate_optimality_gap(matrix),
            ]
        )

    def above(matrix: np.ndarray) -> np.ndarray:
        return (matrix[..., None] > _PROFILE_SCORES).mean(axis=(0, 1))

    def estimates(of, function) -> dict[str, Estimate]:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # of arch, that rliable seeds the old way
            values, intervals = library.get_interval_estimates(
                of, function, reps=_RESAMPLES, random_state=np.random.RandomState(0)
            )
        return {name: Estimate(values[name], *intervals[name]) for name in values}

    every = estimates(scores, statistics)
    pairs = {f"{a} > {b}": (scores[a], scores[b]) for a in scores for b in scores if a != b}
    improvements = estimates(
        pairs, lambda a, b: np.array([metrics.probability_of_improvement(a, b)])
    )
    return Aggregates(
        shapes={name: (len(matrix), len(matrix[0])) for name, matrix in scores.items()},
        statistics={
            name: {a: Estimate(*(bound[i] for bound in e)) for a, e in every.items()}
            for i, name in enumerate(names)
        },
        profiles=estimates(scores, above),
        improvements={
            pair: Estimate(*(bound[0] for bound in e)) for pair, e in improvements.items()
        },
    )


def numbers(aggregates: Aggregates) -> list[list[str]]:
    """The scalars as rows of `COLUMNS`."""
    scalars = [
        (name, algorithm, aggregates.shapes[algorithm], estimate)
        for name, estimates in aggregates.statistics.items()
        for algorithm, estimate in estimates.items()
    ]
    scalars += [
        ("probability of improvement", pair, aggregates.shapes[pair.split(" > ")[0]], estimate)
        for pair, estimate in aggregates.improvements.items()
    ]
    return [
        [name, algorithm, *map(str, shape), *(f"{number:.3f}" for number in estimate)]
        for name, algorithm, shape, estimate in scalars
    ]


def plot(aggregates: Aggregates) -> "Figure":
    """IQM and its like, the performance profile, and the probability of improvement."""
    figure, axes = new_figure(3 if aggregates.improvements else 2)
    labels, estimates = [], []
    for name, by_algorithm in aggregates.statistics.items():
        labels += [f"{name}, {algorithm}" for algorithm in by_algorithm]
        estimates += by_algorithm.values()
    _draw_estimates(axes[0], labels, estimates)
    axes[0].set(title="human-normalized scores, 95% intervals")
    for algorithm, profile in aggregates.profiles.items():
        (drawn,) = axes[1].plot(_PROFILE_SCORES, profile.value, label=algorithm)
        axes[1].fill_between(
            _PROFILE_SCORES, profile.low, profile.high, color=drawn.get_color(), alpha=0.2
        )
    axes[1].set(title="performance profile", xlabel="score", ylabel="share of runs above it")
    axes[1].legend(fontsize="small")
    if aggregates.improvements:
        _draw_estimates(axes[2], list(aggregates.improvements), aggregates.improvements.values())
        axes[2].axvline(0.5, color="grey", linestyle=":")
        axes[2].set(title="probability of improvement", xlim=(0, 1))
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure


def _draw_estimates(axis: "Axes", labels: Sequence[str], estimates) -> None:
    for at, estimate in enumerate(estimates):
        axis.plot([estimate.low, estimate.high], [at, at], linewidth=4, alpha=0.5)
        axis.plot(estimate.value, at, "k|", markersize=12)
    axis.set_yticks(range(len(labels)), labels)
    axis.invert_yaxis()
