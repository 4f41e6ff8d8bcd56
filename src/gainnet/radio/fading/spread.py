"""DFT-spread OFDM: every symbol is sent on all channel uses, so that no fade or estimation error hits one alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.radio.fading.blocks import independent_blocks
from gainnet.radio.fading.channel import Channel, inner_block_length, inner_first_gain
from gainnet.radio.fading.ofdm import Ofdm


@final
@dataclass(frozen=True)
class DftSpread:
    r"""A channel between a unitary transform and its inverse, with a linear MMSE equaliser before the latter.

    symbols --> unitary DFT --> channel --> MMSE estimate $\hat x_k$ --> inverse --> symbols

    Every symbol then sees the same gain $\beta = \overline{|\hat h_k|^2 / (|\hat h_k|^2 + \sigma_k^2)}$ and noise
    $\beta (1 - \beta)$, the SNR $\beta / (1 - \beta)$ (Pancaldi et al. 2008); as the 5G uplink, transform precoded.
    A code that gives its symbols unequal power needs it: an estimation error is noise in proportion to the power of a
    symbol, and strong symbols would suffer alone. Gains do not have unit mean power, on purpose.

    Args:
        channel: between the two transforms; OFDM over TDL-C is that of the uplink.

    >>> from gainnet.radio.fading.rayleigh import Rayleigh
    >>> random, quiet = Random.of([1]), torch.tensor([1e6])
    >>> sent = torch.tensor([[4.0 + 0j, 0.0, 0.0, 0.0]])
    >>> received = DftSpread(Rayleigh(2)).transmit(sent, quiet, Rayleigh(2).first_gain(random), random)
    >>> bool((received.values - received.gain * sent).abs().max() < 0.05)
    True
    """

    channel: Channel = Ofdm()

    block_length = property(inner_block_length)
    # Reports are about the first gain alone, so blocks count as independent whatever the channel inside does.
    blocks = property(independent_blocks)
    first_gain = inner_first_gain

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        """Equalised symbols with their common gain; arguments as in `Channel.transmit`."""
        received = self.channel.transmit(torch.fft.fft(symbols, norm="ortho"), snr, gain, random)
        power = received.gain.abs().square()
        # Bias of the MMSE estimate, the same for all symbols after the transform: gain, and noise, of the whole.
        share = (power / (power + received.noise_variance)).mean(-1, keepdim=True)
        values = torch.fft.ifft(received.mmse(), norm="ortho")
        return Symbols(values, share.to(values.dtype).expand(values.shape), (share * (1 - share)).expand(values.shape))
