"""The attribute classifier: right on drawn pictures, fair to prompts, clear about bad folders."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gainnet.core.errors import ModelError
from gainnet.core.weights import CONFIG
from gainnet.models.attributes import CHECKER, JUDGE, WEIGHTS, AttributeClassifier, prompt_fidelity
from gainnet.models.scenes import (
    ATTRIBUTES,
    UNNAMED,
    draw_scenes,
    render,
    scene_labels,
    stream,
    write_captions,
)
from gainnet.training.export import write_classifier


@pytest.fixture(scope="module")
def shipped() -> AttributeClassifier:
    return AttributeClassifier.from_pretrained()


@pytest.mark.slow
def test_the_shipped_classifier_names_every_attribute_of_drawn_pictures(shipped: AttributeClassifier) -> None:
    scenes = draw_scenes(128, stream(0, "test classifier", 0))
    predicted = torch.cat([shipped.predict(render(scenes[k : k + 64])) for k in range(0, 128, 64)])
    labels = scene_labels(scenes)
    for column, attribute in enumerate(ATTRIBUTES):
        asked = labels[:, column] != UNNAMED
        share = (predicted[asked, column] == labels[asked, column]).float().mean()
        assert share >= 0.98, attribute


def test_fidelity_is_high_for_a_picture_of_the_prompt_and_low_for_another(shipped: AttributeClassifier) -> None:
    rng = stream(1, "test classifier", 0)
    scenes = draw_scenes(64, rng)
    captions, pictures = write_captions(scenes, rng), render(scenes)
    own = [value for value in prompt_fidelity(shipped, pictures, captions) if value is not None]
    others = [value for value in prompt_fidelity(shipped, pictures.roll(1, 0), captions) if value is not None]
    assert len(own) == len(others) == 64
    assert sum(own) / 64 > 0.97
    assert sum(others) / 64 < 0.5


def test_fidelity_counts_named_attributes_only(shipped: AttributeClassifier) -> None:
    scenes = draw_scenes(64, stream(2, "test classifier", 0))
    picture = render(scenes[scenes.layout == 0][:1])
    background, _, shape, colour = scene_labels(scenes[scenes.layout == 0][:1])[0, :4].tolist()
    assert shipped.predict(picture)[0, [0, 2, 3]].tolist() == [background, shape, colour]
    from gainnet.models.scenes import COLOURS, SHAPES

    right, wrong = COLOURS[colour], COLOURS[(colour + 1) % len(COLOURS)]
    prompts = [f"a {right} {SHAPES[shape]}", f"a {wrong} {SHAPES[shape]}", "a photo of my cat"]
    prompts = [prompt.replace("a orange", "an orange") for prompt in prompts]
    fidelity = prompt_fidelity(shipped, picture.expand(3, -1, -1, -1), prompts)
    assert fidelity == [1.0, pytest.approx(2 / 3), None]


def test_a_written_classifier_predicts_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = AttributeClassifier(replace(JUDGE, widths=(4, 4, 8, 4), hidden=16))
    for weight in classifier.parameters():
        weight.data = weight.data.half().float()
    loaded = AttributeClassifier.from_pretrained(JUDGE, write_classifier(classifier, tmp_path / "classifier", {}))
    pictures = render(draw_scenes(8, stream(3, "test classifier", 0)))
    assert torch.equal(loaded.predict(pictures), classifier.predict(pictures))


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is missing or damaged"):
        AttributeClassifier.from_pretrained(JUDGE, tmp_path)
    (tmp_path / CONFIG).write_text((JUDGE.folder / CONFIG).read_text())
    (tmp_path / WEIGHTS).write_bytes((JUDGE.folder / WEIGHTS).read_bytes()[:-100])
    with pytest.raises(ModelError, match="is missing or damaged"):
        AttributeClassifier.from_pretrained(JUDGE, tmp_path)
    config = json.loads((JUDGE.folder / CONFIG).read_text())
    (tmp_path / WEIGHTS).write_bytes((JUDGE.folder / WEIGHTS).read_bytes())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"attributes": {"background": 3}}))
    with pytest.raises(ModelError, match="other attributes"):
        AttributeClassifier.from_pretrained(JUDGE, tmp_path)
    with pytest.raises(ModelError, match=r"holds a 'attribute-checker'"):
        AttributeClassifier.from_pretrained(JUDGE, CHECKER.folder)
