"""Ranges of the arguments of a generation, checked at the door, before a model is loaded or a plan is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, SupportsIndex

from torch import Tensor

from gainnet.codecs.content import check_uses
from gainnet.core.errors import ConfigError, check_kind, check_numbers

MAX_PROMPT_BYTES: Final = 2048
DEFAULT_STRENGTH: Final = 0.6


def check_arguments(
    num_channel_uses: int | None = None,
    strength: float | None = None,
    deadline_s: float = math.inf,
    failures: Sequence[tuple[str, int]] = (),
    random_seed: int = 0,
) -> None:
    """Raises `ConfigError` when an argument of `generate` is out of range; arguments as there."""
    check_uses(num_channel_uses)
    check_numbers(deadline_s=deadline_s, strength=0.0 if strength is None else strength)
    check_kind(isinstance(random_seed, SupportsIndex), "random_seed", random_seed, "a whole number")
    if strength is not None and not 0.0 < strength <= 1.0:
        raise ConfigError(f"strength: {strength} is not above 0 and at most 1; 1 keeps nothing of the picture")
    # Written so that NaN is refused, too.
    if not deadline_s > 0.0:
        raise ConfigError(f"deadline_s: {deadline_s} must be a positive time; give seconds")
    if not 0 <= random_seed < 2**63:
        raise ConfigError(f"random_seed: {random_seed} is negative or too large; give 0 to 2^63 - 1")
    if wrong := [step for _, step in failures if step < 0]:
        raise ConfigError(f"fail: there is no step {wrong[0]}; count from 0")


def check_objects(model: object, codecs: object) -> None:
    """Raises `ConfigError` where a text stands in the place of a model or of codecs, with the call that makes one.

    >>> check_objects("scenes", None)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: model: 'scenes' is a text, where an object is needed; give gainnet.load('scenes')
    """
    if isinstance(model, str):
        raise ConfigError(f"model: {model!r} is a text, where an object is needed; give gainnet.load({model!r})")
    if isinstance(codecs, str):
        made = f"gainnet.Codecs(seed=gainnet.parse('codec.seed', {codecs!r}))"
        raise ConfigError(f"codecs: {codecs!r} is a text, where an object is needed; give {made}")


def strength_of(picture: Tensor | None, strength: float | None) -> float | None:
    """Strength of image-to-image with a picture [3, H, W], 0.6 unless it is given; `None` without a picture.

    Raises:
        ConfigError: there is no picture to change.

    >>> strength_of(None, None)
    """
    if picture is None and strength is not None:
        raise ConfigError("strength: there is no picture to change; give one or leave it out")
    return DEFAULT_STRENGTH if picture is not None and strength is None else strength


def texts_of(prompts: str | Sequence[str]) -> tuple[str, ...]:
    """The prompts of a batch; one text is a batch of one.

    Raises:
        ConfigError: there is no prompt, or one is empty, too long or no UTF-8 text.
    """
    check_kind(isinstance(prompts, Iterable), "prompt", prompts, "a text, or a list of them")
    texts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    if not texts:
        raise ConfigError("prompt: there is none; give a text")
    for prompt in texts:
        check_kind(isinstance(prompt, str), "prompt", prompt, "a text")
        if not prompt.strip():
            raise ConfigError("prompt: it is empty; say what to draw")
        # It ends strings in C, so that a tokenizer might see another prompt than the page shows.
        if "\0" in prompt:
            raise ConfigError("prompt: it holds a NUL character; remove it")
        # Python keeps bytes of an argument that are no UTF-8 as lone surrogates, which cannot be sent.
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise ConfigError("prompt: it is not UTF-8 text; give text in UTF-8")
        if len(prompt.encode()) > MAX_PROMPT_BYTES:
            raise ConfigError(f"prompt: {prompt[:40]!r}… is longer than {MAX_PROMPT_BYTES} bytes; shorten it")
    return texts
