"""Study image-quality-air: the crossover of image-quality over airs that forgive less than blocks with true reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Final, final

import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from gainnet.studies.figures import Panel
from gainnet.studies.image_quality import draw_maps
from gainnet.studies.image_quality import identity as of_image_quality
from gainnet.studies.image_quality.material import gather
from gainnet.studies.image_quality.question import Budget, ImageQualityConfig, SnrDb, protocol_of
from gainnet.studies.image_quality.systems import methods
from gainnet.studies.own import check_codec, one_or_own, own
from gainnet.studies.settings import NonEmpty, Seeds, one_of
from gainnet.studies.statistics import at, named, present, psnr_cells, round_metrics
from gainnet.studies.study import Case, Method, Study, Value

AIRS: Final[dict[str, dict[str, Value]]] = {
    "rayleigh": {"fading": "rayleigh", "harq": "none"},
    "rayleigh_ir": {"fading": "rayleigh", "harq": "ir"},
    "late_reports": {"fading": "jakes", "harq": "ir", "report_delay": 4},
    "wrong_reports": {"fading": "rayleigh", "harq": "ir", "report_error_db": 3.0},
    "deadline": {"fading": "rayleigh", "harq": "ir", "report_error_db": 3.0, "slack": 1.25},
    "tdl_c": {"fading": "tdl-c", "harq": "ir"},
}
"""By name: fading, HARQ, age and error of SNR reports; `slack`: a deadline of so many times what the budget takes."""

TITLES: Final = {
    "rayleigh": "Rayleigh blocks, codewords sent anew",
    "rayleigh_ir": "Rayleigh blocks, incremental redundancy",
    "late_reports": "Jakes blocks, reports 4 blocks late",
    "wrong_reports": "Rayleigh blocks, reports wrong by 3 dB",
    "deadline": "wrong by 3 dB, 1.25 x budget as deadline",
    "tdl_c": "TDL-C at 30 km/h, channel estimated",
}
METHODS: Final = ("webp", "avif", "digital", "linear")
SNRS_DB: Final = (0, 10, 20)
COMMON: Final = 1024


@final
@dataclass(frozen=True)
class ConditionsConfig:
    """Settings of the study image-quality-air.

    Args:
        random_seeds: each draws its own prompts, noise and fading.
        airs: names of airs.
        methods: which systems run, and codecs of yours as in image-quality.
        num_images: pictures per random seed and system.
        nums_channel_uses: budgets of complex channel uses for one picture.
        snrs_db: mean received Es/N0.
        model: name or folder of the model.
        edge_hardware: profile of the edge.
        device_hardware: profile of the device.
        priced_as: model whose FLOPs and bytes are priced.
    """

    random_seeds: Seeds
    airs: NonEmpty[Annotated[str, one_of(tuple(AIRS))]]
    methods: NonEmpty[Annotated[str, one_or_own(METHODS, check_codec)]]
    num_images: Annotated[int, Field(ge=1, le=1000)]
    nums_channel_uses: NonEmpty[Budget]
    snrs_db: NonEmpty[SnrDb]
    model: str = "scenes"
    edge_hardware: str = "edge_a100"
    device_hardware: str = "phone"
    priced_as: str = "sd15"

    def as_image_quality(self) -> ImageQualityConfig:
        """The settings of the study whose systems these are."""
        same = {name: value for name, value in vars(self).items() if name != "airs"}
        return ImageQualityConfig(**same, fadings=("rayleigh",), nums_channel_uses_raw_pixels=())


def cases(config: ConditionsConfig) -> Iterator[Case]:
    """Random seed outermost, so that the pictures of one random seed are generated once."""
    for random_seed, method, air in product(config.random_seeds, config.methods, config.airs):
        for snr_db, num_channel_uses in product(config.snrs_db, config.nums_channel_uses):
            yield Case(method, _values(method, air, snr_db, num_channel_uses), random_seed)


def _values(method: str, air: str, snr_db: float, num_channel_uses: int) -> dict[str, Value]:
    found = {"report_delay": 0, "report_error_db": 0.0, "slack": None} | AIRS[air]
    place = {"protocol": protocol_of(method), "air": air, "fading": found["fading"], "harq": found["harq"]}
    reports = {name: found[name] for name in ("report_delay", "report_error_db", "slack")}
    return {**place, **reports, "snr_db": snr_db, "num_channel_uses": num_channel_uses}


def open_methods(config: ConditionsConfig) -> Mapping[str, Method]:
    """The systems of image-quality."""
    systems = methods(gather(config.as_image_quality()))
    return {name: systems[name] for name in (*METHODS, *own(config.methods, METHODS))}


def metric_names() -> tuple[str, ...]:
    """All metrics.

    >>> metric_names()[0]
    'psnr_db.rayleigh.webp.0db'
    """
    quality = tuple(f"psnr_db.{air}.{m}.{snr}db" for air in AIRS for m in METHODS for snr in SNRS_DB)
    return (*quality, *(f"seed_gain_db.{air}.{snr}db" for air in AIRS for snr in SNRS_DB))


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """PSNR at 1,024 channel uses, and the best seed over the best picture there."""
    rows = at(cells(table), num_channel_uses=COMMON)
    rows = rows[rows["snr_db"].isin(SNRS_DB)]
    found = named(rows.set_index(["air", "method", "snr_db"])["psnr_db"], "psnr_db.{}.{}.{:g}db")
    # The best of each side, as a sender would choose.
    is_picture = rows["protocol"] == "centralized"
    if {"linear", "webp"} <= set(rows["method"]):
        seed_db, picture_db = (rows[x].groupby(["air", "snr_db"])["psnr_db"].max() for x in (~is_picture, is_picture))
        found |= named((seed_db - picture_db).dropna(), "seed_gain_db.{}.{:g}db")
    return round_metrics(found, 3)


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method, air, SNR and budget: PSNR of the mean error over all pictures."""
    return psnr_cells(table, ["method", "protocol", "air", "snr_db", "num_channel_uses"])


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """The crossover map of every air."""
    found = cells(table)
    airs = present(found, "air", AIRS)
    if {"eiug", "centralized"} - set(found["protocol"]):
        return
    note = (
        "SNR = mean received Es/N0; PSNR of the mean error against the channel-free generation, same random seed.\n"
        "A picture that misses its deadline counts as a grey one, a seed as the mean seed. Blocks of 256 uses, 1 MHz."
    )
    title = "PSNR of the best seed minus PSNR of the best picture, in dB (+: seed wins)"
    parts = [Panel(at(found, air=air), TITLES[air], "SNR in dB", "channel uses per picture") for air in airs]
    yield "crossover", draw_maps(title, note, parts, 2)


def identity(config: ConditionsConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return of_image_quality(config.as_image_quality())


IMAGE_QUALITY_AIR = Study(
    "image-quality-air", ConditionsConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw
)
