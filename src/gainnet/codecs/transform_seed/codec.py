"""Seeds by nonlinear transform coding: the digital opponent of learned analog codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs.quantizer import STREAM_BITS
from gainnet.codecs.raw import batch_of
from gainnet.codecs.tables import largest_bits
from gainnet.codecs.transform_seed.exact import LEAST_CLASS, MOST_CLASS, Doubles
from gainnet.codecs.transform_seed.stream import (
    CHECK_BITS,
    LEVEL_BITS,
    NUM_LEVELS,
    Quantised,
    anchors_of,
    quantised,
    read,
    table,
)
from gainnet.codecs.transform_seed.weights import TransformWeights
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits, Payload, Size, Spec

MEAN_PADDING_BITS = 4
MEAN_UNUSED_SHARE = 0.02
NEAR_ENOUGH = 0.97


@final
@dataclass(frozen=True)
class TransformSeed:
    r"""A seed by a learned transform and a learned entropy model: one set of weights for every rate.

        latent --> [ analysis ] --> values --> [ x gain, round ] --> integers --> [ entropy coder ] --> bits
                                      ^                                 |   ^
                                      |        what the groups before   v   |
                                    prompt --> and the prompt say: mean, deviation

    Trained for $R + \lambda D$ with the picture's squared error as $D$ (Ballé et al. 2021, IEEE Journal of Selected
    Topics in Signal Processing 15). Values are coded in groups; a group's means and deviations come from the groups
    before it (Minnen and Singh 2020, ICIP). With `max_bits` every item takes the finest of 128 levels that fits, and
    the stream names it. The probabilities are computed without any rounding (`exact`), so a stream decodes to the same
    integers on every machine. A receiver with other prompts than the sender gets a `PayloadError`. An item that did not
    arrive, or that fits at no level, becomes what the model expects, of its prompt where there is one.

    Args:
        weights: networks that fit the model's latents.
        max_bits: most bits of one item; `None` for the fixed `level`.
        level: quality when `max_bits` is `None`, 0 to 127.
        prompts: what both ends know of the items, row-major over the last batch dimensions and repeated over those
            before; `None` where the receiver does not know them.

    Raises:
        ConfigError: a field is out of range.
    """

    weights: TransformWeights
    max_bits: float | None = None
    level: int = 64
    prompts: tuple[str, ...] | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        if not 0 <= self.level < NUM_LEVELS:
            raise ConfigError(f"level: must be 0 to {NUM_LEVELS - 1}, not {self.level}")
        if self.max_bits is not None and not self.max_bits >= 0:
            raise ConfigError(f"max_bits: must be at least 0, not {self.max_bits}")
        if self.prompts is not None and not self.prompts:
            raise ConfigError("prompts: are empty; give one per item, or None")

    def of_items(self, items: Sequence[int]) -> TransformSeed:
        """The codec of a smaller batch, made of these items of the whole one, row-major."""
        if self.prompts is None:
            return self
        return replace(self, prompts=tuple(self.prompts[item % len(self.prompts)] for item in items))

    def size(self, spec: Spec) -> Size:
        """Bits per item; expects latents of the model that the weights fit."""
        self._check(spec)
        upper = 8 * ((self._largest_bits + STREAM_BITS) // 8)
        if self.max_bits is None or self.max_bits >= upper:
            return Size(self._mean_bits[self.level if self.max_bits is None else -1], upper)
        budget = 8 * int(self.max_bits // 8)
        if budget < self._mean_bits[0]:
            return Size(min(budget, self._mean_bits[0]), budget)
        return Size(min((1 - MEAN_UNUSED_SHARE) * budget, self._mean_bits[-1]), budget)

    def quantise(self, x: Tensor, num_items: int) -> list[Quantised]:
        """Every item at the fixed `level`, with what its stream tells; `x` holds `num_items` latents."""
        items = x.detach().reshape(num_items, -1).float().cpu()
        prompts = self._prompts_of(num_items)
        return [self._quantised(item, self.level, prompt) for item, prompt in zip(items, prompts, strict=True)]

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = batch_of(x, reported_snr)
        items = x.detach().reshape(reported_snr.numel(), -1).float().cpu()
        prompts = self._prompts_of(len(items))
        return Bits(tuple(self._code(item, prompt) for item, prompt in zip(items, prompts, strict=True)), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        self._check(spec)
        prompts = self._prompts_of(len(payload.strings))
        received = [
            self._expected(prompt) if string is None else read(self.weights.exact, string, prompt)
            for string, prompt in zip(payload.strings, prompts, strict=True)
        ]
        values = torch.from_numpy(np.stack([values for _, values in received])).float()
        told = [
            np.concatenate((anchors_of(level), prompt)) for (level, _), prompt in zip(received, prompts, strict=True)
        ]
        condition = torch.from_numpy(np.stack(told)).float()
        with torch.no_grad():
            decoded = self.weights.network.synthesise(values, condition)
        return decoded.reshape(*payload.batch, *spec.shape)

    def _code(self, item: Tensor, prompt: Doubles) -> bytes | None:
        """One item by itself, since the last digit of a product depends on the size of the batch."""
        if self.max_bits is None:
            return self._quantised(item, self.level, prompt).write()
        return self._finest(item, prompt, self.max_bits)

    def _finest(self, item: Tensor, prompt: Doubles, max_bits: float) -> bytes | None:
        """The stream of the finest level that fits, or nearly; else of what the model expects anyway, if that fits.

        A level's mean length, corrected by how far this item was off at the last one, says where to look next.
        """
        means = np.array(self.weights.mean_bits if self.prompts is None else self.weights.mean_bits_prompt)
        low, high, ratio, best = -1, NUM_LEVELS, 1.0, None
        while high - low > 1 and not (best and best.bits > NEAR_ENOUGH * (max_bits - STREAM_BITS)):
            guess = int(np.searchsorted(ratio * means, max_bits - STREAM_BITS)) - 1
            level = min(max(guess, low + 1), high - 1)
            candidate = self._quantised(item, level, prompt)
            ratio = candidate.bits / means[level]
            if _fits(candidate, max_bits):
                low, best = level, candidate
            else:
                high = level
        string = (best or quantised(self.weights.exact, None, 0, prompt)).write()
        return string if 8 * len(string) <= max_bits else None

    def _quantised(self, item: Tensor, level: int, prompt: Doubles) -> Quantised:
        condition = torch.from_numpy(np.concatenate((anchors_of(level), prompt))).float()[None]
        with torch.no_grad():
            values = self.weights.network.analyse(item[None], condition)[0].double().numpy()
        return quantised(self.weights.exact, values, level, prompt)

    def _expected(self, prompt: Doubles) -> tuple[int, Doubles]:
        return 0, quantised(self.weights.exact, None, 0, prompt).values

    def _prompts_of(self, num_items: int) -> list[Doubles]:
        """The encoded prompt of every item."""
        if self.prompts is None:
            return [np.zeros(self.weights.shape.prompt_width)] * num_items
        if num_items % len(self.prompts):
            raise ConfigError(f"prompts: {len(self.prompts)} do not fit {num_items} items; give one per item")
        return self._prompts * (num_items // len(self.prompts))

    @cached_property
    def _prompts(self) -> list[Doubles]:
        words = self.weights.vocabulary.indices(self.prompts or ()).numpy()
        return [
            self.weights.exact.prompt(row if prompt.strip() else 0 * row)
            for row, prompt in zip(words, self.prompts or (), strict=True)
        ]

    @property
    def _mean_bits(self) -> list[float]:
        """Of streams, at every level."""
        means = self.weights.mean_bits if self.prompts is None else self.weights.mean_bits_prompt
        return [bits + CHECK_BITS + MEAN_PADDING_BITS for bits in means]

    @property
    def _largest_bits(self) -> int:
        widest = max(largest_bits(table(value_class)) for value_class in (LEAST_CLASS, MOST_CLASS))
        return LEVEL_BITS + int(self.weights.shape.num_values * widest)

    def _check(self, spec: Spec) -> None:
        if tuple(spec.shape) != self.weights.shape.latent:
            raise ConfigError(
                f"transform: the weights are for latents {self.weights.shape.latent}, not {tuple(spec.shape)}; "
                "train some with gainnet train transform-seed"
            )


def _fits(item: Quantised, max_bits: float) -> bool:
    """Whether a stream keeps a budget; it is written only where its information does not tell."""
    if item.bits + STREAM_BITS <= max_bits:
        return True
    return item.bits + CHECK_BITS <= max_bits and 8 * len(item.write()) <= max_bits
