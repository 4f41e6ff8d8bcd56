"""Study air: what channels and links do, against closed forms, Sionna and Shannon."""

from __future__ import annotations

from collections.abc import Mapping

from gainnet.radio.coding.bler import TABLE_PATH
from gainnet.studies.air import gains, links
from gainnet.studies.air.drawing import draw
from gainnet.studies.air.question import METHODS, AirConfig, cases
from gainnet.studies.air.summary import metric_names, summarise
from gainnet.studies.results import config_hash
from gainnet.studies.study import Study
from gainnet.studies.weights import picture_digests


def identity(config: AirConfig) -> Mapping[str, str]:
    """sha256 of the model and its seed basis, digest of the block error rate tables."""
    return {
        **picture_digests(config.model, "seed_basis"),
        "bler_tables": config_hash({"tables": TABLE_PATH.read_text()}),
    }


AIR = Study(
    name="air",
    config=AirConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=lambda config: {**links.methods(config), **gains.methods(config)},
    identity=identity,
    summarise=summarise,
    draw=draw,
)
