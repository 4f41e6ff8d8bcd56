"""The reader of invented trials: it reads what was written, and concludes as its examples show."""

from __future__ import annotations

import numpy as np
import pytest

from gainnet.models.trials.abstract import Sentence, StructuredAbstract
from gainnet.models.trials.fields import invented_fields
from gainnet.models.trials.prompts import few_shot_prompt
from gainnet.models.trials.reading import conclude_as, read_trial
from gainnet.models.trials.writing import draw_trial, write_abstract, write_abstracts


def test_what_was_written_is_read() -> None:
    field, rng = invented_fields(1, 5)[0], np.random.default_rng(0)
    for _ in range(10):
        trial = draw_trial(field, rng)
        assert read_trial(write_abstract("a", trial, field.habit)) == trial
    with pytest.raises(ValueError, match=r"^abstract: b is no invented trial"):
        read_trial(StructuredAbstract("b", (Sentence("results", "Pain fell."),)))


@pytest.mark.parametrize("index", range(4))
def test_with_many_examples_nothing_is_left_to_chance(index: int) -> None:
    *examples, asked = write_abstracts(invented_fields(4, 6)[index], 40, 0)
    assert conclude_as(examples, asked) == asked.conclusion
    blind = StructuredAbstract(asked.name, tuple(s for s in asked.sentences if s.role != "conclusions"))
    assert conclude_as(examples, blind) == asked.conclusion


def test_a_few_shot_prompt_has_the_conclusions_of_the_examples_alone() -> None:
    *examples, asked = write_abstracts(invented_fields(1, 7)[0], 4, 0)
    prompt = few_shot_prompt(examples, asked.document)
    assert all(f"CONCLUSION: {a.conclusion}\n" in prompt for a in examples)
    assert prompt.endswith(f"{asked.document}\nCONCLUSION:")
