"""Any pipeline of the Stable Diffusion family as parts that can be placed on different nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, cast, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.text import tensor_to_text
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import (
    count_flops,
    flatten_batch,
    frozen_bytes,
    on_meta,
    opened_of,
    parameter_bytes,
)
from gainnet.models.part import Part, Role, TensorMap

LONGEST_PLAIN_ATTENTION = 1024
"""Latent entries per channel up to which attention is computed with plain matrix products."""


@final
@dataclass(frozen=True)
class TextEncoder:
    """Prompt to condition: the token embeddings of the empty prompt and of the prompt (guidance), or of the prompt.

    prompt [*batch, num_bytes] uint8 --tokenizer--> tokens --text encoder--> condition [*batch, branches, tokens, width]
    """

    pipeline: Any = field(repr=False)
    num_branches: int
    name: str = "text_encoder"
    role: Role = "text_encoder"
    reads: tuple[str, ...] = ("prompt",)

    @property
    def num_passes(self) -> int:
        return self.num_branches

    @property
    def writes(self) -> Mapping[str, Spec]:
        config = self.pipeline.text_encoder.config
        tokens = self.pipeline.tokenizer.model_max_length
        return {"condition": Spec((self.num_branches, tokens, config.hidden_size))}

    @cached_property
    def flops(self) -> float:
        encoder = opened_of(self.pipeline.text_encoder)
        tokens = self.pipeline.tokenizer.model_max_length
        return self.num_branches * _text_flops(encoder.__class__, encoder.config.to_json_string(), tokens)

    @property
    def memory_bytes(self) -> float:
        return parameter_bytes(self.pipeline.text_encoder)

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        prompts = tensor_to_text(tensors["prompt"])
        # Not the pipeline's own device, for which diffusers looks through all modules at every call.
        device = next(self.pipeline.text_encoder.parameters()).device
        with_prompt, without = self.pipeline.encode_prompt(
            prompts, device, 1, self.num_branches == 2, negative_prompt=[""] * len(prompts)
        )
        # The order of diffusers: the branch without the prompt first.
        branches = [with_prompt] if self.num_branches == 1 else [without, with_prompt]
        condition = torch.stack(branches, dim=1)
        return {"condition": condition.reshape(*random.batch, *condition.shape[1:])}


def prior(latent: Spec, scale: float, torch_device: str = "cpu") -> TensorMap:
    """The initial noise of the sampler; a part of its own, so that a plan may send a random number instead of it.

    Args:
        latent: shape of the noise.
        scale: standard deviation of the noise, the scheduler's first noise level.
        torch_device: where it is needed; it is drawn on the processor, so that devices agree.
    """

    def drawn(tensors: Tensors, random: Random) -> Tensors:
        return {"latent": scale * random.normal(latent.shape, "prior").to(torch_device)}

    return TensorMap("prior", (), {"latent": latent}, drawn, "prior")


@final
@dataclass(frozen=True)
class Denoiser:
    """Steps [start, stop) of a DDIM sampler (eta = 0) with classifier-free guidance; slice it: `denoiser[:5]`.

    condition, latent --(UNet, guidance, scheduler step) x (stop - start)--> latent
    """

    pipeline: Any = field(repr=False)
    latent: Spec
    guidance_scale: float
    start: int
    stop: int
    role: Role = "denoiser"
    reads: tuple[str, ...] = ("condition", "latent")

    @property
    def name(self) -> str:
        return f"denoiser[{self.start}:{self.stop}]"

    @property
    def num_steps(self) -> int:
        return self.stop - self.start

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"latent": self.latent}

    @property
    def num_branches(self) -> int:
        return 2 if self.guidance_scale > 1.0 else 1

    @property
    def num_passes(self) -> int:
        return self.num_steps * self.num_branches

    @property
    def flops(self) -> float:
        return self.num_passes * self._flops_per_pass

    @property
    def memory_bytes(self) -> float:
        return frozen_bytes(self.pipeline.unet)

    def __getitem__(self, steps: slice) -> Denoiser:
        """The steps of a slice of this part's steps; a step other than 1 raises `ValueError`."""
        first, last, stride = steps.indices(self.num_steps)
        # Skipped steps would need other noise levels: that is another sampler, not a slice.
        if stride != 1:
            raise ValueError("a denoiser is sliced into neighbouring steps")
        return replace(self, start=self.start + first, stop=self.start + max(first, last))

    @property
    def timesteps(self) -> Tensor:
        """[num_steps], time of every step on the scale of the training."""
        return cast(Tensor, self.pipeline.scheduler.timesteps[self.start : self.stop])

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        rank = len(random.batch)
        condition, latent = tensors["condition"], tensors["latent"]
        embeds = flatten_batch(condition, rank).transpose(0, 1).flatten(0, 1)
        flat = flatten_batch(latent, rank)
        for timestep in self.timesteps:
            flat = self.stepped(self.predict_guided(flat, embeds, timestep), timestep, flat)
        return {"latent": flat.reshape(latent.shape)}

    def predict(self, latent: Tensor, embeds: Tensor, timestep: Tensor) -> Tensor:
        """[n, *latent], what the UNet predicts, one pass.

        Args:
            latent: [n, *latent], before the step.
            embeds: [n, tokens, width], condition of one branch.
            timestep: of the step.
        """
        scaled = self.pipeline.scheduler.scale_model_input(latent, timestep)
        return cast(Tensor, self.pipeline.unet(scaled, timestep, encoder_hidden_states=embeds, return_dict=False)[0])

    def predict_guided(self, latent: Tensor, embeds: Tensor, timestep: Tensor) -> Tensor:
        """[n, *latent], the prediction of all branches in one pass of a larger batch, guided.

        Args:
            latent: [n, *latent], before the step.
            embeds: [branches * n, tokens, width], all items without the prompt, then all with it.
            timestep: of the step.
        """
        predicted = self.predict(torch.cat([latent] * self.num_branches), embeds, timestep)
        return predicted if self.num_branches == 1 else self.guided(*predicted.chunk(2))

    def guided(self, without: Tensor, with_prompt: Tensor) -> Tensor:
        """[n, *latent], classifier-free guidance of predictions [n, *latent] each (Ho and Salimans 2022, eq. 6)."""
        return without + self.guidance_scale * (with_prompt - without)

    def clean(self, latent: Tensor, predicted: Tensor, alpha: float | Tensor, sigma: float | Tensor) -> Tensor:
        r"""[n, *latent], the clean latent that a prediction stands for, by the parametrisation of the UNet.

        $z_0 = \alpha z - \sigma v$ of a velocity (Salimans and Ho 2022), $(z - \sigma \epsilon) / \alpha$ of noise.

        Args:
            latent: [n, *latent], before the step.
            predicted: [n, *latent], output of the UNet.
            alpha: amplitude of the signal at the time, a number or [n, 1, 1, 1].
            sigma: amplitude of the noise.
        """
        if self.pipeline.scheduler.config.prediction_type == "v_prediction":
            return alpha * latent - sigma * predicted
        return (latent - sigma * predicted) / alpha

    def stepped(self, predicted: Tensor, timestep: Tensor, latent: Tensor) -> Tensor:
        """[n, *latent], the latent after the scheduler's step."""
        return cast(Tensor, self.pipeline.scheduler.step(predicted, timestep, latent, return_dict=False)[0])

    @cached_property
    def _flops_per_pass(self) -> float:
        unet, encoder = opened_of(self.pipeline.unet), self.pipeline.text_encoder
        tokens = self.pipeline.tokenizer.model_max_length, encoder.config.hidden_size
        return _flops_of(unet.__class__, unet.to_json_string(), self.latent.shape, tokens)


