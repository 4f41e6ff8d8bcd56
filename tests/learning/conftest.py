"""A small cell, small models and a little text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gainnet.core.randomness import Random
from gainnet.learning.clients import Client, cell_of, devices_of
from gainnet.models.language import pack, small_decoder, word_tokenizer
from gainnet.models.language_text import write_texts
from gainnet.network import Network, profile
from gainnet.radio import AnyLink, Ideal

LENGTH = 24


@pytest.fixture
def model() -> Any:
    return small_decoder(16, 3, 2)


@pytest.fixture
def clients() -> tuple[Client, ...]:
    rows = [pack(write_texts(kind, 12, 1), word_tokenizer(), LENGTH) for kind in ("cardiology", "oncology", "public")]
    return tuple(
        Client(name, text[: 12 + 4 * i]) for i, (name, text) in enumerate(zip(devices_of(3), rows, strict=True))
    )


@pytest.fixture
def network() -> Callable[..., Network]:
    def make(up: Sequence[AnyLink] = (Ideal(),), down: Sequence[AnyLink] = (Ideal(),)) -> Network:
        return cell_of(devices_of(4), profile("edge_l4"), profile("phone"), tuple(up), tuple(down))

    return make


@pytest.fixture
def random() -> Random:
    return Random.of(5).child("round", 0)
