"""Material of every method of image-quality: model, judge, prices and pictures that no channel has touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import final

from torch import Tensor

from gainnet.codecs import SeedBasis
from gainnet.core.report import Report
from gainnet.core.types import Spec
from gainnet.core.units import psnr_db_of_mse
from gainnet.generation.quality import mean_fidelity, ssim
from gainnet.models.attributes import AttributeClassifier
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.network.hardware import Hardware, profile
from gainnet.network.network import Network
from gainnet.protocols import estimate
from gainnet.protocols.plan import Plan
from gainnet.protocols.pricing import Pricing, pricing
from gainnet.studies.image_quality.question import METHODS, ImageQualityConfig
from gainnet.studies.own import own
from gainnet.studies.pictures import PROMPT, Pictures, generate
from gainnet.studies.study import Case, Value

LONGEST_PROMPT_BYTES = 256


@final
@dataclass(frozen=True)
class Material:
    """Model, judge, prices and pictures of one run.

    Args:
        model: whose parts run.
        basis: principal components of its latents.
        classifier: judge of prompt fidelity.
        edge: hardware of the edge.
        device: hardware of the device.
        pricing: price list of the parts.
        pictures_of: pictures of a random seed; remembers the last one.
        own: codecs of the user's, by their texts.
        prices: what was priced so far, by method and air.
    """

    model: DiffusionModel
    basis: SeedBasis
    classifier: AttributeClassifier
    edge: Hardware
    device: Hardware
    pricing: Pricing
    pictures_of: Callable[[int], Pictures]
    own: tuple[str, ...] = ()
    prices: dict[str, Report] = field(default_factory=dict)

    def judge(self, images: Tensor, pictures: Pictures) -> dict[str, Value]:
        """PSNR of the mean MSE, mean SSIM and mean prompt fidelity of received pictures."""
        mse = (images - pictures.images).double().square().mean()
        return {
            "psnr_db": float(psnr_db_of_mse(mse)),
            "mse": float(mse),
            "ssim": float(ssim(images, pictures.images).mean()),
            "prompt_fidelity": mean_fidelity(images, pictures.prompts, self.classifier),
        }

    def priced(self, case: Case, plan: Plan, network: Network) -> Report:
        """Cost of one picture, the prompt's way up and all computations included; the same for every random seed.

        Raises:
            ConfigError: the content's codec cannot be sent.
        """
        # Without the random seed, on which expected costs do not depend.
        air = Case(case.method, case.values, 0).key
        if air not in self.prices:
            self.prices[air] = estimate(plan, {PROMPT: Spec((LONGEST_PROMPT_BYTES,))}, network, self.pricing)
        return self.prices[air]


def gather(config: ImageQualityConfig) -> Material:
    """Loads everything once.

    Raises:
        ModelError: the model, its seed basis or the classifier is missing or does not fit.
        ConfigError: unknown hardware or price list.
    """
    model = load_model(config.model)
    remembered = lru_cache(maxsize=1)(lambda seed: generate(model, "image-quality", seed, config.num_images))
    return Material(
        model,
        SeedBasis.load(config.model, model.sha256),
        AttributeClassifier.from_pretrained(),
        profile(config.edge_hardware),
        profile(config.device_hardware),
        pricing(config.priced_as),
        remembered,
        own(config.methods, METHODS),
    )
