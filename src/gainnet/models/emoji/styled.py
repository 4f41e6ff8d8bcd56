"""Emoji in another style than the model's own: the same names, drawn by other hands."""

from __future__ import annotations

from collections.abc import Collection as Among
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.models.emoji.names import EmojiName
from gainnet.models.emoji.source import FLUENT_FLAT, Collection, rasterise
from gainnet.models.vocabulary import split_words


def caption_of(name: str) -> str:
    """The caption of a name of a collection.

    >>> caption_of("t-rex")
    't rex'
    """
    return " ".join(split_words(name))


def read_styled(folder: Path, known: Among[str]) -> tuple[tuple[str, ...], Tensor]:
    """(captions, [n, 3, 128, 128] uint8): flat emoji whose names a model knows, without skin tones.

    Args:
        folder: that the npm package @iconify-json/fluent-emoji-flat was unpacked into.
        known: captions that the model was trained on.

    Raises:
        ConfigError: the folder holds another collection, or nothing of it is known.
        MissingExtraError: resvg-py is not installed.
    """
    return styled_of(Collection.read(folder, FLUENT_FLAT), known)


def styled_of(collection: Collection, known: Among[str]) -> tuple[tuple[str, ...], Tensor]:
    """(captions, [n, 3, 128, 128] uint8) of a collection in the coordinates of `FLUENT_FLAT`; see `read_styled`."""
    # Tones are written in another way there, and people in every tone would outnumber all other things.
    names = [name for name in collection.bodies if not EmojiName.parse(name).tones and caption_of(name) in known]
    if not names:
        raise ConfigError("pictures: the model knows none of their names; give the model emoji")
    drawn = [rasterise(collection.bodies[name], FLUENT_FLAT.side) for name in names]
    pixels = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous()
    return tuple(caption_of(name) for name in names), pixels
