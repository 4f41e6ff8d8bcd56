"""Synthetic abstracts, their words, and the models that read them."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gainnet.core.errors import ConfigError, ModelError
from gainnet.models.language import (
    IGNORED,
    load_language_model,
    loss_of,
    mean_loss,
    pack,
    row_losses,
    save_language_model,
    small_decoder,
    task_of,
    word_tokenizer,
)
from gainnet.models.language_text import DOMAINS, SIGNIFICANT, VERB_OF_CHANGE, write_texts


def sections(text: str) -> dict[str, list[str]]:
    return {part.split()[0]: part.split()[2:] for part in text.split(" . ")}


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_conclusion_follows_from_the_results(domain: str) -> None:
    verbs = Counter()
    for text in write_texts(domain, 300, 3):
        found = sections(text.removesuffix(" ."))
        assert list(found) == ["background", "objective", "methods", "results", "conclusion"]
        results, conclusion = found["results"], found["conclusion"]
        wanted = VERB_OF_CHANGE[results[1]] if results[-1] in SIGNIFICANT else "spares"
        assert conclusion[1] == wanted
        assert (conclusion[0], conclusion[2]) == (results[6], results[0])
        verbs[wanted] += 1
    assert min(verbs.values()) > 20


@pytest.mark.slow
def test_fields_share_no_word_and_have_habits() -> None:
    names = [{*d.drugs, *d.conditions, *d.outcomes, *d.groups} for d in DOMAINS.values()]
    assert sum(len(n) for n in names) == len(set().union(*names))
    pairs = Counter((s["methods"][5], s["methods"][3]) for s in map(sections, write_texts("oncology", 3000, 1)))
    for drug in DOMAINS["oncology"].drugs:
        counts = sorted((c for (d, _), c in pairs.items() if d == drug), reverse=True)
        assert sum(counts[:2]) / sum(counts) == pytest.approx(0.9 + 0.1 * 2 / 6, abs=0.06)


def test_texts_depend_on_seed_and_field_alone() -> None:
    assert write_texts("cardiology", 5, 1) == write_texts("cardiology", 5, 1)
    assert write_texts("cardiology", 5, 1) == write_texts("cardiology", 9, 1)[:5]
    assert write_texts("cardiology", 5, 1) != write_texts("cardiology", 5, 2)
    with pytest.raises(ConfigError, match="domain: 'law'"):
        write_texts("law", 1, 0)


def test_every_word_is_known() -> None:
    tokenizer = word_tokenizer()
    for kind in ("public", *DOMAINS):
        for text in write_texts(kind, 80, 0):
            ids = tokenizer(text).input_ids
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == text
    assert tokenizer("aspirin cures").input_ids[1] == tokenizer.unk_token_id


def test_packing_loses_only_the_end() -> None:
    tokenizer = word_tokenizer()
    texts = write_texts("public", 7, 0)
    rows = pack(texts, tokenizer, 10)
    ids = [token for text in texts for token in (*tokenizer(text).input_ids, tokenizer.eos_token_id)]
    assert rows.flatten().tolist() == ids[: len(ids) // 10 * 10]
    with pytest.raises(ConfigError, match="do not fill"):
        pack(["aspirin"], tokenizer, 10)


def test_the_loss_is_that_of_transformers() -> None:
    model, rows = small_decoder(16, 2, 2), pack(write_texts("public", 9, 0), word_tokenizer(), 20)
    labels = rows.clone()
    labels[:, 12:] = IGNORED
    with torch.no_grad():
        wanted = model(input_ids=rows, labels=labels).loss
        torch.testing.assert_close(loss_of(model, model(input_ids=rows).logits, labels), wanted)
        whole = model(input_ids=rows, labels=rows).loss
    assert mean_loss(model, rows, batch_size=4) == pytest.approx(float(whole), rel=1e-6)
    assert float(row_losses(model, rows)[3]) == pytest.approx(mean_loss(model, rows[3:4]), rel=1e-9)


def test_an_untrained_model_knows_nothing() -> None:
    model = small_decoder(16, 2, 2)
    rows = pack(write_texts("public", 40, 0), word_tokenizer(), 24)
    assert mean_loss(model, rows) == pytest.approx(math.log(model.config.vocab_size), rel=0.02)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), small_decoder(16, 2, 2).parameters(), strict=True))


def test_an_encoder_decoder_writes_the_second_half() -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(d_model=16, d_ff=16, d_kv=8, num_layers=1, num_heads=2, vocab_size=60, decoder_start_token_id=0)
    model, rows = T5ForConditionalGeneration(config).eval(), torch.arange(1, 25).reshape(2, 12)
    tokens, labels = task_of(model, rows)
    assert tokens.shape == labels.shape == (2, 6)
    with torch.no_grad():
        wanted = float(model(input_ids=tokens, labels=labels.contiguous()).loss)
    assert mean_loss(model, rows) == pytest.approx(wanted, rel=1e-5)


def test_a_folder_comes_back(tmp_path: Path) -> None:
    model = small_decoder(16, 2, 2)
    save_language_model(model, word_tokenizer(), tmp_path)
    again, tokenizer = load_language_model(str(tmp_path))
    assert all(torch.equal(x, again.state_dict()[name]) for name, x in model.state_dict().items())
    assert tokenizer("aspirin").input_ids == word_tokenizer()("aspirin").input_ids


def test_damaged_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    save_language_model(small_decoder(16, 2, 2), word_tokenizer(), tmp_path)
    weights = tmp_path / "model.safetensors"
    few = {name: x for name, x in load_file(weights).items() if "lm_head" not in name}
    save_file(few, weights, {"format": "pt"})
    refused(tmp_path, "lacks weights")
    weights.write_bytes(b"torn")
    refused(tmp_path, "cannot be loaded")
    (tmp_path / "model.bin").write_bytes(b"")
    refused(tmp_path, "pickle")
    refused(tmp_path / "nowhere", "not a folder")


def refused(folder: Path, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_language_model(str(folder))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_shipped_model_is_what_its_record_says() -> None:
    import json

    from gainnet.models.language import ABSTRACTS_FOLDER

    model, tokenizer = load_language_model(str(ABSTRACTS_FOLDER))
    trained: Any = json.loads((ABSTRACTS_FOLDER / "trained.json").read_text())
    assert sum(p.numel() for p in model.parameters()) == trained["num_parameters"]
    rows = pack(write_texts("oncology", 60, 1 << 40), tokenizer, 72)
    assert mean_loss(model, rows) == pytest.approx(trained["test_loss"]["oncology"], abs=0.03)


def test_a_model_of_pictures_is_named_as_one(small_stable_diffusion: Path) -> None:
    with pytest.raises(ModelError, match="is a model of pictures, not of text; give --task draw"):
        load_language_model(str(small_stable_diffusion))
