"""Operations of the networks of a pipeline, counted on copies without weights and remembered by configuration."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Literal

import torch

from gainnet.models.counting import count_flops, on_meta, opened_of
from gainnet.models.families import Family


def text_flops(encoder: Any, num_tokens: int) -> float:
    """Of a text encoder, one text of a number of tokens."""
    network = opened_of(encoder)
    return _text_flops(network.__class__, _configuration(network.config.to_json_string()), num_tokens)


def half_flops(vae: Any, half: Literal["encode", "decode"], shape: tuple[int, ...]) -> float:
    """Of half an autoencoder, for one picture or latent of `shape`."""
    network = opened_of(vae)
    return _half_flops(network.__class__, _configuration(network.to_json_string()), half, shape)


def pass_flops(
    family: Family, denoiser: Any, latent: tuple[int, ...], condition: tuple[int, ...], guidance_scale: float
) -> float:
    """Of one pass of a denoiser, one item and one branch.

    Args:
        family: that calls it.
        denoiser: the network.
        latent: shape of its input.
        condition: shape of the condition of a branch.
        guidance_scale: 1 or more.
    """
    network = opened_of(denoiser)
    config = _configuration(network.to_json_string())
    return _pass_flops(family, network.__class__, config, latent, condition, guidance_scale)


def _configuration(text: str) -> str:
    """A configuration without the folder that it was read from, as a copy elsewhere costs the same."""
    return json.dumps({key: value for key, value in json.loads(text).items() if key != "_name_or_path"})


# Only shapes decide FLOPs, and a configuration holds them all: a model that is loaded again is not counted again.
@lru_cache(maxsize=64)
def _text_flops(kind: Any, config: str, num_tokens: int) -> float:
    copy = on_meta(lambda: kind(kind.config_class.from_dict(json.loads(config))))
    # On the meta device nothing is computed and no memory taken.
    ids = torch.zeros(1, num_tokens, dtype=torch.long, device="meta")
    return count_flops(lambda: copy(ids))


@lru_cache(maxsize=64)
def _half_flops(kind: Any, config: str, half: Literal["encode", "decode"], shape: tuple[int, ...]) -> float:
    copy = on_meta(lambda: kind.from_config(json.loads(config)))
    return count_flops(lambda: getattr(copy, half)(torch.zeros(1, *shape, device="meta")))


@lru_cache(maxsize=64)
def _pass_flops(
    family: Family, kind: Any, config: str, latent: tuple[int, ...], condition: tuple[int, ...], guidance_scale: float
) -> float:
    """Counted once for all the slices and regions of a plan that have the same shape."""
    copy = on_meta(lambda: kind.from_config(json.loads(config)))
    noisy, row = (torch.zeros(1, *shape, device="meta") for shape in (latent, condition))
    return count_flops(lambda: family.predict(copy, noisy, torch.zeros((), device="meta"), row, guidance_scale))
