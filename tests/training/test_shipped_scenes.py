"""The shipped scenes model: small enough, what its card says, and as good as it was measured."""

import json
from pathlib import Path

import pytest
import torch

from gainnet.models import attributes
from gainnet.models.attributes import AttributeClassifier, prompt_fidelity
from gainnet.training.export import weight_hashes
from gainnet.training.scenes import PRESETS, RANDOM_SEED
from gainnet.training.scenes_evaluation import (
    evaluate_autoencoder,
    evaluate_captions,
    generate,
    load_pipeline,
    unseen_captions,
)

PRETRAINED = Path(attributes.__file__).parent / "pretrained"
SCENES = PRETRAINED / "scenes"
BARS = {"background": 0.98, "layout": 0.98, "colour": 0.98, "shape": 0.95, "all": 0.85}


def test_all_weights_fit_into_the_package() -> None:
    files = [file for folder in ("scenes", "attributes") for file in (PRETRAINED / folder).rglob("*.safetensors")]
    # Graphs beside them hold no weights: they read these files.
    assert sum(file.stat().st_size for file in files) <= 13.5e6


@pytest.mark.parametrize(("folder", "config"), [("scenes", "gainnet.json"), ("attributes", "config.json")])
def test_weights_are_the_ones_that_were_measured(folder: str, config: str) -> None:
    stated = json.loads((PRETRAINED / folder / config).read_text())
    assert stated["sha256"] == weight_hashes(PRETRAINED / folder)


def test_the_default_preset_is_how_it_was_trained() -> None:
    trained = json.loads((SCENES / "trained.json").read_text())
    from dataclasses import asdict

    assert trained["random_seed"] == RANDOM_SEED
    assert trained["steps"] == json.loads(json.dumps(asdict(PRESETS["default"])))
    assert trained["held_out_pairs"] == []


def test_stated_metrics_reach_their_bars() -> None:
    metrics = json.loads((SCENES / "gainnet.json").read_text())["metrics"]
    assert all(metrics[name] >= bar for name, bar in BARS.items())
    assert metrics["autoencoder_psnr_db_original"] >= 33


@pytest.mark.slow
def test_the_sentence_of_the_readme_is_drawn_right() -> None:
    prompt = "a red star above a blue house at sunset"
    pictures = generate(load_pipeline(SCENES), [prompt] * 2, 0, 10, 3.0)
    fidelity = prompt_fidelity(AttributeClassifier.from_pretrained(), pictures, [prompt] * 2)
    assert sum(value or 0 for value in fidelity) / 2 >= 0.9


@pytest.mark.slow
def test_the_autoencoder_is_as_good_as_stated() -> None:
    measured = evaluate_autoencoder(load_pipeline(SCENES), 128, 5)
    stated = json.loads((SCENES / "gainnet.json").read_text())["metrics"]
    for name, value in measured.items():
        assert value == pytest.approx(stated[name], rel=0.02), name


@pytest.mark.slow
def test_unseen_captions_are_drawn_right() -> None:
    captions = unseen_captions(SCENES, 150, 77)
    with torch.no_grad():
        shares = evaluate_captions(load_pipeline(SCENES), AttributeClassifier.from_pretrained(), captions, 77)
    # one standard error of 150 captions below the bars
    assert all(shares[name] >= bar - (bar * (1 - bar) / 150) ** 0.5 for name, bar in BARS.items()), shares
