"""Completing: from a sketch and a prompt to the picture, by a sampler that keeps to the sketch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from gainnet.core.randomness import Name, Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser, DiffusionModel
from gainnet.models.image_to_image import add_noise, start_step
from gainnet.models.part import Part, TensorMap
from gainnet.models.renamed import Renamed
from gainnet.models.sketches import enlarge, shrink, sketch_factor

STRENGTH = 0.5
"""Share of the denoiser's steps that completing runs; chosen on captions of random seed 901, apart from every test."""

GUIDANCE = 1.0
"""Guidance of completing: the prompt alone, as the sketch already says most of it; 2 and 3 were no better there."""

STREAM: tuple[Name, ...] = ("completing",)
"""The device does not know the edge's noise and draws its own."""


def enlargement(sketch: Spec, image: Spec) -> TensorMap:
    """A small picture at full size, bicubic: where completing starts, and the baseline that it has to beat.

    sketch [*batch, 3, h, w] --> image [*batch, 3, H, W] in [0, 1]

    Args:
        sketch: shape of the small picture.
        image: shape of the large one.
    """
    factor = sketch_factor(image, sketch)

    def enlarged(tensors: Tensors, random: Random) -> Tensors:
        return {"image": enlarge(tensors["sketch"], factor).clamp(0.0, 1.0)}

    return TensorMap("enlarge", ("sketch",), {"image": image}, enlarged)


def clean_prediction(step: Denoiser) -> TensorMap:
    r"""The estimates of a denoiser of one step: of the clean latent, and of the noise.

    condition, latent --(UNet)--> clean $\hat z_0$, noise $\hat\epsilon = (z_t - \alpha_t \hat z_0) / \sigma_t$
    """

    @torch.no_grad()
    def predicted(tensors: Tensors, random: Random) -> Tensors:
        rank, shape = len(random.batch), tensors["latent"].shape
        latent, timestep = flatten_batch(tensors["latent"], rank), step.timesteps[0]
        # Without guidance only the last branch, that of the prompt, is run.
        branches = flatten_batch(tensors["condition"], rank).transpose(0, 1)[-step.num_branches :]
        guided = step.predict_guided(latent, branches.flatten(0, 1), timestep)
        clean = step.pipeline.scheduler.step(guided, timestep, latent).pred_original_sample
        alpha, sigma = noise_level(step.pipeline.scheduler, step.start)
        return {"clean": clean.reshape(shape), "noise": ((latent - alpha * clean) / sigma).reshape(shape)}

    writes = {"clean": step.latent, "noise": step.latent}
    costs = step.num_passes, step.flops, step.memory_bytes
    return TensorMap(f"predict[{step.start}]", ("condition", "latent"), writes, predicted, "denoiser", *costs)


def back_projection(image: Spec, factor: int) -> TensorMap:
    r"""A picture moved so that its sketch is the one that was received: iterative back-projection.

    $x' = x + U (y - S x)$ with shrinking S and enlarging U   (Irani and Peleg 1991, eq. 2)

    image, sketch --> image

    Args:
        image: shape of the picture.
        factor: pixels of the picture per pixel of the sketch, along one side.
    """

    def moved(tensors: Tensors, random: Random) -> Tensors:
        missing = tensors["sketch"] - shrink(tensors["image"], factor)
        return {"image": (tensors["image"] + enlarge(missing, factor)).clamp(0.0, 1.0)}

    return TensorMap("keep to sketch", ("image", "sketch"), {"image": image}, moved)


def ddim_step(pipeline: Any, latent: Spec, step: int) -> TensorMap:
    r"""A clean latent and its noise as the latent before a step: $z_t = \alpha_t \hat z_0 + \sigma_t \hat\epsilon$.

    The deterministic step of DDIM (Song et al. 2021, eq. 12 with $\eta = 0$), after the clean latent was moved.

    Args:
        pipeline: whose scheduler knows $\alpha_t$ and $\sigma_t$.
        latent: shape of the latent.
        step: index of the step that comes next, from 0.
    """

    def advanced(tensors: Tensors, random: Random) -> Tensors:
        alpha, sigma = noise_level(pipeline.scheduler, step)
        return {"latent": alpha * tensors["clean"] + sigma * tensors["noise"]}

    return TensorMap(f"advance[{step}]", ("clean", "noise"), {"latent": latent}, advanced)


def noise_level(scheduler: Any, step: int) -> tuple[float, float]:
    r"""$\alpha_t$ and $\sigma_t$ of the latent before a step of the sampler; their squares sum to 1.

    >>> from gainnet.models.loading import load_model
    >>> noise_level(load_model("scenes").pipeline.scheduler, 0)
    (0.0, 1.0)
    """
    power = float(scheduler.alphas_cumprod[int(scheduler.timesteps[step])])
    return power**0.5, (1.0 - power) ** 0.5


def completion(model: DiffusionModel, sketch: Spec, strength: float = STRENGTH) -> tuple[Part, ...]:
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
        sketch: shape of the small picture.
        strength: share of the denoiser's steps that run, above 0 to 1.

    Raises:
        ConfigError: the strength leaves no step.

    >>> from gainnet.models.loading import load_model
    >>> parts = completion(load_model("scenes"), Spec((3, 16, 16)), strength=0.1)
    >>> [part.name for part in parts]
    ['enlarge', 'image_encoder', 'noising[9]', 'predict[9]', 'decoder', 'keep to sketch']
    """
    denoiser = replace(model.denoiser, guidance_scale=GUIDANCE)
    start = start_step(denoiser.num_steps, strength)
    keep = back_projection(model.image, sketch_factor(model.image, sketch))
    decode = Renamed(model.decoder, {"latent": "clean"})
    parts: list[Part] = [
        enlargement(sketch, model.image),
        model.image_encoder,
        Renamed(add_noise(model.pipeline, model.latent, start), stream=STREAM),
        clean_prediction(denoiser[start : start + 1]),
        decode,
        keep,
    ]
    for step in range(start + 1, denoiser.num_steps):
        parts += [
            Renamed(model.image_encoder, writes_as={"latent": "clean"}),
            ddim_step(model.pipeline, model.latent, step),
            clean_prediction(denoiser[step : step + 1]),
            decode,
            keep,
        ]
    return tuple(parts)
