"""Writes `golden_streams.json`: streams of the transform code and what Python reads in them.

Half of the streams are coded without a prompt, half with one. Latents are drawn from the model's principal components;
one in ten is four times too large, so that values leave the tables. Run it after the weights have changed:

    python -m service.page.golden_streams
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from zlib import crc32

import numpy as np
import torch

from gainnet.codecs.basis import SeedBasis
from gainnet.codecs.transform_seed import TransformSeed, TransformWeights, stream
from gainnet.core.randomness import Random
from gainnet.models.scenes.captions import write_captions
from gainnet.models.scenes.scene import draw_scenes

PLACE = Path(__file__).parent / "golden_streams.json"
NUM_STREAMS = 1000
ODD_PROMPTS = ("", "a purple whale", "A red, red star!", "7 stars", "a red star above a blue house at sunset " * 4)


def golden_streams(num_streams: int = NUM_STREAMS) -> list[dict[str, object]]:
    """Each with prompt (`null` without), stream, level, and digests of integers and values."""
    weights, basis = TransformWeights.load(), SeedBasis.load("scenes")
    random, rows, prompts = Random.of(15), [], _prompts((num_streams + 1) // 2)
    levels = random.uniform((num_streams,), "levels").mul(stream.NUM_LEVELS).long().tolist()
    for index, level in enumerate(levels):
        draws = random.normal((basis.num_values,), "latent", index) * basis.variances.sqrt()
        latent = basis.mean + basis.basis @ draws * (4.0 if index % 10 == 0 else 1.0)
        prompt = prompts[index // 2] if index % 2 else None
        codec = TransformSeed(level=level, prompts=None if prompt is None else (prompt,), weights=weights)
        (item,) = codec.quantise(latent[None], 1)
        integers = np.concatenate([integers for integers, _ in item.groups]).astype("<i4")
        # Values are multiples of 2^-12 below 64, so that they are integers, too.
        values = (item.values * 2**12).astype("<i4")
        rows.append(
            {
                "prompt": prompt,
                "stream": base64.b64encode(item.stream).decode(),
                "level": level,
                "integers": crc32(integers.tobytes()),
                "values": hashlib.sha256(values.tobytes()).hexdigest()[:16],
            }
        )
    return rows


def _prompts(count: int) -> list[str]:
    rng = np.random.default_rng(15)
    captions = write_captions(draw_scenes(count, rng), rng)
    odd = {20 * k: ODD_PROMPTS[k % len(ODD_PROMPTS)] for k in range(count // 20)}
    return [odd.get(k, caption) for k, caption in enumerate(captions)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in golden_streams())
    PLACE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
