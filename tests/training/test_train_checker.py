"""Training the checker: whole folders, the same weights after an interruption."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.models.attributes import CHECKER, AttributeClassifier
from gainnet.models.scenes import draw_scenes, render, stream
from gainnet.training import checker
from gainnet.training.checker import PRESETS, gain_and_noise, train_checker


class Stopped(Exception):
    """The training was interrupted here."""


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = PRESETS["tiny"]
    whole = AttributeClassifier.from_pretrained(CHECKER, train_checker(tmp_path / "whole", 3, steps))
    steps_taken: list[int] = []
    with monkeypatch.context() as patch:

        def stops(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            if len(steps_taken) == steps.checkpoint_every + 1:
                raise Stopped
            steps_taken.append(1)
            return gain_and_noise(pictures, generator)

        patch.setattr(checker, "gain_and_noise", stops)
        with pytest.raises(Stopped):
            train_checker(tmp_path / "halves", 3, steps)
    assert not (tmp_path / "halves" / "checker").exists()
    halves = AttributeClassifier.from_pretrained(CHECKER, train_checker(tmp_path / "halves", 3, steps))
    pictures = render(draw_scenes(2, stream(0, "test checker", 0)))
    assert all(torch.equal(a, b) for a, b in zip(whole(pictures), halves(pictures), strict=True))
    longer = train_checker(tmp_path / "halves", 3, replace(steps, steps=5))
    assert not torch.equal(AttributeClassifier.from_pretrained(CHECKER, longer)(pictures)[0], halves(pictures)[0])


def test_what_cannot_be_trained_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="random_seed"):
        train_checker(tmp_path, -1)
    with pytest.raises(ConfigError, match="out"):
        train_checker(Path(__file__).parents[2] / "src" / "gainnet" / "models" / "pretrained")
