"""Whether an installation works."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gainnet.codecs import SeedBasis
from gainnet.core.errors import GainnetError
from gainnet.generation.extras import installed, needed
from gainnet.generation.generate import generate
from gainnet.models.loading import fast_models, find_folder, load_model, weights_sha256
from gainnet.models.shipped import present_models
from gainnet.radio import Air


def check_installation(watch: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row per check: what, whether it passed, what was found."""
    rows = [_package(name) for name in needed()]
    rows.append(_row("device of torch", True, torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"))
    watch("weights")
    shipped = *present_models(), *fast_models()
    rows += [check_weights(f"{name} weights", find_folder(name), "gainnet.json") for name in shipped]
    rows.append(check_weights("attribute classifier", find_folder("scenes").parent / "attributes", "config.json"))
    rows.append(_seed_basis())
    watch("one picture over an ideal link")
    rows.append(_generation(Air(snr_db=math.inf), "ideal link is exact"))
    watch("one picture over the air")
    rows.append(_generation(Air(snr_db=10.0), "a picture over the air"))
    return rows


def _row(check: str, passed: bool, found: str) -> dict[str, Any]:
    return {"check": check, "passed": passed, "found": found}


def _package(name: str) -> dict[str, Any]:
    found = installed(name)
    return _row(name, found is not None, found or "not installed; run: pip install gainnet")


def check_weights(check: str, folder: Path, stated_in: str) -> dict[str, Any]:
    """Whether every weight file of a folder is as it was when it was made."""
    try:
        stated: dict[str, str] = json.loads((folder / stated_in).read_text())["sha256"]
        wrong = [name for name, digest in stated.items() if _sha256(folder / name) != digest]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        return _row(check, False, f"damaged: {error}")
    return _row(check, not wrong, "as trained" if not wrong else f"differ: {', '.join(wrong)}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _seed_basis() -> dict[str, Any]:
    try:
        SeedBasis.load("scenes", weights_sha256(find_folder("scenes")))
    except GainnetError as error:
        return _row("seed basis", False, str(error))
    return _row("seed basis", True, "fits the scenes model")


def _generation(air: Air, check: str) -> dict[str, Any]:
    try:
        result = generate("a yellow star", load_model(), air=air)
    except GainnetError as error:
        return _row(check, False, str(error))
    judged = result.quality
    passed = judged.exact if air.snr_db == math.inf else judged.psnr_db is not None and judged.psnr_db > 10.0
    found = "exact" if judged.exact else f"PSNR {judged.psnr_db:.1f} dB"
    return _row(check, passed, f"{found} in {result.wall_s:.2f} s")
