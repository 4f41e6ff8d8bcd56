"""Entropy coder: throughput and overhead. With --image-sizes: measures what picture codecs take on renders.

python benchmarks/codecs.py [--json FILE] [--image-sizes FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gainnet.codecs.entropy import CRC_BITS, RunReader, information_bits
from gainnet.codecs.formats import PNG_TRUE_COLOUR
from gainnet.codecs.image import AVIF, JPEG, PNG, WebP
from gainnet.codecs.tables import encode_values, runs_of_values, scale_class, take_values, value_model
from gainnet.models.scenes import draw_scenes, render, stream

BUDGETS = [32, 160, 240, 320, 400, 480, 560, 640, 720, 800, 960, 1120, 1280, 1600, 2000, 2600, 3400, 4800, 7200, 12000]
QUALITIES = list(range(0, 101, 5))
ANCHOR_QUALITY = 50


def measure_entropy_coder(num_values: int, ratio: float) -> dict[str, float]:
    """Overhead in bits and throughput of one stream of Gaussian values."""
    values = np.rint(np.random.default_rng(0).standard_normal(num_values) * ratio).astype(np.int32)
    model = value_model("gaussian", scale_class(ratio))
    encode_values([(values, model)])
    start = time.process_time()
    string = encode_values([(values, model)])
    encoded = time.process_time()
    decoded = take_values(RunReader(string), [(num_values, model)])[0]
    stop = time.process_time()
    assert (decoded == values).all()
    information = information_bits(runs_of_values([(values, model)]))
    return {
        "num_values": num_values,
        "standard_deviation_in_steps": ratio,
        "information_bits": information,
        "stream_bits": 8 * len(string),
        "overhead_bits": 8 * len(string) - information,
        "overhead_share_without_crc": (8 * len(string) - CRC_BITS) / information - 1,
        "encode_values_per_s": num_values / max(encoded - start, 1e-9),
        "decode_values_per_s": num_values / max(stop - encoded, 1e-9),
    }


def measure_image_sizes(num_pictures: int, num_budget_pictures: int) -> dict[str, Any]:
    """Mean bits of every picture codec over renders of random scenes, per quality and per budget.

    Pictures differ more than codecs do, so the curves of some pictures are scaled to the mean of eight times as many.
    """
    many = render(draw_scenes(8 * num_pictures, stream(20_261_121, "image sizes", 0)))
    pictures, few = many[:num_pictures], many[:num_budget_pictures]
    source = (
        f"{num_pictures} renders of random scenes, 128x128, scaled to the mean of {len(many)} at one quality; "
        f"budgets {len(few)} of them"
    )
    tables: dict[str, Any] = {"source": source}
    for codec in (JPEG, WebP, AVIF):
        largest = 95 if codec is JPEG else 100
        anchor = codec(quality=ANCHOR_QUALITY)
        scale = _mean_bits(anchor, many) / _mean_bits(anchor, pictures)
        fixed = [[q, round(scale * _mean_bits(codec(quality=q), pictures), 1)] for q in QUALITIES if q <= largest]
        tables[codec.__name__.upper()] = {"quality": fixed, "max_bits": _budgets(codec, few)}
    fixed = [[PNG_TRUE_COLOUR, round(_mean_bits(PNG(), many), 1)]]
    tables["PNG"] = {"quality": fixed, "max_bits": _budgets(PNG, few)}
    return tables


def _budgets(codec: Any, pictures: torch.Tensor) -> list[list[float]]:
    """Picture by picture, so that the codec remembers what it tried for other budgets."""
    bits = [[codec(max_bits=b).encode(p[None], torch.ones(1)).num_bits for b in BUDGETS] for p in pictures]
    return [[b, round(m, 1)] for b, m in zip(BUDGETS, np.mean(bits, axis=0).tolist(), strict=True)]


def _mean_bits(codec: Any, pictures: torch.Tensor) -> float:
    return float(codec.encode(pictures, torch.ones(len(pictures))).num_bits / len(pictures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--image-sizes", type=Path, help="measure picture codecs, write their table here, stop")
    parser.add_argument("--num-pictures", type=int, default=120)
    parser.add_argument("--num-budget-pictures", type=int, default=24)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.image_sizes:
        tables = measure_image_sizes(asked.num_pictures, asked.num_budget_pictures)
        asked.image_sizes.write_text(json.dumps(tables) + "\n")
        return
    rows = [measure_entropy_coder(n, ratio) for ratio in (0.5, 2.0, 8.0) for n in (100, 1_000, 10_000, 1_000_000)]
    print("   values  sd/step  information  overhead  beyond CRC   encode/s   decode/s")
    for row in rows:
        print(
            f"{row['num_values']:9.0f}{row['standard_deviation_in_steps']:9.1f}{row['information_bits']:13.0f}"
            f"{row['overhead_bits']:10.1f}{100 * row['overhead_share_without_crc']:11.3f}%"
            f"{row['encode_values_per_s'] / 1e6:9.1f} M{row['decode_values_per_s'] / 1e6:9.1f} M"
        )
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
