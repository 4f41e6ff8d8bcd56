"""The contract of links: they move payloads between nodes and count the usage of the air."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeVar

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Size, Symbols, Usage
from gainnet.radio.air import Air

P = TypeVar("P", Bits, Symbols)


class OverAir(Protocol):
    """A link that holds its air."""

    @property
    def air(self) -> Air:
        """Radio conditions."""


def medium_of(link: OverAir) -> str:
    """Name of the spectrum of a link, that of its air."""
    return link.air.medium


def observe(link: OverAir, random: Random) -> ChannelState:
    """As `Air.observe`."""
    return link.air.observe(random)


class Link(Protocol[P]):
    """A bearer for one type of payload over one medium.

    payload --observe--> channel state (what is reported to the sender) --send--> payload as received, usage
    """

    carries: ClassVar[type[Payload]]

    @property
    def medium(self) -> str:
        """Links of equal medium share the spectrum: the ledger serialises them."""

    def observe(self, random: Random) -> ChannelState:
        """Channel state when a transfer starts; [*batch] as `random`."""

    def usage(self, size: Size, num_items: int) -> Usage:
        """Expected usage for `num_items` payloads of `size.expected`; sends nothing."""

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """[num_draws], float64 samples of (duration + feedback) of such a transfer, for critical paths."""

    def send(self, payload: P, state: ChannelState, random: Random) -> tuple[P, Usage]:
        """The payload as received, and what it took."""

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """Payload bits per item that fit into `num_channel_uses`; `inf` where bits are free, 0 for analog links."""


AnyLink = Link[Any]
