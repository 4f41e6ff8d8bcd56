"""Question and sweep of image-quality: methods, SNR, fading and channel uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, final

from pydantic import Field

from gainnet.studies.own import OwnCodec, check_codec, check_fading, one_or_own
from gainnet.studies.settings import NonEmpty, Seeds
from gainnet.studies.study import Case, Value

FADINGS = ("awgn", "rayleigh")
Fading = Annotated[str, one_or_own(FADINGS, check_fading)]
Budget = Annotated[int, Field(ge=1, le=10_000_000)]
SnrDb = Annotated[float, Field(ge=-30.0, le=40.0)]

PROTOCOL_OF_METHOD = {
    **dict.fromkeys(("jpeg", "webp", "avif", "raw_pixels"), "centralized"),
    **dict.fromkeys(("raw", "linear", "digital"), "eiug"),
    **dict.fromkeys(("webp_shannon", "avif_shannon", "gaussian_opta"), "bound"),
}
"""Bounds are no systems: image codecs at the Shannon rate, and the Gaussian limit for the latent."""

METHODS = tuple(PROTOCOL_OF_METHOD)
SHANNON = ("webp_shannon", "avif_shannon")
BEST_SHANNON = "best_codec_shannon"
"""The better of the two at every point."""
SNRS_DB = (-10, -5, 0, 5, 10, 15, 20)
SNRS_DB_OF_RATE = (0, 5, 10)
COMMON_NUM_CHANNEL_USES = 256
TARGET_PSNR_DB = 30.0


@final
@dataclass(frozen=True)
class ImageQualityConfig:
    """Settings of the study image-quality.

    Args:
        random_seeds: each draws its own prompts, noise and fading.
        num_images: pictures per random seed.
        methods: which run; codecs of yours as `module:Class(args)`, of pictures as `image=module:Class(args)`.
        fadings: awgn, rayleigh, channels of yours.
        snrs_db: mean received Es/N0.
        nums_channel_uses: budgets of complex channel uses for one picture.
        nums_channel_uses_raw_pixels: budgets for raw pixels, which need hundreds of times as many.
        model: name or folder of the model.
        edge_hardware: profile of the edge.
        device_hardware: profile of the device.
        priced_as: model whose FLOPs and bytes are priced.
    """

    random_seeds: Seeds
    num_images: Annotated[int, Field(ge=1, le=1000)]
    methods: NonEmpty[Annotated[str, one_or_own(METHODS, check_codec)]]
    fadings: NonEmpty[Fading]
    snrs_db: NonEmpty[SnrDb]
    nums_channel_uses: NonEmpty[Budget]
    nums_channel_uses_raw_pixels: tuple[Budget, ...]
    model: str = "scenes"
    edge_hardware: str = "edge_a100"
    device_hardware: str = "phone"
    priced_as: str = "sd15"


def protocol_of(method: str) -> str:
    """Protocol of a method of the study or of a codec of the user's; a bound has none.

    >>> protocol_of("webp"), protocol_of("transform")
    ('centralized', 'eiug')
    """
    return PROTOCOL_OF_METHOD.get(method) or OwnCodec.of_text(method).protocol


def cases(config: ImageQualityConfig) -> Iterator[Case]:
    """Random seed outermost, so that the pictures of one random seed are generated once."""
    for random_seed, method in product(config.random_seeds, config.methods):
        # Raw pixels need hundreds of times the uses: at the budgets of the others nothing fits.
        raw_pixels = method == "raw_pixels"
        budgets = config.nums_channel_uses_raw_pixels if raw_pixels else config.nums_channel_uses
        for fading, snr_db, num_channel_uses in product(config.fadings, config.snrs_db, budgets):
            place: dict[str, Value] = {"protocol": protocol_of(method), "fading": fading}
            yield Case(method, {**place, "snr_db": snr_db, "num_channel_uses": num_channel_uses}, random_seed)
