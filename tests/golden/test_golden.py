"""Numbers that a change of structure must not move: compared with what commit e3b445d computed.

`expected.json` and `cases.json` are never edited; when the API changes, the driver follows. Integers, names and draws
are exact here, and floats agree to 1e-4; `make golden` compares all bits with the first code on one machine. On a
processor that rounds otherwise than the one that computed `expected.json`, payloads coded from floats are others by a
few bytes, so families that code or train compare loosely there.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from typing import Any

import pytest
import torch

from golden.cases import HERE, compute, read_cases
from golden.compare import LOOSE, RELATIVE, differences, processor

CASES = read_cases()
FAST = frozenset(json.loads((HERE / "fast.json").read_text(encoding="utf-8")))

PROCESSOR_FREE = ("orchestration", "power")
"""Families without quantized payloads and without training."""


@lru_cache(maxsize=1)
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
    return found


@cache
def tolerance(family: str) -> float:
    alike = family in PROCESSOR_FREE or processor() == expected()["processor"]
    return RELATIVE if alike else LOOSE


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CASES])
@pytest.mark.filterwarnings("default")
def test_same_as_before(name: str) -> None:
    torch.set_num_threads(1)
    wanted = expected()["values"][name]
    found = json.loads(json.dumps(compute(name, CASES[name])))
    assert differences(wanted, found, tolerance=tolerance(name.split("/")[0])) == []


def test_every_case_has_its_values() -> None:
    assert set(CASES) == set(expected()["values"])
    assert set(CASES) >= FAST
    assert {name.split("/")[0] for name in CASES} == {name.split("/")[0] for name in FAST}


def test_the_comparison_sees_what_changes() -> None:
    wanted = {"a": {"mean": 0.0, "rms": 2.0, "~digest": "x"}, "n": [1, 2], "e": 1e-6, "t": True}
    same = {"a": {"mean": 1e-5, "rms": 2.0001, "~digest": "y", "new": 1}, "n": [1, 2], "e": 1.00001e-6, "t": True}
    assert differences(wanted, same) == []
    assert differences(wanted, same, exact=True) != []
    for change in ({"n": [1, 3]}, {"n": [1]}, {"e": 1.001e-6}, {"t": 1}, {"a": {"mean": 1e-3, "rms": 2.0}}):
        assert differences(wanted, wanted | change)
    assert differences(wanted, {"a": wanted["a"]})
