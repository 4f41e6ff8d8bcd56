"""The opponents: streams that decode, budgets that hold, a cache that goes on, and an honest name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gainnet.codecs.opponents import ENCODERS, BestPicture, EncodeCache, StillEncoder, installed, name_of
from gainnet.codecs.opponents.best import fill
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Spec

SPEC = Spec((3, 32, 48))
EVERY = [pytest.param(encoder, id=f"{name}-{k}") for name, own in ENCODERS.items() for k, encoder in enumerate(own)]


def picture() -> torch.Tensor:
    """[1, 3, 32, 48], a soft slope with a square on it."""
    slope = torch.linspace(0.2, 0.8, 48).expand(3, 32, 48).clone()
    slope[0, 8:24, 10:30] = 0.9
    return slope[None]


@pytest.mark.slow
@pytest.mark.parametrize("encoder", EVERY)
@pytest.mark.parametrize("shape", [(32, 48), (37, 51)])
def test_a_bare_stream_decodes_and_a_finer_quantiser_costs_more(encoder: StillEncoder, shape: tuple[int, int]) -> None:
    noise = Random.of([1]).uniform((*shape, 3), "noise")[0].numpy()
    pixels = np.rint(80 + 60 * np.linspace(0, 1, shape[1])[:, None] + 20 * noise).astype(np.uint8)
    coarse, fine = (encoder.encode(pixels, encoder.quantisers[k]) for k in (0, -1))
    assert coarse is not None
    assert fine is not None
    assert len(coarse) < len(fine)
    errors = [float(np.square(encoder.decode(s, shape) - pixels).mean()) for s in (coarse, fine)]
    assert errors[1] < min(errors[0], 40.0)
    with pytest.raises(PayloadError):
        encoder.decode(b"", shape)


@pytest.mark.slow
def test_the_best_of_several_is_no_worse_than_any() -> None:
    assert name_of(installed()) == "best_image_codec"
    several = ("jpeg_xl", "webp", "jpeg")
    cache, x = EncodeCache(), picture()
    errors = {}
    for names in (*((name,) for name in several), several):
        codec = BestPicture(8 * 60.0, names, cache)
        sent = codec.encode(x, torch.ones(1))
        assert sent.num_bits <= codec.size(SPEC).upper == 480
        errors[names] = float((codec.decode(sent, SPEC) - x).square().mean())
    assert errors[several] <= min(errors.values()) + 1e-9


def test_a_budget_holds_down_to_one_colour_and_nothing() -> None:
    cache, x = EncodeCache(), picture()
    for num_bytes, length in ((3, None), (4, 4), (200, 200)):
        sent = BestPicture(8.0 * num_bytes, ("jpeg",), cache).encode(x, torch.ones(1))
        assert sent.strings[0] is None if length is None else len(sent.strings[0] or b"") <= length
    with pytest.raises(PayloadError, match="out of range"):
        BestPicture(80.0, ("jpeg",)).decode(Bits((b"\xf0abc",), (1,)), SPEC)
    with pytest.raises(ConfigError, match="not all known"):
        BestPicture(80.0, ("h264",))


@pytest.mark.slow
def test_a_cache_goes_on_where_it_was_and_mends_a_damaged_file(tmp_path: Path) -> None:
    x = picture()
    num_streams = fill(EncodeCache(tmp_path), ("jpeg",), x)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert len(files) == 3 * len(ENCODERS["jpeg"])
    assert fill(EncodeCache(tmp_path), ("jpeg",), x) == num_streams
    damaged, content = next(iter(files.items()))
    damaged.write_bytes(content.replace(b'"quantiser": 2', b'"quantiser": 3'))
    fill(EncodeCache(tmp_path), ("jpeg",), x)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == files
    found = json.loads(content)
    assert {"encoder", "version", "command", "picture_sha256", "sha256"} <= set(found)


def test_only_all_of_them_may_be_called_the_best() -> None:
    assert name_of(tuple(reversed(ENCODERS))) == "best_image_codec"
    assert name_of(tuple(ENCODERS)[1:]) == "best_of_hevc_avif_jpeg_xl_webp_jpeg"
