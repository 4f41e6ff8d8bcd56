"""Things of a user's: what studies take as one more curve, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs.raw import batch_of, rows_of
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Payload, Size, Spec
from gainnet.orchestration import Association, Graph
from gainnet.radio.power import Outlook


@dataclass(frozen=True)
class Signs:
    """The sign of as many values as there are bits."""

    max_bits: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        return Size.fixed(8 * self._num_bytes(spec.num_values))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = batch_of(x, reported_snr)
        rows = list(rows_of(x, batch))
        return Bits(tuple(np.packbits(row[: 8 * self._num_bytes(len(row))] > 0).tobytes() for row in rows), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        rows = np.zeros((len(payload.strings), spec.num_values), dtype=np.float32)
        for row, string in zip(rows, payload.strings, strict=True):
            signs = 2.0 * np.unpackbits(np.frombuffer(string or b"", dtype=np.uint8)) - 1.0
            row[: len(signs)] = signs
        return torch.from_numpy(rows).reshape(*payload.batch, *spec.shape)

    def _num_bytes(self, num_values: int) -> int:
        return min(int(self.max_bits or num_values), num_values) // 8


class Wrong(Signs):
    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        raise ValueError("a bug of the user's")


class Nothing:
    """Keeps no contract."""


@dataclass(frozen=True)
class Most:
    least: float = 0.0

    def __call__(self, graph: Graph, random: Random) -> Association:
        samples = graph.workload.samples
        return Association((samples * (samples >= self.least)).argmax(-1))


class Never:
    def __call__(self, graph: Graph, random: Random) -> Association:
        raise RuntimeError("never decides")


@dataclass(frozen=True)
class Even:
    def __call__(self, outlook: Outlook) -> Tensor:
        return torch.ones_like(outlook.energy)
