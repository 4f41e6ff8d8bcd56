"""What the study air asks, and of which channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Final, Literal, final

from pydantic import Field

from gainnet.studies.study import Case, Value

QUESTION: Final = (
    "Does the air do what the literature says, how much of what Shannon promises does it carry, and how late is it?"
)
METHODS: Final = (
    "sionna", "bit_errors", "codes", "goodput", "agreement", "fading", "delivery", "outer_loop", "estimation",
    "power_peaks", "sharing", "speed",
)  # fmt: skip
EBN0_DB: Final = (1.0, 1.5, 2.0)
SNRS_DB: Final = (0, 10, 20)
ORDERS: Final = (2, 4, 6, 8)
FADINGS: Final = ("awgn", "rayleigh", "rician", "jakes", "tdl-a", "tdl-b", "tdl-c", "cdl-a", "cdl-b", "cdl-c")
BLOCK_FADINGS: Final = ("rayleigh", "rician", "jakes")
REPORTS: Final = ((0, 0.0), (1, 0.0), (4, 0.0), (0, 3.0))
"""Delay in blocks and error in dB of SNR reports."""


@final
@dataclass(frozen=True)
class AirConfig:
    """Settings of the study air.

    Args:
        random_seeds: each draws its own noise, gains and payloads.
        methods: which questions are asked.
        num_codewords: codewords per point and random seed against Sionna.
        num_symbols: symbols per point and random seed of bit error rates.
        num_items: payloads per point and random seed of goodput and delivery.
        num_bytes: of a payload.
        num_gains: gains per random seed of distribution tests.
        num_images: pictures per random seed behind estimated channels.
        num_blocks: blocks per random seed of outer loops.
        deadline_s: after which a payload is of no use.
        model: whose latents are sent.
    """

    random_seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    methods: Annotated[
        tuple[
            Literal[
                "sionna",
                "bit_errors",
                "codes",
                "goodput",
                "agreement",
                "fading",
                "delivery",
                "outer_loop",
                "estimation",
                "power_peaks",
                "sharing",
                "speed",
            ],
            ...,
        ],
        Field(min_length=1),
    ]
    num_codewords: Annotated[int, Field(ge=10, le=1_000_000)]
    num_symbols: Annotated[int, Field(ge=100, le=10_000_000)]
    num_items: Annotated[int, Field(ge=2, le=100_000)]
    num_bytes: Annotated[int, Field(ge=1, le=100_000)]
    num_gains: Annotated[int, Field(ge=100, le=1_000_000)]
    num_images: Annotated[int, Field(ge=1, le=1000)]
    num_blocks: Annotated[int, Field(ge=8, le=1_000_000)]
    deadline_s: Annotated[float, Field(gt=0)]
    model: str = "scenes"


def cases(config: AirConfig) -> Iterator[Case]:
    """Random seed outermost; what does not depend on chance is asked once."""
    for random_seed, method in product(config.random_seeds, config.methods):
        if method not in ("codes", "speed") or random_seed == config.random_seeds[0]:
            for values in swept(method):
                yield Case(method, values, random_seed)


def swept(method: str) -> Iterator[dict[str, Value]]:
    """Swept values of a method."""
    match method:
        case "sionna":
            for ebn0_db in EBN0_DB:
                yield {"ebn0_db": ebn0_db}
        case "bit_errors":
            for fading, order, snr_db in product(FADINGS, ORDERS, (5, 15)):
                yield {"fading": fading, "bits_per_symbol": order, "snr_db": snr_db}
        case "goodput":
            for fading, harq, snr_db in product(("awgn", "rayleigh", "jakes", "tdl-c"), ("none", "ir"), SNRS_DB):
                yield {"fading": fading, "harq": harq, "snr_db": snr_db}
        case "agreement":
            for (fading, snr_db), harq in product((("awgn", 3), ("rayleigh", 5), ("tdl-c", 8)), ("none", "ir")):
                yield {"fading": fading, "harq": harq, "snr_db": snr_db}
        case "delivery":
            for fading, harq, (late, error_db) in product(BLOCK_FADINGS, ("none", "ir"), REPORTS):
                yield {"fading": fading, "harq": harq, "snr_db": 10, "report_delay": late, "report_error_db": error_db}
        case "outer_loop":
            for step_db, (late, error_db) in product((0.0, 0.5), REPORTS):
                yield {
                    "fading": "jakes",
                    "snr_db": 10,
                    "step_db": step_db,
                    "report_delay": late,
                    "report_error_db": error_db,
                }
        case "estimation":
            for fading, snr_db in product(("tdl-a", "tdl-b", "tdl-c", "cdl-c"), (0, 10, 20)):
                yield {"fading": fading, "snr_db": snr_db}
        case "fading":
            for fading in FADINGS[1:]:
                yield {"fading": fading}
        case "sharing":
            for num_devices in (1, 2, 4, 8):
                yield {"num_devices": num_devices}
        case _:
            yield {}
