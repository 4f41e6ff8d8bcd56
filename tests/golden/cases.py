"""The golden cases by name, and the function that computes one."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FAMILIES = ("generation", "links", "codecs", "learning", "orchestration", "power", "studies")


def read_cases() -> dict[str, dict[str, Any]]:
    """Every case by `family/name`."""
    tables: dict[str, dict[str, Any]] = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))
    return {f"{family}/{name}": case for family in FAMILIES for name, case in tables[family].items()}


def compute(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """What the present code gives for a case, as plain values."""
    found: dict[str, Any] = importlib.import_module(f"golden.driver.{name.split('/')[0]}").run(case)
    return found
