"""Opponents that need a model: the finished picture coded for the domain, and a device that does all by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor

from gainnet.codecs import AnyCodec
from gainnet.codecs.rate_matched import Itemised
from gainnet.core.errors import ConfigError, check_name
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Bits, Payload, Size, Spec
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.samplers import Sampler


@final
@dataclass(frozen=True)
class DomainPicture:
    """A finished picture coded for the domain: encoded again by the model's own autoencoder, and by a seed code.

    picture --image encoder--> latent --seed code--> payload --seed code--> latent --decoder--> picture

    A seed needs no such thing, since its latent is at hand before there is a picture. What a seed gains over this
    opponent comes from splitting; what this one gains over an image codec comes from a codec trained on the domain.

    Args:
        model: has the autoencoder.
        code: of latents, in bits; bound.
    """

    model: DiffusionModel
    code: AnyCodec
    emits: ClassVar[type[Payload]] = Bits

    def of_items(self, items: Sequence[int]) -> DomainPicture:
        """The codec of a smaller batch, made of these items of the whole one, row-major."""
        return replace(self, code=self.code.of_items(items)) if isinstance(self.code, Itemised) else self

    def size(self, spec: Spec) -> Size:
        """Of the latent of a picture; raises `ConfigError` for pictures of another size than the model's."""
        if spec != self.model.image:
            raise ConfigError(f"domain_picture: the model codes pictures {self.model.image.shape}, not {spec.shape}")
        return self.code.size(self.model.latent)

    @torch.no_grad()
    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        self.size(Spec(tuple(x.shape[reported_snr.dim() :])))
        # Nothing is drawn: the encoder gives the mode of its posterior.
        streams = Random((0,) * reported_snr.numel(), tuple(reported_snr.shape))
        latent = self.model.image_encoder({"image": x}, streams)["latent"]
        coded = self.code.encode(latent, reported_snr)
        if not isinstance(coded, Bits):
            raise ConfigError(f"domain_picture: {type(self.code).__name__} must emit bits; give another code")
        return coded

    @torch.no_grad()
    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        latent = self.code.decode(payload, self.model.latent)
        streams = Random((0,) * len(latent.flatten(0, -4)), tuple(payload.batch))
        return self.model.decoder({"latent": latent}, streams)["image"]


def _ddim(config: Any) -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler.from_config(config)


def _dpm(config: Any) -> Any:
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler.from_config(config, algorithm_type="dpmsolver++", solver_order=2)


SAMPLERS: Final[Mapping[str, Callable[[Any], Any]]] = {"ddim": _ddim, "dpm": _dpm}
"""By name: DDIM (Song et al. 2021), and DPM-Solver++ 2M (Lu et al. 2022), which remembers one step."""


@torch.no_grad()
def device_only(
    model: DiffusionModel, prompts: Sequence[str], random: Random, num_passes: int, sampler: str = "ddim"
) -> Tensor:
    """[num_items, 3, H, W], pictures that a device makes from prompts and random seeds alone, without the air.

    The noise is that of every other protocol, so that the picture is an approximation of theirs.

    Args:
        model: all of it is on the device.
        prompts: one per item.
        random: streams of the items, [num_items].
        num_passes: evaluations of the denoiser that the device spends on a picture; a guided step takes two.
        sampler: of `SAMPLERS`.

    Raises:
        ConfigError: the passes are no whole number of steps, or the sampler is unknown.
    """
    check_name("sampler", sampler, SAMPLERS)
    branches = model.denoiser.num_branches
    if num_passes < branches or num_passes % branches:
        raise ConfigError(f"num_passes: {num_passes} is no number of steps of {branches} passes; give a multiple")
    own = Sampler.of(SAMPLERS[sampler](model.pipeline.scheduler.config), num_passes // branches)
    denoiser = replace(model.denoiser, sampler=own, start=0, stop=own.num_steps)
    tensors: dict[str, Tensor] = {"prompt": text_to_tensor(list(prompts))}
    for part in (model.text_encoder, model.prior, denoiser, model.decoder):
        tensors |= part(tensors, random)
    return tensors["image"]
