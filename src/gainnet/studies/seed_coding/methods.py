"""The methods of seed-coding: seeds and pictures over the air, judged against the same generation without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, final

import torch
from torch import Tensor

from gainnet.codecs import AVIF, JPEG, LinearCode, QuantizedSeed, RawAnalog, WebP
from gainnet.codecs.codec import AnyCodec
from gainnet.core.randomness import Random
from gainnet.studies.image_quality.material import Pictures
from gainnet.studies.seed_coding.denoising import denoised
from gainnet.studies.seed_coding.judging import fidelity, judged, latent_nmse, mean_ssim
from gainnet.studies.seed_coding.material import Material
from gainnet.studies.seed_coding.question import OPTA, SD_SHAPED
from gainnet.studies.seed_coding.ways import Analog, Digital, GaussianOptimum, Prompts, Received, Way
from gainnet.studies.seed_coding.wide import wide_methods
from gainnet.studies.study import Case, Method, Row

AIR: Final = "air"
"""Streams of the air: the same fading and noise for all methods, seeds and pictures alike."""


@final
@dataclass(frozen=True)
class SeedMethod:
    """latents --way--> latents --decoder--> pictures

    Args:
        material: model, judge and pictures.
        way: how latents go over the air.
    """

    material: Material
    way: Way

    @torch.no_grad()
    def __call__(self, case: Case, random: Random) -> Row:
        """Quality and cost of a batch."""
        material, pictures = self.material, self.material.pictures_of(case.random_seed)
        received = self.way(case, pictures.latents, pictures.prompts, pictures.random.child(AIR))
        images = material.model.decoder({"latent": received.values}, pictures.random)["image"]
        nmse = latent_nmse(received.values, pictures.latents, material.basis)
        return {**_row(case, material, images, pictures, received), "latent_nmse": nmse}


@final
@dataclass(frozen=True)
class PictureMethod:
    """pictures --way--> pictures

    Args:
        material: judge and pictures.
        way: how pictures go over the air.
    """

    material: Material
    way: Way

    @torch.no_grad()
    def __call__(self, case: Case, random: Random) -> Row:
        """Quality and cost of a batch."""
        pictures = self.material.pictures_of(case.random_seed)
        received = self.way(case, pictures.images, pictures.prompts, pictures.random.child(AIR))
        return _row(case, self.material, received.values, pictures, received)


@final
@dataclass(frozen=True)
class ByContent:
    """A method that answers for scenes and for the Stable-Diffusion-shaped latent in different ways."""

    scene: Method
    sd_shaped: Method

    def __call__(self, case: Case, random: Random) -> Row:
        return (self.sd_shaped if case.values["content"] == SD_SHAPED else self.scene)(case, random)


def methods(material: Material) -> Mapping[str, Method]:
    """All methods by name."""
    scenes, wide = scene_methods(material), wide_methods(material)
    both = {name: ByContent(scenes[name], wide[name]) for name in scenes if name in wide}
    return {**scenes, **wide, **both}


def scene_methods(material: Material) -> Mapping[str, Method]:
    """Methods of pictures of 128 x 128 pixels."""
    basis = material.basis
    symbols: dict[str, Callable[[int, Prompts], AnyCodec]] = {
        "raw": lambda uses, prompts: RawAnalog(uses, scale=basis.root_mean_square),
        "linear": lambda uses, prompts: LinearCode(uses, basis),
        "seed": lambda uses, prompts: material.seed_code(uses, None),
        "seed_prompt": material.seed_code,
    }
    bits: dict[str, Callable[[float, Prompts], AnyCodec]] = {
        "digital_seed": lambda bits, prompts: material.transform_code(bits, None),
        "digital_seed_prompt": material.transform_code,
        "pca_seed": lambda bits, prompts: QuantizedSeed(max_bits=bits, basis=basis),
    }
    pictures: dict[str, Callable[[float, Prompts], AnyCodec]] = {
        "webp": lambda bits, prompts: WebP(max_bits=bits),
        "avif": lambda bits, prompts: AVIF(max_bits=bits),
        "jpeg": lambda bits, prompts: JPEG(max_bits=bits),
    }
    seed, picture = partial(SeedMethod, material), partial(PictureMethod, material)
    return {
        **{name: seed(Analog(code)) for name, code in symbols.items()},
        "seed_denoiser": seed(Analog(symbols["seed"], receiver=partial(denoised, material.model))),
        **{name: seed(Digital(code)) for name, code in bits.items()},
        **{name: picture(Digital(code)) for name, code in pictures.items()},
        OPTA: seed(GaussianOptimum(basis)),
    }


def _row(case: Case, material: Material, images: Tensor, pictures: Pictures, received: Received) -> Row:
    """PSNR everywhere; SSIM and prompt fidelity, which take as long as decoding, on the coarse grid alone."""
    on_coarse_grid = case.values["snr_db"] in material.config.coarse_snrs_db
    return {
        **judged(images, pictures.images),
        "ssim": mean_ssim(images, pictures.images) if on_coarse_grid else None,
        "prompt_fidelity": fidelity(material.classifier, images, pictures.prompts) if on_coarse_grid else None,
        "num_bits": received.num_bits,
        "num_channel_uses_sent": round(received.num_channel_uses, 3),
        "delivered": received.delivered,
        "num_images": len(images),
    }
