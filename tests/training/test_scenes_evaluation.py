"""Evaluation of the scenes model: what is counted, on a tiny model."""

import json
from pathlib import Path

import pytest
import torch

from gainnet.core.errors import ModelError
from gainnet.models.scenes import ATTRIBUTES, UNNAMED, parse
from gainnet.training.scenes import PRESETS, training_captions
from gainnet.training.scenes_evaluation import (
    evaluate,
    evaluate_pairs,
    generate,
    load_pipeline,
    shares_right,
    unseen_captions,
)


def test_shares_are_counted_like_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    named = torch.randint(0, 3, (200, 8), generator=generator)
    named[torch.rand(200, 8, generator=generator) < 0.3] = UNNAMED
    seen = torch.randint(0, 3, (200, 8), generator=generator)
    order = list(ATTRIBUTES)
    right = asked = perfect = 0
    for row in range(200):
        perfect += all(seen[row, k] == named[row, k] for k in range(8) if named[row, k] != UNNAMED)
        for column in (order.index("first_shape"), order.index("second_shape")):
            asked += int(named[row, column] != UNNAMED)
            right += int(named[row, column] != UNNAMED and seen[row, column] == named[row, column])
    shares = shares_right(seen, named)
    assert shares["shape"] == pytest.approx(right / asked)
    assert shares["all"] == pytest.approx(perfect / 200)


@pytest.mark.slow
def test_captions_are_unseen(tiny_run: Path) -> None:
    seen = training_captions(json.loads((tiny_run / "scenes" / "trained.json").read_text()))
    steps = PRESETS["tiny"]
    assert 0.8 * steps.denoiser * steps.denoiser_batch_size <= len(seen) <= steps.denoiser * steps.denoiser_batch_size
    captions = unseen_captions(tiny_run / "scenes", 50, 0)
    assert len(captions) == 50
    assert not seen & set(captions)
    assert all(parse(caption) is not None for caption in [*captions, *seen])
    with pytest.raises(ModelError, match=r"trained\.json is missing"):
        unseen_captions(tiny_run, 1, 0)


@pytest.mark.slow
def test_evaluation_names_all_metrics(tiny_run: Path) -> None:
    metrics = evaluate(tiny_run / "scenes", 2, 0, tiny_run / "attributes", num_pictures=2)
    names = ["background", "layout", "colour", "shape", "size", "all"]
    quality = ["autoencoder_psnr_db_original", "autoencoder_ssim_original"]
    assert list(metrics) == names + quality + [f"classifier_{name}" for name in names]
    assert all(0 <= metrics[name] <= 1 for name in names)
    pairs = evaluate_pairs(tiny_run / "scenes", [("red", "star")], 2, 0, tiny_run / "attributes")
    assert set(pairs) == {"heldout_pairs_shape", "heldout_pairs_colour"}


@pytest.mark.slow
def test_a_picture_depends_on_its_own_noise_and_caption(tiny_run: Path) -> None:
    pipeline = load_pipeline(tiny_run / "scenes")
    captions = ["a red star at night", "a blue house in the fog", "a red star at night"]
    together = generate(pipeline, captions, 3, 2, 3.0)
    assert torch.allclose(generate(pipeline, captions[:1], 3, 2, 3.0)[0], together[0], atol=1e-4)
    assert not torch.allclose(together[0], together[2], atol=1e-2)
