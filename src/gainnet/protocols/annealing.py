"""The search of an edge for the latent to send: the one whose coded form makes the picture for the least bits."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from gainnet.codecs import ResidualCode, TransformSeed
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched
from gainnet.codecs.transform_seed.annealing import NUM_TRIALS, Relaxed, annealed
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.core.text import tensor_to_text, text_to_tensor
from gainnet.core.types import Tensors
from gainnet.models.counting import count_flops, flatten_batch
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.part import TensorMap

MOST_STEPS: Final = 10_000
PASSES_PER_STEP: Final = 2
"""Forward, and backward to the latent alone, which takes as many operations."""

RelaxedOf = Callable[[Tensor, Tensors], Relaxed]
"""The code of latents [n, num_values] and of everything that the part reads, [n, ...] each."""


def check_annealing(num_steps: int) -> None:
    """Raises `ConfigError` for a number of steps out of range."""
    check_range(0 <= num_steps <= MOST_STEPS, "annealing", num_steps, f"0 to {MOST_STEPS:,} steps")


def seed_search(model: DiffusionModel, codec: AnyCodec, num_steps: int) -> TensorMap:
    """The part that puts another latent in the place of the finished one, for the transform code of seeds.

    prompt, latent [*batch, c, h, w] --> latent [*batch, c, h, w]

    Args:
        model: whose decoder the receiver has.
        codec: that carries the latent, bound.
        num_steps: of the search, at least 1; see `gainnet.codecs.transform_seed.annealing.annealed`.

    Raises:
        ConfigError: the codec codes a latent as it is, so there is nothing to search for.
    """
    code = _at_usual_level(codec)
    if not isinstance(code, TransformSeed):
        raise _nothing_to_search(code, "seed=transform or seed=transform_prompt")

    def relaxed(latents: Tensor, read: Tensors) -> Relaxed:
        # Of the items at hand, which may be a few of the batch that the codec was bound to.
        own = None if code.prompts is None else tuple(tensor_to_text(read["prompt"]))
        return replace(code, prompts=own).relaxed(len(latents))

    return _search(model, num_steps, ("latent", "prompt"), relaxed)


def correction_search(model: DiffusionModel, codec: AnyCodec, num_steps: int) -> TensorMap:
    """The same for the code of corrections: latent, draft [*batch, c, h, w] --> latent [*batch, c, h, w]."""
    code = _at_usual_level(codec)
    if not isinstance(code, ResidualCode):
        raise _nothing_to_search(code, "correction=residual")

    def relaxed(latents: Tensor, read: Tensors) -> Relaxed:
        return code.relaxed(latents, read["draft"].flatten(1).float())

    return _search(model, num_steps, ("latent", "draft"), relaxed)


def _search(model: DiffusionModel, num_steps: int, reads: tuple[str, ...], relaxed: RelaxedOf) -> TensorMap:
    if model.runtime != "torch":
        raise ConfigError(f"annealing: a search takes gradients, which {model.runtime} has not; run the model on torch")
    decoder = model.decoder

    def decode(latents: Tensor) -> Tensor:
        return decoder({"latent": latents}, Random.of([0] * len(latents)))["image"]

    def found(tensors: Tensors, random: Random) -> Tensors:
        # A run keeps no gradients at all; tensors of such a mode have to be copied to be searched from.
        with torch.inference_mode(False):
            read = {name: flatten_batch(tensors[name], len(random.batch)).clone() for name in reads}
            latents = read["latent"].flatten(1).float()
            made = annealed(latents, relaxed(latents, read), decode, num_steps)
        return {"latent": made.reshape(tensors["latent"].shape)}

    passes = PASSES_PER_STEP * num_steps + NUM_TRIALS + 2
    return TensorMap(
        "annealing", reads, {"latent": model.latent}, found, decoder.role, passes * decoder.num_passes,
        passes * (decoder.flops + _coding_flops(model, relaxed)), decoder.memory_bytes,
    )  # fmt: skip


def _coding_flops(model: DiffusionModel, relaxed: RelaxedOf) -> float:
    """Floating-point operations of the code of an item, from its latent to the latent as received."""
    one = torch.zeros(1, *model.latent.shape)
    code = relaxed(one.flatten(1), {"draft": one, "prompt": text_to_tensor(["a"])})
    uniform = torch.full((2, model.latent.num_values), 0.5)
    return count_flops(lambda: code.restore(code.sent(code.analyse(one.flatten(1)), uniform, 1.0)[0]))


def _at_usual_level(codec: AnyCodec) -> Any:
    """The code at the level at which items usually take what the link carries, or at its own."""
    if isinstance(codec, RateMatched):
        # What a receiver reports is not known yet: the median of what the link expects.
        return _at_usual_level(codec.codec_of(codec.capacity_bits(statistics.median(codec.typical_snrs))))
    if isinstance(codec, TransformSeed | ResidualCode) and codec.max_bits is not None:
        return codec.at_usual_level()
    return codec


def _nothing_to_search(codec: AnyCodec, others: str) -> ConfigError:
    return ConfigError(
        f"annealing: {type(codec).__name__} codes a latent as it is, so there is nothing to search for; choose "
        f"{others}, or annealing=0"
    )
