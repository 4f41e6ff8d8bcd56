"""LDPC codewords of any length: the second graph of 5G, sent bit by bit from its circular buffer.

bytes --> + CRC16 --> scramble --> graph 2 --> circular buffer, from where the last attempt ended --> QAM
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.types import Symbols
from gainnet.radio.coding.layered import Graph
from gainnet.radio.coding.ldpc import bytes_if_whole, demodulate_exactly, information_bits, modulate
from gainnet.radio.coding.mcs import Codeword

_LOWEST_RATE: Final = 5
_KNOWN: Final = 40.0
"""Log-likelihood ratio of a filler bit, which both ends know to be 0."""


@final
@dataclass(frozen=True)
class Mother:
    """The code of one payload size.

    Args:
        encoder: Sionna's, of the whole buffer.
        graph: that its checks stand in.
        places: [buffer_length], bit of the graph by place in the buffer.
    """

    encoder: Any
    graph: Graph
    places: Tensor

    @property
    def buffer_length(self) -> int:
        return len(self.places)

    def num_rows(self, num_bits: int) -> int:
        """Rows of the base graph that check bits of which the first `num_bits` of the buffer were sent."""
        last = int(self.places[: min(num_bits, self.buffer_length)].max())
        # Beyond the ten columns of information each row has a column of its own, and the first four belong together.
        return min(max(last // self.graph.lifting + 1 - 10, 4), len(self.graph.layers))


# Building an encoder takes longer than hundreds of codewords.
@lru_cache(maxsize=128)
def mother(num_information_bits: int) -> Mother:
    """The code of so many information bits, CRC included."""
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    k = num_information_bits
    whole = LDPC5GEncoder(k, 3 * k, bg="bg2")
    # Sionna leaves rates below 1/5 to others: from there on the buffer begins again.
    encoder = LDPC5GEncoder(k, min(whole.n_cb_comp, _LOWEST_RATE * k), bg="bg2")
    place = torch.arange(encoder.n) + 2 * encoder.z
    places = torch.where(place < k, place, place + encoder.k_filler)
    return Mother(encoder, Graph.of(torch.from_numpy(encoder._bm).long(), encoder.z), places)


def encode(payloads: Tensor, codeword: Codeword, bits_per_symbol: int, start: int, num_channel_uses: int) -> Tensor:
    """[num_codewords, num_channel_uses], complex64 symbols of one attempt.

    Args:
        payloads: [num_codewords, num_bytes], uint8.
        codeword: their common size.
        bits_per_symbol: 2, 4, 6 or 8.
        start: coded bits that earlier attempts sent.
        num_channel_uses: length of this attempt.
    """
    code = mother(codeword.num_information_bits)
    buffer = code.encoder(information_bits(payloads, codeword))
    chosen = buffer[:, _positions(code, bits_per_symbol * num_channel_uses, start)]
    # Bit interleaver of TS 38.212, section 5.4.2.2: earlier bits of the buffer on the more reliable bits of symbols.
    rows = chosen.reshape(len(chosen), bits_per_symbol, num_channel_uses)
    return modulate(rows.transpose(-1, -2).flatten(-2), bits_per_symbol)


def soft_bits(received: Symbols, codeword: Codeword, bits_per_symbol: int, start: int) -> Tensor:
    """[num_codewords, buffer_length], log-likelihood ratios $\\ln p(1)/p(0)$ of one attempt, 0 where it sent nothing.

    Args:
        received: [num_codewords, num_channel_uses], not equalised.
        codeword: their common size.
        bits_per_symbol: as they were sent.
        start: coded bits that earlier attempts sent.
    """
    code = mother(codeword.num_information_bits)
    llr = demodulate_exactly(received, bits_per_symbol)
    num_uses = llr.shape[-1] // bits_per_symbol
    sent = llr.reshape(len(llr), num_uses, bits_per_symbol).transpose(-1, -2).flatten(-2)
    positions = _positions(code, sent.shape[-1], start)
    return llr.new_zeros(len(llr), code.buffer_length).index_add_(1, positions, sent)


def decode(combined: Tensor, codeword: Codeword, num_bits: int) -> tuple[Tensor, Tensor]:
    """Payloads [num_codewords, num_bytes] uint8 as decoded from all that arrived, and [num_codewords] whose CRC holds.

    Args:
        combined: [num_codewords, buffer_length], sums of log-likelihood ratios.
        codeword: their common size.
        num_bits: coded bits that were sent so far.
    """
    k, code = codeword.num_information_bits, mother(codeword.num_information_bits)
    llr = combined.new_zeros(len(combined), code.graph.num_columns * code.graph.lifting)
    llr[:, code.places] = -combined
    llr[:, k : k + code.encoder.k_filler] = _KNOWN
    found = code.graph.decode(llr, code.num_rows(num_bits))
    return bytes_if_whole(found[:, :k].float(), codeword)


def _positions(code: Mother, num_bits: int, start: int) -> Tensor:
    return (start + torch.arange(num_bits)) % code.buffer_length
