"""Differential privacy: what may be said of anybody's text after all rounds, and the noise that makes it so."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from gainnet.core.errors import ConfigError, check_range, import_extra
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import Arrived, Merged, State, names_of, update_of, with_update
from gainnet.learning.clients import Client, LocalTraining
from gainnet.models.language import inputs_of, loss_of, task_of

Level = Literal["client", "example"]
"""Whose presence is hidden: a client with all its text, or one row of a client's text."""

LARGE_ORDERS = (80, 128, 256, 512, 1024)
"""Orders of Rényi divergence beyond those that Opacus tries, for small epsilon."""


@final
@dataclass(frozen=True)
class Guarantee:
    r"""Guarantee of differential privacy after all rounds.

    $P[M(D) \in S] \le e^\varepsilon P[M(D') \in S] + \delta$ for every set $S$ and all $D, D'$ that differ in one
    client or in one row (Dwork and Roth 2014, definition 2.4).

    Args:
        level: whose presence is hidden.
        epsilon: $\varepsilon$, what the accountant finds.
        delta: $\delta$.
        num_clients: how many clients there are.
        num_releases: how often a noisy sum over the same text was let out.
        noise_multiplier: standard deviation of the noise over the clipping norm.
        sample_rate: probability that the client or row is in one release.
        clip_norm: largest norm of what one client or row adds to a sum.
        accountant: which bound is given.
    """

    level: Level
    epsilon: float
    delta: float
    num_clients: int
    num_releases: int
    noise_multiplier: float
    sample_rate: float
    clip_norm: float
    accountant: str = "rdp"


def require_opacus() -> Any:
    """The accountants of Opacus; raises `MissingExtraError` when it is not installed."""
    return import_extra("opacus.accountants", "opacus", "privacy")


