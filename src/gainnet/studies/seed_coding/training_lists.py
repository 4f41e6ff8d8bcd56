"""Captions that the trainings of the shipped weights drew, written again from their random seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from gainnet.codecs.basis import BASES
from gainnet.codecs.seed_codec.weights import NETWORKS
from gainnet.codecs.transform_seed.weights import TRANSFORMS
from gainnet.core.errors import check_name
from gainnet.models.loading import find_folder, weights_sha256
from gainnet.models.scenes import draw_scenes, stream, write_captions
from gainnet.studies.pictures import captions
from gainnet.studies.seed_coding.question import LISTS
from gainnet.training.scenes import training_captions
from gainnet.training.seed_basis import BATCH_SIZE
from gainnet.training.seed_sources import SHARD_SIZE

MODEL: Final = "scenes"


@lru_cache(maxsize=8)
def training_list(name: str) -> frozenset[str]:
    """All captions of a training, those included that it drew and dropped; a minute for the longest.

    Args:
        name: of `LISTS`.

    Raises:
        ConfigError: there is no such training.
    """
    check_name("training", name, LISTS)
    model = find_folder(MODEL)
    if name in ("denoiser", "text_encoder"):
        trained = _read(model / "trained.json")
        return frozenset(training_captions(trained) if name == "denoiser" else _of_text_encoder(trained))
    shelf = {"seed_basis": BASES, "seed_codec": NETWORKS, "transform_seed": TRANSFORMS}[name]
    folder = shelf.find(name if name == "transform_seed" else MODEL, weights_sha256(model))
    trained = _read(folder / "config.json")["trained"]
    if name == "seed_basis":
        sizes = trained["random_seed"], trained["num_latents"], BATCH_SIZE
        return frozenset(_drawn("seed basis scenes", "seed basis captions", *sizes))
    return frozenset(_of_seed_code(trained))


def _of_text_encoder(trained: dict[str, Any]) -> Iterator[str]:
    steps = trained["steps"]
    for step in range(steps["text_encoder"]):
        rng = stream(trained["random_seed"], "text_encoder", step)
        yield from write_captions(draw_scenes(steps["text_encoder_batch_size"], rng), rng)


def _of_seed_code(trained: dict[str, Any]) -> Iterator[str]:
    """Of generated latents, and of rendered scenes."""
    random_seed, num = trained["latents_random_seed"], trained["num_shards"] * SHARD_SIZE
    yield from _drawn("seed codec scenes", "seed codec captions", random_seed, num, SHARD_SIZE)
    names = "transform seed renders", "transform seed render captions"
    yield from _drawn(*names, random_seed, trained["num_renders"], SHARD_SIZE)


def _drawn(scenes: str, written: str, random_seed: int, num: int, size: int) -> Iterator[str]:
    """Captions in batches that have streams of their own."""
    for start in range(0, num, size):
        drawn = draw_scenes(min(size, num - start), stream(random_seed, scenes, start))
        yield from write_captions(drawn, stream(random_seed, written, start))


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def draw_unseen_captions(num: int) -> tuple[str, ...]:
    """The first `num` captions of a stream of their own that are on no training's list; each comes once.

    Takes a minute: every list is written again, as its training wrote it.

    Args:
        num: at least 1.
    """
    seen = frozenset[str]().union(*(training_list(name) for name in LISTS))
    found: dict[str, None] = {}
    for part in range(100):
        for caption in captions("seed-coding unseen", part, num):
            if caption not in seen and len(found) < num:
                found[caption] = None
    return tuple(found)
