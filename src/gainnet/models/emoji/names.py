"""Names of emoji, taken apart into what is drawn and the skin tones it is drawn with."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import final

TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
"""Skin tones, from light to dark, as names write them."""

# The longer tones first, since `medium` begins two others.
_TONE = re.compile(r"-(medium-light|medium-dark|light|medium|dark)-skin-tone")

AUTOENCODER_SHARE = 10
"""One concept in so many is kept out of the autoencoder's training."""
COMPOSITION_SHARE = 11
"""One toned picture in so many is kept out of the denoiser's training."""


@final
@dataclass(frozen=True)
class EmojiName:
    """Subject and skin tones of an emoji.

    Args:
        concept: the name without its tones, words joined by hyphens.
        tones: of `TONES`, none to two; the first belongs to the person on the left.

    >>> EmojiName.parse("woman-light-skin-tone-bald")
    EmojiName(concept='woman-bald', tones=('light',))
    """

    concept: str
    tones: tuple[str, ...]

    @staticmethod
    def parse(name: str) -> EmojiName:
        """A name as the collection writes it, taken apart."""
        return EmojiName(_TONE.sub("", name), tuple(_TONE.findall(name)))


def one_in(share: int, text: str) -> bool:
    """Whether a text is among a fixed selection of one in `share` texts, which its SHA-256 decides.

    No list has to be kept, and a name that is added later moves no other one.

    >>> sum(one_in(10, f"name {k}") for k in range(1000))
    92
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % share == 0


def outside_autoencoder(name: EmojiName) -> bool:
    """Whether the autoencoder is not trained on a picture: one concept in 10, with all its tones."""
    return one_in(AUTOENCODER_SHARE, name.concept)


def outside_denoiser(name: EmojiName) -> bool:
    """Whether the denoiser never sees a composition: one in 11 of a concept and tones, the concept seen otherwise."""
    return bool(name.tones) and one_in(COMPOSITION_SHARE, f"{name.concept} {' '.join(name.tones)}")
