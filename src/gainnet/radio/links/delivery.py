"""Bits over a recorded link: a trace says when packets were delivered, as the network emulator Mahimahi reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random, seeded
from gainnet.core.types import Bits, ChannelState, Payload, Size, Usage
from gainnet.radio.air import Radios
from gainnet.radio.links.ideal import noiseless_state

PACKET_BYTES: Final = 1500
"""What one opportunity delivers (Netravali et al. 2015, Mahimahi, section 3)."""
MAX_ROWS: Final = 10_000_000
MAX_MS: Final = 1 << 40


@final
@dataclass(frozen=True)
class Delivery:
    r"""A link whose capacity is a packet-delivery trace: 1,500 bytes at each of its times, over and over.

    $T = t_{i + n} - s$ for $n = \lceil b / 12000 \rceil$ packets of $b$ bits together, where $s$ is uniform over
    the trace and $t_i$ the last opportunity before $s$

    bytes --> packets --> the next n opportunities --> the same bytes

    Nothing is lost. Each item begins at a moment of its own, and items go one after another. A trace knows times and no
    spectrum: usage has no channel uses. Power is spent as long as a transfer takes (assumed).

    Args:
        times_ms: of the opportunities, milliseconds, not descending; the last one is the length of the trace. The
            default delivers 12 Mbit/s.
        radios: their power.
        medium: name of the link; the two directions of Mahimahi are two of them.

    Raises:
        ConfigError: there is no opportunity, or the times descend or are out of range.

    >>> link, random = Delivery((10, 20)), Random.of([0])
    >>> received, usage = link.send(Bits.of([b"a seed"]), link.observe(random), random)
    >>> received.strings, usage.has_uses, 0.0 <= usage.duration_s <= 0.01
    ((b'a seed',), False, True)
    """

    times_ms: tuple[int, ...] = (1,)
    radios: Radios = Radios()
    medium: str = "delivery"
    carries: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        if not self.times_ms or not 0 < self.times_ms[-1] <= MAX_MS or len(self.times_ms) > MAX_ROWS:
            raise ConfigError(f"delivery: it needs 1 to {MAX_ROWS:,} times, the last above 0; give a longer trace")
        if self.times_ms[0] < 0 or any(b < a for a, b in zip(self.times_ms, self.times_ms[1:], strict=False)):
            raise ConfigError("delivery: its times must not descend; sort them")

    @staticmethod
    def read(path: Path) -> tuple[int, ...]:
        """The times of a Mahimahi trace, milliseconds: one whole number per line, as many lines as packets.

        Args:
            path: of the file.

        Raises:
            ConfigError: it cannot be read, or a line holds something else.
        """
        try:
            if path.stat().st_size > 20 * MAX_ROWS:
                raise ConfigError(f"delivery: {path} has more than {MAX_ROWS:,} lines; cut it")
            lines = path.read_text(encoding="ascii").split()
        except OSError as error:
            raise ConfigError(f"delivery: {path} cannot be read ({error.strerror}); give a Mahimahi trace") from None
        except UnicodeDecodeError:
            raise ConfigError(f"delivery: {path} is no text; give a Mahimahi trace, one millisecond per line") from None
        for number, line in enumerate(lines, 1):
            if not line.isdecimal() or len(line) > 12:
                raise ConfigError(f"delivery: {path}, line {number} holds {line[:20]!r}; must be whole milliseconds")
        return tuple(map(int, lines))

    def observe(self, random: Random) -> ChannelState:
        """As `noiseless_state`: a trace says nothing of an SNR."""
        return noiseless_state(random)

    def usage(self, size: Size, num_items: int) -> Usage:
        """Exact expectation over the moment at which an item begins; a packet that is begun counts whole."""
        mean_s = self._mean_s(_packets(size.expected / 8))
        return self._usage(size.expected * num_items, (mean_s,) * num_items)

    def draw_durations_s(self, size: Size, num_items: int, num_draws: int, random_seed: int) -> Tensor:
        """[num_draws], float64, each the sum over items that begin at moments of their own."""
        with seeded(random_seed) as source:
            start = torch.rand(num_draws, num_items, generator=source, dtype=torch.float64)
        return self._waits_s(start, torch.tensor(_packets(size.expected / 8))).sum(1)

    def send(self, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
        """The payload itself, and what it took."""
        packets = torch.tensor([_packets(len(string or b"")) for string in payload.strings])
        start = random.uniform((), "start").double().reshape(-1)
        return payload, self._usage(payload.num_bits, tuple(self._waits_s(start, packets).tolist()))

    def capacity_bits(self, num_channel_uses: float, reported_snr: float) -> float:
        """Infinite: no number of channel uses limits it."""
        return math.inf

    @cached_property
    def _times(self) -> Tensor:
        return torch.tensor(self.times_ms, dtype=torch.float64)

    def _waits_s(self, start: Tensor, packets: Tensor) -> Tensor:
        """Seconds until the last of the packets is delivered; from a share of the trace, 0 to below 1."""
        begin = start * self._times[-1]
        # The opportunity of the very moment is taken, as in the emulator; later rounds of the trace follow the first.
        last = torch.searchsorted(self._times, begin) + packets - 1
        rounds, row = last.div(len(self._times), rounding_mode="floor"), last.remainder(len(self._times))
        waits = self._times[row] + rounds * self._times[-1] - begin
        return torch.where(packets > 0, waits, 0.0) / 1e3

    def _mean_s(self, num_packets: int) -> float:
        """Mean of `_waits_s` over the start: within a gap it falls linearly to the next opportunity."""
        if num_packets == 0:
            return 0.0
        before = torch.cat([self._times.new_zeros(1), self._times[:-1]])
        gaps = self._times - before
        last = torch.arange(len(gaps)) + num_packets - 1
        rounds, row = last.div(len(gaps), rounding_mode="floor"), last.remainder(len(gaps))
        ends = self._times[row] + rounds * self._times[-1]
        return float((gaps * (ends - (before + self._times) / 2)).sum() / self._times[-1]) / 1e3

    def _usage(self, num_bits: float, item_s: tuple[float, ...]) -> Usage:
        duration_s = math.fsum(item_s)
        tx_j, rx_j = (duration_s * power_w for power_w in (self.radios.tx_power_w, self.radios.rx_power_w))
        return Usage(num_bits, 0.0, 0.0, duration_s, 0.0, tx_j, rx_j, item_s=item_s, has_uses=False)


def _packets(num_bytes: float) -> int:
    return math.ceil(num_bytes / PACKET_BYTES)
