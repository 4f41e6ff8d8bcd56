"""Which of several candidates fits its prompt best, as the node that made or received them can tell."""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.text import tensor_to_text
from gainnet.core.types import Spec, Tensors
from gainnet.models.attributes import SIDE, AttributeClassifier
from gainnet.models.counting import count_flops, flatten_batch, on_meta, parameter_bytes
from gainnet.models.diffusion import Denoiser
from gainnet.models.part import TensorMap
from gainnet.models.samplers.levels import wide
from gainnet.models.scenes import caption_labels, parse


def attribute_choice(candidates: tuple[str, ...], checker: AttributeClassifier) -> TensorMap:
    """The candidate picture in which a checker finds most of the attributes that the prompt names.

    prompt, image_1 … image_K --> mean log-probability of the named attributes --> the likeliest of them: image

    A prompt out of the grammar of the scenes names nothing, and the first candidate is taken. The checker is not the
    classifier that pictures are judged by, so a choice is worth no more than it really is.

    Args:
        candidates: names of the candidate pictures, those that arrived.
        checker: the network that names attributes, the shipped `CHECKER`.

    >>> from gainnet.models.attributes import CHECKER
    >>> attribute_choice(("image_1", "image_2"), AttributeClassifier.from_pretrained(CHECKER)).reads
    ('prompt', 'image_1', 'image_2')
    """
    copy = on_meta(lambda: AttributeClassifier(checker.design))
    flops = len(candidates) * count_flops(lambda: copy(torch.zeros(1, 3, SIDE, SIDE, device="meta")))

    @torch.no_grad()
    def choose(tensors: Tensors, random: Random) -> Tensors:
        named = caption_labels([parse(prompt) for prompt in tensor_to_text(tensors["prompt"])])
        images = [flatten_batch(tensors[key], len(random.batch)) for key in candidates]
        scores = torch.stack([checker.fit(image, named.to(image.device)) for image in images])
        return {"image": _chosen(torch.stack(images), scores).reshape(*random.batch, 3, SIDE, SIDE)}

    name, writes = f"choice of {len(candidates)}", {"image": Spec((3, SIDE, SIDE))}
    memory_bytes = parameter_bytes(checker)
    return TensorMap(name, ("prompt", *candidates), writes, choose, flops=flops, memory_bytes=memory_bytes)


def denoiser_choice(denoiser: Denoiser, candidates: tuple[str, ...], num_levels: int = 3) -> TensorMap:
    r"""The candidate latent that the prompt makes most likely, as the denoiser itself judges; for any model.

    condition, latent_1 … latent_K --> $\sum_t \|v - v_0(z_t)\|^2 - \|v - v_1(z_t)\|^2$ --> the largest: latent

    The errors of the predictions without and with the prompt bound how much likelier the prompt makes the latent (Li et
    al. 2023, Your Diffusion Model is Secretly a Zero-Shot Classifier). All candidates are noised alike.

    Args:
        denoiser: with guidance, so that the condition has both branches; the noise levels are spread over its steps.
        candidates: names of the candidate latents, those that arrived.
        num_levels: noise levels that are tried, >= 1.

    >>> from gainnet.models.loading import load_model
    >>> denoiser_choice(load_model("scenes").denoiser, ("latent_1", "latent_2")).num_passes
    12
    """
    shape = denoiser.latent.shape
    # In the middle of equal shares of the denoiser's steps.
    steps = [denoiser.start + int((index + 0.5) / num_levels * denoiser.num_steps) for index in range(num_levels)]

    @torch.no_grad()
    def choose(tensors: Tensors, random: Random) -> Tensors:
        rank = len(random.batch)
        embeds = flatten_batch(tensors["condition"], rank).transpose(0, 1)
        latents = torch.stack([flatten_batch(tensors[key], rank) for key in candidates])
        scores = torch.zeros(latents.shape[:2], device=latents.device)
        for index, step in enumerate(steps):
            # One noise for all candidates: their difference is then due to the latents alone.
            noise = flatten_batch(random.normal(shape, "choice", index), rank).to(latents.device)
            scores += torch.stack([_evidence(denoiser, latent, noise, embeds, step) for latent in latents])
        return {"latent": _chosen(latents, scores).reshape(*random.batch, *shape)}

    name, reads, writes = f"choice of {len(candidates)}", ("condition", *candidates), {"latent": denoiser.latent}
    num_passes = len(candidates) * num_levels * denoiser.num_branches
    flops = num_passes * denoiser.flops / denoiser.num_passes
    origin = (denoiser_choice, denoiser, len(candidates), num_levels)
    return TensorMap(name, reads, writes, choose, "denoiser", num_passes, flops, denoiser.memory_bytes, origin)


def _evidence(denoiser: Denoiser, latent: Tensor, noise: Tensor, embeds: Tensor, step: int) -> Tensor:
    """[n], error of the prediction without the prompt (0 for a model without guidance) less that with it."""
    sampler = denoiser.sampler
    levels, power = sampler.levels, torch.tensor([sampler.power(step)], dtype=torch.float64)
    alpha, sigma = (wide(x, latent) for x in levels.amplitudes(power))
    noisy, time = alpha * latent + sigma * noise, sampler.timesteps[step].to(latent.device)
    # Predictions are compared, and not what they stand for: their errors have one scale at all levels.
    target = levels.target(latent, noise, power)
    errors = [(denoiser.predict(noisy, branch, time) - target).square().flatten(1).sum(1) for branch in embeds]
    return -errors[0] if len(errors) == 1 else errors[0] - errors[1]


def _chosen(candidates: Tensor, scores: Tensor) -> Tensor:
    """[n, ...], of candidates [K, n, ...] those with the largest score [K, n]; the first of equals."""
    best = scores.argmax(0)
    return candidates[best, torch.arange(candidates.shape[1])]
