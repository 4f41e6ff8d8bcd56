"""Question and sweep of photographs: seeds and picture codecs at the same SNR and channel uses per pixel value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Annotated, Final, Literal, final

from pydantic import Field

from gainnet.studies.own import check_codec, one_or_own
from gainnet.studies.settings import NonEmpty, Seeds, SnrDb
from gainnet.studies.study import Case, Value

AUTOENCODER: Final = "autoencoder"
"""Encoded and decoded without a channel: no seed of this model can come nearer."""

SEEDS: Final = ("linear", "seed", "digital", "transform")
CODECS: Final = ("avif", "hevc", "vvc", "jpeg_xl")
METHODS: Final = (AUTOENCODER, *SEEDS, *CODECS)
HALVES: Final = ("even", "odd")
"""Photographs by their number in the order of their names; each half is judged with codes learned on the other."""

USES: Final = ("1/192", "1/96", "1/48")
SNRS_DB: Final = (0, 5, 10)
Steps = Annotated[int, Field(ge=1, le=1_000_000)]


@final
@dataclass(frozen=True)
class PhotographsConfig:
    """Settings of the study photographs.

    Args:
        random_seeds: each draws its own crops and noise.
        methods: which run; codecs of yours as `module:Class(args)`, of pictures as `image=module:Class(args)`.
        pictures: folder of photographs; textures that are drawn stand in for them when empty.
        model: whose latents are seeds: a folder in diffusers' format, or of a tiny autoencoder.
        side: of a crop in pixels.
        crops_per_photograph: per random seed.
        uses_per_value: complex channel uses per pixel value.
        snrs_db: mean received Es/N0, AWGN.
        num_tiles: of the other half, which codes are learned on.
        seed_steps: of the learned seed code: on components, on refined latents, through the decoder.
        transform_steps: of the transform code: on latents, through the decoder.
        work: folder that the codes are learned in; a run that was stopped goes on with them.
    """

    random_seeds: Seeds
    methods: NonEmpty[Annotated[str, one_or_own(METHODS, check_codec)]]
    pictures: str
    model: str
    side: Annotated[int, Field(ge=32, le=2048)]
    crops_per_photograph: Annotated[int, Field(ge=1, le=100)]
    uses_per_value: NonEmpty[Literal["1/192", "1/96", "1/48"]]
    snrs_db: NonEmpty[SnrDb]
    num_tiles: Annotated[int, Field(ge=41, le=100_000)]
    seed_steps: tuple[Steps, Steps, Steps]
    transform_steps: tuple[Steps, Steps]
    work: str

    def channel_uses(self, uses_per_value: str) -> int:
        """Complex channel uses of a crop.

        >>> from gainnet.studies.presets import load_config
        >>> from gainnet.studies.photographs import PHOTOGRAPHS
        >>> load_config(PHOTOGRAPHS, "default").channel_uses("1/96")
        2048
        """
        return round(3 * self.side**2 * Fraction(uses_per_value))


def cases(config: PhotographsConfig) -> Iterator[Case]:
    """Every method over SNR and uses, one half after the other; the autoencoder once, without a channel."""
    for random_seed, half, method in product(config.random_seeds, HALVES, config.methods):
        if method == AUTOENCODER:
            yield Case(method, {"half": half}, random_seed)
            continue
        for uses, snr_db in product(config.uses_per_value, config.snrs_db):
            where: dict[str, Value] = {
                "half": half,
                "uses_per_value": uses,
                "num_channel_uses": config.channel_uses(uses),
            }
            yield Case(method, {**where, "snr_db": snr_db}, random_seed)
