"""The networks of a model as functions, and a model that calls other functions in their place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.models.diffusion import DiffusionModel, ImageEncoder, TextEncoder

Network = Callable[[Tensor], Tensor]


@final
@dataclass(frozen=True)
class Networks:
    """The networks of a model, each a function of tensors with the batch first.

    Args:
        unet: (sample [n, c, h, w], timestep [n] or a number, condition [n, tokens, width]) -> prediction [n, c, h, w].
        text_encoder: tokens [n, tokens] -> condition [n, tokens, width].
        decode: latents [n, c, h, w], not scaled -> pixels [n, 3, H, W] in about [-1, 1].
        encode: pixels [n, 3, H, W] in [-1, 1] -> latents [n, c, h, w], not scaled.
    """

    unet: Callable[[Tensor, Tensor, Tensor], Tensor]
    text_encoder: Network
    decode: Network
    encode: Network


def replace_networks(model: DiffusionModel, networks: Networks, runtime: str) -> DiffusionModel:
    """A model whose parts call other functions; configurations, shapes and costs stay those of the model.

    Args:
        model: made of a diffusers pipeline.
        networks: that compute.
        runtime: its name, for reports.

    Raises:
        ConfigError: parts of the model were made by hand and call no pipeline.
    """
    text_encoder, image_encoder = model.text_encoder, model.image_encoder
    if not (isinstance(text_encoder, TextEncoder) and isinstance(image_encoder, ImageEncoder)):
        raise ConfigError(f"runtime: parts of {model.name} are not a pipeline's; leave the runtime at torch")
    check_plain(model)
    pipeline = copy.copy(model.pipeline)
    pipeline.unet = _calling(pipeline.unet, forward=_unet(networks))
    pipeline.text_encoder = _calling(pipeline.text_encoder, forward=_text_encoder(networks))
    pipeline.vae = _calling(pipeline.vae, decode=_decode(networks), encode=_encode(networks))
    return replace(
        model,
        text_encoder=replace(text_encoder, pipeline=pipeline),
        denoiser=replace(model.denoiser, pipeline=pipeline),
        decoder=replace(model.decoder, pipeline=pipeline),
        image_encoder=replace(image_encoder, pipeline=pipeline),
        pipeline=pipeline,
        runtime=runtime,
    )


def check_plain(model: DiffusionModel) -> None:
    """Raises `ConfigError` unless the denoiser has no inputs but latent, time and token embeddings."""
    guided = getattr(model.denoiser.network.config, "time_cond_proj_dim", None)
    if model.family.name != "sd" or guided is not None:
        inputs = "guidance as an input" if model.family.name == "sd" else f"the inputs of {model.family.name}"
        raise ConfigError(f"runtime: only torch computes a denoiser with {inputs}; take a model of sd, or no server")


def _calling(module: Any, **methods: Callable[..., Any]) -> Any:
    """A module with other methods and the same class, configuration and parameters, which costs are counted from."""
    # A shallow copy shares the weights; methods of an instance come before those of its class.
    twin = copy.copy(module)
    for name, method in methods.items():
        setattr(twin, name, method)
    return twin


# The four below have the signatures by which a diffusers pipeline and our parts call a network.
def _unet(networks: Networks) -> Callable[..., tuple[Tensor]]:
    def forward(
        sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, return_dict: bool = False
    ) -> tuple[Tensor]:
        return (networks.unet(sample, timestep, encoder_hidden_states),)

    return forward


def _text_encoder(networks: Networks) -> Callable[..., tuple[Tensor]]:
    def forward(input_ids: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor]:
        return (networks.text_encoder(input_ids),)

    return forward


def _decode(networks: Networks) -> Callable[..., tuple[Tensor]]:
    def decode(z: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        return (networks.decode(z),)

    return decode


@final
@dataclass(frozen=True)
class _Latents:
    latents: Tensor


def _encode(networks: Networks) -> Callable[..., _Latents]:
    def encode(x: Tensor) -> _Latents:
        return _Latents(networks.encode(x))

    return encode
