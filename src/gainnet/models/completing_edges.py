"""Completing a map of edges: the sampler starts from noise and is pulled towards the outlines that were received."""

from __future__ import annotations

import torch
from torch.nn import functional

from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.completing import STREAM, clean_prediction, ddim_step
from gainnet.models.counting import count_flops, flatten_batch, meta_copy
from gainnet.models.diffusion import Decoder, DiffusionModel
from gainnet.models.part import Part, TensorMap
from gainnet.models.renamed import Renamed
from gainnet.models.sketches import EDGE_THRESHOLD, contrast, shrink, sketch_factor

PULL = 6.0
"""Length of one move of the clean latent, which has a length of about 36; chosen on 16 captions of random seed 901."""

SOFTNESS = 0.03
SCALES = (1, 2, 4, 8)


def keep_to_edges(decoder: Decoder, factor: int, threshold: float = EDGE_THRESHOLD) -> TensorMap:
    r"""A clean latent moved so that the outlines of its picture come nearer to those that were received.

    clean, sketch --> $\hat z_0 - \rho\, g / \|g\|$ --> clean

    $g = \nabla_{\hat z_0} \sum_s s \|P_s (e - S D \hat z_0)\|^2$:
    D decodes, S finds edges with a soft threshold, and $P_s$ takes means over squares of s pixels, so that an outline
    is drawn to one that is some pixels away. One gradient through the decoder, as in diffusion posterior sampling
    (Chung et al. 2023, Algorithm 1), but of fixed length and not through the UNet.

    Args:
        decoder: of the latents.
        factor: pixels of the picture per pixel of the map, along one side.
        threshold: of the edges, as in `edge_sketch`.
    """

    def move(tensors: Tensors, random: Random) -> Tensors:
        rank = len(random.batch)
        # Plans run in inference mode, whose tensors know no gradient; copies made outside of it do.
        with torch.inference_mode(False), torch.enable_grad():
            clean, edges = (flatten_batch(tensors[key], rank).detach().clone() for key in ("clean", "sketch"))
            start = clean.requires_grad_()
            image = decoder({"latent": start}, Random(tuple(range(len(start))), (len(start),)))["image"]
            small = contrast(shrink(image, factor))
            # A sigmoid in place of the threshold, which has no gradient.
            missing = torch.sigmoid((small - threshold) / SOFTNESS) - edges
            # Coarse scales pull outlines that are too far away for fine ones to overlap.
            each = [s * functional.avg_pool2d(missing, s).square().flatten(1).mean(1) for s in SCALES]
            (slope,) = torch.autograd.grad(torch.stack(each).sum(), start)
        length = slope.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        return {"clean": (clean - PULL * slope / length).detach().reshape(tensors["clean"].shape)}

    costs = 2, _flops_there_and_back(decoder), decoder.memory_bytes
    return TensorMap("keep to edges", ("clean", "sketch"), {"clean": decoder.latent}, move, "decoder", *costs)


def _flops_there_and_back(decoder: Decoder) -> float:
    """Of decoding a latent and the gradient to it."""
    copy = meta_copy(decoder.pipeline.vae).requires_grad_(False)
    start = torch.zeros(1, *decoder.latent.shape, device="meta", requires_grad=True)

    def run() -> None:
        with torch.enable_grad():
            torch.autograd.grad(copy.decode(start / 1.0, return_dict=False)[0].sum(), start)

    return count_flops(run)


def completion_of_edges(model: DiffusionModel, sketch: Spec) -> tuple[Part, ...]:
    """Completing a map of edges: the parts that the device runs one after the other.

        prior -> latent;  per step:  condition, latent -> predict -> clean, noise
                                     clean, sketch -> keep to edges -> clean;  clean, noise -> advance -> latent
        at the end:  clean -> decoder -> image

    Args:
        model: whose parts run, with its guidance: the prompt says the colours, the edges say where.
        sketch: shape of the map of edges.

    >>> from gainnet.models.loading import load_model
    >>> parts = completion_of_edges(load_model("scenes", num_steps=1), Spec((1, 64, 64)))
    >>> [part.name for part in parts]
    ['prior', 'predict[0]', 'keep to edges', 'decoder']
    """
    denoiser, keep = model.denoiser, keep_to_edges(model.decoder, sketch_factor(model.image, sketch))
    parts: list[Part] = [Renamed(model.prior, stream=STREAM), clean_prediction(denoiser[:1]), keep]
    for step in range(1, denoiser.num_steps):
        parts += [ddim_step(model.pipeline, model.latent, step), clean_prediction(denoiser[step : step + 1]), keep]
    return (*parts, Renamed(model.decoder, {"latent": "clean"}))
