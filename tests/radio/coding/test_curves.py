"""Curves that are measured one after the other, and a measurement that was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gainnet.core.errors import ConfigError
from gainnet.radio.coding.curves import write_curves


def test_f12d_a_killed_measurement_loses_at_most_one_curve(tmp_path: Path) -> None:
    path, measured = tmp_path / "table.json", list[str]()

    def measure(name: str, then: BaseException | None = None) -> dict[str, Any]:
        measured.append(name)
        if then is not None:
            raise then
        return {"name": name, "median_snr_db": 0.1}

    with pytest.raises(KeyboardInterrupt):
        write_curves(path, {}, {"a": lambda: measure("a"), "b": lambda: measure("b", KeyboardInterrupt())})
    assert not path.exists()
    curves = {"a": lambda: measure("a"), "b": lambda: measure("b")}
    write_curves(path, {}, curves)
    assert measured == ["a", "b", "b"]
    assert list(tmp_path.iterdir()) == [path]
    before = path.read_text()
    # A measurement from the beginning, since the table is there whole, and of the same bytes.
    write_curves(path, {}, curves)
    assert measured[3:] == ["a", "b"]
    assert path.read_text() == before


def test_f12d_the_place_is_checked_before_the_first_curve(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^out: .* is a folder where a file is to be written; give another place$"):
        write_curves(tmp_path, {}, {"a": lambda: pytest.fail("measured")})
    assert list(tmp_path.iterdir()) == []
