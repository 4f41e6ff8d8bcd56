"""Models that clients train: a small decoder of ours, any Hugging Face model in a folder or in the local cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import seeded
from gainnet.models.language_families import IGNORED, family_by_config, language_family_of
from gainnet.models.language_text import words

PAD, END, UNKNOWN = "<pad>", "<end>", "<unknown>"
ABSTRACTS = "abstracts"
"""Name of the model that is trained here."""
ABSTRACTS_FOLDER = Path(__file__).parent / "pretrained" / ABSTRACTS


def word_tokenizer() -> Any:
    """A tokenizer of whole words, those of the synthetic abstracts; a `PreTrainedTokenizerFast`.

    >>> word_tokenizer()("aspirin lowers pulse").input_ids == word_tokenizer()("aspirin  lowers pulse").input_ids
    True
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate((PAD, END, UNKNOWN, *words()))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
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
    18272
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
    with seeded(random_seed):
        return LlamaForCausalLM(config).float()


def load_language_model(name: str, online: bool = False) -> tuple[Any, Any]:
    """Model and tokenizer of a Hugging Face folder, or of a hub id in the local cache; float32, in evaluation mode.

    Args:
        name: folder or hub id.
        online: whether a hub id may be downloaded.

    Raises:
        ModelError: missing, truncated, of no known family, or it holds a pickle or code.
    """
    from gainnet.models.loading import find_folder, reason_of
    from gainnet.models.quiet import quiet

    folder = find_folder(name, online)
    # Before transformers looks for a config.json that such a folder has none of.
    if (folder / "model_index.json").is_file():
        raise ModelError(
            f"model: {name!r} is a model of pictures, not of text; give --task draw with --pictures FOLDER"
        )
    try:
        with quiet():
            return _open(folder)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"model: {name!r} cannot be loaded as a language model ({reason_of(error)})") from error


def _open(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    family = family_by_config(config, next(iter(config.architectures or ()), config.model_type))
    opened: Any = family.loader().from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    model, report = opened
    if report["missing_keys"]:
        raise ModelError(f"model: {folder} lacks weights ({sorted(report['missing_keys'])[0]}); it is not complete")
    if not hasattr(config, "vocab_size"):
        raise ModelError(f"model: {folder} reads pictures; call gainnet.learn with clients that have some")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # Configurations of transformers do not name it, and masks are made where only the model is at hand.
    model.config.mask_token_id = tokenizer.mask_token_id
    return model.eval(), tokenizer


def save_language_model(model: nn.Module, tokenizer: Any, folder: Path) -> None:
    """Writes a folder that `load_language_model` and Hugging Face read: JSON and safetensors."""
    from gainnet.models.quiet import quiet

    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
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
    # One stream without padding: no part of a row is wasted, and texts are told apart by the end token.
    stream = [token for row in rows for token in (*row, *(() if end is None else (end,)))]
    num_rows = len(stream) // length
    if num_rows == 0:
        raise ConfigError(f"texts: {len(stream)} tokens do not fill a row of {length}; give more text or a shorter row")
    return torch.tensor(stream[: num_rows * length], dtype=torch.long).reshape(num_rows, length)


def inputs_of(model: Any, tokens: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Arguments of a forward pass without loss.

    Args:
        model: of any family.
        tokens: [batch, length]; pictures [batch, channels, height, width] of a vision transformer.
        labels: [batch, length of the labels], -100 where nothing is predicted.
    """
    return language_family_of(model).inputs(model, tokens, labels)


def task_of(model: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(tokens, labels) of rows of text [batch, length], as the family of the model makes a task of them.

    Every next token; for an encoder-decoder the second half from the first; for a masked model the masked tokens. Rows
    [batch, 2, length] hold tokens and labels already, -100 where nothing is predicted.
    """
    # Clients hold their rows on the processor, wherever the model computes.
    return language_family_of(model).task(model, rows.to(next(model.parameters()).device))


def check_rows_fit(model: Any, rows: Tensor) -> None:
    """Refuses rows [num_rows, length] that a model cannot read.

    Raises:
        ConfigError: tokens are beyond the embedding, or rows beyond the positions.

    >>> check_rows_fit(small_decoder(16, 1, 2, 40), torch.tensor([[1, 40]]))
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: texts: token 40 is beyond the 40 embeddings of the model; use the tokenizer ...
    """
    if mistake := language_family_of(model).mistake(model, rows):
        raise ConfigError(mistake)


def token_losses(model: Any, logits: Tensor, labels: Tensor) -> Tensor:
    """[batch, predictions], cross-entropy in nats of labels, shifted by one for a causal model; 0 where ignored.

    Args:
        model: says whether labels are shifted.
        logits: [batch, at least the length of the labels, num_tokens]; virtual tokens in front are passed over.
        labels: [batch, length], -100 where nothing is predicted.
    """
    return language_family_of(model).losses(logits, labels)


def loss_of(model: Any, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labels that are not ignored; 0 without any. Arguments as `token_losses`."""
    family = language_family_of(model)
    return family.losses(logits, labels).sum() / (family.predicted(labels) != IGNORED).sum().clamp_min(1)


def mean_loss(model: Any, rows: Tensor, batch_size: int = 64) -> float:
    """Mean cross-entropy per predicted token, in nats.

    Args:
        model: causal or encoder-decoder.
        rows: [num_rows, length], tokens of text, or [num_rows, 2, length], tokens and labels.
        batch_size: rows at once.
    """
    return float(row_losses(model, rows, batch_size).mean())


@torch.no_grad()
def row_losses(model: Any, rows: Tensor, batch_size: int = 64) -> Tensor:
    """[num_rows] float64, mean cross-entropy per predicted token of each row, in nats; arguments as `mean_loss`."""
    was_training = model.training
    model.eval()
    found = []
    for some in rows.split(batch_size):
        tokens, labels = task_of(model, some)
        logits = model(**inputs_of(model, tokens, labels)).logits
        losses = token_losses(model, logits.double(), labels)
        wanted = (labels[:, -losses.shape[1] :] != IGNORED).sum(1)
        found.append(losses.sum(1) / wanted.clamp_min(1))
    model.train(was_training)
    return torch.cat(found).cpu()