# Only shapes decide FLOPs, and a configuration holds them all: a model that is loaded again is not counted again.
@lru_cache(maxsize=64)
def _text_flops(kind: Any, config: str, num_tokens: int) -> float:
    """Of a text encoder, one text."""
    copy = on_meta(lambda: kind(kind.config_class.from_dict(json.loads(config))))
    # On the meta device nothing is computed and no memory taken.
    ids = torch.zeros(1, num_tokens, dtype=torch.long, device="meta")
    return count_flops(lambda: copy(ids))


@lru_cache(maxsize=64)
def _half_flops(kind: Any, config: str, half: Literal["encode", "decode"], shape: tuple[int, ...]) -> float:
    """Of half an autoencoder, for one picture or latent of `shape`."""
    copy = on_meta(lambda: kind.from_config(json.loads(config)))
    return count_flops(lambda: getattr(copy, half)(torch.zeros(1, *shape, device="meta")))


@lru_cache(maxsize=64)
def _flops_of(kind: Any, config: str, latent: tuple[int, ...], tokens: tuple[int, int]) -> float:
    """Of one pass of a UNet; counted once for all the slices and regions of a plan that have the same shape."""
    copy = on_meta(lambda: kind.from_config(json.loads(config)))
    noisy, condition = (torch.zeros(1, *shape, device="meta") for shape in (latent, tokens))
    return count_flops(lambda: copy(noisy, torch.zeros((), device="meta"), condition))


