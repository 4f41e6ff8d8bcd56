"""Study air: what channels and links do, against closed forms, Sionna and Shannon."""

from __future__ import annotations

from collections.abc import Mapping

from gainnet.studies.air.drawing import draw
from gainnet.studies.air.question import METHODS, QUESTION, AirConfig, cases
from gainnet.studies.air.summary import metric_names, summarise
from gainnet.studies.presets import CATALOG
from gainnet.studies.results import config_hash
from gainnet.studies.study import Method, Study


def open_methods(config: AirConfig) -> Mapping[str, Method]:
    """The methods, by name."""
    from gainnet.studies.air import gains, links

    return {**links.methods(config), **gains.methods(config)}


def identity(config: AirConfig) -> Mapping[str, str]:
    """sha256 of the model and its seed basis, digest of the block error rate tables."""
    from gainnet.codecs import basis
    from gainnet.models import loading
    from gainnet.radio.coding.bler import TABLE_PATH

    return {
        "model": loading.weights_sha256(loading.find_folder(config.model)),
        "seed_basis": loading.weights_sha256(basis.find_folder(config.model)),
        "bler_tables": config_hash({"tables": TABLE_PATH.read_text()}),
    }


AIR = Study(
    name="air",
    question=QUESTION,
    catalog=CATALOG,
    config=AirConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=open_methods,
    identity=identity,
    summarise=summarise,
    draw=draw,
)
