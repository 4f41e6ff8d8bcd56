"""Any model in a folder learns with any algorithm: another decoder, and an encoder-decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig
from gainnet.core.errors import ConfigError
from gainnet.models.language import save_language_model, word_tokenizer


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    quiet = {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0, "bos_token_id": 1, "eos_token_id": 1}
    return GPT2LMHeadModel(
        GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, vocab_size=len(word_tokenizer()), **quiet)
    )


def t5() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 16, "d_ff": 24, "d_kv": 8, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
    return T5ForConditionalGeneration(T5Config(**sizes, vocab_size=len(word_tokenizer()), decoder_start_token_id=0))


def config_of(folder: Path, **changes: Any) -> LearnConfig:
    small = {"num_texts": 12, "row_length": 24, "clients": 2, "num_steps": 4, "batch_size": 4, "rounds": 2}
    return LearnConfig(**{"model": str(folder), "link": "ideal", "rate": 1e-2, **small, **changes})


@pytest.mark.slow
@pytest.mark.parametrize("make", [gpt2, t5])
def test_it_learns(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_language_model(make(), word_tokenizer(), tmp_path / "model")
    for algorithm in ("fedavg", "fsl", "lora", "adapter"):
        run = open_session(config_of(tmp_path / "model", algorithm=algorithm)).run()
        assert run.rounds[1]["test_loss"] < run.rounds[0]["test_loss"], algorithm
        assert run.rounds[1]["num_bits_up"] > 0
    run = open_session(config_of(tmp_path / "model", algorithm="fsl_averaged", cut="embedding_only+1")).run()
    assert run.rounds[1]["test_loss"] < run.rounds[0]["test_loss"]
    with pytest.raises(ConfigError, match="ties weights"):
        open_session(config_of(tmp_path / "model", algorithm="fsl", cut="embedding_only")).run()
