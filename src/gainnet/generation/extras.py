"""Which optional parts an installation has, and the command that brings the others."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, Final

PURPOSES: Final[Mapping[str, str]] = {
    "serve": "an edge as a process and its page: gainnet serve, ask; models by ONNX",
    "learning": "prompt learning, LoRA and IA3: gainnet learn --algorithm prompt",
    "privacy": "differential privacy and masked sums: gainnet trust",
    "engines": "Flower and Ray: gainnet flower, study run --engine ray",
    "orchestration": "other environments, graphs and matchings: PettingZoo, Gymnasium, networkx",
    "rl": "training of policies: gainnet train orchestration, power-control",
    "joint": "the convex bound of the study joint",
    "roads": "roads driven by SUMO: gainnet orchestrate --mobility FILE.sumocfg",
    "opponents": "HEVC, VVC and JPEG XL as opponents of seeds",
    "emoji": "training and judging the emoji model",
    "judges": "ROUGE and MiniLM for texts",
    "notebooks": "running the notebooks of the docs",
    "export": "models for devices without torch: gainnet export",
    "tables": "results as Parquet: gainnet study export --format parquet",
}
"""Use of each extra; `dev` and `docs` are for work on gainnet itself and not listed."""

TESTED_PYTHON: Final = ((3, 11),)
"""Releases of Python that the whole suite runs on."""


def needed(extra: str | None = None) -> tuple[str, ...]:
    """Names of the packages that gainnet itself or an extra needs; none where gainnet runs from its source alone."""
    try:
        lines = requires("gainnet") or []
    except PackageNotFoundError:
        return ()
    return tuple(dict.fromkeys(_names(lines, extra)))


def _names(lines: list[str], extra: str | None) -> Iterator[str]:
    for line in lines:
        marked = re.search(r"""extra\s*==\s*["']([\w-]+)["']""", line)
        if (marked[1] if marked else None) == extra and (name := re.match(r"[\w.-]+", line)):
            yield name[0]


def installed(package: str) -> str | None:
    """Version of a package, `None` where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def extras() -> list[dict[str, Any]]:
    """One row per extra: whether all of it is there, what is missing, what it is for, the command that brings it."""
    rows = []
    for extra, purpose in PURPOSES.items():
        missing = [name for name in needed(extra) if installed(name) is None]
        command = f"pip install 'gainnet[{extra}]'" if missing else None
        rows.append(
            {"extra": extra, "installed": not missing, "missing": missing, "purpose": purpose, "command": command}
        )
    return rows


def platform_notes() -> list[str]:
    """One line for each property of this machine that gainnet is not tested with."""
    notes = []
    if sys.version_info[:2] not in TESTED_PYTHON:
        notes.append(
            f"Python {sys.version_info[0]}.{sys.version_info[1]}: tried, but the whole suite runs on 3.11 only"
        )
    if sys.platform != "linux":
        notes.append(f"{sys.platform}: gainnet is tested on Linux only")
    return notes
