"""A folder beside diffusers' own pipeline of it: the same noise, whole and cut at every step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Tensors
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.part import Part
from gainnet.models.quiet import quiet
from gainnet.models.samplers.sampler import generators

PROMPTS: Final = ("a red star", "two blue houses")


class Differences(NamedTuple):
    """Largest differences of pictures in [0, 1] to those of diffusers' pipeline, whole and over all cuts."""

    whole: float
    cut: float


def compare(folder: Path, random_seed: int = 1) -> Differences:
    """Pictures of two prompts by the parts of a folder, and by diffusers' pipeline of the same folder.

    Args:
        folder: in diffusers' format, as `build_folder` writes it.
        random_seed: of the first item.
    """
    model, random = load_model(str(folder)), Random.of([random_seed, random_seed + 1])
    with torch.inference_mode():
        theirs, begun = pictures_of_pipeline(model, folder, random), _run(model.parts[:2], random, _given())
        whole, *cut = (float((image - theirs).abs().max()) for image in _images(model, random, begun))
    return Differences(whole, max(cut))


def _images(model: DiffusionModel, random: Random, begun: Tensors) -> Iterator[Tensor]:
    """[2, 3, H, W] each, the pictures of the whole sampler, then of the sampler in two halves at every cut."""
    denoiser = model.denoiser
    yield _run((denoiser, model.decoder), random, begun)["image"]
    for cut in range(denoiser.num_steps + 1):
        yield _run((denoiser[:cut], denoiser[cut:], model.decoder), random, begun)["image"]


def _given() -> Tensors:
    return {"prompt": text_to_tensor(PROMPTS)}


def _run(parts: tuple[Part, ...], random: Random, tensors: Tensors) -> Tensors:
    for part in parts:
        tensors = {**tensors, **part({key: tensors[key] for key in part.reads}, random)}
    return tensors


def pictures_of_pipeline(model: DiffusionModel, folder: Path, random: Random) -> Tensor:
    """[n, 3, H, W] in [0, 1], pictures of two prompts by diffusers' pipeline of a folder as it is.

    Its generators are put before each step where ours begin, so that samplers that draw noise draw the same.

    Args:
        model: of the folder, for shape, steps and guidance.
        folder: that diffusers opens.
        random: streams of the two items.
    """
    pipeline = _opened(model, folder)
    noise, (_, height, width) = random.normal(model.latent.shape, "prior"), model.image.shape
    sources = generators(random, 0)

    def before_next(pipeline: Any, step: int, time: Any, kept: dict[str, Any]) -> dict[str, Any]:
        for source, other in zip(sources, generators(random, step + 1), strict=True):
            source.manual_seed(other.initial_seed())
        return kept

    # FLUX takes its noise packed.
    noise = pipeline._pack_latents(noise, *noise.shape) if hasattr(pipeline, "_pack_latents") else noise
    found: Tensor = pipeline(
        prompt=list(PROMPTS), num_inference_steps=model.denoiser.sampler.num_asked, height=height, width=width,
        guidance_scale=model.denoiser.guidance_scale, latents=noise, generator=sources, output_type="pt",
        callback_on_step_end=before_next,
    ).images  # fmt: skip
    return found


def _opened(model: DiffusionModel, folder: Path) -> Any:
    """Diffusers' pipeline, opened anew: with its own attention, scheduler and tokenizers."""
    absent = [name for name, value in model.pipeline.config.items() if isinstance(value, tuple) and value[0] is None]
    with quiet():
        pipeline = model.family.pipeline().from_pretrained(folder, **dict.fromkeys(absent), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
