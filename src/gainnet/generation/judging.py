"""The judge of a model's pictures: it says how much of what a prompt names is in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.core.room import pieces
from gainnet.generation.quality import counted_fidelity
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.emoji.judge import EmojiJudge, read_judge
from gainnet.models.loading import find_folder

Judge = Callable[[Tensor, Sequence[str]], float | None]
"""Mean share of what prompts name in pictures [n, 3, H, W]; `None` where it can judge none of them."""


def judge_of(model: DiffusionModel, usual: Judge = counted_fidelity) -> Judge:
    """The judge in a model's folder; where it has none that of drawn scenes, which knows their grammar alone.

    A prompt such as `a red heart` belongs to several models, and a judge of one model's pictures knows no others.

    Args:
        model: that made the pictures.
        usual: the judge where it has none.

    Raises:
        ModelError: the judge is damaged.
    """
    own = _own_judge(model)
    return usual if own is None else partial(_fidelity, model, own)


def captions_of(model: DiffusionModel, usual: Sequence[str]) -> tuple[str, ...]:
    """As many prompts as there are usual ones, which the judge of a model knows; the usual ones where it has none.

    Args:
        model: that will draw them.
        usual: prompts of the scenes' grammar.

    Raises:
        ModelError: the judge is damaged.
    """
    own = _own_judge(model)
    if own is None:
        return tuple(usual)
    # Spread over all pictures, which stand in the order of their names.
    places = (len(own.wordings) * k // len(usual) for k in range(len(usual)))
    return tuple(own.wordings[place].own() for place in places)


def _own_judge(model: DiffusionModel) -> EmojiJudge | None:
    try:
        folder = find_folder(model.name)
    except ModelError:
        # A model of the user's own has a name and no folder.
        return None
    return read_judge(folder)


@torch.no_grad()
def _fidelity(model: DiffusionModel, judge: EmojiJudge, images: Tensor, prompts: Sequence[str]) -> float | None:
    if images.shape[1:] != model.image.shape or model.latent.num_values != len(judge.mean):
        return None
    shares: list[float | None] = []
    for (some,) in pieces(images):
        # Nothing is drawn: the encoder gives the mode of its posterior.
        latents = model.image_encoder({"image": some}, Random.of([0] * len(some)))["latent"]
        shares += judge.fidelity(latents, prompts[len(shares) : len(shares) + len(some)])
    judged = [share for share in shares if share is not None]
    return sum(judged) / len(judged) if judged else None
