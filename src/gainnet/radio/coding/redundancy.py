"""Incremental redundancy of 5G: further parts of the mother code, whose soft bits add up at the receiver."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor

from gainnet.core.types import Symbols
from gainnet.radio.coding.ldpc import (
    check_crc,
    code_of,
    demodulate,
    information_bits,
    modulate,
)
from gainnet.radio.coding.mcs import Codeword
from gainnet.radio.links.portion import Portion

VERSIONS: Final = (0, 2, 3, 1)
"""Redundancy versions in the order in which they are sent (TS 38.212, section 5.4.2.1; the usual order)."""


def encode(payloads: Tensor, portion: Portion) -> Tensor:
    """Complex symbols of a later portion of codewords.

    bytes --> + CRC16 --> scramble --> LDPC mother code --> circular buffer from its redundancy version on --> QAM

    Args:
        payloads: [num_codewords, num_bytes], uint8.
        portion: its length, its modulation, and the codeword that it belongs to.

    Returns:
        [num_codewords, num_channel_uses], complex64.
    """
    encoder, _, starts = _mother(*_mother_of(portion.codeword))
    order = portion.mcs.bits_per_symbol
    buffer = encoder(information_bits(payloads, portion.codeword))
    chosen = buffer[:, _places(portion, buffer.shape[-1], starts)]
    return modulate(_interleaved(chosen, order), order)


def soft_bits(received: Symbols, portion: Portion) -> Tensor:
    """[num_codewords, buffer_length], log-likelihood ratios of a later portion, 0 where it sent nothing.

    Args:
        received: [num_codewords, num_channel_uses], not equalised.
        portion: its length, its modulation, and the codeword that it belongs to.
    """
    encoder, _, starts = _mother(*_mother_of(portion.codeword))
    llr = demodulate(received, portion.mcs.bits_per_symbol)
    return _laid(_deinterleaved(llr, portion.mcs.bits_per_symbol), _places(portion, encoder.n, starts), encoder.n)


def first_soft_bits(received: Symbols, codeword: Codeword) -> Tensor:
    """[num_codewords, buffer_length], log-likelihood ratios of a first attempt, which `ldpc.encode` made.

    Args:
        received: [num_codewords, num_channel_uses], not equalised.
        codeword: their common format.
    """
    encoder, _, _ = _mother(*_mother_of(codeword))
    _, num_coded, order = code_of(codeword)
    llr = demodulate(received, order)
    # Repetition goes around the coded bits, after they were interleaved.
    source = torch.arange(llr.shape[-1]) % num_coded
    once = llr.new_zeros(llr.shape[0], num_coded).index_add_(1, source, llr)
    return _laid(_deinterleaved(once, order), torch.arange(num_coded), encoder.n)


def decode(combined: Tensor, codeword: Codeword) -> tuple[Tensor, Tensor]:
    """Payloads as decoded from all that arrived, and whether their CRC holds.

    Args:
        combined: [num_codewords, buffer_length], sums of log-likelihood ratios.
        codeword: their common format.

    Returns:
        [num_codewords, num_bytes] uint8, and [num_codewords] bool.
    """
    _, decoder, _ = _mother(*_mother_of(codeword))
    return check_crc(combined, decoder, codeword)


def _mother_of(codeword: Codeword) -> tuple[int, str]:
    """Information bits and graph of a codeword; the first attempt decides the graph (TS 38.212, section 7.2.2)."""
    k, num_coded, _ = code_of(codeword)
    rate = k / num_coded
    return k, "bg2" if k <= 292 or (k <= 3824 and rate <= 0.67) or rate <= 0.25 else "bg1"


@lru_cache(maxsize=128)
def _mother(k: int, graph: str) -> tuple[Any, Any, tuple[int, ...]]:
    """Encoder of the whole circular buffer, its decoder, and where the redundancy versions start in it."""
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

    # Any encoder of this size and graph knows the length of the buffer; a second one then has it as its code length.
    length = LDPC5GEncoder(k, 3 * k, bg=graph).n_cb_comp
    # Sionna leaves repetition below the rates 1/5 and 1/3 of the two graphs to others.
    encoder = LDPC5GEncoder(k, min(length, {"bg1": 3, "bg2": 5}[graph] * k), bg=graph)
    decoder = LDPC5GDecoder(encoder, cn_update="boxplus-phi")
    return encoder, decoder, tuple(encoder.get_start_positions_comp(list(VERSIONS)))


def _places(portion: Portion, buffer_length: int, starts: tuple[int, ...]) -> Tensor:
    """[num_coded_bits], which bits of the circular buffer a portion sends."""
    num_bits = portion.num_channel_uses * portion.mcs.bits_per_symbol
    return (starts[portion.number % len(starts)] + torch.arange(num_bits)) % buffer_length


def _laid(llr: Tensor, places: Tensor, length: int) -> Tensor:
    """[num_codewords, length], ratios added up at their places; a long portion goes around the buffer."""
    return llr.new_zeros(llr.shape[0], length).index_add_(1, places, llr)


def _interleaved(bits: Tensor, order: int) -> Tensor:
    """Bit interleaver of TS 38.212, section 5.4.2.2: written row by row, read column by column."""
    return bits.reshape(len(bits), order, bits.shape[-1] // order).transpose(-1, -2).flatten(-2)


def _deinterleaved(bits: Tensor, order: int) -> Tensor:
    return bits.reshape(len(bits), bits.shape[-1] // order, order).transpose(-1, -2).flatten(-2)
