"""Tokens of abstracts, and greedy answers of causal models in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from gainnet.models.language import END, PAD, UNKNOWN
from gainnet.models.language_families import IGNORED


def subword_tokenizer(texts: Iterable[str], num_tokens: int) -> Any:
    """A byte-pair tokenizer that spells any text, in lower case; a `PreTrainedTokenizerFast`.

    Args:
        texts: what pairs of bytes are counted in.
        num_tokens: at most so many, above 300.

    >>> tokenizer = subword_tokenizer(["pain fell ."] * 9, 400)
    >>> tokenizer.decode(tokenizer("Pain fell after hydroxazepam .")["input_ids"])
    'pain fell after hydroxazepam .'
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=num_tokens,
        special_tokens=[PAD, END, UNKNOWN],
        # All bytes, also those that the texts lack, so that any text can be spelled.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, clean_up_tokenization_spaces=False
    )


def task_rows(tokenizer: Any, tasks: Sequence[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """(tokens, labels), each [num_tasks, length of the longest], int64: prompts with their completions and an end.

    Labels are -100 in the prompt and after the end.

    Args:
        tokenizer: with a pad and an end token.
        tasks: (prompt, completion) each.
    """
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    parts = [(_ids(tokenizer, prompt), [*_ids(tokenizer, completion), end]) for prompt, completion in tasks]
    length = max(len(prompt) + len(completion) for prompt, completion in parts)
    tokens = torch.full((len(parts), length), pad)
    labels = torch.full((len(parts), length), IGNORED)
    for row, (prompt, completion) in enumerate(parts):
        stop = len(prompt) + len(completion)
        tokens[row, :stop] = torch.tensor([*prompt, *completion])
        labels[row, len(prompt) : stop] = torch.tensor(completion)
    return tokens, labels


def answers(model: Any, tokenizer: Any, prompts: Sequence[str], max_tokens: int, batch_size: int = 32) -> list[str]:
    """One text per prompt, without the end; arguments as `answer_tokens`."""
    found = answer_tokens(model, tokenizer, prompts, max_tokens, batch_size)
    return [str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in found]


@torch.no_grad()
def answer_tokens(
    model: Any, tokenizer: Any, prompts: Sequence[str], max_tokens: int, batch_size: int = 32
) -> list[list[int]]:
    """The likeliest next token after each prompt, again and again until the end.

    Args:
        model: causal.
        tokenizer: its own.
        prompts: any number.
        max_tokens: of an answer.
        batch_size: prompts at once.

    Returns:
        Tokens per prompt, without the end.
    """
    # Prompts of similar length in a batch: less padding to compute.
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), batch_size):
        some = order[start : start + batch_size]
        for place, ids in zip(some, _greedy(model, tokenizer, [prompts[i] for i in some], max_tokens), strict=True):
            found[place] = ids
    return found


def _greedy(model: Any, tokenizer: Any, prompts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Tokens of the answers of one batch, each up to its end; prompts are padded on their left."""
    ids = [_ids(tokenizer, prompt) for prompt in prompts]
    length = max(len(row) for row in ids)
    pad = tokenizer.pad_token_id
    tokens = torch.tensor([[pad] * (length - len(row)) + row for row in ids])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in ids])
    # Positions count real tokens only, so that a prompt is answered in a batch as it is alone.
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    past, found, open_rows = None, [], torch.ones(len(ids), dtype=torch.bool)
    for _ in range(max_tokens):
        out = model(input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=past, use_cache=True)
        past, chosen = out.past_key_values, out.logits[:, -1].argmax(-1)
        found.append(chosen)
        open_rows &= chosen != tokenizer.eos_token_id
        if not open_rows.any():
            break
        tokens, positions = chosen[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
    rows = torch.stack(found, 1).tolist()
    return [_until(row, tokenizer.eos_token_id) for row in rows]


def _until(row: list[int], end: int) -> list[int]:
    return row[: row.index(end)] if end in row else row


def _ids(tokenizer: Any, text: str) -> list[int]:
    return cast(list[int], tokenizer(text, add_special_tokens=False)["input_ids"])
