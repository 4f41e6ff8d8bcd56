"""A judge of the emoji model's pictures: the picture of its training that one looks like most, in its own latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.outside import reading
from gainnet.models.emoji.captions import DETERMINERS, ONE_TONE, TWO_TONES, WORDINGS, Wording, read_wordings
from gainnet.models.vocabulary import split_words

JUDGE: Final = "judge.safetensors"
"""The file of a model folder that holds it."""
NUM_COMPONENTS: Final = 48
"""Principal components of the latents that tell pictures apart, in 0.4 MB."""
_LEADS: Final = frozenset(word for text in (*DETERMINERS, "an") for word in split_words(text))


@final
@dataclass(frozen=True, eq=False)
class EmojiJudge:
    """All pictures as points in the space of the largest components of their latents, and what each may be called.

    Args:
        wordings: of every picture.
        mean: [k], of the latents.
        directions: [d, k], of the components, float16.
        places: [n, d], int8, components of every picture, in steps.
        steps: [d], of the components.
    """

    wordings: tuple[Wording, ...]
    mean: Tensor
    directions: Tensor
    places: Tensor
    steps: Tensor

    @staticmethod
    def of(latents: Tensor, wordings: Sequence[Wording]) -> EmojiJudge:
        """The judge of a model's pictures.

        Args:
            latents: [n, c, h, w], of all pictures.
            wordings: of all pictures.
        """
        flat = latents.float().flatten(1)
        mean = flat.mean(0)
        _, _, rows = torch.linalg.svd(flat - mean, full_matrices=False)
        directions = rows[:NUM_COMPONENTS].contiguous().half()
        found = (flat - mean) @ directions.float().T
        steps = found.abs().amax(0).clamp(min=1e-6) / 127
        return EmojiJudge(tuple(wordings), mean, directions, (found / steps).round().to(torch.int8), steps)

    def tensors(self) -> dict[str, Tensor]:
        """All but the wordings, by name, as `read_judge` reads them."""
        return {"mean": self.mean, "directions": self.directions, "places": self.places, "steps": self.steps}

    def nearest(self, latents: Tensor) -> Tensor:
        """[m], int64, the picture nearest to each of [m, c, h, w] latents, by Euclidean distance of components."""
        found = (latents.float().flatten(1) - self.mean) @ self.directions.float().T
        return torch.cdist(found, self.places * self.steps).argmin(1)

    def fidelity(self, latents: Tensor, prompts: Sequence[str]) -> list[float | None]:
        """Share of the thing and the skin tones that a prompt names which the nearest picture has, too.

        A tone that nobody has asked for counts as one that is missing. `None` where a prompt calls no picture by a
        wording that was learned.

        Args:
            latents: [m, c, h, w], of the pictures.
            prompts: one per picture.
        """
        return [self._share(prompt, k) for prompt, k in zip(prompts, self.nearest(latents).tolist(), strict=True)]

    def _share(self, prompt: str, nearest: int) -> float | None:
        asked = self._pictures.get(_key(prompt))
        if asked is None:
            return None
        wanted, found = self.wordings[asked], self.wordings[nearest]
        right = sum(one == other for one, other in zip(wanted.tones, found.tones, strict=False))
        return (right + (wanted.name == found.name)) / (1 + max(len(wanted.tones), len(found.tones)))

    @cached_property
    def _pictures(self) -> Mapping[tuple[str, ...], int]:
        """The picture of every wording."""
        named: dict[tuple[str, ...], int] = {}
        for k, own in enumerate(self.wordings):
            forms = ("{thing}", ONE_TONE, TWO_TONES)[len(own.tones)] if own.tones else ("{thing}",)
            for thing in (own.name, *own.others):
                for form in forms:
                    named.setdefault(_key(form.format(thing=thing, **_tones(own))), k)
        return named


@lru_cache(maxsize=2)
def read_judge(folder: Path) -> EmojiJudge | None:
    """The judge of a model folder; `None` where it has none.

    Raises:
        ModelError: its file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / JUDGE).is_file():
        return None
    wordings = read_wordings(folder / WORDINGS)
    try:
        tensors = load_file(folder / JUDGE)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"model: {folder / JUDGE} is damaged; copy the whole folder") from error
    with reading("model", ModelError):
        judge = EmojiJudge(wordings, *(tensors[name] for name in ("mean", "directions", "places", "steps")))
        if len(judge.places) != len(wordings):
            raise ValueError(JUDGE)
        return judge


def _tones(own: Wording) -> dict[str, str]:
    return {"tone": own.tones[0], "other": own.tones[-1]} if own.tones else {}


def _key(text: str) -> tuple[str, ...]:
    """Words of a caption without its determiner."""
    words = split_words(text)
    return tuple(words[1:] if len(words) > 1 and words[0] in _LEADS else words)
