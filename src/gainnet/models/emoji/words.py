"""The words of the emoji model: a tokenizer with one token per word of its captions."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gainnet.models.emoji.captions import DETERMINERS, ONE_TONE, TWO_TONES, Wording
from gainnet.models.vocabulary import split_words

if TYPE_CHECKING:
    from transformers import BertTokenizer

MAX_NUM_TOKENS = 18
"""Start, up to 16 words, end: no caption is longer."""
START, END = "<|startoftext|>", "<|endoftext|>"


def caption_words(wordings: Iterable[Wording]) -> list[str]:
    """All words that captions of these pictures may hold, sorted.

    >>> caption_words([Wording("cat", ("kitty",), ())])[:5]
    ['a', 'an', 'and', 'cat', 'kitty']
    """
    texts = [text for own in wordings for text in (own.name, *own.others, *own.tones)]
    forms = [form.format(thing="", tone="", other="") for form in (*ONE_TONE, *TWO_TONES)]
    return sorted({word for text in (*texts, *forms, *DETERMINERS, "an") for word in split_words(text)})


def build_tokenizer(words: Iterable[str]) -> BertTokenizer:
    """One token per word; another word is its longest known beginning, then single letters (WordPiece).

    CLIP's own byte pairs would need twice as many tokens, since every step towards a word is a token, too.

    Args:
        words: lower case.

    >>> build_tokenizer(["octopus", "red"]).tokenize("Red octopuses")
    ['red', 'octopus', '##e', '##s']
    """
    from transformers import BertTokenizer

    letters = string.ascii_lowercase + string.digits
    tokens = [START, END, *letters, *string.punctuation, *(f"##{letter}" for letter in letters), *words]
    return BertTokenizer(
        vocab={token: index for index, token in enumerate(dict.fromkeys(tokens))},
        do_lower_case=True,
        cls_token=START,
        sep_token=END,
        # As in CLIP, which has no token of its own for what it does not know.
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        mask_token=END,
        model_max_length=MAX_NUM_TOKENS,
    )
