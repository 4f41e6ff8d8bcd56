"""Any pipeline of a family of latent diffusion models as parts that can be placed on different nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.text import tensor_to_text
from gainnet.core.types import Spec, Tensors
from gainnet.models.costs import half_flops, pass_flops, text_flops
from gainnet.models.counting import flatten_batch, frozen_bytes, parameter_bytes
from gainnet.models.families import Family
from gainnet.models.part import Part, Role, TensorMap
from gainnet.models.quiet import quiet_logs
from gainnet.models.samplers import Sampler


@final
@dataclass(frozen=True)
class TextEncoder:
    """Prompt to condition: the denoiser's input for the empty prompt and the prompt (guidance), or for the prompt.

    prompt [*batch, num_bytes] uint8 --tokenizers--> tokens --text encoders--> condition [*batch, branches, ...]

    Args:
        pipeline: whose encoders run.
        family: that calls them.
        num_branches: 2 with guidance, else 1.
        image: shape of the picture, which some denoisers take as an input.
    """

    pipeline: Any = field(repr=False)
    family: Family
    num_branches: int
    image: Spec
    name: str = "text_encoder"
    role: Role = "text_encoder"
    reads: tuple[str, ...] = ("prompt",)

    @property
    def num_passes(self) -> int:
        return self.num_branches

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"condition": Spec((self.num_branches, *self.family.num_values(self.pipeline)))}

    @cached_property
    def flops(self) -> float:
        texts = self.family.texts(self.pipeline, self.num_branches).items()
        return sum(text_flops(getattr(self.pipeline, name), n) for name, lengths in texts for n in lengths)

    @property
    def memory_bytes(self) -> float:
        return sum(parameter_bytes(getattr(self.pipeline, name)) for name in self.family.texts(self.pipeline, 1))

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        prompts, (_, height, width) = tensor_to_text(tensors["prompt"]), self.image.shape
        # Tokenizers print what of a long prompt they leave out, in their own words and many times.
        with quiet_logs():
            condition = self.family.encode(self.pipeline, prompts, self.num_branches, (height, width))
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
    """Steps [start, stop) of a sampler with guidance; slice it: `denoiser[:5]`.

    condition, latent --(network, guidance, sampler's step) x (stop - start)--> latent

    A latent between two steps is the state of the sampler: behind the latent itself stands the sampler's memory, as
    further channels, so that whatever sends it sends and counts both.

    Args:
        pipeline: whose network runs.
        family: that calls it.
        sampler: whose steps it takes.
        latent: shape of a latent without memory.
        guidance_scale: 1 or more, where 1 means none.
        start: first step.
        stop: step after the last one.
    """

    pipeline: Any = field(repr=False)
    family: Family
    sampler: Sampler
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
        return {"latent": self.state(self.num_steps)}

    @property
    def network(self) -> Any:
        """The network that predicts."""
        return getattr(self.pipeline, self.family.denoiser)

    @property
    def num_branches(self) -> int:
        return self.family.num_branches(self.network.config, self.guidance_scale)

    @property
    def num_passes(self) -> int:
        return self.num_steps * self.num_branches

    @property
    def flops(self) -> float:
        return self.num_passes * self._flops_per_pass

    @property
    def memory_bytes(self) -> float:
        return frozen_bytes(self.network)

    def __getitem__(self, steps: slice) -> Denoiser:
        """The steps of a slice of this part's steps; a step other than 1 raises `ValueError`."""
        first, last, stride = steps.indices(self.num_steps)
        # Skipped steps would need other noise levels: that is another sampler, not a slice.
        if stride != 1:
            raise ValueError("a denoiser is sliced into neighbouring steps")
        return replace(self, start=self.start + first, stop=self.start + max(first, last))

    def begun_at(self, step: int) -> Denoiser:
        """The steps from one of its own on, of a sampler that begins there and has no memory of what was before."""
        return replace(self[step:], sampler=self.sampler.begun_at(self.start + step))

    def state(self, step: int) -> Spec:
        """Shape of the latent after that many of its steps, with the memory of the sampler."""
        channels, *sides = self.latent.shape
        return Spec((channels * self.sampler.num_latents(self.start + step), *sides))

    @property
    def timesteps(self) -> Tensor:
        """[num_steps], time of every step on the scale of the training."""
        return self.sampler.timesteps[self.start : self.stop]

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        rank = len(random.batch)
        embeds = flatten_batch(tensors["condition"], rank).transpose(0, 1).flatten(0, 1)

        def predict(noisy: Tensor, time: Tensor) -> Tensor:
            return self.predict_guided(noisy, embeds, time)

        state = flatten_batch(tensors["latent"], rank)
        state = self.sampler.run(state, self.start, self.stop, predict, random)
        return {"latent": state.reshape(*random.batch, *state.shape[1:])}

    def predict(self, noisy: Tensor, embeds: Tensor, time: Tensor) -> Tensor:
        """[n, *latent], the prediction of the network, one pass.

        Args:
            noisy: [n, *latent], its input, scaled as it was trained with.
            embeds: [n, ...], condition of one branch.
            time: a number or [n].
        """
        return self.family.predict(self.network, noisy, time, embeds, self.guidance_scale)

    def predict_guided(self, noisy: Tensor, embeds: Tensor, time: Tensor) -> Tensor:
        """[n, *latent], the prediction of all branches in one pass of a larger batch, guided.

        Args:
            noisy: [n, *latent], input of the network.
            embeds: [branches * n, ...], all items without the prompt, then all with it.
            time: a number or [n].
        """
        # Two branches of items that have a time each.
        times = time.repeat(self.num_branches) if time.dim() else time
        predicted = self.predict(torch.cat([noisy] * self.num_branches), embeds, times)
        return predicted if self.num_branches == 1 else self.guided(*predicted.chunk(2))

    def guided(self, without: Tensor, with_prompt: Tensor) -> Tensor:
        """[n, *latent], classifier-free guidance of predictions [n, *latent] each (Ho and Salimans 2022, eq. 6)."""
        return without + self.guidance_scale * (with_prompt - without)

    @cached_property
    def _flops_per_pass(self) -> float:
        values = self.family.num_values(self.pipeline)
        return pass_flops(self.family, self.network, self.latent.shape, values, self.guidance_scale)


@final
@dataclass(frozen=True)
class Decoder:
    """Latent to picture: latent [*batch, c, h, w] --autoencoder's decoder--> image [*batch, 3, H, W] in [0, 1].

    Differentiable in the latent, so that a seed codec can be trained through it.
    """

    pipeline: Any = field(repr=False)
    family: Family
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
        return half_flops(self.pipeline.vae, "decode", self.latent.shape)

    @property
    def memory_bytes(self) -> float:
        vae = self.pipeline.vae
        return parameter_bytes(vae.decoder) + parameter_bytes(getattr(vae, "post_quant_conv", None))

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        vae = self.pipeline.vae
        flat = flatten_batch(tensors["latent"], len(random.batch))
        # Without no_grad: seed codecs are trained through the decoder.
        decoded = vae.decode(self.family.to_decoder(vae.config, flat), return_dict=False)[0]
        image = (decoded / 2.0 + 0.5).clamp(0.0, 1.0)
        return {"image": image.reshape(*random.batch, *self.image.shape)}


@final
@dataclass(frozen=True)
class ImageEncoder:
    """Picture to latent: image [*batch, 3, H, W] in [0, 1] --autoencoder's encoder--> latent [*batch, c, h, w].

    The mode of the posterior, scaled, so nothing is drawn. Differentiable in the picture.
    """

    pipeline: Any = field(repr=False)
    family: Family
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
        return half_flops(self.pipeline.vae, "encode", self.image.shape)

    @property
    def memory_bytes(self) -> float:
        vae = self.pipeline.vae
        return parameter_bytes(vae.encoder) + parameter_bytes(getattr(vae, "quant_conv", None))

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        vae = self.pipeline.vae
        coded = vae.encode(flatten_batch(tensors["image"], len(random.batch)) * 2.0 - 1.0)
        mode = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mode()
        latent = self.family.from_encoder(vae.config, mode)
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
        teacher_sha256: digest of the model that it was distilled from, whose latents it makes; empty for most.
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
    teacher_sha256: str = ""

    def __repr__(self) -> str:
        # All parts repeat family and shapes, and digests are for files.
        latent, (_, height, width) = " x ".join(map(str, self.latent.shape)), self.image.shape
        return f"DiffusionModel({self.name!r}, {self.family.name}, latent {latent}, picture {width} x {height})"

    @property
    def latents_sha256(self) -> str:
        """Digest of the model that codecs and decoders for these latents name: a student shares its teacher's."""
        return self.teacher_sha256 or self.sha256

    @property
    def family(self) -> Family:
        """The family that it is of."""
        return self.denoiser.family

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
