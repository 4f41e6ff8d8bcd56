"""Words between edge and device before a turn: numbers within limits, and nothing that is opened or run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.outside import read_integer, read_list, read_text
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import Algorithm
from gainnet.learning.clients import Client
from gainnet.learning.safeguards.settings import Guards

MAX_ROWS: Final = 1_000_000
"""Rows of text that a client may count in an average; no edge can see whether they are there."""
MAX_STEPS: Final = 10_000
"""Mini-batches per round that a device takes unless it was started with another limit."""
LONGEST_TEXT: Final = 256
MAX_SEED: Final = (1 << 63) - 1
_LONGEST_LIST = 64


@final
@dataclass(frozen=True, eq=False)
class Member:
    """A device's own side of a run.

    Args:
        algorithm: as the edge has it.
        client: this device, with its text.
        summary: of what it is about to run, a line.
        guards: safeguards that need the device, as the edge has offered them.
        edge_key: public key that the edge signs with, as known from elsewhere; the first one counts when `None`.
        cost: of a round, as it reports it, in nats per token that the loss should fall by for it.
    """

    algorithm: Algorithm
    client: Client
    summary: str
    guards: Guards = Guards()
    edge_key: str | None = None
    cost: float = 0.0


Admit = Callable[[object, str], Member]
"""Makes a device's side of a run of the settings that an edge sent and of the device's name, by terms of its own."""


def read_turn(words: Mapping[str, Any], max_steps: int) -> tuple[int, Random]:
    """(mini-batches, streams) of a turn, from the words that open it.

    Raises:
        ConfigError: names the word that is missing or out of range.

    >>> read_turn({"num_steps": 2, "random_seed": 0, "path": ["round", 3]}, 10)[0]
    2
    """
    if missing := sorted({"num_steps", "random_seed", "path"} - set(words)):
        raise ConfigError(f"{missing[0]}: the edge does not say it")
    num_steps = read_integer(words["num_steps"], "num_steps", 0, max_steps, ConfigError)
    random_seed = read_integer(words["random_seed"], "random_seed", 0, MAX_SEED, ConfigError)
    path = [_read_name(name) for name in read_list(words["path"], "path", _LONGEST_LIST, ConfigError)]
    return num_steps, Random((random_seed,), (), tuple(path))


def check_rows(value: object, max_rows: int = MAX_ROWS) -> int:
    """How many rows a client says it has; raises `PayloadError` when it is no such number."""
    return read_integer(value, "num_rows", 1, max_rows)


def blank_rows(num_rows: int, row_length: int) -> Tensor:
    """[num_rows, row_length], text as an edge knows it: how much there is, and none of what stands in it."""
    return torch.zeros(1, dtype=torch.long).expand(num_rows, row_length)


def _read_name(name: object) -> str | int:
    if isinstance(name, str):
        return read_text(name, "path", LONGEST_TEXT, ConfigError)
    return read_integer(name, "path", 0, (1 << 32) - 1, ConfigError)
