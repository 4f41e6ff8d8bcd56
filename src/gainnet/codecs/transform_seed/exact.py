r"""The entropy model in arithmetic without rounding, so that both ends see the same probabilities on any machine.

Weights are half-precision numbers, multiples of $2^{-24}$; what goes into a layer is a multiple of $2^{-12}$ of at most
64. Every product is then a multiple of $2^{-36}$, and sums below $2^{17}$ fit a double exactly: their order, the
instructions and the library do not matter. Between layers there are only single operations of IEEE 754.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gainnet.codecs.tables import CLASSES_PER_OCTAVE, LOG_2, exp
from gainnet.codecs.transform_seed.network import TransformShape
from gainnet.core.errors import ModelError

Doubles = NDArray[np.float64]

FINE, COARSE, GAINS = 2.0**12, 2.0**6, 2.0**5
LARGEST = 64.0
LARGEST_ROW = 2.0**11
LEAST_CLASS, MOST_CLASS = -32, 64


def on_grid(x: Doubles, per_unit: float = FINE) -> Doubles:
    """The nearest multiples, halves go up.

    >>> on_grid(np.array([0.3, -0.125]), 4.0).tolist()
    [0.25, 0.0]
    """
    # torch and numpy round halves to even, C away from zero; floor means the same everywhere.
    return np.floor(x * per_unit + 0.5) / per_unit


def clip_to_grid(x: Doubles) -> Doubles:
    """Valid inputs of a layer: the nearest multiples of 2^-12 in [-64, 64]."""
    return np.clip(on_grid(x), -LARGEST, LARGEST)


def clip_at_zero(x: Doubles) -> Doubles:
    """[...] of [...], the same, negative numbers set to zero."""
    return np.clip(on_grid(x), 0.0, LARGEST)


def power_of_two(x: Doubles) -> Doubles:
    """2^x, equal on every machine.

    >>> power_of_two(np.array([3.0, -1.0, 0.0])).tolist()
    [8.0, 0.5, 1.0]
    """
    # `exp` is for numbers <= 0; the reciprocal is one correctly rounded division.
    small = exp(-np.abs(x) * LOG_2)
    return np.where(x > 0, 1 / small, small)


@final
@dataclass(frozen=True)
class Layer:
    """A linear map of half-precision weights, exact on the inputs of `clip_to_grid`.

    Args:
        weight: [num_out, num_in]; of a kernel, rows, columns and channels in this order.
        bias: [num_out].
    """

    weight: Doubles
    bias: Doubles

    @staticmethod
    def of(tensors: Mapping[str, Tensor], name: str) -> Layer:
        """From `name.weight` and, if there is one, `name.bias`; kernels are flattened.

        Raises:
            ModelError: sums of these weights could be rounded.
        """
        kernel = tensors[f"{name}.weight"].double()
        weight = kernel.movedim(1, -1).flatten(1).numpy()
        bias = tensors[f"{name}.bias"].double().numpy() if f"{name}.bias" in tensors else np.zeros(len(weight))
        # |x| <= 64 and row sums below 2^11 bound every sum by 2^17, as the module's proof needs.
        if not (np.abs(weight).sum(1) + np.abs(bias)).max() < LARGEST_ROW:
            raise ModelError(f"transform seed: weights of {name} are too large for exact sums; train it again")
        return Layer(weight, bias)

    def __call__(self, x: Doubles) -> Doubles:
        """[..., num_out] of [..., num_in]."""
        return x @ self.weight.T + self.bias


class SideInformation(NamedTuple):
    """Side information: known to both ends before any value.

    Args:
        condition: [batch, condition_width], weights of the anchors, and prompt.
        log2_gains: [batch, patch_size], multiples of 2^-5.
        gains: [batch, patch_size], steps per unit of the values.
    """

    condition: Doubles
    log2_gains: Doubles
    gains: Doubles


class Prediction(NamedTuple):
    """Statistics of the values of a group, known to both ends, in quantiser steps.

    Args:
        means: [batch, size], multiples of 2^-6.
        classes: [batch, size], classes of the deviations as `value_model` takes them.
        gains: [batch, size], steps per unit of the values.
    """

    means: Doubles
    classes: NDArray[np.int64]
    gains: Doubles


@final
@dataclass(frozen=True)
class ExactModel:
    """Prompt encoder, gains and entropy model of a `TransformNetwork`, exact.

    Args:
        shape: sizes.
        tensors: name -> weights of the network, as half precision holds them.
    """

    shape: TransformShape
    tensors: Mapping[str, Tensor]

    @cached_property
    def groups(self) -> tuple[NDArray[np.int64], ...]:
        """Which values are coded together."""
        return tuple(group.numpy() for group in self.shape.groups())

    def prompt(self, words: NDArray[np.int64]) -> Doubles:
        """[prompt_width], what words [num_words] mean; 0 is no word."""
        if not words.any():
            return np.zeros(self.shape.prompt_width)
        x = np.pad(self._words[words], ((1, 1), (0, 0)))
        # A layer over three words in a row, as adjectives stand beside their nouns.
        near = np.concatenate((x[:-2], x[1:-1], x[2:]), 1)
        features = clip_at_zero(self.layers["prompt.first"](near)) * (words > 0)[:, None]
        # Eighths are exact on the grid of 2^-12.
        place = np.arange(len(words)) / 8
        summed = np.concatenate((features.sum(0), (features * place[:, None]).sum(0))) / 4
        return clip_at_zero(self.layers["prompt.second"](clip_to_grid(summed)))

    def side_information(self, anchors: Doubles, prompts: Doubles) -> SideInformation:
        """Of items at the qualities with these weights of the anchors [batch, NUM_ANCHORS], with these prompts
        [batch, prompt_width]."""
        # Rounded to 1/32 octave, so that interpolated gains are the same doubles everywhere.
        log2_gains = on_grid(anchors @ self._log2_gains, GAINS)
        return SideInformation(np.concatenate((anchors, prompts), 1), log2_gains, power_of_two(log2_gains))

    def predict(self, group: int, values: Doubles, side: SideInformation) -> Prediction:
        """The statistics of a group, given the groups before it.

        Args:
            group: its index.
            values: [batch, num_values] in the form of `clip_to_grid`, 0 where not yet known.
            side: of the same items.
        """
        mean, log2_deviation = self._expected(group, values, side.condition)
        channel = self.groups[group] // self.shape.num_patches
        gains = side.gains[:, channel]
        octaves = log2_deviation + side.log2_gains[:, channel]
        classes = np.clip(np.floor(CLASSES_PER_OCTAVE * octaves + 0.5), LEAST_CLASS, MOST_CLASS)
        # In steps of 1/64: the coder subtracts it, so it must not depend on the machine.
        means = on_grid(np.clip(mean, -LARGEST, LARGEST) * gains, COARSE)
        return Prediction(means, classes.astype(np.int64), gains)

    def _expected(self, group: int, values: Doubles, condition: Doubles) -> tuple[Doubles, Doubles]:
        """[batch, size] each, mean and log2 of the deviation, as `GroupModel` computes them."""
        name, grid, batch = f"models.{group}", self.shape.grid, len(values)
        num_before, num_channels = self.shape.channels()[group]
        own = self.groups[group][: len(self.groups[group]) // num_channels] % self.shape.num_patches
        before = np.moveaxis(values.reshape(batch, -1, *grid)[:, :num_before], 1, -1)
        bias = self._places[group] + self.layers[f"{name}.condition"](condition)[:, None]
        hidden = clip_at_zero(self.layers[f"{name}.values"](_around(before, 2)) + bias)
        # The mean over a grid of 2^k patches divides exactly; others are rounded to the grid again by `clip_to_grid`.
        whole = self.layers[f"{name}.whole"](clip_to_grid(hidden.sum(1) / hidden.shape[1]))[:, None]
        near = self.layers[f"{name}.second"](_around(hidden.reshape(batch, *grid, -1), 1)[:, own])
        known = clip_to_grid(hidden[:, own] + clip_at_zero(near + whole))
        mean, log2_deviation = (
            np.moveaxis(self.layers[f"{name}.head"](known), 1, 2).reshape(batch, 2, -1).swapaxes(0, 1)
        )
        return mean, log2_deviation

    @cached_property
    def _words(self) -> Doubles:
        return clip_to_grid(self.tensors["prompt.words.weight"].double().numpy())

    @cached_property
    def _log2_gains(self) -> Doubles:
        return self.tensors["log2_gains"].double().numpy()

    @cached_property
    def _places(self) -> list[Doubles]:
        """[num_patches, entropy_width] per group, what its first layer makes of the places alone."""
        maps = [self.tensors[f"models.{k}.place"].double().movedim(0, -1).numpy() for k in range(len(self.groups))]
        return [self.layers[f"models.{k}.place"](_around(clip_to_grid(m)[None], 2))[0] for k, m in enumerate(maps)]

    @cached_property
    def layers(self) -> Mapping[str, Layer]:
        """All linear maps by name; the first of a group in two, of values and of places.

        Raises:
            ModelError: sums of some weights could be rounded.
        """
        names = [
            f"models.{k}.{end}" for k in range(len(self.groups)) for end in ("condition", "second", "whole", "head")
        ]
        layers = {name: Layer.of(self.tensors, name) for name in ("prompt.first", "prompt.second", *names)}
        for k, (num_before, _) in enumerate(self.shape.channels()):
            # One convolution over values and places is two maps; that of the places is the same for all items and is
            # cached.
            first = Layer.of(self.tensors, f"models.{k}.first")
            of_values, of_places = np.split(first.weight.reshape(len(first.bias), 25, -1), [num_before], 2)
            layers |= {
                f"models.{k}.values": Layer(of_values.reshape(len(first.bias), -1), first.bias),
                f"models.{k}.place": Layer(of_places.reshape(len(first.bias), -1), 0 * first.bias),
            }
        return layers


def _around(maps: Doubles, reach: int) -> Doubles:
    """[batch, height * width, side^2 * num_maps] of maps [batch, height, width, num_maps], the square around every
    place."""
    side = 2 * reach + 1
    padded = np.pad(maps, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (1, 2))
    batch, height, width, num_maps = maps.shape
    return np.moveaxis(windows, 3, -1).reshape(batch, height * width, side * side * num_maps)
