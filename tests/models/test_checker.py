"""The checker sees what is drawn, and is another network than the judge."""

from __future__ import annotations

import json

import pytest
import torch

from gainnet.core.weights import CONFIG
from gainnet.models.attributes import CHECKER, JUDGE, WEIGHTS, AttributeClassifier
from gainnet.models.scenes import (
    ATTRIBUTES,
    UNNAMED,
    caption_labels,
    draw_scenes,
    parse,
    render,
    scene_labels,
    stream,
    write_captions,
)

NUM_SCENES = 160


@pytest.fixture(scope="module")
def shipped() -> AttributeClassifier:
    return AttributeClassifier.from_pretrained(CHECKER)


@pytest.mark.slow
def test_the_shipped_checker_names_every_attribute_of_drawn_pictures(shipped: AttributeClassifier) -> None:
    scenes = draw_scenes(NUM_SCENES, stream(0, "test checker", 0))
    logits = shipped(render(scenes))
    labels = scene_labels(scenes)
    for column, attribute in enumerate(ATTRIBUTES):
        asked = labels[:, column] != UNNAMED
        share = (logits[column].argmax(-1)[asked] == labels[asked, column]).float().mean()
        assert share >= 0.97, attribute


def test_the_fit_is_the_mean_log_probability_of_what_is_named(shipped: AttributeClassifier) -> None:
    rng = stream(1, "test checker", 0)
    scenes = draw_scenes(8, rng)
    named, pictures = caption_labels([parse(caption) for caption in write_captions(scenes, rng)]), render(scenes)
    fit = shipped.fit(pictures, named)
    logits = [group.log_softmax(-1) for group in shipped(pictures)]
    for item in range(8):
        said = [float(logits[k][item, c]) for k, c in enumerate(named[item].tolist()) if c != UNNAMED]
        assert float(fit[item]) == pytest.approx(sum(said) / len(said), abs=1e-5)
    assert float(shipped.fit(pictures, torch.full((8, 8), UNNAMED)).abs().max()) == 0.0


def test_whoever_chooses_is_not_who_judges(shipped: AttributeClassifier) -> None:
    judge = AttributeClassifier.from_pretrained()
    kinds = [[type(layer).__name__ for layer in network.body] for network in (shipped, judge)]
    assert kinds[0] != kinds[1]
    configs = [json.loads((design.folder / CONFIG).read_text()) for design in (CHECKER, JUDGE)]
    assert configs[0]["sha256"] != configs[1]["sha256"]
    assert configs[0]["trained"]["random_seed"] != 2026
    assert (CHECKER.folder / WEIGHTS).stat().st_size < 500_000
