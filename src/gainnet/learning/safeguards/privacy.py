"""Differential privacy: clipped sums with noise, over clients or over rows of a client's text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.core.files import write_json
from gainnet.core.outside import read_json, reading
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Arrived, Merged, State, load_values, names_of, update_of, with_update
from gainnet.learning.clients import Client, LocalTraining, fixed_number
from gainnet.learning.safeguards.accounting import check_noise
from gainnet.learning.safeguards.noise import Entropy, Noise
from gainnet.learning.safeguards.releases import Releases
from gainnet.learning.safeguards.rows import Apart
from gainnet.network import EDGE


def clip(update: Tensor, norm: float) -> Tensor:
    """An update of [num_values], scaled down to a norm where it is longer; a hair below, so that rounding keeps it.

    >>> round(float(clip(torch.tensor([3.0, 4.0]), 1.0).norm()), 5)
    1.0
    """
    length = float(update.norm())
    # What is not finite has no direction, and would take the whole sum with it.
    if not math.isfinite(length):
        return torch.zeros_like(update)
    # A zero update has none either, and nothing to clip.
    return update * min(1.0, norm * (1 - 1e-6) / length) if length > 0 else update


@final
@dataclass(frozen=True)
class NoisyMean:
    r"""The mean of clipped updates with noise, let out once: $(\sum_i u_i + z C \mathcal N(0, 1)) / n$.

    $n$ is the expected number of clients, whoever took part, and a round without anybody lets noise out as well:
    silence would be a message.

    Args:
        clip_norm: $C > 0$, largest norm of an update.
        noise_multiplier: $z \ge 0$.
        num_clients: $n > 0$, of a round, as expected.
        noise: where it is drawn.
        releases: keeps what was let out.

    Raises:
        ConfigError: a number is out of range.

    >>> from gainnet.learning.safeguards.noise import Seeded
    >>> quiet = NoisyMean(clip_norm=1.0, noise_multiplier=0.0, num_clients=4.0, noise=Seeded())
    >>> total = sum(clip(update, 1.0) for update in torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    >>> quiet.moved({"w": torch.zeros(2)}, total, Random.of(1))["w"]
    tensor([0.2250, 0.3000])
    """

    clip_norm: float
    noise_multiplier: float
    num_clients: float
    noise: Noise = field(default_factory=Entropy)
    releases: Releases = field(default_factory=Releases)

    def __post_init__(self) -> None:
        check_noise(self.noise_multiplier, 1.0, 0, 0.5)
        check_range(0.0 < self.clip_norm < math.inf, "clip_norm", self.clip_norm, "positive, for example 1")
        check_range(0.0 < self.num_clients < math.inf, "num_clients", self.num_clients, "positive, as expected")

    def moved(self, start: State, total: Tensor, random: Random) -> State:
        """The state that the noisy mean of a sum of [num_values] makes of the start of a round."""
        std = self.noise_multiplier * self.clip_norm

        def draw() -> State:
            # In double precision: rounding to the type of the state comes after the noise, and reveals nothing.
            noisy = self.noise.noised({"privacy": total.double()}, std, random, torch.float64)["privacy"]
            return with_update(start, noisy / self.num_clients)

        return self.releases.once(EDGE, start, draw)


@final
@dataclass(frozen=True)
class PoissonChoice:
    """Every client by itself with the probability of the share, as the accountant counts it; perhaps nobody.

    Who was drawn is kept until the round is over: one that runs again after a kill has to ask the same clients.

    Args:
        noise: where it is drawn.
        path: of the file; nothing is kept when `None`.
    """

    noise: Noise = field(default_factory=Entropy)
    path: Path | None = None

    def __call__(self, clients: Sequence[Client], share: float, random: Random) -> tuple[Client, ...]:
        """As `Choice`."""
        order, place = fixed_number(clients, 1.0, random), [*random.random_seeds, *random.path]
        known = self._kept(place)
        if known is None:
            names = sorted(client.name for client in clients)
            taken = self.noise.sample(len(names), share, random.child("participants"))
            known = [name for name, drawn in zip(names, taken.tolist(), strict=True) if drawn]
            if self.path is not None:
                write_json(self.path, {"round": place, "clients": known})
        return tuple(client for client in order if client.name in known)

    def _kept(self, place: list[str | int]) -> list[str] | None:
        if self.path is None or not self.path.is_file():
            return None
        with reading(f"out: {self.path}"):
            found = read_json(self.path.read_bytes(), f"out: {self.path}")
            return [str(name) for name in found["clients"]] if found["round"] == place else None


@final
@dataclass(frozen=True)
class PrivateMean:
    """The noisy mean of clipped updates as a rule: what a client's text adds to the model stays hidden.

    devices ==updates==> edge: clip each, add, noise, divide by the expected number of clients

    (McMahan et al. 2018) The edge is trusted: it sees the updates, and whoever sees its models learns no more than the
    guarantee says. Every client counts once, and all trained tensors of an update are clipped as one vector.

    Args:
        mean: how large, how noisy, over how many.
    """

    mean: NoisyMean

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        total = torch.zeros(sum(x.numel() for x in start.values()), dtype=torch.float64)
        for _, values in arrived:
            total += clip(update_of(start, values), self.mean.clip_norm)
        return Merged(self.mean.moved(start, total, random), names_of(arrived))


@final
@dataclass(frozen=True)
class PrivateSteps:
    r"""Steps on clipped gradients of single rows with Gaussian noise: what a row adds to the model stays hidden.

    $\bar g = (\sum_{i \in B} g_i \min(1, C / \lVert g_i \rVert) + z C \mathcal N(0, 1)) / (q n)$, where every
    row is in $B$ with probability $q$ (Abadi et al. 2016, algorithm 1)

    A client adds the noise itself: nobody else, the edge included, sees a gradient without it. Clients hold different
    rows, so that the guarantee of one is that of all. It is for adapters and soft prompts: the gradients of single rows
    are held side by side. How many rows a client has is taken as known.

    Args:
        clip_norm: $C > 0$, largest norm of a row's gradient.
        noise_multiplier: $z \ge 0$.
        sample_rate: $q$ in (0, 1].
        noise: where noise and samples are drawn.
        releases: keeps what a client sends.

    Raises:
        ConfigError: a number is out of range.
    """

    clip_norm: float
    noise_multiplier: float
    sample_rate: float
    noise: Noise = field(default_factory=Entropy)
    releases: Releases = field(default_factory=Releases)

    def __post_init__(self) -> None:
        check_noise(self.noise_multiplier, self.sample_rate, 0, 0.5)
        check_range(0.0 < self.clip_norm < math.inf, "clip_norm", self.clip_norm, "positive, for example 0.1")

    def __call__(self, model: Any, training: LocalTraining, client: Client, num_steps: int, random: Random) -> None:
        """As `Steps`; the batch size of `training` is not used, since samples have no fixed size."""
        apart = Apart.of(model)
        trained = apart.trained

        def draw() -> State:
            optimizer = training.start(trained.values())
            for step in range(num_steps):
                draws = random.child("privacy", client.name, step)
                # Poisson sampling, each row by itself: the bound of the accountant is for this draw, not for a fixed
                # size, and it holds against those alone who cannot draw the sample again.
                taken = self.noise.sample(len(client.rows), self.sample_rate, draws)
                rows = client.taken(taken, draws.child("fresh"))
                slopes = self.noisy_gradient(apart, rows, len(client.rows), draws)
                for name, p in trained.items():
                    p.grad = slopes[name]
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            return {name: p.detach() for name, p in trained.items()}

        start = {name: p.detach() for name, p in trained.items()}
        load_values(model, self.releases.once(NodeId(client.name), start, draw))

    def noisy_gradient(self, apart: Apart, rows: Tensor, num_rows: int, random: Random) -> dict[str, Tensor]:
        """The noisy mean gradient of a sample, by name.

        Args:
            apart: the model.
            rows: [size of the sample, length], tokens; may be empty.
            num_rows: that the client has.
            random: draws the noise, where it repeats.
        """
        sums, std = apart.clipped_sum(rows, self.clip_norm), self.noise_multiplier * self.clip_norm
        noisy = self.noise.noised(sums, std, random.child("noise"), next(iter(apart.trained.values())).dtype)
        # Over the expected size of a sample: the true one depends on who is in it, and must not show.
        expected = self.sample_rate * num_rows
        return {name: (x / expected).to(apart.trained[name].dtype) for name, x in noisy.items()}
