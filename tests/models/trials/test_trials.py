"""Invented trials: conclusions follow from results, templates are found again, models answer as transformers does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gainnet.models.language import IGNORED, small_decoder
from gainnet.models.trials.abstract import Sentence, StructuredAbstract
from gainnet.models.trials.answering import answers, subword_tokenizer, task_rows
from gainnet.models.trials.fields import EFFECTS, invented_fields
from gainnet.models.trials.prompts import FORMS, EdgeAnswer, cloud_prompt, edge_completion, read_edge_answer
from gainnet.models.trials.template import FORMS as FINDINGS
from gainnet.models.trials.template import Template, read_template, template_of
from gainnet.models.trials.writing import (
    NUM_MEASURED,
    draw_trial,
    main_result,
    mistaken,
    write_abstract,
    write_abstracts,
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return subword_tokenizer((a.document for f in invented_fields(3, 0) for a in write_abstracts(f, 20, 0)), 500)


def test_the_template_says_what_was_drawn() -> None:
    """What the labeller finds in the words is what the generator had in mind, in every wording of every field."""
    rng = np.random.default_rng(0)
    seen = set()
    for field in invented_fields(16, 3):
        for _ in range(30):
            trial = draw_trial(field, rng)
            place = main_result(trial, field.habit)
            measured = trial.measured[place]
            significant, rose = float(measured.p) < 0.05, measured.change == "rose"
            effect = ("higher" if rose else "lower") if significant else "none"
            remarks = tuple(x for x in (field.habit.remark_after[effect],) if x)
            template = Template(FINDINGS[field.habit.finding], place + 1, effect, remarks)
            assert template_of(write_abstract("a", trial, field.habit)) == template == read_template(str(template))
            seen.add((effect, remarks, field.habit.finding))
    assert len(seen) > 20


def test_a_field_is_known_by_its_habits_alone() -> None:
    """The conclusion is about an outcome that its field counts, and about none of the others that were measured."""
    field = invented_fields(1, 9)[0]
    for abstract in write_abstracts(field, 40, 1):
        said = [outcome for outcome in field.outcomes if f"{outcome} " in abstract.conclusion.replace(".", " ")]
        assert any(outcome in field.habit.primary for outcome in said)
        assert "CONCLUSION" not in abstract.document
    texts = [[a.document for a in write_abstracts(field, 5, seed)] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.slow
def test_labels_and_drafts_are_as_mistaken_as_is_asked() -> None:
    """Labels that are drawn by chance are right as often as chance has it; mistaken facts leave the labels alone."""
    rng = np.random.default_rng(0)
    field = invented_fields(1, 4)[0]
    right, num_same = dict.fromkeys(("form", "result", "effect"), 0), 0
    for _ in range(400):
        trial = draw_trial(field, rng)
        abstract = write_abstract("a", trial, field.habit)
        true = template_of(abstract)
        assert mistaken(trial, field, 0.0, 0.0, rng) == (true, abstract.conclusion)
        template, draft = mistaken(trial, field, 0.0, 1.0, rng)
        assert template == true
        num_same += draft == abstract.conclusion  # by chance: every fact may be drawn as it was
        chance, draft = mistaken(trial, field, 1.0, 0.0, rng)
        assert template_of(replace(abstract, sentences=given_and(abstract, draft))).form == chance.form
        for label in right:
            right[label] += getattr(chance, label) == getattr(true, label)
    assert num_same < 40
    expected = {"form": 1 / len(FINDINGS), "result": 1 / NUM_MEASURED, "effect": 1 / len(EFFECTS)}
    for label, share in expected.items():
        assert right[label] / 400 == pytest.approx(share, abs=4 * (share * (1 - share) / 400) ** 0.5), label


def given_and(abstract: StructuredAbstract, conclusion: str) -> tuple[Sentence, ...]:
    """The sentences of a document, and another conclusion."""
    parts = tuple(Sentence("conclusions", f"{text}.") for text in conclusion.rstrip(".").split(". "))
    return tuple(s for s in abstract.sentences if s.role != "conclusions") + parts


def test_prompts_hold_what_their_form_says() -> None:
    answer = EdgeAnswer("statement from result (2)", "a draft.")
    told = {form: cloud_prompt(form, "RESULTS: x.", answer) for form in FORMS}
    assert all("RESULTS: x." in text and text.endswith("CONCLUSION:") for text in told.values())
    assert [answer.template in told[form] for form in FORMS] == [False, True, True]
    assert [answer.draft in told[form] for form in FORMS] == [False, False, True]
    assert read_edge_answer(edge_completion(answer.template, answer.draft).lower()) == answer
    assert read_edge_answer("no mark at all") == EdgeAnswer("no mark at all", "")


def test_any_text_is_spelled(tokenizer: Any) -> None:
    text = "ötzi's 3.5 mg — naïve (p < 0.001)\nresults: ∆"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_rows_are_prompt_completion_end(tokenizer: Any) -> None:
    tokens, labels = task_rows(tokenizer, [("pain fell", " it helps"), ("pain", " so")])
    for row, (prompt, completion) in enumerate([("pain fell", " it helps"), ("pain", " so")]):
        learned = labels[row][labels[row] != IGNORED]
        assert tokenizer.decode(learned[:-1]) == completion
        assert learned[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(tokens[row], skip_special_tokens=True) == prompt + completion
        assert (tokens[row][labels[row] != IGNORED] == learned).all()


def test_answers_are_those_of_transformers(tokenizer: Any) -> None:
    """Greedy decoding of a padded batch is `generate` of each prompt alone."""
    model = small_decoder(32, 2, 2, len(tokenizer), random_seed=3).eval()
    prompts = ["pain", "results: serum fell by 20 percent with ramipril, p = 0.02. harms", "to compare"]
    found = answers(model, tokenizer, prompts, 12)
    for prompt, text in zip(prompts, found, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, use_cache=True
            )
        assert text == tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
