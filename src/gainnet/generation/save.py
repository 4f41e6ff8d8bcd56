"""A generation as files: pictures, step table, JSON and one self-contained page."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from gainnet.core.files import write_whole
from gainnet.core.report import Report
from gainnet.generation.generate import Generation
from gainnet.generation.page import page
from gainnet.generation.pictures import side_by_side

COLUMNS = (
    "label", "start_s", "duration_s", "wall_s", "energy_j", "flops", "num_bits", "num_channel_uses",
    "num_retransmissions", "delivered", "direction",
)  # fmt: skip


def save(generation: Generation, folder: Path) -> dict[str, Any]:
    """Write everything into a folder; returns the JSON object that is written, too.

    image.png (image_001.png, … for a batch) · reference.png · side_by_side.png · steps.csv · report.json · report.html

    Raises:
        ConfigError: the folder cannot be written.
    """
    images = [png(image) for image in generation.images]
    for index, content in enumerate(images):
        write_whole(folder / _image_name(index, len(images)), content)
    write_whole(folder / "reference.png", png(generation.references[0]))
    compared = side_by_side(generation)
    write_whole(folder / "side_by_side.png", compared)
    write_whole(folder / "steps.csv", step_table(generation.report).encode())
    summary = to_json(generation, folder / _image_name(0, len(images)))
    write_whole(folder / "report.html", page(generation, summary, compared, images).encode())
    write_whole(folder / "report.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def to_json(generation: Generation, image_path: Path | None) -> dict[str, Any]:
    """The generation as one flat object of plain values; `null` where nothing fits."""
    config, judged, baseline = generation.config, generation.quality, generation.baseline
    return {
        "protocol": config.protocol,
        "prompt": config.prompts[0] if len(config.prompts) == 1 else list(config.prompts),
        "model": config.model,
        "codec": dict(generation.codecs),
        "fading": generation.fading,
        "snr_db": generation.snr_db,
        "power": config.power,
        "random_seed": config.random_seed,
        "num_edges": generation.num_edges,
        "image_path": None if image_path is None else str(image_path),
        "wall_s": generation.wall_s,
        "quality": {
            "psnr_db": judged.psnr_db,
            "ssim": judged.ssim,
            "exact": judged.exact,
            "prompt_fidelity": judged.prompt_fidelity,
        },
        "report": generation.report.to_json(),
        "baseline": {
            "name": None if baseline is None else baseline.name,
            "num_channel_uses_equal_psnr": None if baseline is None else baseline.num_channel_uses_equal_psnr,
            "psnr_db_equal_uses": None if baseline is None else baseline.psnr_db_equal_uses,
        },
    }


def step_table(report: Report) -> str:
    """The steps as CSV, one line per step, unit-suffixed columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: step[column] for column in COLUMNS} for step in report.to_json()["steps"])
    return text.getvalue()


def png(image: Tensor) -> bytes:
    """A picture [3, H, W] in [0, 1] as a PNG file."""
    values = (image.clamp(0.0, 1.0) * 255.0).round().to("cpu").permute(1, 2, 0).numpy().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def _image_name(index: int, num_images: int) -> str:
    return "image.png" if num_images == 1 else f"image_{index:03d}.png"
