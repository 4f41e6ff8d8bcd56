"""Corrections by a transform that knows the draft and an entropy model that does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.codecs.content import Content, required
from gainnet.codecs.correction import stream
from gainnet.codecs.correction.weights import CorrectionWeights
from gainnet.codecs.quantizer import STREAM_BITS
from gainnet.codecs.raw import check_budget, decode_items, encode_items
from gainnet.codecs.tables import largest_bits
from gainnet.codecs.transform_seed.annealing import Relaxed
from gainnet.codecs.transform_seed.exact import LEAST_CLASS, MOST_CLASS
from gainnet.codecs.transform_seed.search import usual_level
from gainnet.codecs.transform_seed.stream import table
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.types import Bits, Payload, Size, Spec

MEAN_PADDING_BITS = 7


@final
@dataclass(frozen=True)
class ResidualCode:
    r"""A correction in bits: how a finished latent differs from a draft.

        latent z, draft d --> y = A(z) - A(d) --> [ x gain, round ] --> integers, digest of d --> [ entropy coder ]
        draft d', bits --> integers --> y' --> d' + S(A(d') + y') - S(A(d'))

    A and S are analysis and synthesis of a learned transform code: what is coded is how the draft's values differ from
    the finished latent's, and where nothing is coded, the draft stays as it is. The entropy model is one of residuals:
    it knows which draft it is (by name), how much it lacks (one of eight classes, in the stream) and the groups of
    values before, and nothing of the draft's own numbers, so that two ends whose drafts differ in the last digits
    decode the same integers. Its probabilities are computed without any rounding. An item that did not arrive has the
    draft alone.

    Args:
        max_bits: most bits of one item; `None` for the fixed `level`.
        level: quality when `max_bits` is `None`, 0 to 31.
        draft: name of the draft, filled in when bound.
        weights: that fit model and draft, filled in when bound.

    Raises:
        ConfigError: a field is out of range.
    """

    max_bits: float | None = None
    level: int = 16
    draft: str = ""
    weights: CorrectionWeights | None = None
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_range(0 <= self.level < stream.NUM_LEVELS, "level", self.level, f"0 to {stream.NUM_LEVELS - 1}")
        check_budget(self.max_bits)

    def bound(self, content: Content) -> ResidualCode:
        """The code with the weights of this model and draft."""
        weights, draft = self.weights or CorrectionWeights.of_content(content), self.draft or content.draft
        return replace(self, weights=weights, draft=draft)

    @property
    def _weights(self) -> CorrectionWeights:
        return required(self.weights, "residual", "weights")

    def size(self, spec: Spec) -> Size:
        """Bits per item; expects residuals of drafts of the model that the weights fit."""
        self._check(spec)
        upper = 8 * ((self._largest_bits + STREAM_BITS) // 8)
        means = self._mean_bits
        if self.max_bits is None or self.max_bits >= upper:
            return Size(means[-1 if self.max_bits else self.level], upper)
        budget = 8 * int(self.max_bits // 8)
        # The finest level that fits leaves half a step between levels unused.
        fitting = [bits for bits in means if bits <= budget]
        return Size(fitting[-1] if fitting else 0.0, budget)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return encode_items(x, reported_snr, self._write)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        self._check(spec)
        return decode_items(payload, spec, self._read)

    def residual(self, latent: Tensor, draft: Tensor) -> Tensor:
        """[n, num_values], values to send of latents and drafts [n, num_values]."""
        return self._weights.analyse(latent) - self._weights.analyse(draft)

    def corrected(self, draft: Tensor, values: Tensor) -> Tensor:
        """[n, num_values], latents of drafts and received values [n, num_values]."""
        known = self._weights.analyse(draft)
        # The difference of two syntheses: what the transform itself loses cancels.
        return draft + self._weights.synthesise(known + values) - self._weights.synthesise(known)

    @property
    def transform_flops(self) -> tuple[float, float]:
        """Floating-point operations of `residual` and of `corrected` per item."""
        analysis, synthesis = self._weights.flops
        return 2 * analysis, analysis + 2 * synthesis

    def at_usual_level(self) -> ResidualCode:
        """This code at the finest fixed level whose items usually take at most `max_bits`."""
        return replace(self, max_bits=None, level=usual_level(self._mean_bits, self.max_bits))

    def relaxed(self, latent: Tensor, draft: Tensor) -> Relaxed:
        """The code of corrections of drafts [n, num_values] at the fixed `level`, in a form that a search can
        differentiate, see `annealed`; how much they lack is taken from the latents [n, num_values]."""
        weights, network = self._weights, self._weights.network
        known, own = weights.analyse(draft), weights.condition(len(draft))
        base = draft - weights.synthesise(known)
        classes = weights.classes(self.residual(latent, draft).numpy().astype(np.float64))
        anchors = torch.from_numpy(stream.anchors(self.level)).float().expand(len(draft), -1)
        hints = torch.from_numpy(weights.hints(self.draft, classes)).float()

        def coded(latents: Tensor) -> tuple[Tensor, Tensor]:
            values = self.residual(latents, draft).numpy().astype(np.float64)
            items = [stream.corrected(weights, self.draft, row, 0, self.level) for row in values]
            received = torch.from_numpy(np.stack([item.values for item in items])).float()
            return torch.tensor([item.bits for item in items]), self.corrected(draft, received)

        return Relaxed(
            network,
            torch.cat([anchors, hints], 1),
            network.gains(anchors),
            float(stream.QUALITIES_PER_LEVEL * self.level),
            lambda latents: network.analyse(latents, own) - known,
            lambda values: base + network.synthesise(known + values, own),
            coded,
        )

    def items(self, x: Tensor) -> list[stream.Corrected]:
        """Items [n, num_values + 1] at the fixed `level`, as their strings describe them."""
        one = partial(stream.corrected, self._weights, self.draft)
        return [one(row[:-1].astype(np.float64), int(row[-1]), self.level) for row in x.numpy()]

    def _write(self, row: NDArray[np.float32]) -> bytes | None:
        values, digest = row[:-1].astype(np.float64), int(row[-1])
        if self.max_bits is None:
            return stream.corrected(self._weights, self.draft, values, digest, self.level).string
        return stream.finest(self._weights, self.draft, values, digest, self.max_bits)

    def _read(self, string: bytes) -> NDArray[np.float64]:
        values, digest = stream.read(self._weights, self.draft, string)
        return np.append(values, digest)

    @property
    def _mean_bits(self) -> list[float]:
        """Of strings, at every level."""
        means = self._weights.mean_bits[self._weights.drafts.index(self.draft)]
        return [bits + MEAN_PADDING_BITS for bits in means]

    @property
    def _largest_bits(self) -> int:
        # The escape is dearest in the narrowest or the widest table.
        widest = max(largest_bits(table(value_class)) for value_class in (LEAST_CLASS, MOST_CLASS))
        return stream.HEAD_BITS + stream.DIGEST_BITS + int(self._weights.shape.num_values * widest)

    def _check(self, spec: Spec) -> None:
        if spec.num_values != self._weights.shape.num_values + 1:
            raise ConfigError(
                f"residual: the weights are for {self._weights.shape.num_values} values and a digest, the tensor has "
                f"{spec.num_values}; train some with gainnet train correction"
            )
