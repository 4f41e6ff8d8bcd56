"""The opponent: what the best centralised system would have delivered over the same air."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.codecs import AVIF, JPEG, WebP
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched
from gainnet.core.randomness import Random
from gainnet.core.room import pieces
from gainnet.core.types import Size, Spec
from gainnet.core.units import psnr_db_of_mse
from gainnet.generation.chunks import InPieces
from gainnet.generation.quality import mse
from gainnet.protocols.budget import Budget, block_length, typical_snrs
from gainnet.protocols.transmit import transmit
from gainnet.radio import AnyLink, Ideal

CODECS: dict[str, Callable[[float], AnyCodec]] = {
    "jpeg": lambda bits: JPEG(max_bits=bits),
    "webp": lambda bits: WebP(max_bits=bits),
    "avif": lambda bits: AVIF(max_bits=bits),
}
LEAST_BITS, MOST_BITS, NUM_HALVINGS = 512.0, 2.0**18, 5
CLEARLY_MORE = 1.25
"""Ratio of bits above which no estimate of the uses is in doubt about which payload takes fewer."""


@final
@dataclass(frozen=True)
class Baseline:
    """The best image codec over the digital link between the same nodes.

    Args:
        name: of the codec with the best PSNR at equal channel uses.
        num_channel_uses_equal_psnr: least uses per picture with which any of the codecs reaches the PSNR of the
            generation, expected, retransmissions counted; `None` when the generation is exact, none reaches it, or
            the link delivers no codeword at this SNR.
        psnr_db_equal_uses: best PSNR of any of the codecs at the channel uses of the generation, dB; `None` when exact.
        image: [3, H, W], the first picture as it arrives; mid-grey where nothing fits.
    """

    name: str
    num_channel_uses_equal_psnr: float | None
    psnr_db_equal_uses: float | None
    image: Tensor


def best_image_codec(
    link: AnyLink, references: Tensor, num_channel_uses: float, psnr_db: float | None, random: Random
) -> Baseline | None:
    """The baseline of a generation, sent for real; `None` without channel uses, and over an ideal link.

    Args:
        link: that carries content to the device as bits.
        references: [num_items, 3, H, W], the pictures to deliver, in [0, 1].
        num_channel_uses: uses per picture that the generation took on the link.
        psnr_db: PSNR that the generation reached; `None` when exact.
        random: streams of the items.
    """
    # Over an ideal link all codecs are alike.
    if num_channel_uses == 0 or isinstance(link, Ideal):
        return None
    needed = [] if psnr_db is None else [_bits_for(codec_of, references, psnr_db) for codec_of in CODECS.values()]
    snrs = typical_snrs(link)
    budget = Budget.of(link, int(num_channel_uses), block_length(link), snrs)
    errors, first = dict[str, float](), dict[str, Tensor]()
    for name, codec_of in CODECS.items():
        codec = InPieces(RateMatched(codec_of, budget, snrs))
        images = transmit(references, codec, link, random.child("baseline")).values
        # A copy, since the first picture alone would keep the memory of all.
        errors[name], first[name] = mse(images, references), images[0].clone()
    name = min(errors, key=lambda candidate: errors[candidate])
    return Baseline(
        name,
        _least_uses(link, [num_bits for num_bits in needed if num_bits is not None]),
        None if errors[name] == 0 else float(psnr_db_of_mse(torch.tensor(errors[name]))),
        first[name],
    )


def _bits_for(codec_of: Callable[[float], AnyCodec], references: Tensor, psnr_db: float) -> float | None:
    """Mean bits per picture of the smallest budget that reaches a PSNR: doubled until it does, then bisected."""
    high = LEAST_BITS
    while _psnr_db(codec_of(high), references)[0] < psnr_db:
        if high >= MOST_BITS:
            return None
        high *= 2.0
    # In the logarithm, since rate-distortion curves are straight there: 5 halvings leave 2 % of the budget.
    low = high / 2.0
    for _ in range(NUM_HALVINGS):
        middle = math.sqrt(low * high)
        if _psnr_db(codec_of(middle), references)[0] < psnr_db:
            low = middle
        else:
            high = middle
    # The codec may stop short of its budget, so that what it really needs is priced.
    return _psnr_db(codec_of(high), references)[1]


def _least_uses(link: AnyLink, sizes: list[float]) -> float | None:
    """Least expected uses of payloads of `sizes` [num_codecs] bits; `None` where none arrives."""
    # Uses grow with bits but for the spread of an estimate, and each estimate is a sample of transfers.
    near = [size for size in sizes if size <= CLEARLY_MORE * min(sizes)]
    usages = [link.usage(Size.fixed(size), 1) for size in near]
    return min((usage.num_channel_uses for usage in usages if usage.delivered), default=None)


def _psnr_db(codec: AnyCodec, references: Tensor) -> tuple[float, float]:
    """PSNR and mean bits per picture of a codec, without a channel."""
    spec, num_bits, error = Spec(tuple(references.shape[1:])), 0.0, 0.0
    for (pictures,) in pieces(references):
        payload = codec.encode(pictures, torch.full((len(pictures),), math.inf))
        error += len(pictures) * mse(codec.decode(payload, spec), pictures) / len(references)
        num_bits += payload.num_bits
    return float(psnr_db_of_mse(torch.tensor(error))), num_bits / len(references)
