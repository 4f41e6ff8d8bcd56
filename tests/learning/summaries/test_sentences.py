"""Sentences that conclusions are made of: the objective, drafts, labels, and features of the document alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gainnet.learning.summaries.scores import rouge
from gainnet.learning.summaries.sentences import NUM_PLAIN, HashedWords, Sentences, unigram_f, without_brackets
from gainnet.models.trials.abstract import Sentence, StructuredAbstract

PARTS = (
    ("background", "Pain is common."),
    ("background", "We asked whether rest helps (a trial)."),
    ("methods", "Ninety nurses rested."),
    ("results", "Pain fell (p < 0.01)."),
    ("results", "Fever did not."),
    ("conclusions", "Rest helps."),
)


def sentences(*parts: tuple[str, str]) -> Sentences:
    return Sentences.of(StructuredAbstract("a", tuple(Sentence(*part) for part in parts)), HashedWords(32))


def test_the_objective_is_stated_or_the_last_of_the_background() -> None:
    found = sentences(*PARTS)
    assert (found.objective, found.states_objective) == (1, False)
    stated = sentences(*PARTS[:2], ("objective", "To see whether rest helps."), *PARTS[2:])
    assert (stated.objective, stated.states_objective) == (2, True)
    assert sentences(*PARTS[2:]).objective == 0


def test_a_draft_is_the_objective_and_one_more_sentence() -> None:
    found = sentences(*PARTS)
    assert found.draft(3) == "We asked whether rest helps. Pain fell."
    assert found.draft(found.objective) == "We asked whether rest helps."
    assert [found.label(place) for place in (1, 3, 4)] == [
        "from background (2)",
        "from results (1)",
        "from results (2)",
    ]
    assert found.central != found.objective


def test_features_do_not_read_the_conclusion() -> None:
    found, other = sentences(*PARTS), sentences(*PARTS[:-1], ("conclusions", "Rest harms, and pain fell in nurses."))
    assert found.features.shape == (5, NUM_PLAIN + 32)
    assert torch.equal(found.features, other.features)


@pytest.mark.parametrize("text", ["(all of it)", "no brackets.", "a (b (c) d) [e]."])
def test_brackets_go_and_something_stays(text: str) -> None:
    assert without_brackets(text) == {"a (b (c) d) [e].": "a."}.get(text, text)


def test_the_quick_score_is_rouge_1() -> None:
    rng, words = np.random.default_rng(0), ["pain", "fell", "rose", "in", "nurses", "resting", "rested"]
    for _ in range(30):
        reference, text = (" ".join(rng.choice(words, size=rng.integers(1, 9))) for _ in range(2))
        assert unigram_f(reference, text) == pytest.approx(rouge([reference], [text])["rouge1"][0])
