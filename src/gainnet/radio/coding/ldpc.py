"""CRC, 5G LDPC and QAM of one codeword format through Sionna, batched over codewords."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.types import Symbols
from gainnet.radio.coding.mcs import NUM_CRC_BITS, Codeword

DECODER_ITERATIONS: Final = (8, 20)
"""Sum-product, flooding: a codeword whose CRC holds after the first few iterations is not decoded further."""


def encode(payloads: Tensor, codeword: Codeword) -> Tensor:
    """Complex symbols of codewords, unit mean power.

    bytes --> + CRC16 --> scramble --> LDPC (rate-matched; repeated under rate 1/5) --> QAM

    Args:
        payloads: [num_codewords, num_bytes], uint8.
        codeword: their common format.

    Returns:
        [num_codewords, num_channel_uses], complex64.
    """
    encoder, _ = _ldpc(*code_of(codeword))
    coded = encoder(information_bits(payloads, codeword))
    # Sionna has no rates below 1/5: coded bits are repeated in a circle, as the rate matching of 5G does.
    source = torch.arange(codeword.num_coded_bits) % coded.shape[-1]
    return modulate(coded[:, source], codeword.mcs.bits_per_symbol)


def decode(received: Symbols, codeword: Codeword) -> tuple[Tensor, Tensor]:
    """Payloads as decoded, and whether their CRC holds.

    symbols --> coherent max-log demapper --> LDPC decoder --> unscramble --> CRC check --> bytes

    Args:
        received: [num_codewords, num_channel_uses].
        codeword: their common format.

    Returns:
        [num_codewords, num_bytes] uint8, and [num_codewords] bool.
    """
    code = code_of(codeword)
    llr = demodulate(received, codeword.mcs.bits_per_symbol)
    source = torch.arange(llr.shape[-1]) % code[1]
    # Copies of a bit are independent observations, so that their log-likelihood ratios add.
    combined = llr.new_zeros(llr.shape[0], code[1]).index_add_(1, source, llr)
    return check_crc(combined, _ldpc(*code)[1], codeword)


def information_bits(payloads: Tensor, codeword: Codeword) -> Tensor:
    """[num_codewords, num_information_bits], payload and CRC16, scrambled: the input of the LDPC encoder.

    Args:
        payloads: [num_codewords, num_bytes], uint8.
        codeword: their common format.
    """
    crc, _ = _crc(8 * codeword.num_bytes)
    return _scramble(crc(_bits_of_bytes(payloads)))


def check_crc(combined: Tensor, decoder: Any, codeword: Codeword) -> tuple[Tensor, Tensor]:
    """Payloads and whether their CRC holds; more iterations are spent on what fewer could not decode.

    Args:
        combined: [num_codewords, num_coded_bits], log-likelihood ratios.
        decoder: Sionna's, of any number of iterations.
        codeword: their common format.
    """
    _, check = _crc(8 * codeword.num_bytes)
    information = combined.new_zeros(combined.shape[0], codeword.num_information_bits - NUM_CRC_BITS)
    holds = torch.zeros(combined.shape[0], dtype=torch.bool)
    for num_iterations in DECODER_ITERATIONS:
        open_ = (~holds).nonzero().squeeze(-1)
        if open_.numel():
            information[open_], held = check(_scramble(decoder(combined[open_], num_iter=num_iterations)))
            holds[open_] = held.squeeze(-1)
    return _bytes_of_bits(information), holds


def modulate(bits: Tensor, bits_per_symbol: int) -> Tensor:
    """Gray-mapped QAM symbols of unit mean power (TS 38.211 section 5.1).

    Args:
        bits: [..., num_symbols * bits_per_symbol], 0 or 1.
        bits_per_symbol: 2, 4, 6 or 8.

    Returns:
        [..., num_symbols], complex64.
    """
    symbols: Tensor = _qam(bits_per_symbol)[0](bits)
    return symbols


def demodulate(received: Symbols, bits_per_symbol: int) -> Tensor:
    """Log-likelihood ratios ln p(1)/p(0) with the channel known (max-log).

    Args:
        received: [..., num_symbols], not equalised.
        bits_per_symbol: 2, 4, 6 or 8.

    Returns:
        [..., num_symbols * bits_per_symbol], float32.
    """
    return _llr(received, _qam(bits_per_symbol)[1])


def _llr(received: Symbols, demapper: Any) -> Tensor:
    # Clamped, since a lost block has gain 0 and a noiseless one variance 0; both would divide by zero.
    power = received.gain.abs().square().clamp_min(1e-12)
    equalised = received.gain.conj() * received.values / power
    llr: Tensor = demapper(equalised, (received.noise_variance / power).clamp_min(1e-6))
    return llr


def demodulate_exactly(received: Symbols, bits_per_symbol: int) -> Tensor:
    """As `demodulate`, over all symbols rather than the nearest one: up to 1 % fewer uses for short codewords."""
    return _llr(received, _qam(bits_per_symbol)[2])


def bytes_if_whole(bits: Tensor, codeword: Codeword) -> tuple[Tensor, Tensor]:
    """Payloads [num_codewords, num_bytes] uint8 of decoded bits, and [num_codewords] whether their CRC holds.

    Args:
        bits: [num_codewords, num_information_bits], 0 or 1, scrambled.
        codeword: their common format.
    """
    information, holds = _crc(8 * codeword.num_bytes)[1](_scramble(bits))
    return _bytes_of_bits(information), holds.squeeze(-1)


def scrambled_bits(payloads: Tensor) -> Tensor:
    """[num_codewords, 8 * num_bytes], scrambled bits of payloads [num_codewords, num_bytes] uint8, without a CRC."""
    return _scramble(_bits_of_bytes(payloads))


def bytes_of_scrambled(bits: Tensor) -> Tensor:
    """[num_codewords, num_bytes], uint8, of scrambled bits [num_codewords, 8 * num_bytes]."""
    return _bytes_of_bits(_scramble(bits))


def code_of(codeword: Codeword) -> tuple[int, int, int]:
    """Information bits, coded bits before repetition, bits per symbol."""
    k = codeword.num_information_bits
    order = codeword.mcs.bits_per_symbol
    return k, min(codeword.num_coded_bits, 5 * k // order * order), order


# Building an encoder takes longer than hundreds of codewords; 128 formats are more than a transfer has.
@lru_cache(maxsize=128)
def _ldpc(k: int, n: int, bits_per_symbol: int) -> tuple[Any, Any]:
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

    encoder = LDPC5GEncoder(k, n, num_bits_per_symbol=bits_per_symbol)
    return encoder, LDPC5GDecoder(encoder, cn_update="boxplus-phi")


@lru_cache(maxsize=128)
def _crc(num_bits: int) -> tuple[Any, Any]:
    from sionna.phy.fec.crc import CRCDecoder, CRCEncoder

    encoder = CRCEncoder(f"CRC{NUM_CRC_BITS}", k=num_bits)
    return encoder, CRCDecoder(encoder)


@lru_cache(maxsize=4)
def _qam(bits_per_symbol: int) -> tuple[Any, Any, Any]:
    """Mapper, demapper by the nearest symbols, and by all of them."""
    from sionna.phy.mapping import Demapper, Mapper

    return Mapper("qam", bits_per_symbol), *(Demapper(kind, "qam", bits_per_symbol) for kind in ("maxlog", "app"))


def _scramble(bits: Tensor) -> Tensor:
    """Bits [..., num_bits] combined with a fixed sequence; its own inverse."""
    # Without it a decoder that fails with all zeros would pass the CRC, which is zero for zeros.
    sequence = torch.from_numpy(np.random.default_rng(38211).integers(0, 2, bits.shape[-1], dtype=np.uint8))
    return (bits - sequence).abs()


def _bits_of_bytes(x: Tensor) -> Tensor:
    return torch.from_numpy(np.unpackbits(x.numpy(), axis=-1)).float()


def _bytes_of_bits(bits: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(bits.to(torch.uint8).numpy(), axis=-1))
