"""What every method of image-quality is given: the model, and pictures that no channel has touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from gainnet.codecs import SeedBasis
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Place, Spec
from gainnet.core.units import psnr_db_of_mse
from gainnet.generation.quality import ssim
from gainnet.models.attributes import AttributeClassifier, prompt_fidelity
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.scenes import draw_scenes, stream, write_captions
from gainnet.network.hardware import Hardware, profile
from gainnet.network.network import Network
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols import estimate
from gainnet.protocols.plan import Plan
from gainnet.protocols.pricing import Pricing, pricing
from gainnet.studies.image_quality.question import ImageQualityConfig
from gainnet.studies.study import Case, Value

RANDOM_SEEDS_APART = 1000
LONGEST_PROMPT_BYTES = 256
PROMPT: Place = (DEVICE, "prompt")


@final
@dataclass(frozen=True)
class Pictures:
    """A batch that an edge has generated and nobody has sent yet.

    Args:
        prompts: unseen captions.
        random: streams of the items.
        places: prompt on the device, latent and image on the edge.
    """

    prompts: tuple[str, ...]
    random: Random
    places: Mapping[Place, Tensor]

    @property
    def images(self) -> Tensor:
        """[num_images, 3, height, width], in [0, 1]: what every received picture is compared with."""
        return self.places[EDGE, "image"]

    @property
    def latents(self) -> Tensor:
        """[num_images, *latent]."""
        return self.places[EDGE, "latent"]


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
        pricing: what parts are priced as.
        pictures_of: pictures of a random seed; remembers the last one.
        prices: what was priced so far, by method and air.
    """

    model: DiffusionModel
    basis: SeedBasis
    classifier: AttributeClassifier
    edge: Hardware
    device: Hardware
    pricing: Pricing
    pictures_of: Callable[[int], Pictures]
    prices: dict[str, Report] = field(default_factory=dict)

    def judge(self, images: Tensor, pictures: Pictures) -> dict[str, Value]:
        """PSNR of the mean MSE, mean SSIM and mean prompt fidelity of received pictures."""
        mse = (images - pictures.images).double().square().mean()
        shares = prompt_fidelity(self.classifier, images, pictures.prompts)
        known = [share for share in shares if share is not None]
        return {
            "psnr_db": float(psnr_db_of_mse(mse)),
            "mse": float(mse),
            "ssim": float(ssim(images, pictures.images).mean()),
            "prompt_fidelity": sum(known) / len(known) if known else None,
        }

    def priced(self, case: Case, plan: Plan, network: Network) -> Report:
        """What one picture costs, the prompt's way up and all computations included; the same for every random seed.

        Raises:
            ConfigError: the content's codec cannot be sent.
        """
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
    remembered = lru_cache(maxsize=1)(lambda random_seed: generate(model, random_seed, config.num_images))
    return Material(
        model,
        SeedBasis.load(config.model, model.sha256),
        AttributeClassifier.from_pretrained(),
        profile(config.edge_hardware),
        profile(config.device_hardware),
        pricing(config.priced_as),
        remembered,
    )


@torch.no_grad()
def generate(model: DiffusionModel, random_seed: int, num_images: int) -> Pictures:
    """Unseen captions of a random seed, and what the model makes of them without a channel."""
    rng = stream(random_seed, "image-quality", 0)
    prompts = write_captions(draw_scenes(num_images, rng), rng)
    random = Random.of([RANDOM_SEEDS_APART * random_seed + item for item in range(num_images)])
    tensors: dict[str, Tensor] = {"prompt": text_to_tensor(prompts)}
    for part in model.parts:
        tensors |= part(tensors, random)
    places: dict[Place, Tensor] = {(EDGE, name): tensors[name] for name in ("latent", "image")}
    return Pictures(tuple(prompts), random, {PROMPT: tensors["prompt"], **places})
