"""Link adaptation: the fastest scheme for the reported SNR, and the codeword length that goes with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import check_range
from gainnet.core.units import linear_to_db
from gainnet.radio.coding.bler import BlerTables, load_bler_tables
from gainnet.radio.coding.mcs import LADDER, MAX_CODEWORD_BYTES, MIN_CODEWORD_BYTES, NUM_CRC_BITS

_LONG_SPANNING_BYTES = 62
_EFFICIENCY = torch.tensor([m.spectral_efficiency for m in LADDER], dtype=torch.float64)


@final
@dataclass(frozen=True)
class LinkAdaptation:
    r"""Choice of scheme and codeword length from the SNR that was reported for the block a codeword starts in.

    $\mathrm{MCS} = \max\{ i : \mathrm{BLER}_i(k, \hat\gamma) \le \mathrm{target} \}$, the lowest one where none fits

    A codeword fills its fading block but not more than `MAX_CODEWORD_BYTES`; where even `least_num_bytes` do not fit
    it has `spanning_num_bytes` and goes on in the next blocks, of which the sender knows nothing but the mean SNR.

    Args:
        block_length: channel uses with one gain.
        target_bler: block error rate aimed at, in (0, 1).
        spanning_num_bytes: payload of a codeword that does not fit into a block.
        least_num_bytes: smallest payload of a codeword that has a block of its own.

    Raises:
        ConfigError: a field is out of range.
    """

    block_length: int
    target_bler: float = 1e-2
    spanning_num_bytes: int = MIN_CODEWORD_BYTES
    least_num_bytes: int = MIN_CODEWORD_BYTES

    def __post_init__(self) -> None:
        check_range(0.0 < self.target_bler < 1.0, "target_bler", self.target_bler, "between 0 and 1")
        for name in ("block_length", "spanning_num_bytes", "least_num_bytes"):
            check_range(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")

    @staticmethod
    def at(mean_snr: float, block_length: int, target_bler: float) -> LinkAdaptation:
        """Adaptation for an ensemble of blocks: long spanning codewords where even an average block is too bad for one.

        Measured at a mean SNR of -10 dB over Rayleigh blocks of 256 uses, long codewords carry 1.4 times the payload of
        short ones; at 0 dB, where only deep fades span, short ones carry 1.7 times that of long ones.
        """
        short = LinkAdaptation(block_length, target_bler)
        scheme = short.full_scheme(torch.tensor(mean_snr))
        spans = int(num_uses(scheme, short.full_num_bytes()[scheme])) > block_length
        return replace(short, spanning_num_bytes=_LONG_SPANNING_BYTES) if spans else short

    def scheme(self, reported_snr: Tensor, num_bytes: Tensor) -> Tensor:
        """[...], index into `LADDER` for codewords of given payload.

        Args:
            reported_snr: [...], linear.
            num_bytes: [...], payload of the codeword, within the limits of `Codeword`.
        """
        return _highest(_thresholds_db(self.target_bler)[num_bytes - MIN_CODEWORD_BYTES], reported_snr)

    def full_scheme(self, reported_snr: Tensor) -> Tensor:
        """[...], index into `LADDER` for codewords that fill a block."""
        fill = self.full_num_bytes()
        thresholds_db = _thresholds_db(self.target_bler)[fill - MIN_CODEWORD_BYTES, torch.arange(len(LADDER))]
        return _highest(thresholds_db, reported_snr)

    def full_num_bytes(self) -> Tensor:
        """[num_mcs], payload of a codeword that fills a block.

        >>> LinkAdaptation(block_length=256).full_num_bytes()[[0, 8, 33]].tolist()
        [6, 17, 126]
        """
        return _full_num_bytes(min(self.block_length, 2**20), self.spanning_num_bytes, self.least_num_bytes)


def payload_bits_that_fit(adaptation: LinkAdaptation, num_channel_uses: float, reported_snr: float) -> float:
    """Payload bits of one item whose expected channel uses are at most `num_channel_uses`.

    Full codewords at the scheme of the reported SNR and one shorter one; CRCs and expected retransmissions are counted;
    0 where more than half of the codewords would fail.

    Args:
        adaptation: schemes and codeword lengths.
        num_channel_uses: of the item.
        reported_snr: linear.
    """
    # An attempt is repeated until it arrives: the expected number of attempts is 1 / (1 - BLER).
    snr = torch.tensor(reported_snr)
    full = adaptation.full_scheme(snr)
    full_bytes = int(adaptation.full_num_bytes()[full])
    sizes = torch.arange(MIN_CODEWORD_BYTES, full_bytes + 1)
    schemes = adaptation.scheme(snr.expand(sizes.shape), sizes)
    schemes[-1] = full
    bler = tables().bler(schemes, 8 * sizes + NUM_CRC_BITS, linear_to_db(snr))
    if bler[-1] > 0.5:
        return 0.0
    cost = num_uses(schemes, sizes).double() / (1 - bler)
    num_full = math.floor(num_channel_uses / float(cost[-1]))
    fitting = sizes[cost <= num_channel_uses - num_full * float(cost[-1])]
    return 8.0 * (num_full * full_bytes + (int(fitting.max()) if len(fitting) else 0))


def num_uses(mcs_index: Tensor, num_bytes: Tensor) -> Tensor:
    """[...], channel uses of codewords, as `Codeword.num_channel_uses`; indices and payloads [...] broadcast."""
    # 1e-9 less, since a quotient that is a whole number in theory may come out just above it.
    return ((8 * num_bytes + NUM_CRC_BITS) / _EFFICIENCY[mcs_index] - 1e-9).ceil().long()


def tables() -> BlerTables:
    """The shipped tables."""
    return load_bler_tables()


# By target, since every codeword of every transmission looks a threshold up.
@lru_cache(maxsize=16)
def _thresholds_db(target_bler: float) -> Tensor:
    """[num payload sizes, num_mcs], SNR that keeps the target, in dB."""
    sizes = torch.arange(MIN_CODEWORD_BYTES, MAX_CODEWORD_BYTES + 1).unsqueeze(-1)
    schemes = torch.arange(len(LADDER))
    return tables().required_snr_db(schemes, 8 * sizes + NUM_CRC_BITS, target_bler)


@lru_cache(maxsize=64)
def _full_num_bytes(block_length: int, spanning_num_bytes: int, least_num_bytes: int) -> Tensor:
    fitting = [math.floor(block_length * mcs.spectral_efficiency + 1e-9) // 8 - NUM_CRC_BITS // 8 for mcs in LADDER]
    return torch.tensor([min(n, MAX_CODEWORD_BYTES) if n >= least_num_bytes else spanning_num_bytes for n in fitting])


def _highest(thresholds_db: Tensor, reported_snr: Tensor) -> Tensor:
    """[...], highest scheme whose threshold is kept, 0 if none; thresholds [..., num_mcs], linear SNRs [...]."""
    # Thresholds do not rise strictly along the ladder, so the first one above is not where to stop.
    holds = thresholds_db <= linear_to_db(reported_snr.double()).unsqueeze(-1)
    return (holds * torch.arange(len(LADDER))).amax(-1)
