"""Seeds by nonlinear transform coding: the digital opponent of learned analog codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs.content import Content, required
from gainnet.codecs.quantizer import STREAM_BITS
from gainnet.codecs.raw import batch_of, check_budget
from gainnet.codecs.tables import largest_bits
from gainnet.codecs.transform_seed import stream
from gainnet.codecs.transform_seed.annealing import Relaxed
from gainnet.codecs.transform_seed.exact import LEAST_CLASS, MOST_CLASS, Doubles
from gainnet.codecs.transform_seed.network import NUM_ANCHORS
from gainnet.codecs.transform_seed.search import LevelSearch, usual_level
from gainnet.codecs.transform_seed.weights import TransformWeights
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.types import Bits, Payload, Size, Spec

MEAN_PADDING_BITS = 4
MEAN_UNUSED_SHARE = 0.02
CHUNK = 8


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
        max_bits: most bits of one item; `None` for the fixed `level`.
        level: quality when `max_bits` is `None`, 0 to 127.
        prompts: side information of both ends, row-major over the last batch dimensions and repeated over those before;
            empty for those of the content, filled in when bound; `None` where the receiver does not know them.
        weights: networks that fit the model's latents, filled in when bound.

    Raises:
        ConfigError: a field is out of range.
    """

    max_bits: float | None = None
    level: int = 64
    prompts: tuple[str, ...] | None = None
    weights: TransformWeights | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_range(0 <= self.level < stream.NUM_LEVELS, "level", self.level, f"0 to {stream.NUM_LEVELS - 1}")
        check_budget(self.max_bits)

    def bound(self, content: Content) -> TransformSeed:
        """The code with the weights and prompts of these latents."""
        prompts = content.prompts if self.prompts == () else self.prompts
        return replace(self, prompts=prompts, weights=self.weights or TransformWeights.of_content(content))

    @property
    def _weights(self) -> TransformWeights:
        return required(self.weights, "transform", "weights")

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
        # Below the coarsest level most items are not sent at all.
        if budget < self._mean_bits[0]:
            return Size(min(budget, self._mean_bits[0]), budget)
        return Size(min((1 - MEAN_UNUSED_SHARE) * budget, self._mean_bits[-1]), budget)

    def quantise(self, x: Tensor, num_items: int) -> list[stream.Quantised]:
        """Every item of `x` [num_items, *latent] at the fixed `level`, as its stream describes it."""
        return self._quantised(_rows(x, num_items), [self.level] * num_items, self._prompts_of(num_items))

    def at_usual_level(self) -> TransformSeed:
        """This code at the finest fixed level whose items usually take at most `max_bits`."""
        return replace(self, max_bits=None, level=usual_level(self._mean_bits, self.max_bits))

    def relaxed(self, num_items: int) -> Relaxed:
        """The code of a batch at the fixed `level`, in a form that a search can differentiate; see `annealed`."""
        network, prompts = self._weights.network, self._prompts_of(num_items)
        condition = _condition([self.level] * num_items, prompts)

        def coded(latents: Tensor) -> tuple[Tensor, Tensor]:
            items = self.quantise(latents, num_items)
            values = torch.from_numpy(np.stack([item.values for item in items])).float()
            return torch.tensor([item.bits for item in items]), network.synthesise(values, condition)

        return Relaxed(
            network,
            condition,
            network.gains(condition[:, :NUM_ANCHORS]),
            self.level / stream.LEVELS_PER_QUALITY,
            lambda latents: network.analyse(latents, condition),
            lambda values: network.synthesise(values, condition),
            coded,
        )

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch, num_items = batch_of(x, reported_snr), reported_snr.numel()
        if self.max_bits is None:
            return Bits(tuple(item.stream for item in self.quantise(x, num_items)), batch)
        return Bits(tuple(self._finest(_rows(x, num_items), self._prompts_of(num_items), self.max_bits)), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        self._check(spec)
        prompts = self._prompts_of(len(payload.strings))
        # The synthesis may round: the integers were exact, and what follows feeds no entropy model.
        levels, values = self._received(payload.strings, prompts)
        condition = _condition(levels, prompts)
        with torch.no_grad():
            decoded = self._weights.network.synthesise(torch.from_numpy(values).float(), condition)
        return decoded.reshape(*payload.batch, *spec.shape)

    def _received(self, strings: Sequence[bytes | None], prompts: Doubles) -> tuple[list[int], Doubles]:
        """Levels and values [batch, num_values]; of items that did not arrive those that the model expects."""
        levels, values = [0] * len(strings), np.zeros((len(strings), self._weights.shape.num_values))
        for some in _chunks([k for k, string in enumerate(strings) if string is None]):
            values[some] = [item.values for item in self._expected(prompts[some])]
        for some in _chunks([k for k, string in enumerate(strings) if string is not None]):
            found, values[some] = stream.read(self._weights.exact, [strings[k] or b"" for k in some], prompts[some])
            for k, level in zip(some, found, strict=True):
                levels[k] = level
        return levels, values

    def _finest(self, items: Tensor, prompts: Doubles, max_bits: float) -> list[bytes | None]:
        """Streams of the finest levels that fit, or nearly; else of what the model expects anyway, if that fits."""
        means = np.array(self._weights.mean_bits if self.prompts is None else self._weights.mean_bits_prompt)
        searches = [LevelSearch(means, max_bits) for _ in items]
        while still := [k for k, search in enumerate(searches) if not search.done]:
            tried = self._quantised(items[still], [searches[k].level for k in still], prompts[still])
            for k, item in zip(still, tried, strict=True):
                searches[k].record(item)
        found = [search.best for search in searches]
        for some in _chunks([k for k, item in enumerate(found) if item is None]):
            for k, item in zip(some, self._expected(prompts[some]), strict=True):
                found[k] = item
        # What the model expects costs bits, too; where even that does not fit, nothing is sent.
        strings = [item.stream for item in found if item is not None]
        return [string if 8 * len(string) <= max_bits else None for string in strings]

    def _quantised(self, items: Tensor, levels: Sequence[int], prompts: Doubles) -> list[stream.Quantised]:
        """Items are analysed one by one, since the last digit of a product depends on the size of the batch."""
        condition = _condition(levels, prompts)
        with torch.no_grad():
            analysed = [
                self._weights.network.analyse(*one) for one in zip(items.split(1), condition.split(1), strict=True)
            ]
        values = torch.cat(analysed).double().numpy()
        return [
            item
            for some in _chunks(range(len(items)))
            for item in stream.quantised(self._weights.exact, values[some], [levels[k] for k in some], prompts[some])
        ]

    def _expected(self, prompts: Doubles) -> list[stream.Quantised]:
        """The likeliest values of lost items, from their prompts [batch, prompt_width] alone."""
        return stream.quantised(self._weights.exact, None, [0] * len(prompts), prompts)

    def _prompts_of(self, num_items: int) -> Doubles:
        """[num_items, prompt_width], the encoded prompt of every item."""
        if self.prompts is None:
            return np.zeros((num_items, self._weights.shape.prompt_width))
        if not self.prompts or num_items % len(self.prompts):
            raise ConfigError(f"prompts: {len(self.prompts)} do not fit {num_items} items; give one per item")
        return np.tile(self._prompts, (num_items // len(self.prompts), 1))

    @cached_property
    def _prompts(self) -> Doubles:
        words = self._weights.vocabulary.indices(self.prompts or ()).numpy()
        return np.stack(
            [
                self._weights.exact.prompt(row if prompt.strip() else 0 * row)
                for row, prompt in zip(words, self.prompts or (), strict=True)
            ]
        )

    @property
    def _mean_bits(self) -> list[float]:
        """Of streams, at every level."""
        means = self._weights.mean_bits if self.prompts is None else self._weights.mean_bits_prompt
        return [bits + stream.CHECK_BITS + MEAN_PADDING_BITS for bits in means]

    @property
    def _largest_bits(self) -> int:
        # The escape is dearest in the narrowest or the widest table.
        widest = max(largest_bits(stream.table(value_class)) for value_class in (LEAST_CLASS, MOST_CLASS))
        return stream.LEVEL_BITS + int(self._weights.shape.num_values * widest)

    def _check(self, spec: Spec) -> None:
        if tuple(spec.shape) != self._weights.shape.latent:
            raise ConfigError(
                f"transform: the weights are for latents {self._weights.shape.latent}, not {tuple(spec.shape)}; "
                "train some with gainnet train transform-seed"
            )


def _condition(levels: Sequence[int], prompts: Doubles) -> Tensor:
    """[batch, condition_width], what the networks know of items: weights of the anchors, and prompt."""
    return torch.from_numpy(np.concatenate((stream.anchors_of(levels), prompts), 1)).float()


def _rows(x: Tensor, num_items: int) -> Tensor:
    """[num_items, num_values]."""
    return x.detach().reshape(num_items, -1).float().cpu()


def _chunks(items: Sequence[int]) -> Iterator[list[int]]:
    """So many at once that what they take stays in the cache."""
    yield from (list(items[k : k + CHUNK]) for k in range(0, len(items), CHUNK))
