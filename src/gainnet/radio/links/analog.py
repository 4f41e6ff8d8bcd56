"""Analog transfer: complex symbols go on the air as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import ChannelState, Payload, Size, Symbols, Usage
from gainnet.radio.air import Air, Radios
from gainnet.radio.links.link import medium_of, observe
from gainnet.radio.links.outcome import Outcome
from gainnet.radio.power import transmit_with_energy


@final
@dataclass(frozen=True)
class Analog:
    """Symbols through a channel: no code, no retransmission, always on time; differentiable in the symbols.

    symbols --> channel --> symbols with gain and noise variance (a codec equalises with `Symbols.mmse`)

    Args:
        air: radio conditions.
        radios: their power.

    >>> Analog(Air(snr_db=10.0)).usage(Size.fixed(256), num_items=2).duration_s
    0.000512
    """

    air: Air = Air()
    radios: Radios = Radios()
    carries: ClassVar[type[Payload]] = Symbols

    medium = property(medium_of)
    observe = observe

    def usage(self, size: Size, num_items: int) -> Usage:
        """One channel use per symbol."""
        return self._usage(size.expected, num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """[num_draws], float64, always the same duration."""
        return torch.full((num_draws,), self.usage(size, num_items).duration_s, dtype=torch.float64)

    def send(self, payload: Symbols, state: ChannelState, random: Random) -> tuple[Symbols, Usage]:
        """Received symbols, not equalised, and the usage; energy that a power policy saves is not spent."""
        received, energy = transmit_with_energy(self.air.fading, payload.values, state.snr, state.gain, random)
        spent = self._usage(payload.num_symbols, random.num_items)
        spent = replace(spent, tx_energy_j=spent.tx_energy_j * float(energy.double().mean()))
        return replace(received, reported_snr=payload.reported_snr), spent

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """0: symbols are not bits."""
        return 0.0

    def _usage(self, num_symbols: float, num_items: int) -> Usage:
        uses = torch.full((num_items,), float(num_symbols), dtype=torch.float64)
        return Outcome.at_once(uses).usage(self.air, self.radios, 0.0)
