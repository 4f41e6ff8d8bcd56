"""Language models: a small decoder to train here, any Hugging Face model in a folder or in the local cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gainnet.core.errors import ConfigError, ModelError
from gainnet.models.language_text import words

PAD, END, UNKNOWN = "<pad>", "<end>", "<unknown>"
ABSTRACTS = "abstracts"
"""Name of the model that is trained here."""


def word_tokenizer() -> Any:
    """A tokenizer of whole words, those of the synthetic abstracts; a `PreTrainedTokenizerFast`.

    >>> word_tokenizer()("aspirin lowers pulse").input_ids == word_tokenizer()("aspirin  lowers pulse").input_ids
    True
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate((PAD, END, UNKNOWN, *words()))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN)


def small_decoder(
    hidden_size: int = 96, num_layers: int = 4, num_heads: int = 4, num_tokens: int | None = None, random_seed: int = 0
) -> Any:
    """A decoder of the Llama family with random weights, float32; input and output embeddings are not tied.

    Args:
        hidden_size: width, a multiple of `num_heads`.
        num_layers: Transformer blocks.
        num_heads: attention heads.
        num_tokens: size of the vocabulary; that of `word_tokenizer` when `None`.
        random_seed: of the weights.

    >>> sum(p.numel() for p in small_decoder(32, 1, 2, 100).parameters())
    18720
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    count = num_tokens or len(word_tokenizer())
    config = LlamaConfig(
        vocab_size=count,
        hidden_size=hidden_size,
        intermediate_size=8 * hidden_size // 3 // 8 * 8,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        use_cache=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_seed)
        return LlamaForCausalLM(config).float()


def load_language_model(name: str, online: bool = False) -> tuple[Any, Any]:
    """Model and tokenizer of a Hugging Face folder, or of a hub id in the local cache; float32, in evaluation mode.

    Args:
        name: folder or hub id.
        online: whether a hub id may be downloaded.

    Raises:
        ModelError: missing, truncated, neither a causal nor an encoder-decoder model, or it holds a pickle or code.
    """
    from gainnet.models.loading import find_folder

    folder = find_folder(name, online)
    try:
        return _open(folder)
    except ModelError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"model: {name!r} cannot be loaded as a language model ({reason})") from error


def _open(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model, report = kind.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    if report["missing_keys"]:
        raise ModelError(f"model: {folder} lacks weights ({sorted(report['missing_keys'])[0]}); it is not complete")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return model.eval(), tokenizer


def save_language_model(model: nn.Module, tokenizer: Any, folder: Path) -> None:
    """Writes a folder that `load_language_model` and Hugging Face read: JSON and safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)  # type: ignore[operator]
    tokenizer.save_pretrained(folder)


def pack(texts: Sequence[str], tokenizer: Any, length: int) -> Tensor:
    """[num_rows, length] int64, the texts one after the other, each closed by the end token, cut into full rows.

    Raises:
        ConfigError: the texts do not fill one row.

    >>> pack(["aspirin lowers pulse ."] * 4, word_tokenizer(), 5)[0].tolist() == pack(
    ...     ["aspirin lowers pulse ."] * 4, word_tokenizer(), 5)[1].tolist()
    True
    """
    end = tokenizer.eos_token_id
    rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    stream = [token for row in rows for token in (*row, *(() if end is None else (end,)))]
    num_rows = len(stream) // length
    if num_rows == 0:
        raise ConfigError(f"texts: {len(stream)} tokens do not fill a row of {length}; give more text or a shorter row")
    return torch.tensor(stream[: num_rows * length], dtype=torch.long).reshape(num_rows, length)


def mean_loss(model: nn.Module, tokens: Tensor, batch_size: int = 64) -> float:
    """Mean cross-entropy per predicted token, in nats.

    Args:
        model: a causal language model, or an encoder-decoder that is asked for the rows themselves.
        tokens: [num_rows, length].
        batch_size: rows at once.
    """
    losses = row_losses(model, tokens, batch_size)
    return float(losses.mean())


@torch.no_grad()
def row_losses(model: nn.Module, tokens: Tensor, batch_size: int = 64) -> Tensor:
    """[num_rows] float64, mean cross-entropy per predicted token of each row, in nats."""
    was_training = model.training
    model.eval()
    found = []
    for rows in tokens.split(batch_size):
        logits, wanted = model(input_ids=rows).logits[:, :-1], rows[:, 1:]
        found.append(nn.functional.cross_entropy(logits.mT.double(), wanted, reduction="none").mean(1))
    model.train(was_training)
    return torch.cat(found)
