"""Study image-quality: seeds finished on the device against finished pictures, over the same air."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from gainnet.studies.image_quality.drawing import draw
from gainnet.studies.image_quality.question import METHODS, QUESTION, ImageQualityConfig, cases
from gainnet.studies.image_quality.summary import metric_names, summarise
from gainnet.studies.presets import CATALOG
from gainnet.studies.results import config_hash
from gainnet.studies.study import Method, Study


def open_methods(config: ImageQualityConfig) -> Mapping[str, Method]:
    """The methods, with everything they need loaded."""
    from gainnet.studies.image_quality.material import gather
    from gainnet.studies.image_quality.systems import methods

    return methods(gather(config))


def identity(config: ImageQualityConfig) -> Mapping[str, str]:
    """sha256 of the model, of its seed basis and of the classifier, digests of hardware and prices."""
    from gainnet.codecs import basis
    from gainnet.models import attributes, loading
    from gainnet.network.hardware import profile
    from gainnet.protocols.pricing import pricing

    return {
        "edge_hardware": config_hash(asdict(profile(config.edge_hardware))),
        "device_hardware": config_hash(asdict(profile(config.device_hardware))),
        "prices": config_hash(asdict(pricing(config.priced_as))),
        "model": loading.weights_sha256(loading.find_folder(config.model)),
        "seed_basis": loading.weights_sha256(basis.find_folder(config.model)),
        "classifier": loading.weights_sha256(attributes.PRETRAINED),
    }


IMAGE_QUALITY = Study(
    name="image-quality",
    question=QUESTION,
    catalog=CATALOG,
    config=ImageQualityConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=open_methods,
    identity=identity,
    summarise=summarise,
    draw=draw,
)
