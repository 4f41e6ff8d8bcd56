"""Completing: from a sketch and a prompt to the picture, by a sampler that keeps to the sketch."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from gainnet.core.randomness import Name, Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import count_flops, flatten_batch, meta_copy
from gainnet.models.diffusion import Decoder, Denoiser, DiffusionModel
from gainnet.models.image_to_image import add_noise, start_step
from gainnet.models.part import Part, TensorMap
from gainnet.models.renamed import rename
from gainnet.models.samplers import Sampler
from gainnet.models.sketches import EDGE_THRESHOLD, contrast, enlarge, shrink, sketch_factor

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

    condition, latent --(network)--> clean $\hat z_0$, noise $\hat\epsilon = (z_t - \alpha_t \hat z_0) / \sigma_t$
    """

    @torch.no_grad()
    def predicted(tensors: Tensors, random: Random) -> Tensors:
        rank, shape = len(random.batch), tensors["latent"].shape
        latent, sampler = flatten_batch(tensors["latent"], rank), step.sampler
        # Without guidance only the last branch, that of the prompt, is run.
        branches = flatten_batch(tensors["condition"], rank).transpose(0, 1)[-step.num_branches :]
        alpha, sigma = sampler.amplitudes(step.start)
        power = torch.tensor([sampler.power(step.start)], dtype=torch.float64)
        # From the scale of the sampler to that of the network's input.
        noisy = float(torch.hypot(*sampler.levels.amplitudes(power))) / sampler.size(float(power)) * latent
        guided = step.predict_guided(noisy, branches.flatten(0, 1), step.timesteps[0].to(latent.device))
        clean, _ = sampler.levels.read(noisy, guided, power)
        return {"clean": clean.reshape(shape), "noise": ((latent - alpha * clean) / sigma).reshape(shape)}

    writes = {"clean": step.latent, "noise": step.latent}
    costs = step.num_passes, step.flops, step.memory_bytes
    origin = (clean_prediction, step)
    return TensorMap(f"predict[{step.start}]", ("condition", "latent"), writes, predicted, "denoiser", *costs, origin)


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


def ddim_step(sampler: Sampler, latent: Spec, step: int) -> TensorMap:
    r"""A clean latent and its noise as the latent before a step: $z_t = \alpha_t \hat z_0 + \sigma_t \hat\epsilon$.

    The deterministic step of DDIM (Song et al. 2021, eq. 12 with $\eta = 0$), after the clean latent was moved.

    Args:
        sampler: which knows $\alpha_t$ and $\sigma_t$.
        latent: shape of the latent.
        step: index of the step that comes next, from 0.
    """

    def advanced(tensors: Tensors, random: Random) -> Tensors:
        alpha, sigma = sampler.amplitudes(step)
        return {"latent": alpha * tensors["clean"] + sigma * tensors["noise"]}

    return TensorMap(f"advance[{step}]", ("clean", "noise"), {"latent": latent}, advanced)


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
    sampler = denoiser.sampler
    start = sampler.order * start_step(sampler.num_asked, strength, model.family)
    keep = back_projection(model.image, sketch_factor(model.image, sketch))
    decode = rename(model.decoder, {"latent": "clean"})
    parts: list[Part] = [
        enlargement(sketch, model.image),
        model.image_encoder,
        rename(add_noise(denoiser.sampler, model.latent, start), stream=STREAM),
        clean_prediction(denoiser[start : start + 1]),
        decode,
        keep,
    ]
    for step in range(start + 1, denoiser.num_steps):
        parts += [
            rename(model.image_encoder, writes_as={"latent": "clean"}),
            ddim_step(denoiser.sampler, model.latent, step),
            clean_prediction(denoiser[step : step + 1]),
            decode,
            keep,
        ]
    return tuple(parts)


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
    parts: list[Part] = [rename(model.prior, stream=STREAM), clean_prediction(denoiser[:1]), keep]
    for step in range(1, denoiser.num_steps):
        parts += [ddim_step(denoiser.sampler, model.latent, step), clean_prediction(denoiser[step : step + 1]), keep]
    return (*parts, rename(model.decoder, {"latent": "clean"}))