@final
@dataclass(frozen=True)
class Decoder:
    """Latent to picture: latent [*batch, c, h, w] --autoencoder's decoder--> image [*batch, 3, H, W] in [0, 1].

    Differentiable in the latent, so that a seed codec can be trained through it.
    """

    pipeline: Any = field(repr=False)
    latent: Spec
    image: Spec
    name: str = "decoder"
    role: Role = "decoder"
    reads: tuple[str, ...] = ("latent",)
    num_passes: int = 1

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"image": self.image}

    @cached_property
    def flops(self) -> float:
        vae = opened_of(self.pipeline.vae)
        return _half_flops(vae.__class__, vae.to_json_string(), "decode", self.latent.shape)

    @property
    def memory_bytes(self) -> float:
        vae = self.pipeline.vae
        return parameter_bytes(vae.decoder) + parameter_bytes(getattr(vae, "post_quant_conv", None))

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        vae = self.pipeline.vae
        flat = flatten_batch(tensors["latent"], len(random.batch))
        # Without no_grad: seed codecs are trained through the decoder.
        decoded = vae.decode(flat / vae.config.scaling_factor, return_dict=False)[0]
        image = (decoded / 2.0 + 0.5).clamp(0.0, 1.0)
        return {"image": image.reshape(*random.batch, *self.image.shape)}


@final
@dataclass(frozen=True)
class ImageEncoder:
    """Picture to latent: image [*batch, 3, H, W] in [0, 1] --autoencoder's encoder--> latent [*batch, c, h, w].

    The mode of the posterior times the scaling factor, so nothing is drawn. Differentiable in the picture.
    """

    pipeline: Any = field(repr=False)
    latent: Spec
    image: Spec
    name: str = "image_encoder"
    role: Role = "image_encoder"
    reads: tuple[str, ...] = ("image",)
    num_passes: int = 1

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"latent": self.latent}

    @cached_property
    def flops(self) -> float:
        vae = opened_of(self.pipeline.vae)
        return _half_flops(vae.__class__, vae.to_json_string(), "encode", self.image.shape)

    @property
    def memory_bytes(self) -> float:
        vae = self.pipeline.vae
        return parameter_bytes(vae.encoder) + parameter_bytes(getattr(vae, "quant_conv", None))

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        vae = self.pipeline.vae
        coded = vae.encode(flatten_batch(tensors["image"], len(random.batch)) * 2.0 - 1.0)
        mode = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mode()
        latent = vae.config.scaling_factor * mode
        return {"latent": latent.reshape(*random.batch, *self.latent.shape)}


@final
@dataclass(frozen=True)
class DiffusionModel:
    """A text-to-image pipeline taken apart.

    prompt -> text_encoder -> condition; prior -> latent; (condition, latent) -> denoiser -> latent -> decoder -> image

    Args:
        name: how it was asked for.
        sha256: of its weights; seed codecs and policies that were trained for it name it.
        text_encoder: prompt to condition.
        prior: the initial noise.
        denoiser: noise and condition to a clean latent, in steps.
        decoder: latent to picture.
        image_encoder: picture to latent, for image-to-image.
        pipeline: the diffusers pipeline they were taken from.
        runtime: what computes the networks, `torch` or `onnx`.
    """

    name: str
    sha256: str
    text_encoder: Part
    prior: Part
    denoiser: Denoiser
    decoder: Decoder
    image_encoder: Part
    pipeline: Any = field(repr=False)
    runtime: str = "torch"

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts of text-to-image in the order in which they run."""
        return self.text_encoder, self.prior, self.denoiser, self.decoder

    @property
    def latent(self) -> Spec:
        """Shape of the latent, which is what a seed carries."""
        return self.prior.writes["latent"]

    @property
    def image(self) -> Spec:
        """Shape of the picture."""
        return self.decoder.writes["image"]


def take_apart(name: str, sha256: str, pipeline: Any, num_steps: int, guidance_scale: float) -> DiffusionModel:
    """The parts of a diffusers pipeline, with its scheduler replaced by DDIM at `num_steps`."""
    from diffusers import DDIMScheduler

    # clip_sample would make the step nonlinear in the latent, and steps_offset is what Stable Diffusion was trained
    # with.
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False, steps_offset=1)
    pipeline.scheduler.set_timesteps(num_steps, device=pipeline.device)
    _choose_attention(pipeline)
    size, scale = pipeline.unet.config.sample_size, pipeline.vae_scale_factor
    latent = Spec((pipeline.unet.config.in_channels, size, size))
    image = Spec((3, size * scale, size * scale))
    denoiser = Denoiser(pipeline, latent, guidance_scale, 0, num_steps)
    noise = prior(latent, float(pipeline.scheduler.init_noise_sigma), str(pipeline.device))
    text_encoder, decoder = TextEncoder(pipeline, denoiser.num_branches), Decoder(pipeline, latent, image)
    image_encoder = ImageEncoder(pipeline, latent, image)
    return DiffusionModel(name, sha256, text_encoder, noise, denoiser, decoder, image_encoder, pipeline)


def _choose_attention(pipeline: Any) -> None:
    """Plain matrix products for short sequences: the same values, and faster on a CPU than torch's fused kernel."""
    from diffusers.models.attention_processor import AttnProcessor

    pipeline.text_encoder.set_attn_implementation("eager")
    if pipeline.unet.config.sample_size**2 <= LONGEST_PLAIN_ATTENTION:
        pipeline.unet.set_attn_processor(AttnProcessor())
