"""Completing: from a sketch and a prompt to the picture, by a sampler that keeps to the sketch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch

from gainnet.core.randomness import Name, Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser, DiffusionModel
from gainnet.models.image_to_image import Noising, start_step
from gainnet.models.part import Part, Role
from gainnet.models.renamed import Renamed
from gainnet.models.sketches import PictureSketch, enlarge, shrink

STRENGTH = 0.5
"""Share of the denoiser's steps that completing runs; chosen on captions of random seed 901, apart from every test."""

GUIDANCE = 1.0
"""Guidance of completing: the prompt alone, as the sketch already says most of it; 2 and 3 were no better there."""

STREAM: tuple[Name, ...] = ("completing",)
"""The device does not know the edge's noise and draws its own."""


@final
@dataclass(frozen=True)
class Enlarge:
    """A small picture at full size, bicubic: where completing starts, and what it has to beat.

    sketch [*batch, 3, h, w] --> image [*batch, 3, H, W] in [0, 1]

    Args:
        sketch: shape of the small picture.
        image: shape of the large one.
    """

    sketch: Spec
    image: Spec
    name: str = "enlarge"
    role: Role = "other"
    reads: tuple[str, ...] = ("sketch",)
    num_passes: int = 1
    flops: float = 0.0
    memory_bytes: float = 0.0

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"image": self.image}

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        factor = self.image.shape[-1] // self.sketch.shape[-1]
        return {"image": enlarge(tensors["sketch"], factor).clamp(0.0, 1.0)}


@final
@dataclass(frozen=True)
class Predict:
    r"""What a denoiser of one step holds for the clean latent, and for the noise.

    condition, latent --(UNet)--> clean $\hat z_0$, noise $\hat\epsilon = (z_t - \alpha_t \hat z_0) / \sigma_t$

    Args:
        step: a denoiser of one step.
    """

    step: Denoiser
    role: Role = "denoiser"
    reads: tuple[str, ...] = ("condition", "latent")

    @property
    def name(self) -> str:
        return f"predict[{self.step.start}]"

    @property
    def num_passes(self) -> int:
        return self.step.num_passes

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"clean": self.step.latent, "noise": self.step.latent}

    @property
    def flops(self) -> float:
        return self.step.flops

    @property
    def memory_bytes(self) -> float:
        return self.step.memory_bytes

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        rank = len(random.batch)
        latent, timestep = flatten_batch(tensors["latent"], rank), self.step.timesteps[0]
        branches = flatten_batch(tensors["condition"], rank).transpose(0, 1)[-self.step.num_branches :]
        predicted = self.step.predict_guided(latent, branches.flatten(0, 1), timestep)
        clean = self.step.pipeline.scheduler.step(predicted, timestep, latent).pred_original_sample
        alpha, sigma = noise_level(self.step.pipeline.scheduler, self.step.start)
        shape = tensors["latent"].shape
        return {"clean": clean.reshape(shape), "noise": ((latent - alpha * clean) / sigma).reshape(shape)}


@final
@dataclass(frozen=True)
class KeepTo:
    r"""A picture moved so that its sketch is the one that was received: iterative back-projection.

    $x' = x + U (y - S x)$ with shrinking S and enlarging U   (Irani and Peleg 1991, eq. 2)

    image, sketch --> image

    Args:
        image: shape of the picture.
        factor: pixels of the picture per pixel of the sketch, along one side.
    """

    image: Spec
    factor: int
    name: str = "keep to sketch"
    role: Role = "other"
    reads: tuple[str, ...] = ("image", "sketch")
    num_passes: int = 1
    flops: float = 0.0
    memory_bytes: float = 0.0

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"image": self.image}

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        image = tensors["image"]
        missing = tensors["sketch"] - shrink(image, self.factor)
        return {"image": (image + enlarge(missing, self.factor)).clamp(0.0, 1.0)}


@final
@dataclass(frozen=True)
class Advance:
    r"""A clean latent and its noise as the latent before a step: $z_t = \alpha_t \hat z_0 + \sigma_t \hat\epsilon$.

    The deterministic step of DDIM (Song et al. 2021, eq. 12 with $\eta = 0$), after the clean latent was moved.

    Args:
        pipeline: whose scheduler tells $\alpha_t$ and $\sigma_t$.
        latent: shape of the latent.
        step: index of the step that comes next, from 0.
    """

    pipeline: Any = field(repr=False)
    latent: Spec
    step: int
    role: Role = "other"
    reads: tuple[str, ...] = ("clean", "noise")
    num_passes: int = 1
    flops: float = 0.0
    memory_bytes: float = 0.0

    @property
    def name(self) -> str:
        return f"advance[{self.step}]"

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"latent": self.latent}

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        alpha, sigma = noise_level(self.pipeline.scheduler, self.step)
        return {"latent": alpha * tensors["clean"] + sigma * tensors["noise"]}


def noise_level(scheduler: Any, step: int) -> tuple[float, float]:
    r"""$\alpha_t$ and $\sigma_t$ of the latent before a step of the sampler; their squares sum to 1.

    >>> from gainnet.models.loading import load_model
    >>> noise_level(load_model("scenes").pipeline.scheduler, 0)
    (0.0, 1.0)
    """
    power = float(scheduler.alphas_cumprod[int(scheduler.timesteps[step])])
    return power**0.5, (1.0 - power) ** 0.5


def completion(model: DiffusionModel, sketcher: PictureSketch, strength: float = STRENGTH) -> tuple[Part, ...]:
    """Completing a small picture: the parts that the device runs one after the other.

        sketch -> enlarge -> image -> image_encoder -> latent -> noising -> latent
        per step:  condition, latent -> predict -> clean, noise
                   clean -> decoder -> image;  image, sketch -> keep to sketch -> image
                   image -> image_encoder -> clean;  clean, noise -> advance -> latent

    It starts as image-to-image does (Meng et al. 2022, SDEdit). In every step the picture that the denoiser predicts is
    moved until its own sketch is the one that was received, as in ILVR (Choi et al. 2021), here through the
    autoencoder, since the sampler works on latents. The picture of the last step is the result.

    Args:
        model: whose parts run; its guidance is not used, as the sketch says more than the prompt.
        sketcher: what made the sketch.
        strength: share of the denoiser's steps that run, above 0 to 1.

    Raises:
        ConfigError: the strength leaves no step.

    >>> from gainnet.models.loading import load_model
    >>> parts = completion(load_model("scenes"), PictureSketch(Spec((3, 128, 128))), strength=0.1)
    >>> [part.name for part in parts]
    ['enlarge', 'image_encoder', 'noising[9]', 'predict[9]', 'decoder', 'keep to sketch']
    """
    denoiser = replace(model.denoiser, guidance_scale=GUIDANCE)
    start = start_step(denoiser.num_steps, strength)
    keep = KeepTo(model.image, sketcher.factor)
    decode = Renamed(model.decoder, {"latent": "clean"})
    parts: list[Part] = [
        Enlarge(sketcher.writes["sketch"], model.image),
        model.image_encoder,
        Renamed(Noising(model.pipeline, model.latent, start), stream=STREAM),
        Predict(denoiser[start : start + 1]),
        decode,
        keep,
    ]
    for step in range(start + 1, denoiser.num_steps):
        parts += [
            Renamed(model.image_encoder, writes_as={"latent": "clean"}),
            Advance(model.pipeline, model.latent, step),
            Predict(denoiser[step : step + 1]),
            decode,
            keep,
        ]
    return tuple(parts)
