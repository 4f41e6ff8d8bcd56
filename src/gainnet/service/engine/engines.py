"""The engines of one process: one per model that it serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from gainnet.core.errors import ConfigError
from gainnet.models.shipped import suited_model
from gainnet.service.engine.engine import Engine
from gainnet.service.engine.status import EngineStatus


@final
@dataclass(frozen=True)
class Engines:
    """Engines by the name of their model; whoever names none gets the one whose model knows most of its words.

    Args:
        each: at least one, of different models; the first is for whoever has no words.
    """

    each: tuple[Engine, ...]

    @property
    def first(self) -> Engine:
        """Of the model that an edge says it has."""
        return self.each[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all models."""
        return tuple(engine.model.name for engine in self.each)

    def named(self, name: str | None) -> Engine:
        """The engine of a model; the first one where none is named.

        Raises:
            ConfigError: no engine has it.
        """
        if name is None:
            return self.first
        for engine in self.each:
            if engine.model.name == name:
                return engine
        raise ConfigError(f"model: this edge has {' and '.join(self.names)} alone; ask for one of them, or for none")

    def suited(self, prompts: Iterable[str]) -> Engine:
        """The engine of the model that knows most words of prompts, of several the first."""
        return self.named(suited_model(prompts, self.names))

    @property
    def most_waiting(self) -> int:
        """Requests that are open at the same time at most, over all of them."""
        return self.first.most_waiting

    @property
    def backlog_s(self) -> float:
        """Time until all open requests are done; the engines share the processor."""
        return sum(engine.backlog_s for engine in self.each)

    def status(self) -> EngineStatus:
        """Counters of all, added up, and the last ticks in their order."""
        found = [engine.status() for engine in self.each]
        ticks = sorted((tick for one in found for tick in one.ticks), key=lambda tick: tick.begin_s)
        num_ticks, num_rows, busy_s = Counter[str](), Counter[str](), dict.fromkeys(found[0].busy_s, 0.0)
        for one in found:
            num_ticks.update(one.num_ticks)
            num_rows.update(one.num_rows)
            busy_s |= {name: busy_s.get(name, 0.0) + value for name, value in one.busy_s.items()}
        return EngineStatus(
            sum(one.num_open for one in found), sum(one.num_waiting for one in found), found[0].most_batch,
            found[0].most_waiting, dict(num_ticks), dict(num_rows), busy_s, sum(one.late for one in found),
            tuple(ticks),
        )  # fmt: skip
