"""Reports of the channel quality: what a sender knows of the SNR, which may be wrong or late."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

from torch import Tensor

from gainnet.core.errors import check_numbers, check_range
from gainnet.core.randomness import Random
from gainnet.core.units import log_normal

MAX_DELAY_BLOCKS: Final = 10**6


@final
@dataclass(frozen=True)
class Reports:
    r"""Accuracy and age of the SNR reports from the receiver to the sender.

    $\hat\gamma = \gamma\, 10^{e/10}, \quad e \sim \mathcal{N}(0, \sigma^2)$

    Args:
        error_db: standard deviation $\sigma$ of the error of a report in dB, >= 0.
        delay_blocks: fading blocks (slots of a frequency-selective channel) between the measurement and its use.

    Raises:
        ConfigError: a field is out of range.

    >>> import torch
    >>> from gainnet.core.randomness import Random
    >>> snr = torch.full((3,), 10.0)
    >>> Reports().of(snr, Random.of([1, 2, 3]))
    tensor([10., 10., 10.])
    >>> Reports(error_db=2.0).of(snr, Random.of([1, 2, 3])).round(decimals=2)
    tensor([12.5000,  8.2300,  5.9200])
    """

    error_db: float = 0.0
    delay_blocks: int = 0

    def __post_init__(self) -> None:
        check_numbers(error_db=self.error_db, delay_blocks=self.delay_blocks)
        check_range(0.0 <= self.error_db < math.inf, "reports.error_db", self.error_db, "0 dB or more")
        is_within = 0 <= self.delay_blocks <= MAX_DELAY_BLOCKS
        check_range(is_within, "reports.delay_blocks", self.delay_blocks, f"0 to {MAX_DELAY_BLOCKS} blocks")

    def of(self, snr: Tensor, random: Random) -> Tensor:
        """[*batch], reported SNR, linear.

        Args:
            snr: [*batch], measured SNR, linear.
            random: streams of the error, [*batch].
        """
        # Without an error nothing is drawn: most simulations report exactly, and draws per item are slow.
        return snr * log_normal(self.error_db, random.normal((1,), "report error")[..., 0]) if self.error_db else snr


def effective_snr(snr: Tensor) -> Tensor:
    r"""SNR of one gain that carries as much information as many gains, $2^{E \log_2(1 + \gamma_i)} - 1$.

    Effective SNR mapping with the mutual information of Gaussian inputs (Brueninghaus et al. 2005).

    Args:
        snr: [..., num_gains], linear SNR at each gain.

    Returns:
        [...], linear.

    >>> import torch
    >>> effective_snr(torch.tensor([[10.0, 10.0], [20.0, 0.0]])).round(decimals=2)  # equal gains, and one in a fade
    tensor([10.0000,  3.5800])
    """
    # One gain is its own mean, exactly; going through the logarithm would round it.
    return snr[..., 0] if snr.shape[-1] == 1 else (1 + snr).log2().mean(-1).exp2() - 1
