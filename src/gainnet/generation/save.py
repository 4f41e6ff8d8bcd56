"""A generation as files: pictures, step table, JSON and one self-contained page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gainnet.core.files import write_pieces, write_whole
from gainnet.core.report import Report
from gainnet.generation.generate import Generation, png
from gainnet.generation.labels import Labels
from gainnet.generation.original import Original
from gainnet.generation.page import page
from gainnet.generation.pictures import side_by_side

COLUMNS = (
    "label", "start_s", "duration_s", "wall_s", "energy_j", "flops", "num_bits", "num_channel_uses",
    "num_retransmissions", "delivered", "direction",
)  # fmt: skip
ORIGINAL, KEPT = "original.png", "kept.png"
"""Files of a picture that was changed, and of what the model's autoencoder keeps of it."""


def save(generation: Generation, folder: Path, labels: Labels) -> dict[str, Any]:
    """Write everything into a folder; returns the JSON object that is written, too.

    image.png (image_000.png, … for a batch) · reference.png · side_by_side.png · steps.csv · report.json · report.html;
    of image-to-image original.png and kept.png, too

    Args:
        generation: what came out.
        folder: where the files go.
        labels: names of its objects.

    Raises:
        ConfigError: the folder cannot be written.
    """
    images = generation.images
    paths = [folder / _image_name(index, len(images)) for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    write_whole(folder / "reference.png", png(generation.references[0]))
    write_original(generation.original, folder)
    write_whole(folder / "side_by_side.png", side_by_side(generation, labels))
    write_whole(folder / "steps.csv", step_table(generation.report).encode())
    summary = to_json(generation, paths, labels)
    # From the files, one after the other: all pictures together may not fit into memory.
    html = page(generation, labels, summary, (path.read_bytes() for path in paths))
    write_pieces(folder / "report.html", (piece.encode() for piece in html))
    # Last, so that a folder with a report is complete.
    write_whole(folder / "report.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def to_json(generation: Generation, image_paths: Sequence[Path], labels: Labels) -> dict[str, Any]:
    """The generation as one object of plain values; `null` where nothing fits.

    Args:
        generation: what came out.
        image_paths: files of its pictures.
        labels: names of its objects.
    """
    prompts, baseline = generation.prompts, generation.baseline
    pairs = zip(generation.images, image_paths, strict=True)
    return {
        "protocol": labels.protocol,
        "prompt": prompts[0] if len(prompts) == 1 else list(prompts),
        "model": labels.model,
        "runtime": generation.runtime,
        "sampler": asdict(generation.sampling),
        "codec": dict(labels.codecs),
        "fading": labels.fading,
        "snr_db": labels.met and labels.met.snr_db,
        "power": labels.power,
        "random_seed": generation.random_seed,
        "num_edges": len(generation.network.edges),
        "image_path": str(image_paths[0]),
        "images": [{"prompt": one.prompt, "image_path": str(path), "psnr_db": one.psnr_db} for one, path in pairs],
        "wall_s": generation.wall_s,
        "quality": asdict(generation.quality),
        "original": original_json(generation.original, image_paths[0].parent),
        "report": generation.report.to_json(),
        "baseline": {
            name: None if baseline is None else getattr(baseline, name)
            for name in ("name", "num_channel_uses_equal_psnr", "psnr_db_equal_uses")
        },
        "configuration": dict(labels.configuration),
        "warnings": [asdict(word) for word in generation.warnings],
    }


def step_table(report: Report) -> str:
    """The steps as CSV, one line per step, unit-suffixed columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: step[column] for column in COLUMNS} for step in report.to_json()["steps"])
    return text.getvalue()


def write_original(original: Original | None, folder: Path) -> None:
    """Writes the picture that was given, and what the model's autoencoder keeps of it; nothing where none was.

    Args:
        original: of a generation.
        folder: where the files go.

    Raises:
        ConfigError: the folder cannot be written.
    """
    if original is not None:
        write_whole(folder / ORIGINAL, png(original.picture))
        write_whole(folder / KEPT, png(original.kept))


def original_json(original: Original | None, folder: Path) -> dict[str, Any] | None:
    """Both files and both numbers as plain values; `None` where no picture was given.

    Args:
        original: of a generation.
        folder: of the files.
    """
    if original is None:
        return None
    return {
        "image_path": str(folder / ORIGINAL),
        "kept_path": str(folder / KEPT),
        "kept_psnr_db": original.kept_psnr_db,
        "psnr_db": original.psnr_db,
    }


def _image_name(index: int, num_images: int) -> str:
    return "image.png" if num_images == 1 else f"image_{index:03d}.png"
