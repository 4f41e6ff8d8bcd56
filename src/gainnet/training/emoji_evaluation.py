"""Measurements of the emoji model: which picture a sample looks like most, and how samples are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.models.emoji.album import Album
from gainnet.models.emoji.captions import Wording
from gainnet.models.emoji.names import EmojiName, outside_denoiser
from gainnet.models.scenes import stream

NUM_NEAREST = 5
NUM_COMPONENTS = 64
"""Principal components that a Fréchet distance is taken on: more would need more pictures than there are."""


@final
@dataclass(frozen=True)
class Asked:
    """Captions and the pictures that they ask for.

    Args:
        pictures: of every caption, which picture of the album.
        captions: as many.
    """

    pictures: tuple[int, ...]
    captions: tuple[str, ...]


def ask(album: Album, wordings: Sequence[Wording], held_out: bool, number: int, random_seed: int) -> Asked:
    """Captions of pictures that were seen in training, or of compositions of concept and tone that were not.

    Every picture comes once before one comes again; its first caption is its name, further ones are paraphrases.

    Args:
        album: all pictures.
        wordings: what each may be called.
        held_out: which of the two.
        number: of captions.
        random_seed: of choice and wording.
    """
    rng = stream(random_seed, "emoji captions", int(held_out))
    among = [k for k, shown in enumerate(album.shown) if outside_denoiser(shown) is held_out]
    order = rng.permutation(among).tolist()
    chosen = [order[k % len(order)] for k in range(number)]
    captions = [
        wordings[k].own() if count < len(order) else wordings[k].paraphrase(rng) for count, k in enumerate(chosen)
    ]
    return Asked(tuple(chosen), tuple(captions))


def nearest(features: Tensor, of_album: Tensor) -> Tensor:
    """[m, 5], int64, the pictures of the album nearest to each sample, by Euclidean distance of features.

    Args:
        features: [m, k], of the samples.
        of_album: [n, k], of the pictures.

    >>> nearest(torch.tensor([[0.9]]), torch.arange(6.0)[:, None]).tolist()
    [[1, 0, 2, 3, 4]]
    """
    return torch.cdist(features, of_album).topk(min(NUM_NEAREST, len(of_album)), largest=False, sorted=True).indices


def score(found: Tensor, asked: Sequence[int], shown: Sequence[EmojiName]) -> dict[str, float]:
    """Shares of samples whose nearest picture is the one asked for.

    `top1`: it is the nearest; `top5`: it is among the nearest five; `concept`: the nearest is right but perhaps for its
    tones; `tone`: the nearest has the right tones; `tone_chance`: what `top1` would be if tones of the right concept
    were guessed.

    Args:
        found: [m, 5], as of `nearest`.
        asked: m pictures.
        shown: of every picture, its concept and tones.

    >>> shown = [EmojiName("judge", ("dark",)), EmojiName("judge", ("light",)), EmojiName("cat", ())]
    >>> score(torch.tensor([[0, 2], [0, 1]]), [0, 1], shown)
    {'top1': 0.5, 'top5': 1.0, 'concept': 1.0, 'tone': 0.5, 'tone_chance': 0.5}
    """
    wanted = torch.tensor(asked)
    pairs = [(shown[first], shown[k]) for first, k in zip(found[:, 0].tolist(), asked, strict=True)]
    variants: dict[str, int] = {}
    for name in shown:
        variants[name.concept] = variants.get(name.concept, 0) + 1
    return {
        "top1": float((found[:, 0] == wanted).double().mean()),
        "top5": float((found == wanted[:, None]).any(1).double().mean()),
        "concept": sum(one.concept == other.concept for one, other in pairs) / len(pairs),
        "tone": sum(one.tones == other.tones for one, other in pairs) / len(pairs),
        "tone_chance": sum(1 / variants[shown[k].concept] for k in asked) / len(asked),
    }


def frechet_distance(one: Tensor, other: Tensor, basis: Tensor) -> float:
    r"""Fréchet distance of two sets of features, taken for normal, on the principal components of a third.

    $d^2 = \lVert\mu_1-\mu_2\rVert^2 + \mathrm{tr}(C_1 + C_2 - 2 (C_1 C_2)^{1/2})$   (Heusel et al. 2017, eq. 6)

    Args:
        one: [m, k].
        other: [n, k]; the distance is biased upwards by small numbers, so that only equal ones compare.
        basis: [p, k], whose first 64 components are kept.

    >>> features = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    >>> round(frechet_distance(features, features + 1, features), 3)
    4.0
    """
    centred = (basis - basis.mean(0)).double()
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    first, second = (x.double() @ directions[:NUM_COMPONENTS].T for x in (one, other))
    difference = first.mean(0) - second.mean(0)
    c1, c2 = first.T.cov(), second.T.cov()
    # The eigenvalues of a product of two covariances are real and not negative, but for rounding.
    roots = torch.linalg.eigvals(c1 @ c2).real.clamp(min=0).sqrt()
    return float(difference.square().sum() + c1.trace() + c2.trace() - 2 * roots.sum())


def halves(number: int, size: int, random_seed: int) -> tuple[Tensor, Tensor]:
    """[size] and [size], int64, two disjoint draws of pictures: samples of one are compared with the other.

    Their own distance is what a perfect model would have.

    Args:
        number: of all pictures.
        size: of each draw, at most half of them.
        random_seed: of the draws.
    """
    order = torch.from_numpy(stream(random_seed, "emoji halves", 0).permutation(number))
    return order[:size], order[size : 2 * size]
