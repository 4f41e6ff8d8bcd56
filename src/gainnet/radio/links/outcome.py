"""Outcomes of the items of a transfer, and the usage of the air that follows from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Usage
from gainnet.radio.air import Air, Radios


@final
@dataclass(frozen=True)
class Outcome:
    """Channel uses and retransmissions of items that go one after another over one medium.

    Args:
        num_channel_uses: [num_items], all attempts together, float64.
        num_retransmissions: [num_items], codewords sent again.
        num_waits: [num_items], waits for feedback before something could be sent again.
        delivered: [num_items], bool.
    """

    num_channel_uses: Tensor
    num_retransmissions: Tensor
    num_waits: Tensor
    delivered: Tensor

    @staticmethod
    def at_once(num_channel_uses: Tensor, delivered: Tensor | None = None) -> Outcome:
        """Items that are sent once.

        Args:
            num_channel_uses: [num_items], float64.
            delivered: [num_items], bool; all of them if left out.
        """
        none = torch.zeros_like(num_channel_uses)
        return Outcome(num_channel_uses, none, none, torch.ones_like(none).bool() if delivered is None else delivered)

    def usage(self, air: Air, radios: Radios, num_bits: float, feedback_delay_s: float = 0.0) -> Usage:
        """Usage of sending these items.

        Args:
            air: bandwidth of the channel uses.
            radios: power while they last; nobody is busy during feedback.
            num_bits: payload bits of all items.
            feedback_delay_s: duration of a wait.
        """
        num_uses = float(self.num_channel_uses.sum())
        duration_s = num_uses / air.bandwidth_hz
        return Usage(
            num_bits=num_bits,
            num_channel_uses=num_uses,
            num_retransmissions=float(self.num_retransmissions.sum()),
            duration_s=duration_s,
            feedback_s=float(self.num_waits.sum()) * feedback_delay_s,
            tx_energy_j=duration_s * radios.tx_power_w,
            rx_energy_j=duration_s * radios.rx_power_w,
            delivered=bool(self.delivered.all()),
            item_s=tuple(self._item_s(air, feedback_delay_s).tolist()),
        )

    def expected_usage(
        self, num_items: int, air: Air, radios: Radios, num_bits: float, feedback_delay_s: float = 0.0
    ) -> Usage:
        """Expected usage of `num_items` items, these being a sample of them; other arguments as in `usage`.

        The transfer counts as delivered where most of the sample was.
        """

        def mean(x: Tensor) -> Tensor:
            return num_items * x.double().mean(0, keepdim=True)

        uses, again, waits = (mean(x) for x in (self.num_channel_uses, self.num_retransmissions, self.num_waits))
        expected = Outcome(uses, again, waits, self.delivered.double().mean(0, keepdim=True) > 0.5)
        return replace(expected.usage(air, radios, num_bits, feedback_delay_s), item_s=())

    def draw_durations_s(
        self, num_items: int, num_draws: int, random_seed: int, air: Air, feedback_delay_s: float = 0.0
    ) -> Tensor:
        """[num_draws], float64 durations with feedback of `num_items` items, drawn with replacement from these."""
        uniform = Random.of(random_seed).child("resample").uniform((num_draws, num_items))
        item_s = self._item_s(air, feedback_delay_s).double()
        return item_s[(uniform * len(item_s)).long()].sum(-1)

    def _item_s(self, air: Air, feedback_delay_s: float) -> Tensor:
        """[num_items], time of each item, feedback included."""
        return self.num_channel_uses / air.bandwidth_hz + feedback_delay_s * self.num_waits
