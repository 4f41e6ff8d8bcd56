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
from gainnet.studies.study import Method, Study
from gainnet.studies.weights import picture_digests


def identity(config: ImageQualityConfig) -> Mapping[str, str]:
    """sha256 of the model, of its seed basis and of the classifier, digests of hardware and prices."""
    return {
        "edge_hardware": config_hash(asdict(profile(config.edge_hardware))),
        "device_hardware": config_hash(asdict(profile(config.device_hardware))),
        "prices": config_hash(asdict(pricing(config.priced_as))),
        **picture_digests(config.model, "seed_basis", "classifier"),
    }


def open_methods(config: ImageQualityConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    return methods(gather(config))


IMAGE_QUALITY = Study(
    "image-quality", ImageQualityConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw
)
