r"""Noise levels that a network was trained at, and the meaning of its predictions there.

A level is named by the power of the signal $p = \alpha^2 / (\alpha^2 + \sigma^2)$ in $\alpha z_0 + \sigma \epsilon$,
which no scaling of the latent changes: 1 without noise, 0 for noise alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import torch
from torch import Tensor

SMALLEST: float = 1e-12
"""Power that stands for none where one is divided by it."""


class Levels(Protocol):
    """How a network sees noise."""

    def nearest(self, power: Tensor) -> Tensor:
        """[n], the times that the network receives at the trained levels nearest to powers [n]."""

    def power(self, time: Tensor) -> Tensor:
        """[n] float64, powers of the signal at times [n]."""

    def amplitudes(self, power: Tensor) -> tuple[Tensor, Tensor]:
        r"""[n] float64 each, $\alpha$ and $\sigma$ of the network's input at powers [n] of the signal."""

    def read(self, noisy: Tensor, predicted: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
        """[n, c, h, w] each, the clean latents and the noise that predictions stand for.

        Args:
            noisy: [n, c, h, w], input of the network.
            predicted: [n, c, h, w], its output.
            power: [n], of the signal.
        """

    def target(self, clean: Tensor, noise: Tensor, power: Tensor) -> Tensor:
        """[n, c, h, w], the prediction that would be right for latents and noise [n, c, h, w] at powers [n]."""


def wide(x: Tensor, like: Tensor) -> Tensor:
    """[n, 1, 1, 1], numbers [n] that multiply a tensor [n, c, h, w]."""
    # On the processor first: a device may have no float64.
    return x.to(like.dtype).to(like.device).reshape(-1, *[1] * (like.dim() - 1))


def _plain(x: Tensor) -> Tensor:
    return x


@final
@dataclass(frozen=True, eq=False)
class Tabulated:
    r"""Levels of a table: $\alpha_t^2 + \sigma_t^2 = 1$ at whole times (Ho et al. 2020, eq. 4).

    The network predicts the noise, the velocity $\alpha \epsilon - \sigma z_0$ (Salimans and Ho 2022) or the clean
    latent itself.

    Args:
        powers: [num_times] float64, $\alpha_t^2$.
        kind: of the prediction, `epsilon`, `v_prediction` or `sample`.
        restrain: clean latents [n, c, h, w] as the sampler limits them, by clipping or by thresholds.
        is_implied: whether the noise follows from the limited latent, as in DPM++, or from the prediction, as in DDIM.
        boundary: factors of input and clean latent [n] at times [n], of a consistency model; none when `None`.
    """

    powers: Tensor = field(repr=False)
    kind: str = "epsilon"
    restrain: Callable[[Tensor], Tensor] = field(default=_plain, repr=False)
    is_implied: bool = False
    boundary: Callable[[Tensor], tuple[Tensor, Tensor]] | None = field(default=None, repr=False)

    def nearest(self, power: Tensor) -> Tensor:
        return (self.powers - power.double().cpu().reshape(-1, 1)).abs().argmin(1)

    def power(self, time: Tensor) -> Tensor:
        # Samplers with times between those of the training look up the nearest one.
        return self.powers[time.cpu().round().long().clamp(0, len(self.powers) - 1)].reshape(-1)

    def amplitudes(self, power: Tensor) -> tuple[Tensor, Tensor]:
        return power.sqrt(), (1 - power).clamp_min(0).sqrt()

    def read(self, noisy: Tensor, predicted: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = (wide(x, noisy) for x in self.amplitudes(power))
        match self.kind:
            case "v_prediction":
                # The noise without dividing by sigma, which is 0 at the end.
                clean, noise = alpha * noisy - sigma * predicted, alpha * predicted + sigma * noisy
            case "sample":
                clean, noise = predicted, (noisy - alpha * predicted) / sigma.clamp_min(SMALLEST)
            case _:
                clean, noise = (noisy - sigma * predicted) / alpha, predicted
        clean = self.restrain(clean)
        if self.is_implied:
            noise = (noisy - alpha * clean) / sigma.clamp_min(SMALLEST)
        if self.boundary is not None:
            skip, out = (wide(x, noisy) for x in self.boundary(self.nearest(power)))
            clean = out * clean + skip * noisy
        return clean, noise

    def target(self, clean: Tensor, noise: Tensor, power: Tensor) -> Tensor:
        alpha, sigma = (wide(x, clean) for x in self.amplitudes(power))
        return {"v_prediction": alpha * noise - sigma * clean, "sample": clean}.get(self.kind, noise)


@final
@dataclass(frozen=True)
class Flow:
    r"""Levels of flow matching: $(1 - s) z_0 + s \epsilon$ at the time s times the training's number of times.

    The network predicts $\epsilon - z_0$ (Lipman et al. 2023; Esser et al. 2024, eq. 13).

    Args:
        num_times: of the training, 1,000 in diffusers.

    >>> Flow(1000).nearest(torch.tensor([0.5])).tolist()
    [500.0]
    """

    num_times: int

    def nearest(self, power: Tensor) -> Tensor:
        return (self.num_times * self.amplitudes(power.double())[1]).float()

    def power(self, time: Tensor) -> Tensor:
        share = time.double().cpu().reshape(-1) / self.num_times
        return (1 - share).square() / ((1 - share).square() + share.square())

    def amplitudes(self, power: Tensor) -> tuple[Tensor, Tensor]:
        signal, noise = power.sqrt(), (1 - power).clamp_min(0).sqrt()
        return signal / (signal + noise), noise / (signal + noise)

    def read(self, noisy: Tensor, predicted: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
        signal, noise = (wide(x, noisy) for x in self.amplitudes(power))
        return noisy - noise * predicted, noisy + signal * predicted

    def target(self, clean: Tensor, noise: Tensor, power: Tensor) -> Tensor:
        return noise - clean


@final
@dataclass(frozen=True, eq=False)
class Edm:
    r"""Levels of EDM: $z_0 + r \epsilon$ scaled to unit power, at the time $\ln(r) / 4$ (Karras et al. 2022, table 1).

    The network's output is combined with its input, $z_0 = c_{skip} x + c_{out} F$.

    Args:
        scheduler: an `EDMEulerScheduler`, which knows the factors.
    """

    scheduler: Any = field(repr=False)

    def nearest(self, power: Tensor) -> Tensor:
        limits = self.scheduler.config.sigma_min, self.scheduler.config.sigma_max
        return (0.25 * _ratio(power.double().cpu().reshape(-1)).clamp(*limits).log()).float()

    def power(self, time: Tensor) -> Tensor:
        return 1 / (1 + (8 * time.double().cpu().reshape(-1)).exp())

    def amplitudes(self, power: Tensor) -> tuple[Tensor, Tensor]:
        ratio = _ratio(power)
        factor = self.scheduler.precondition_inputs(torch.ones_like(ratio), ratio)
        return factor, factor * ratio

    def read(self, noisy: Tensor, predicted: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
        factor, ratio = wide(self.amplitudes(power)[0], noisy), wide(_ratio(power), noisy)
        scaled = noisy / factor
        clean = self.scheduler.precondition_outputs(scaled, predicted, ratio)
        return clean, (scaled - clean) / ratio

    def target(self, clean: Tensor, noise: Tensor, power: Tensor) -> Tensor:
        ratio = wide(_ratio(power), clean)
        noisy, zero, one = clean + ratio * noise, torch.zeros_like(clean), torch.ones_like(clean)
        # The factors are those of the scheduler, read off what it makes of 0 and 1.
        skipped = self.scheduler.precondition_outputs(noisy, zero, ratio)
        target: Tensor = (clean - skipped) / self.scheduler.precondition_outputs(zero, one, ratio)
        return target


def _ratio(power: Tensor) -> Tensor:
    """[n], noise over signal at powers [n]."""
    return ((1 - power) / power.clamp_min(SMALLEST)).clamp_min(SMALLEST).sqrt()
