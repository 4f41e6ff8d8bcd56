"""Study image-quality: seeds finished on the device against finished pictures, over the same air."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from gainnet.network.hardware import profile
from gainnet.protocols.pricing import pricing
from gainnet.studies.image_quality.drawing import draw
from gainnet.studies.image_quality.material import gather
from gainnet.studies.image_quality.question import METHODS, ImageQualityConfig, cases
from gainnet.studies.image_quality.summary import metric_names, summarise
from gainnet.studies.image_quality.systems import methods
from gainnet.studies.results import config_hash
from gainnet.studies.study import Study
from gainnet.studies.weights import picture_digests


def identity(config: ImageQualityConfig) -> Mapping[str, str]:
    """sha256 of the model, of its seed basis and of the classifier, digests of hardware and prices."""
    return {
        "edge_hardware": config_hash(asdict(profile(config.edge_hardware))),
        "device_hardware": config_hash(asdict(profile(config.device_hardware))),
        "prices": config_hash(asdict(pricing(config.priced_as))),
        **picture_digests(config.model, "seed_basis", "classifier"),
    }


IMAGE_QUALITY = Study(
    name="image-quality",
    config=ImageQualityConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=lambda config: methods(gather(config)),
    identity=identity,
    summarise=summarise,
    draw=draw,
)
