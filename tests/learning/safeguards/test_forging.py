"""Forged records: an edge that holds its own key gets none past the clients' keys, receipts and heads."""

from __future__ import annotations

import numpy as np
import pytest

from gainnet.learning.safeguards.forging import FORGERIES, chain_holds
from gainnet.network import EDGE
from gainnet.studies.trust.attacks import watched_record
from gainnet.studies.trust.config import FORGED


def accepted(num_tries: int) -> tuple[int, int]:
    """Forgeries that pass all checks, and those that the edge's own signature lets pass."""
    watched, generator = watched_record(3, 2), np.random.default_rng(0)
    forged = [watched.forged(kind, generator) for kind in FORGERIES for _ in range(num_tries)]
    alone = sum(chain_holds(lines, watched.edge.public(EDGE)) for lines in forged)
    return sum(watched.accepts(lines) for lines in forged), alone


@pytest.mark.slow
def test_no_forgery_passes_and_the_edges_signature_alone_lets_all_pass() -> None:
    assert watched_record(3, 2).accepts(watched_record(3, 2).lines), "what was written is in order"
    assert accepted(6) == (0, 6 * len(FORGERIES))


@pytest.mark.slow
def test_no_forgery_of_a_thousand_passes() -> None:
    assert accepted(120) == (0, 120 * len(FORGERIES))
    assert 120 * len(FORGERIES) >= 1000


def test_the_study_tries_every_kind() -> None:
    assert tuple(FORGERIES) == FORGED
    assert len(FORGED) >= 6
