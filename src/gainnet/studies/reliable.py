"""Interquartile means with stratified bootstrap intervals, as rliable has them (Agarwal et al., NeurIPS 2021)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES = 2000


def interquartile_mean(scores: NDArray[np.float64]) -> float:
    """The mean of the middle half of all scores [...].

    >>> interquartile_mean(np.array([0.0, 1.0, 2.0, 100.0]))
    1.5
    """
    from scipy.stats import trim_mean

    return float(trim_mean(scores, 0.25, axis=None))


def stratified_interval(scores: NDArray[np.float64], random_seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the interquartile mean over resampled tasks and, in each task, resampled runs.

    With one run per task it is the interval over tasks alone.

    Args:
        scores: [num_runs, num_tasks].
        random_seed: of the resampling.

    >>> low, high = stratified_interval(np.arange(40.0).reshape(2, 20))
    >>> low < 19.5 < high
    True
    """
    from scipy.stats import trim_mean

    num_runs, num_tasks = scores.shape
    dice = np.random.default_rng(random_seed)
    task = dice.integers(num_tasks, size=(NUM_RESAMPLES, 1, num_tasks))
    # Strata are tasks: every task keeps its number of runs, so that no task counts more than another.
    run = dice.integers(num_runs, size=(NUM_RESAMPLES, num_runs, num_tasks))
    found = trim_mean(scores[run, task].reshape(NUM_RESAMPLES, -1), 0.25, axis=1)
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
