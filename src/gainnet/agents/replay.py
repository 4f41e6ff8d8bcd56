"""A replay memory: transitions in a ring of fixed size that is drawn from at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor

from gainnet.agents.named_tensors import add_prefix, strip_prefix


@final
class Replay:
    """A ring buffer of rows of named tensors; the oldest rows are overwritten.

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
        """Appends rows.

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
        """`num` rows by name, [num, ...], with replacement."""
        # With replacement: in a ring far larger than a batch that differs little, and needs no permutation of it.
        place = torch.randint(self.filled, (num,), generator=source)
        return {name: ring[place] for name, ring in self._rows.items()}

    def tensors(self) -> dict[str, Tensor]:
        """The rows that are filled, by name, [filled, ...]."""
        return {name: ring[: self.filled] for name, ring in self._rows.items()}

    def load(self, rows: dict[str, Tensor], following: int) -> None:
        """Restores rows as `tensors` gave them; `following` is the place of the next one."""
        self._rows, self.next, self.filled = {}, 0, 0
        self.add(rows)
        self.next = following


@final
@dataclass(frozen=True)
class Remembering:
    """An off-policy agent with its replay memory, as one state.

    Args:
        agent: as `gainnet.agents.policy_run.Agent`.
        replay: what it learns from.
    """

    agent: Any
    replay: Replay

    def actor_tensors(self) -> dict[str, Tensor]:
        """Copies of the actor's weights by name."""
        return cast(dict[str, Tensor], self.agent.actor_tensors())

    def tensors(self) -> dict[str, Tensor]:
        """Copies of everything that the next update depends on."""
        rows = add_prefix("replay", self.replay.tensors())
        return add_prefix("agent", self.agent.tensors()) | rows | {"next": torch.tensor(self.replay.next)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restores `tensors`."""
        self.agent.load(strip_prefix("agent", tensors))
        self.replay.load(strip_prefix("replay", tensors), int(tensors["next"]))
