"""Training of what writes conclusions: short documents first, labels of every skill, and again the same."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.models.language import load_language_model, small_decoder
from gainnet.models.trials.answering import task_rows
from gainnet.models.trials.template import read_template, template_of
from gainnet.studies.medical_summaries.material import SHIPPED
from gainnet.training.summaries import (
    PRESETS,
    WORST_LABELS,
    Size,
    SummariesTraining,
    answering_stage,
    tokenizer_of,
    train_summaries,
    written_library,
)


@pytest.mark.slow
def test_labels_of_the_cloud_are_right_as_often_as_skills_have_it() -> None:
    """The mean skill leaves half of `WORST_LABELS` to chance, which is right once in as many as there are."""
    chance = WORST_LABELS / 2
    library = written_library(SummariesTraining(num_texts=1500), 3)
    pairs = [
        (template_of(a), read_template(said.template), len(a.texts("results")) - 1)
        for a, said in zip(library.for_cloud, library.said, strict=True)
    ]
    form = np.mean([true.form == said.form for true, said, _ in pairs])
    assert form == pytest.approx(1 - chance + chance / 4, abs=4 * 0.5 / 1500**0.5)
    for num_measured in (1, 2, 3):
        some = [true.result == said.result for true, said, count in pairs if count == num_measured]
        assert len(some) > 300
        assert np.mean(some) == pytest.approx(1 - chance + chance / num_measured, abs=4 * 0.5 / len(some) ** 0.5)


def test_short_documents_come_first() -> None:
    """The first quarter of the steps sees the shortest third, the last steps see all lengths."""
    library = written_library(SummariesTraining(num_texts=60), 0)
    tokenizer = tokenizer_of(library, 400)
    rows = task_rows(tokenizer, [(a.document, a.conclusion) for a in library.for_edge])
    model = small_decoder(16, 1, 2, len(tokenizer))
    seen: list[list[int]] = []
    model.register_forward_pre_hook(
        lambda _, __, given: seen.append((given["input_ids"] != tokenizer.pad_token_id).sum(1).tolist()),
        with_kwargs=True,
    )
    stage = answering_stage("edge", model, (rows,), Size(16, 1, 100, 24), (1e-3, 1e-3), Random.of(0))
    for step in (0, 24, 99):
        stage.loss(step)
    lengths = sorted((rows[0] != tokenizer.pad_token_id).sum(1).tolist())
    assert max(seen[0] + seen[1]) <= lengths[19]
    assert max(seen[2]) > lengths[40]


def test_the_shipped_models_are_those_of_the_defaults() -> None:
    trained = json.loads((SHIPPED / "trained.json").read_text())
    assert trained["random_seed"] == 0
    assert trained["sizes"] == json.loads(json.dumps(asdict(PRESETS["default"])))


@pytest.mark.slow
def test_a_training_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """A finished training that is asked for again writes the same models; other settings are refused."""
    first = train_summaries(tmp_path, 0, PRESETS["tiny"])
    values = {name: load_language_model(str(tmp_path / name))[0].state_dict() for name in ("edge", "cloud", "few_shot")}
    assert train_summaries(tmp_path, 0, PRESETS["tiny"]) == first
    for name, before in values.items():
        again = load_language_model(str(tmp_path / name))[0].state_dict()
        assert all(torch.equal(x, again[key]) for key, x in before.items())
    with pytest.raises(ConfigError, match="was begun with another random_seed"):
        train_summaries(tmp_path, 1, PRESETS["tiny"])
