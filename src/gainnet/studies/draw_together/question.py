"""Question and sweep: which arms draw held-out captions in the devices' style, and still what the captions say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal, final

from pydantic import Field

from gainnet.radio import Air
from gainnet.studies.settings import AirField, Count, Natural, NonEmpty, Positive, Seeds
from gainnet.studies.study import Case

ARMS = ("none", "alone", "federated", "central")
"""The model before any round; one device by itself; all devices by way of the edge; all pictures in one place."""
DRAWN = ("plain", "styled")
"""Pictures of the held-out captions as they were drawn, in both styles, behind the autoencoder: what judges say of
what is known."""
METHODS = (*DRAWN, *ARMS)
PAIRS = (("federated", "alone"), ("federated", "none"), ("federated", "central"))
SCORES = ("style", "fidelity", "loss")
METRIC_NAMES = (
    "judge_accuracy",
    "num_captions",
    *(f"style_agreement.{arm}" for arm in ARMS),
    *(f"prompt_fidelity.{method}" for method in METHODS),
    *(f"loss.{arm}" for arm in ARMS),
    *(f"{a}_minus_{b}.{score}{end}" for (a, b), score, end in product(PAIRS, SCORES, ("", ".low", ".high"))),
)


@final
@dataclass(frozen=True)
class DrawTogetherConfig:
    """Settings of the study draw-together.

    Args:
        random_seeds: each deals pictures, trains and draws with streams of its own.
        methods: arms, and pictures as they were drawn.
        num_captions: held out from all training of the style.
        num_devices: how many.
        num_pictures: of each.
        rounds: of the federated arm.
        num_steps: mini-batches per device and round; the other arms take as many in all.
        batch_size: pictures per mini-batch.
        rate: learning rate.
        rank: of LoRA, whose first factors are locked.
        judge_pictures: per style, that the judge learns from; no device has them and no held-out caption names them.
        judge_steps: mini-batches of the judge.
        model: name or folder of the model.
        pictures: folder of the npm package @iconify-json/fluent-emoji-flat; scenes as stickers where it is empty.
        album: file of the pictures that the emoji model was trained on; of no use for scenes.
        air: of the federated arm.
    """

    random_seeds: Seeds
    methods: NonEmpty[Literal["plain", "styled", "none", "alone", "federated", "central"]]
    num_captions: Annotated[int, Field(ge=2, le=1000)]
    num_devices: Annotated[int, Field(ge=2, le=1000)]
    num_pictures: Count
    rounds: Count
    num_steps: Count
    batch_size: Count
    rate: Positive
    rank: Count
    judge_pictures: Annotated[int, Field(ge=8)]
    judge_steps: Natural
    model: str
    pictures: str
    album: str
    air: AirField = Air(bandwidth_hz=20e6)


def cases(config: DrawTogetherConfig) -> Iterator[Case]:
    """Every method once per random seed and held-out caption."""
    for random_seed, method, item in product(config.random_seeds, config.methods, range(config.num_captions)):
        yield Case(method, {"item": item}, random_seed)
