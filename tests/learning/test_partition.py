"""Clients that differ in kinds, in quantity, and in a feature of their text."""

from __future__ import annotations

import math

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.clients import SkewOf, partition, strata_of

ROWS = [torch.randint(0, 40, (60, 6)) + 40 * kind for kind in range(3)]


@pytest.mark.parametrize("skew_of", ["kind", "quantity", "feature"])
@pytest.mark.parametrize("skew", [0.2, math.inf])
def test_every_row_is_dealt_once(skew_of: SkewOf, skew: float) -> None:
    parts = partition(ROWS, 4, skew, Random.of(1), skew_of)
    dealt = torch.cat([part for part in parts if len(part) > 1])
    given = torch.cat(ROWS)
    assert len(dealt) <= len(given)
    known = sorted(map(tuple, given.tolist()))
    assert all(tuple(row) in known for row in dealt.tolist())
    if math.isinf(skew):
        assert max(map(len, parts)) - min(map(len, parts)) <= len(ROWS) + 5
        assert sorted(map(tuple, torch.cat(parts).tolist())) == known


def test_quantity_leaves_kinds_in_equal_shares() -> None:
    parts = partition(ROWS, 4, 0.3, Random.of(2), "quantity")
    sizes = sorted(map(len, parts))
    assert sizes[-1] > 2 * sizes[0]
    largest = max(parts, key=len)
    counts = torch.bincount(largest[:, 0] // 40, minlength=3)
    assert int(counts.max() - counts.min()) <= 1


def test_features_differ_where_kinds_do_not() -> None:
    usual = torch.cat([torch.zeros(80, 6, dtype=torch.long), torch.randint(1, 400, (80, 6))])
    strata = strata_of([usual])
    assert len(strata) == 8
    assert (strata[-1] == 0).all()
    parts = partition([usual], 2, 0.1, Random.of(3), "feature")
    shares = [float((part == 0).all(1).float().mean()) for part in parts]
    equal = [float((part == 0).all(1).float().mean()) for part in partition([usual], 2, 0.1, Random.of(3))]
    assert abs(shares[0] - shares[1]) > 2 * abs(equal[0] - equal[1])
    pictures = torch.cat([torch.zeros(16, 1), torch.rand(16, 9)], dim=1)
    bright = [float(part[:, 1:].mean()) for part in strata_of([pictures])]
    assert bright == sorted(bright)


def test_an_unknown_skew_is_refused() -> None:
    with pytest.raises(ConfigError, match="skew_of"):
        partition(ROWS, 2, 1.0, Random.of(0), "colour")  # type: ignore[arg-type]
