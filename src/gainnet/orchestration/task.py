"""A model as a client meets it in a communication round (CR), and the samples that it is trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.orchestration.exchange import least_duration_s
from gainnet.orchestration.resources import Pool, check_not_negative, check_positive


@final
@dataclass(frozen=True)
class Task:
    """A model as one client meets it: how large, how hard to train, how well received.

    Args:
        num_bits: [...], model size $S$ > 0.
        cycles_per_sample: [...], training cost $\\kappa$ > 0.
        cn0_down_hz: [...], received power over noise density at the client, >= 0; 0 is no link.
        cn0_up_hz: [...], the same at the edge.

    Raises:
        ConfigError: a field is out of range.

    >>> one = torch.ones((), dtype=torch.float64)
    >>> pool = Pool(1e6 * one, 1e9 * one, 9 * one)
    >>> task = Task(2e6 * one, 1e7 * one, 1e7 * one, 1e7 * one)
    >>> round(float(task.least_exchange_s(pool)), 3)  # down and up, on the whole band
    1.156
    >>> round(float(task.most_samples(pool)))
    784
    >>> float(Task(2e6 * one, 1e7 * one, 0 * one, 1e7 * one).most_samples(pool))  # no link
    0.0
    """

    num_bits: Tensor
    cycles_per_sample: Tensor
    cn0_down_hz: Tensor
    cn0_up_hz: Tensor

    def __post_init__(self) -> None:
        for name in ("num_bits", "cycles_per_sample"):
            check_positive(f"task.{name}", getattr(self, name))
        for name in ("cn0_down_hz", "cn0_up_hz"):
            check_not_negative(f"task.{name}", getattr(self, name))

    def durations_s(self, pool: Pool) -> tuple[Tensor, Tensor]:
        """[...] each, times $t_d^{\\min}$ and $t_u^{\\min}$ of download and upload on the whole band."""
        return (
            least_duration_s(self.num_bits, pool.bandwidth_hz, self.cn0_down_hz),
            least_duration_s(self.num_bits, pool.bandwidth_hz, self.cn0_up_hz),
        )

    def least_exchange_s(self, pool: Pool) -> Tensor:
        """[...], time $t_d^{\\min} + t_u^{\\min}$ on the whole band; `inf` without a link."""
        down_s, up_s = self.durations_s(pool)
        return down_s + up_s

    def most_samples(self, pool: Pool, exchange_s: Tensor | None = None) -> Tensor:
        r"""[...], samples that a CR can consume, $F (T - t_d^{\min} - t_u^{\min}) / \kappa$, at least 0.

        Args:
            pool: resources of the CR.
            exchange_s: [...], `least_exchange_s` where it is known already.
        """
        known = self.least_exchange_s(pool) if exchange_s is None else exchange_s
        return (pool.cycles_per_s * (pool.duration_s - known) / self.cycles_per_sample).clamp_min(0.0)

    @property
    def has_link(self) -> Tensor:
        """[...], whether the model can come down and go up at all."""
        return (self.cn0_down_hz > 0) & (self.cn0_up_hz > 0)


@final
@dataclass(frozen=True)
class Sensing:
    """Costs of the samples of a model, and how many its targets give.

    Args:
        spectrum_hz_s_per_sample: [...], spectrum area $\\beta$ > 0 of a wireless sample.
        cycles_per_sample: [...], cycles $\\kappa_v$ > 0 of a visual sample.
        most_wireless_per_s: [...], $\\rho_{ws} N_{ws}$ >= 0, wireless samples per second of all targets in range.
        most_visual_per_s: [...], $\\rho_{vs} N_{vs}$ >= 0, visual samples per second.

    Raises:
        ConfigError: a field is out of range.

    >>> one = torch.ones((), dtype=torch.float64)
    >>> pool = Pool(1e6 * one, 1e9 * one, 9 * one)
    >>> sensing = Sensing(1e4 * one, 2e7 * one, 60 * one, 90 * one)
    >>> float(sensing.per_s(pool))  # 60 by targets, 50 by cycles
    110.0
    """

    spectrum_hz_s_per_sample: Tensor
    cycles_per_sample: Tensor
    most_wireless_per_s: Tensor
    most_visual_per_s: Tensor

    def __post_init__(self) -> None:
        for name in ("spectrum_hz_s_per_sample", "cycles_per_sample"):
            check_positive(f"sensing.{name}", getattr(self, name))
        for name in ("most_wireless_per_s", "most_visual_per_s"):
            check_not_negative(f"sensing.{name}", getattr(self, name))

    def per_s(self, pool: Pool) -> Tensor:
        r"""[...], samples per second with the whole pool, the sensing capacity.

        $\rho = \min(B / \beta, \rho_{ws} N_{ws}) + \min(F / \kappa_v, \rho_{vs} N_{vs})$
        """
        wireless, visual = self.kinds_per_s(pool)
        return wireless + visual

    def kinds_per_s(self, pool: Pool) -> tuple[Tensor, Tensor]:
        """[...] each, the two terms of `per_s`."""
        return (
            torch.minimum(pool.bandwidth_hz / self.spectrum_hz_s_per_sample, self.most_wireless_per_s),
            torch.minimum(pool.cycles_per_s / self.cycles_per_sample, self.most_visual_per_s),
        )
