"""Modulation and coding schemes, from the slowest to the fastest, and the format of a codeword."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

NUM_CRC_BITS: Final = 16
"""CRC16 of TS 38.212 section 5.1: what 5G attaches to a transport block of at most 3824 bits (section 7.2.1)."""

MIN_CODEWORD_BYTES: Final = 6
"""Shorter payloads are padded with zeros, so that the shortest LDPC code has 64 information bits."""

MAX_CODEWORD_BYTES: Final = 126
"""Longest payload of a codeword: with its CRC 1024 information bits."""


@final
@dataclass(frozen=True)
class Mcs:
    """Modulation order and code rate.

    Args:
        bits_per_symbol: bits of one QAM symbol: 2 (QPSK), 4, 6 or 8 (256QAM).
        code_rate_1024: LDPC code rate times 1024, as the tables of TS 38.214 write it.

    >>> round(Mcs(2, 30.0).spectral_efficiency, 4)
    0.0586
    """

    bits_per_symbol: int
    code_rate_1024: float

    @property
    def code_rate(self) -> float:
        return self.code_rate_1024 / 1024

    @property
    def spectral_efficiency(self) -> float:
        """Information bits per channel use, CRC included."""
        return self.bits_per_symbol * self.code_rate


@final
@dataclass(frozen=True)
class Codeword:
    """Format of one codeword: how many bytes it carries, and how.

    payload bytes + CRC16 --> LDPC --> coded bits --> QAM symbols

    Args:
        num_bytes: payload, `MIN_CODEWORD_BYTES` .. `MAX_CODEWORD_BYTES`.
        mcs: modulation and code rate.

    >>> Codeword(126, Mcs(2, 308.0)).num_channel_uses
    1703
    """

    num_bytes: int
    mcs: Mcs

    @property
    def num_information_bits(self) -> int:
        """Payload and CRC."""
        return 8 * self.num_bytes + NUM_CRC_BITS

    @property
    def num_channel_uses(self) -> int:
        # 1e-9 less, since a quotient that is a whole number in theory may come out just above it.
        return math.ceil(self.num_information_bits / self.mcs.spectral_efficiency - 1e-9)

    @property
    def num_coded_bits(self) -> int:
        """Bits on the air; more than 5 times the information bits are the mother code of rate 1/5, repeated."""
        return self.num_channel_uses * self.mcs.bits_per_symbol


_LOW_SPECTRAL_EFFICIENCY = (30.0, 40.0, 50.0, 64.0, 78.0, 99.0)
_QPSK = (120.0, 193.0, 308.0, 449.0, 602.0)
_QAM16 = (378.0, 434.0, 490.0, 553.0, 616.0, 658.0)
_QAM64 = (466.0, 517.0, 567.0, 616.0, 666.0, 719.0, 772.0, 822.0, 873.0)
_QAM256 = (682.5, 711.0, 754.0, 797.0, 841.0, 885.0, 916.5, 948.0)

LADDER: Final[tuple[Mcs, ...]] = tuple(
    Mcs(bits, rate)
    for bits, rates in ((2, _LOW_SPECTRAL_EFFICIENCY + _QPSK), (4, _QAM16), (6, _QAM64), (8, _QAM256))
    for rate in rates
)
"""TS 38.214 Table 5.1.3.1-3 (low spectral efficiency) indices 0-5, then the whole of Table 5.1.3.1-2 (up to 256QAM)."""
