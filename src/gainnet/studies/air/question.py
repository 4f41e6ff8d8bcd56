"""Questions of the study air, and the channels that each is asked of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Final, final

from pydantic import Field

from gainnet.studies.own import check_fading, one_or_own
from gainnet.studies.settings import NonEmpty, Positive, Seeds, one_of
from gainnet.studies.study import Case, grid

EBN0_DB: Final = (1.0, 1.5, 2.0)
SNRS_DB: Final = (0, 10, 20)
PACKET_SNRS_DB: Final = (0, 5, 10)
PACKET_BYTES: Final = 57
"""Payload of a learned seed of 30 dB."""
ORDERS: Final = (2, 4, 6, 8)
FADINGS: Final = ("awgn", "rayleigh", "rician", "jakes", "tdl-a", "tdl-b", "tdl-c", "cdl-a", "cdl-b", "cdl-c")
BLOCK_FADINGS: Final = ("rayleigh", "rician", "jakes")
REPORTS: Final = ((0, 0.0), (1, 0.0), (4, 0.0), (0, 3.0))
"""Delay in blocks and error in dB of SNR reports."""
HARQS: Final = ("none", "ir")
DELAY_AND_ERROR: Final = ("report_delay", "report_error_db")
SWEEPS: Final[Mapping[str, Mapping[Any, Sequence[Any]]]] = {
    "sionna": {"ebn0_db": EBN0_DB},
    "bit_errors": {"fading": FADINGS, "bits_per_symbol": ORDERS, "snr_db": (5, 15)},
    "codes": {},
    "goodput": {"fading": ("awgn", "rayleigh", "jakes", "tdl-c"), "harq": HARQS, "snr_db": SNRS_DB},
    # SNRs at which codewords do fail, since links that never resend agree in any case.
    "agreement": {("fading", "snr_db"): (("awgn", 3), ("rayleigh", 5), ("tdl-c", 8)), "harq": HARQS},
    "fading": {"fading": FADINGS[1:]},
    "delivery": {"fading": BLOCK_FADINGS, "harq": HARQS, "snr_db": (10,), DELAY_AND_ERROR: REPORTS},
    "outer_loop": {"fading": ("jakes",), "snr_db": (10,), "step_db": (0.0, 0.5), DELAY_AND_ERROR: REPORTS},
    "estimation": {"fading": ("tdl-a", "tdl-b", "tdl-c", "cdl-c"), "snr_db": (0, 10, 20)},
    "power_peaks": {},
    "sharing": {"num_devices": (1, 2, 4, 8)},
    "speed": {},
    "packets": {"snr_db": PACKET_SNRS_DB},
    "acknowledged_packets": {"snr_db": PACKET_SNRS_DB},
}
"""Swept values of every method, by column."""
METHODS: Final = tuple(SWEEPS)


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
        num_packets: short packets per point and random seed; half as many with feedback.
        fadings: further channels of goodput, of yours as `module:Class(args)`.
    """

    random_seeds: Seeds
    methods: NonEmpty[Annotated[str, one_of(METHODS)]]
    num_codewords: Annotated[int, Field(ge=10, le=1_000_000)]
    num_symbols: Annotated[int, Field(ge=100, le=10_000_000)]
    num_items: Annotated[int, Field(ge=2, le=100_000)]
    num_bytes: Annotated[int, Field(ge=1, le=100_000)]
    num_gains: Annotated[int, Field(ge=100, le=1_000_000)]
    num_images: Annotated[int, Field(ge=1, le=1000)]
    num_blocks: Annotated[int, Field(ge=8, le=1_000_000)]
    deadline_s: Positive
    model: str = "scenes"
    num_packets: Annotated[int, Field(ge=10, le=1_000_000)] = 5000
    fadings: tuple[Annotated[str, one_or_own(FADINGS, check_fading)], ...] = ()


def cases(config: AirConfig) -> Iterator[Case]:
    """Random seed outermost; methods that do not depend on chance come once."""
    for random_seed, method in product(config.random_seeds, config.methods):
        if method not in ("codes", "speed") or random_seed == config.random_seeds[0]:
            for values in grid(SWEEPS[method]):
                yield Case(method, values, random_seed)
        if method == "goodput" and config.fadings:
            for values in grid({**SWEEPS[method], "fading": config.fadings}):
                yield Case(method, values, random_seed)
