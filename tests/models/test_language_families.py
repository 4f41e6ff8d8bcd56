"""Families of models that clients train: their tasks, what they refuse, and one of a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.models import language_families
from gainnet.models.dropout import keyed_dropout
from gainnet.models.language import (
    check_rows_fit,
    load_language_model,
    loss_of,
    mean_loss,
    save_language_model,
    small_decoder,
    task_of,
    word_tokenizer,
)
from gainnet.models.language_families import IGNORED, LANGUAGE_FAMILIES, family_by_config, language_family_of
from gainnet.models.language_families.family import num_positions
from gainnet.studies.language_families.models import POSITIONS, VOCABULARY, build_model

FAMILY_OF = {"gpt2": "causal", "mamba": "causal", "t5": "encoder_decoder", "bert": "masked", "vit": "vision"}


@pytest.mark.parametrize("architecture", FAMILY_OF)
def test_a_model_has_one_family(architecture: str) -> None:
    assert language_family_of(build_model(architecture, "plain", 0)).name == FAMILY_OF[architecture]


@pytest.mark.parametrize("architecture", ["gpt2", "opt", "bart", "pegasus", "bert"])
def test_positions_that_end_are_counted(architecture: str) -> None:
    model = build_model(architecture, "plain", 0)
    assert num_positions(model) == POSITIONS
    pairs = torch.ones(1, 2, POSITIONS, dtype=torch.long)
    check_rows_fit(model, pairs)
    beyond = rf"^row_length: {POSITIONS + 1} tokens are beyond the {POSITIONS} positions .*; give {POSITIONS} or fewer$"
    with pytest.raises(ConfigError, match=beyond):
        check_rows_fit(model, torch.ones(1, 2, POSITIONS + 1, dtype=torch.long))
    # The claim, beside the model itself.
    model(**language_family_of(model).inputs(model, pairs[:, 0], pairs[:, 1]))


def test_padding_takes_positions_of_roberta() -> None:
    assert num_positions(build_model("bert", "odd", 0)) == POSITIONS - 1


@pytest.mark.parametrize("architecture", ["llama", "t5", "mamba"])
def test_positions_without_an_end_refuse_no_length(architecture: str) -> None:
    check_rows_fit(build_model(architecture, "plain", 0), torch.ones(1, 10_000, dtype=torch.long))


def test_tokens_beyond_the_embedding_are_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^texts: token 60 is beyond the 60 embeddings of the model; use .*$"):
        check_rows_fit(build_model("t5", "plain", 0), torch.tensor([[1, 2, 3, VOCABULARY]]))


def test_pictures_of_another_size_and_unknown_classes_are_one_line() -> None:
    model = build_model("vit", "plain", 0)
    with pytest.raises(ConfigError, match=r"^rows: 10 values are no class and picture of 3 x 8 x 8; give 193$"):
        check_rows_fit(model, torch.zeros(2, 10))
    rows = torch.zeros(2, 193)
    check_rows_fit(model, rows)
    rows[1, 0] = 5
    with pytest.raises(ConfigError, match=r"^rows: class 5 is beyond the 5 of the model; give 0 to 4$"):
        check_rows_fit(model, rows)


def test_masked_tokens_are_the_task_and_repeat() -> None:
    model, rows = build_model("bert", "plain", 0), torch.randint(3, 50, (8, 28))
    (given, labels), again = task_of(model, rows), task_of(model, rows[[3]])
    hidden = labels != IGNORED
    assert (given[hidden] == model.config.mask_token_id).all()
    assert (labels[hidden] == rows[hidden]).all()
    assert (given[~hidden] == rows[~hidden]).all()
    assert hidden.sum() == 8 * 4
    assert (again[0] == given[3]).all()
    model.config.mask_token_id = None
    with pytest.raises(ConfigError, match="no mask token"):
        task_of(model, rows)


@pytest.mark.parametrize("architecture", FAMILY_OF)
def test_a_loss_is_that_of_transformers(architecture: str) -> None:
    model = build_model(architecture, "plain", 0).eval()
    given, labels = language_family_of(model).probe(model)
    labels = given if FAMILY_OF[architecture] == "causal" else labels
    wanted = labels[:, 0] if architecture == "vit" else labels
    inputs = language_family_of(model).inputs(model, given, labels)
    output = model(**inputs, labels=wanted)
    torch.testing.assert_close(loss_of(model, output.logits, labels), output.loss, rtol=1e-6, atol=1e-6)


def test_a_vision_transformer_is_judged_by_pictures() -> None:
    model = build_model("vit", "plain", 0)
    rows = torch.cat([torch.tensor([[0.0], [3.0]]), torch.randn(2, 192)], dim=1)
    assert 0 < mean_loss(model, rows) < 20


def test_a_masked_model_opens_from_its_folder_as_masked(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"mask_token": "<mask>"})
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), intermediate_size=16, max_position_embeddings=16, **sizes)
    save_language_model(BertForMaskedLM(config), tokenizer, tmp_path)
    model, opened = load_language_model(str(tmp_path))
    assert language_family_of(model).name == "masked"
    assert model.config.mask_token_id == opened.mask_token_id == len(tokenizer) - 1


def test_a_package_may_offer_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own:
        name, peft_task = "own", None

        def opens(self, config: Any, architecture: str) -> bool:
            return architecture == "OwnModel"

    class Point:
        @staticmethod
        def load() -> type[Own]:
            return Own

    language_families._offered.cache_clear()
    monkeypatch.setattr(language_families, "entry_points", lambda group: [Point] if "language" in group else [])
    assert family_by_config(object(), "OwnModel").name == "own"
    with pytest.raises(ModelError, match=r"^model: Other is of no known family \(vision, .*\); the docs .*$"):
        family_by_config(object(), "Other")
    language_families._offered.cache_clear()
    assert set(LANGUAGE_FAMILIES) == {"vision", "encoder_decoder", "masked", "causal"}


def test_masks_depend_on_key_and_place_alone() -> None:
    model, tokens = build_model("gpt2", "plain", 0), torch.arange(10).reshape(2, 5)

    def logits(key: int) -> torch.Tensor:
        with torch.no_grad(), keyed_dropout([model], Random.of(key)):
            torch.rand(3)  # the order of other draws changes nothing
            found: torch.Tensor = model(input_ids=tokens).logits
            return found

    assert torch.equal(logits(1), logits(1))
    assert not torch.allclose(logits(1), logits(2), atol=1e-3)
    model.eval()
    assert torch.equal(logits(1), logits(2))


def test_keyed_masks_keep_the_mean() -> None:
    layer = torch.nn.Dropout(0.3).train()
    with keyed_dropout([layer], Random.of(0)):
        dropped = layer(torch.ones(20_000))
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.02)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.02)


def test_the_shipped_decoder_is_causal() -> None:
    assert language_family_of(small_decoder(16, 1, 2, 40)).name == "causal"