def spent_epsilon(noise_multiplier: float, sample_rate: float, num_releases: int, delta: float) -> float:
    r"""$\varepsilon$ of Gaussian noise on sums over a Poisson sample, released again and again; `inf` without noise.

    By Rényi differential privacy of the sampled Gaussian mechanism (Mironov, Talwar and Zhang 2019), with the
    conversion of Balle et al. (2020, theorem 21), as in Opacus: an upper bound, some per cent above the truth.

    Args:
        noise_multiplier: standard deviation of the noise over the clipping norm, >= 0.
        sample_rate: probability that one is in a sample, in (0, 1].
        num_releases: how many, >= 0.
        delta: in (0, 1).

    Raises:
        ConfigError: a number is out of range.
        MissingExtraError: Opacus is not installed.

    >>> round(spent_epsilon(1.0, 1.0, 1, 1e-5), 2)
    4.73
    """
    _check(noise_multiplier, sample_rate, num_releases, delta)
    if num_releases == 0:
        return 0.0
    if noise_multiplier == 0.0:
        return math.inf
    accountant = require_opacus().RDPAccountant()
    # Set at once, since stepping the accountant one release at a time gives the same sum more slowly.
    accountant.history = [(noise_multiplier, sample_rate, num_releases)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the")  # beyond these orders little is gained
        return max(0.0, float(accountant.get_epsilon(delta, alphas=[*accountant.DEFAULT_ALPHAS, *LARGE_ORDERS])))


@lru_cache(maxsize=64)
def noise_for(epsilon: float, delta: float, sample_rate: float, num_releases: int) -> float:
    """The smallest noise multiplier, to one in a thousand, whose spent epsilon is at most this one.

    Args:
        epsilon: > 0.
        delta: in (0, 1).
        sample_rate: see `spent_epsilon`.
        num_releases: >= 1.

    Raises:
        ConfigError: a number is out of range, or no noise below 10,000 is enough.
        MissingExtraError: Opacus is not installed.

    >>> round(noise_for(4.73, 1e-5, 1.0, 1), 1)
    1.0
    """
    check_range(epsilon > 0.0, "epsilon", epsilon, "positive, for example 8")
    # Epsilon falls with the noise: double until it is low enough, then bisect.
    low, high = 0.0, 0.5
    while spent_epsilon(high, sample_rate, num_releases, delta) > epsilon:
        low, high = high, 2 * high
        if high > 1e4:
            raise ConfigError(f"epsilon: {epsilon} over {num_releases} releases takes too much noise; give more")
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        enough = spent_epsilon(middle, sample_rate, num_releases, delta) <= epsilon
        low, high = (low, middle) if enough else (middle, high)
    return high


def clip(update: Tensor, norm: float) -> Tensor:
    """An update of [num_values], scaled down to a norm where it is longer; a hair below, so that rounding keeps it.

    >>> round(float(clip(torch.tensor([3.0, 4.0]), 1.0).norm()), 5)
    1.0
    """
    # A zero update has no direction to keep, and nothing to clip.
    length = float(update.norm())
    return update * min(1.0, norm * (1 - 1e-6) / length) if length > 0 else update


def noisy_mean(total: Tensor, clip_norm: float, noise_multiplier: float, num_clients: int, random: Random) -> Tensor:
    r"""[num_values] float64, $(\sum_i u_i + z C \mathcal N(0, 1)) / n$ with $n$ known beforehand, whoever took part.

    Args:
        total: sum of clipped updates.
        clip_norm: $C$.
        noise_multiplier: $z$.
        num_clients: $n$.
        random: draws the noise.
    """
    # In double precision: rounding to the type of the state comes after the noise, as processing that reveals nothing.
    noise = torch.from_numpy(random.generators("privacy")[0].standard_normal(total.shape))
    return (total.double() + noise_multiplier * clip_norm * noise) / num_clients


@final
@dataclass(frozen=True)
class PrivateMean:
    """The mean of clipped updates with Gaussian noise on their sum: whether a client takes part stays hidden.

    devices ==updates==> edge: clip each, add, noise, divide by the number of clients

    (McMahan et al. 2018) The edge is trusted: it sees the updates, and whoever sees its models learns no more than the
    guarantee says. Every client counts once, and a round in which nobody arrives lets noise out as well. Who knows the
    random seed of a run can take the noise off again; draw it from the system where the run is more than a simulation.

    Args:
        clip_norm: largest norm of an update, > 0.
        noise_multiplier: standard deviation of the noise over that, >= 0.
        num_clients: clients per round, known to all.

    Raises:
        ConfigError: a number is out of range.
    """

    clip_norm: float
    noise_multiplier: float
    num_clients: int

    def __post_init__(self) -> None:
        _check(self.noise_multiplier, 1.0, 0, 0.5)
        check_range(0.0 < self.clip_norm < math.inf, "clip_norm", self.clip_norm, "positive, for example 1")
        check_range(self.num_clients >= 1, "num_clients", self.num_clients, "1 or more")

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        # Zeros, so that a round without anybody releases noise as any other round does: silence would be a message.
        total = torch.zeros(sum(x.numel() for x in start.values()), dtype=torch.float64)
        for _, values in arrived:
            total += clip(update_of(start, values), self.clip_norm)
        mean = noisy_mean(total, self.clip_norm, self.noise_multiplier, self.num_clients, random)
        return Merged(with_update(start, mean), names_of(arrived))

    def guarantee(self, num_rounds: int, delta: float) -> Guarantee:
        """The guarantee after so many rounds in which all clients take part."""
        spent = spent_epsilon(self.noise_multiplier, 1.0, num_rounds, delta)
        return Guarantee(
            "client", spent, delta, self.num_clients, num_rounds, self.noise_multiplier, 1.0, self.clip_norm
        )


@final
@dataclass(frozen=True)
class PrivateSteps:
    r"""Steps on clipped gradients of single rows with Gaussian noise: whether a row is in the text stays hidden.

    $\bar g = (\sum_{i \in B} g_i \min(1, C / \lVert g_i \rVert) + z C \mathcal N(0, 1)) / (q n)$, where every
    row is in $B$ with probability $q$ (Abadi et al. 2016, algorithm 1)

    A client adds the noise itself: nobody else, the edge included, sees a gradient without it. Clients hold different
    rows, so that the guarantee of one is that of all. It is for adapters and soft prompts: the gradients of single rows
    are held side by side. How many rows a client has is taken as known.

    Args:
        clip_norm: $C > 0$, largest norm of a row's gradient.
        noise_multiplier: $z \ge 0$.
        sample_rate: $q$ in (0, 1].

    Raises:
        ConfigError: a number is out of range.
    """

    clip_norm: float
    noise_multiplier: float
    sample_rate: float

    def __post_init__(self) -> None:
        _check(self.noise_multiplier, self.sample_rate, 0, 0.5)
        check_range(0.0 < self.clip_norm < math.inf, "clip_norm", self.clip_norm, "positive, for example 0.1")

    def __call__(self, model: Any, training: LocalTraining, client: Client, num_steps: int, random: Random) -> None:
        """As `Steps`; the batch size of `training` is not used, since samples have no fixed size."""
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        optimizer = training.start(trained.values())
        for step in range(num_steps):
            draws = random.child("privacy", client.name, step)
            # Poisson sampling, each row by itself: the bound of the accountant is for this draw, not for a fixed size.
            taken = torch.from_numpy(draws.generators("rows")[0].random(len(client.rows)) < self.sample_rate)
            slopes = self.noisy_gradient(model, client.rows[taken], len(client.rows), draws)
            for name, p in trained.items():
                p.grad = slopes[name]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def noisy_gradient(self, model: Any, rows: Tensor, num_rows: int, random: Random) -> dict[str, Tensor]:
        """The noisy mean gradient of a sample, by name.

        Args:
            model: whose parameters that are not locked are trained.
            rows: [size of the sample, length], tokens; may be empty.
            num_rows: that the client has.
            random: draws the noise.
        """
        shapes = {name: p for name, p in model.named_parameters() if p.requires_grad}
        sums = {name: torch.zeros_like(p) for name, p in shapes.items()}
        # Gradients of single rows are held side by side; 32 of them bound the memory.
        for some in rows.split(32) if len(rows) else ():
            slopes = row_gradients(model, some)
            # The norm over all trained tensors together: clipping each by itself would need noise for each.
            lengths = torch.stack([g.flatten(1).norm(dim=1) for g in slopes.values()]).norm(dim=0)
            shares = (self.clip_norm / lengths.clamp_min(1e-30)).clamp_max(1.0)
            for name, g in slopes.items():
                sums[name] += torch.einsum("i,i...->...", shares, g)
        # Over the expected size of a sample: the true one depends on who is in it, and must not show.
        std, expected = self.noise_multiplier * self.clip_norm, self.sample_rate * num_rows
        return {name: (x + std * random.normal(x.shape, "noise", name)) / expected for name, x in sums.items()}

    def guarantee(self, num_clients: int, num_steps: int, delta: float) -> Guarantee:
        """The guarantee of every row after so many steps of its client, over all rounds."""
        spent = spent_epsilon(self.noise_multiplier, self.sample_rate, num_steps, delta)
        return Guarantee(
            "example", spent, delta, num_clients, num_steps, self.noise_multiplier, self.sample_rate, self.clip_norm
        )


def row_gradients(model: Any, rows: Tensor) -> dict[str, Tensor]:
    """[num_rows, *shape] by name, the gradient of every row's own mean loss in the parameters that are not locked.

    Args:
        model: of transformers or PEFT.
        rows: [num_rows, length], tokens.
    """
    values = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def loss(given: dict[str, Tensor], row: Tensor) -> Tensor:
        tokens, labels = task_of(model, row[None])
        logits = functional_call(model, given, (), {**inputs_of(model, tokens, labels), "use_cache": False}).logits
        return loss_of(model, logits, labels)

    with sdpa_kernel(SDPBackend.MATH):  # the fast kernels cannot be mapped over rows
        found: dict[str, Tensor] = vmap(grad(loss), in_dims=(None, 0))(values, rows)
    return found


def _check(noise_multiplier: float, sample_rate: float, num_releases: int, delta: float) -> None:
    check_range(0.0 <= noise_multiplier < math.inf, "noise_multiplier", noise_multiplier, "0 or more, for example 1")
    check_range(0.0 < sample_rate <= 1.0, "sample_rate", sample_rate, "in (0, 1], the share of rows per step")
    check_range(num_releases >= 0, "rounds", num_releases, "0 or more")
    check_range(0.0 < delta < 1.0, "delta", delta, "in (0, 1), for example 1e-5")
