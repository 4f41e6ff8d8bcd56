"""The words of the scenes model: CLIP's tokenizer with a vocabulary of its own."""

from __future__ import annotations

import string
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from gainnet.models.scenes.captions import FORMS, RELATIONS
from gainnet.models.scenes.scene import COLOURS, SETTINGS, SHAPES, SIZES

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

MAX_NUM_TOKENS = 24
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"


def grammar_words() -> list[str]:
    """All words that a caption may hold, sorted.

    >>> "sunset" in grammar_words()
    True
    """
    phrases = [*SHAPES, *COLOURS, *SIZES, *SETTINGS, *RELATIONS, "a an is drawing"]
    phrases += [form.format(things="", setting="").replace(",", "") for form in FORMS]
    return sorted({word for phrase in phrases for word in phrase.split()})


def _apply(pieces: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding of one word: merges the best-ranked pair until there is none."""
    while True:
        pairs = [(ranks[pair], k) for k, pair in enumerate(pairwise(pieces)) if pair in ranks]
        if not pairs:
            return pieces
        k = min(pairs)[1]
        pieces = [*pieces[:k], pieces[k] + pieces[k + 1], *pieces[k + 2 :]]


def _merges() -> list[tuple[str, str]]:
    """Merges after which every word of the grammar is one token."""
    ranks: dict[tuple[str, str], int] = {}
    for word in grammar_words():
        # Merges of earlier words apply first, as the tokenizer will apply them in the order of their ranks.
        pieces = _apply([*word[:-1], word[-1] + WORD_END], ranks)
        while len(pieces) > 1:
            ranks[pieces[0], pieces[1]] = len(ranks)
            pieces = _apply(pieces, ranks)
    return list(ranks)


def build_tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer: one token per word of the grammar, single characters for all other ASCII text.

    >>> tokenizer = build_tokenizer()
    >>> tokenizer.tokenize("a red star, quite")
    ['a</w>', 'red</w>', 'star</w>', ',</w>', 'q', 'u', 'i', 't', 'e</w>']
    """
    from transformers import CLIPTokenizer

    merges = _merges()
    characters = string.ascii_lowercase + string.digits + string.punctuation
    tokens = [START, END, *characters, *(character + WORD_END for character in characters)]
    tokens += [left + right for left, right in merges]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=cast(Any, merges),  # annotated as strings, taken as pairs
        bos_token=START,
        eos_token=END,
        # As in CLIP, which has no token of its own for what it does not know.
        unk_token=END,
        pad_token=END,
        model_max_length=MAX_NUM_TOKENS,
    )
