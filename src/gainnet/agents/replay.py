"""What was lived through, in a ring of fixed size that is drawn from at random."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor


@final
class Replay:
    """A ring buffer of rows of named tensors; the oldest rows give way.

    Args:
        num_rows: how many it holds, >= 1.

    >>> ring = Replay(3)
    >>> ring.add({"reward": torch.arange(4.0)})
    >>> sorted(ring.tensors()["reward"].tolist())
    [1.0, 2.0, 3.0]
    """

    def __init__(self, num_rows: int) -> None:
        self.num_rows, self.next, self.filled = num_rows, 0, 0
        self._rows: dict[str, Tensor] = {}

    def add(self, rows: dict[str, Tensor]) -> None:
        """Takes rows up.

        Args:
            rows: name to [num_new, ...]; names and shapes as the first time.
        """
        num_new = len(next(iter(rows.values())))
        for name, x in rows.items():
            ring = self._rows.setdefault(name, torch.zeros(self.num_rows, *x.shape[1:], dtype=x.dtype))
            place = (self.next + torch.arange(num_new)) % self.num_rows
            ring[place] = x
        self.next = (self.next + num_new) % self.num_rows
        self.filled = min(self.num_rows, self.filled + num_new)

    def draw(self, num: int, source: torch.Generator) -> dict[str, Tensor]:
        """So many rows, with replacement."""
        place = torch.randint(self.filled, (num,), generator=source)
        return {name: ring[place] for name, ring in self._rows.items()}

    def tensors(self) -> dict[str, Tensor]:
        """The rows that are filled."""
        return {name: ring[: self.filled] for name, ring in self._rows.items()}

    def load(self, rows: dict[str, Tensor], following: int) -> None:
        """Puts rows back as `tensors` gave them; `following` is where the next one goes."""
        self._rows, self.next, self.filled = {}, 0, 0
        self.add(rows)
        self.next = following
