"""The accountant: what may be said of anybody's text after all releases, to whom, and the noise that makes it so."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, final

from gainnet.core.errors import ConfigError, check_name, check_range, import_extra

Level = Literal["client", "example"]
"""Whose text is hidden: all that a client has, or one row of it."""

Accountant = Literal["prv", "rdp"]
ACCOUNTANTS: tuple[Accountant, ...] = ("prv", "rdp")
"""Numerical composition of the privacy loss, or Rényi divergences, which are up to a sixth above it."""

EPSILON_ERROR = 1e-3
LARGE_ORDERS = (80, 128, 256, 512, 1024)
"""Orders of Rényi divergence beyond those that Opacus tries, for small epsilon."""
_LARGEST_PRV = 60.0
"""Above this no promise is worth its composition on a grid, whose size grows with it."""


@final
@dataclass(frozen=True)
class Guarantee:
    r"""Guarantee of differential privacy after all releases, against two readers.

    $P[M(D) \in S] \le e^\varepsilon P[M(D') \in S] + \delta$ for every set $S$ and all $D, D'$ where one client or one
    row adds nothing to $D'$ (Dwork and Roth 2014, definition 2.4; zero-out neighbours, Kairouz et al. 2021). Who is
    enrolled and how many rows each client has is known to all.

    Args:
        level: whose text is hidden.
        epsilon: $\varepsilon$, the larger of the two below.
        delta: $\delta$.
        num_clients: clients in a release, as expected.
        num_releases: how often a noisy sum over the same text was let out.
        noise_multiplier: standard deviation of the noise over the clipping norm.
        sample_rate: probability that the client or row is in one release.
        clip_norm: largest norm of what one client or row adds to a sum.
        accountant: which bound is given.
        epsilon_model: against who sees all models and no more, so that samples hide who was in them.
        epsilon_folder: against who also reads the record and `run.json`: what these name is not hidden by a sample.
        private: whether the noise is secret; `False` where it repeats, which tests and simulations need.
    """

    level: Level
    epsilon: float
    delta: float
    num_clients: float
    num_releases: int
    noise_multiplier: float
    sample_rate: float
    clip_norm: float
    accountant: Accountant = "prv"
    epsilon_model: float = math.inf
    epsilon_folder: float = math.inf
    private: bool = True

    def after(self, num_releases: int) -> Guarantee:
        """The same noise, let out so often."""
        seen = spent_epsilon(self.noise_multiplier, self.sample_rate, num_releases, self.delta, self.accountant)
        rate_seen = folder_rate(self.level, self.sample_rate)
        read = spent_epsilon(self.noise_multiplier, rate_seen, num_releases, self.delta, self.accountant)
        return replace(
            self, epsilon=max(seen, read), epsilon_model=seen, epsilon_folder=read, num_releases=num_releases
        )


def folder_rate(level: Level, sample_rate: float) -> float:
    """Sampling probability that the folder of a run leaves: the record names clients, and no file names rows.

    >>> folder_rate("client", 0.1), folder_rate("example", 0.1)
    (1.0, 0.1)
    """
    return 1.0 if level == "client" else sample_rate


def require_opacus() -> Any:
    """The accountants of Opacus; raises `MissingExtraError` when it is not installed."""
    return import_extra("opacus.accountants", "opacus", "privacy")


@lru_cache(maxsize=256)
def spent_epsilon(
    noise_multiplier: float, sample_rate: float, num_releases: int, delta: float, accountant: Accountant = "prv"
) -> float:
    r"""$\varepsilon$ of Gaussian noise on sums over a Poisson sample, released again and again; `inf` without noise.

    `prv`: numerical composition (Gopi, Lee and Wutschitz 2021), an upper bound at most $2 \cdot 10^{-3}$ above the
    truth. `rdp`: Rényi differential privacy (Mironov, Talwar and Zhang 2019) with the conversion of Balle et al. (2020,
    theorem 21), up to 16 % above it. Both as in Opacus; beyond 60, `prv` gives what `rdp` gives.

    Args:
        noise_multiplier: standard deviation of the noise over the clipping norm, >= 0.
        sample_rate: probability that one is in a sample, in (0, 1].
        num_releases: how many, >= 0.
        delta: in (0, 1).
        accountant: which bound.

    Raises:
        ConfigError: a number is out of range.
        MissingExtraError: Opacus is not installed.

    >>> round(spent_epsilon(1.0, 1.0, 1, 1e-5), 2), round(spent_epsilon(1.0, 1.0, 1, 1e-5, "rdp"), 2)
    (4.38, 4.73)
    """
    check_noise(noise_multiplier, sample_rate, num_releases, delta)
    check_name("accountant", accountant, ACCOUNTANTS)
    if num_releases == 0:
        return 0.0
    if noise_multiplier == 0.0:
        return math.inf
    known, history = require_opacus(), [(noise_multiplier, sample_rate, num_releases)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the")  # beyond these orders little is gained
        # Without sampling Opacus takes the logarithm of a probability of zero, as it should, and NumPy says so.
        warnings.filterwarnings("ignore", message="divide by zero", category=RuntimeWarning)
        renyi = known.RDPAccountant()
        # Set at once, since stepping the accountant one release at a time gives the same sum more slowly.
        renyi.history = history
        bound = max(0.0, float(renyi.get_epsilon(delta, alphas=[*renyi.DEFAULT_ALPHAS, *LARGE_ORDERS])))
        if accountant == "rdp" or bound > _LARGEST_PRV:
            return bound
        numerical = known.PRVAccountant()
        numerical.history = history
        # Both are upper bounds, so the smaller one holds: for tiny epsilon the error of the grid is the larger part.
        return min(bound, float(numerical.get_epsilon(delta, eps_error=EPSILON_ERROR)))


@lru_cache(maxsize=64)
def noise_for(
    epsilon: float, delta: float, sample_rate: float, num_releases: int, accountant: Accountant = "prv"
) -> float:
    """The smallest noise multiplier, to one in a thousand, whose spent epsilon is at most this one.

    Args:
        epsilon: > 0.
        delta: in (0, 1).
        sample_rate: see `spent_epsilon`.
        num_releases: >= 1.
        accountant: which bound.

    Raises:
        ConfigError: a number is out of range, or no noise below 10,000 is enough.
        MissingExtraError: Opacus is not installed.

    >>> round(noise_for(4.73, 1e-5, 1.0, 1, "rdp"), 1)
    1.0
    """
    check_range(epsilon > 0.0, "epsilon", epsilon, "positive, for example 8")

    def spent(noise_multiplier: float) -> float:
        return spent_epsilon(noise_multiplier, sample_rate, num_releases, delta, accountant)

    # Epsilon falls with the noise: double until it is low enough, then close in.
    low, high = 0.0, 0.5
    while spent(high) > epsilon:
        low, high = high, 2 * high
        if high > 1e4:
            raise ConfigError(f"epsilon: {epsilon} over {num_releases} releases takes too much noise; give more")
    if accountant == "prv":
        return _interpolated(spent, epsilon, max(low, 0.05), high)
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if spent(middle) <= epsilon else (middle, high)
    return high


def _interpolated(spent: Callable[[float], float], epsilon: float, low: float, high: float) -> float:
    """Noise between two bounds, the upper of which is enough, by interpolation in logarithms: few evaluations."""
    below, above = spent(low), spent(high)
    if below <= epsilon:
        return low
    while high - low > 1e-3 * high:
        share = math.log(below / epsilon) / math.log(below / above)
        guess = low * (high / low) ** share
        # From the wider side by a little, so that the other end of the bracket closes in, too.
        guess = min(max(guess * (1.0004 if high > guess * 1.001 else 0.9996), low * 1.0002), high * 0.9998)
        found = spent(guess)
        low, below, high, above = (guess, found, high, above) if found > epsilon else (low, below, guess, found)
    return high


def check_noise(noise_multiplier: float, sample_rate: float, num_releases: int, delta: float) -> None:
    """Raises `ConfigError` where a number of `spent_epsilon` is out of range."""
    check_range(0.0 <= noise_multiplier < math.inf, "noise_multiplier", noise_multiplier, "0 or more, for example 1")
    check_range(0.0 < sample_rate <= 1.0, "sample_rate", sample_rate, "in (0, 1], the share of rows per step")
    check_range(num_releases >= 0, "rounds", num_releases, "0 or more")
    check_range(0.0 < delta < 1.0, "delta", delta, "in (0, 1), for example 1e-5")
