"""Where the cases of a study run: one after the other in this process, or elsewhere; the table is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, final

from gainnet.studies.study import C, Case, Row, Study, evaluate

Evaluate = Callable[[Iterable[Case]], Iterator[tuple[Case, Row, float]]]
"""Cases to (case, row, seconds it took), in whatever order they finish."""


class Engine(Protocol):
    """A place to run cases; the journal and the table stay with whoever asks."""

    def open(self, study: Study[C], config: C, source: str) -> AbstractContextManager[Evaluate]:
        """Loads what the methods need, until the context ends.

        Args:
            study: whose cases will come.
            config: its settings.
            source: name that finds the study again in another process.

        Raises:
            ConfigError: the engine cannot run this study.
            MissingExtraError: a library that the methods or the engine need is not installed.
        """


@final
@dataclass(frozen=True)
class OneByOne:
    """One case after the other, here."""

    @contextmanager
    def open(self, study: Study[C], config: C, source: str) -> Iterator[Evaluate]:
        """As `Engine.open`."""
        yield partial(evaluate, study.open(config))
