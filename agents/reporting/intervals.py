"""Intervals: scores go in; robust means and 95% bootstrap intervals come out.

What rliable (Agarwal et al. 2021) recommends, for a single game.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats

_RESAMPLES = 10_000


def interquartile_mean(scores: np.ndarray, axis: int = -1) -> Any:
    """The mean of the middle half."""
    return scipy.stats.trim_mean(scores, 0.25, axis=axis)


def interval(
    scores: np.ndarray, statistic: Callable[..., Any] = np.mean
) -> tuple[float, float] | None:
    """The 95% percentile bootstrap interval of a statistic; None for less than two scores."""
    if len(scores) < 2:
        return None
    resampled = scipy.stats.bootstrap(
        (scores,),
        statistic,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = resampled.confidence_interval
    return float(low), float(high)
