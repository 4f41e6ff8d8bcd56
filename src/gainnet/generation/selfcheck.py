"""Whether an installation works."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gainnet.core.errors import GainnetError
from gainnet.generation.config import GenerationConfig
from gainnet.generation.generate import generate
from gainnet.models.loading import find_folder

PACKAGES = ("torch", "sionna-no-rt", "diffusers", "transformers", "safetensors", "constriction", "pillow")


def check_installation(tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row per check: what, whether it passed, what was found."""
    rows = [_package(name) for name in PACKAGES]
    tell("weights")
    rows.append(_weights())
    tell("one picture over an ideal link")
    rows.append(_generation(GenerationConfig(("a red star",), fading="ideal"), "ideal link is exact"))
    tell("one picture over the air")
    rows.append(_generation(GenerationConfig(("a red star",), snr_db=10.0), "a picture over the air"))
    return rows


def _row(check: str, passed: bool, found: str) -> dict[str, Any]:
    return {"check": check, "passed": passed, "found": found}


def _package(name: str) -> dict[str, Any]:
    try:
        return _row(name, True, version(name))
    except PackageNotFoundError:
        return _row(name, False, "not installed")


def _weights() -> dict[str, Any]:
    import hashlib

    folder = find_folder("scenes")
    stated: dict[str, str] = json.loads((folder / "gainnet.json").read_text())["sha256"]
    wrong = [
        name for name, digest in stated.items() if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
    ]
    return _row("scenes weights", not wrong, "as trained" if not wrong else f"differ: {', '.join(wrong)}")


def _generation(config: GenerationConfig, check: str) -> dict[str, Any]:
    try:
        result = generate(config)
    except GainnetError as error:
        return _row(check, False, str(error))
    judged = result.quality
    passed = judged.exact if config.fading == "ideal" else judged.psnr_db is not None and judged.psnr_db > 10.0
    found = "exact" if judged.exact else f"PSNR {judged.psnr_db:.1f} dB"
    return _row(check, passed, f"{found} in {result.wall_s:.2f} s")
