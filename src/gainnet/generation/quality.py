"""How good a received picture is, always against the channel-free generation from the same random seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from gainnet.core.room import pieces
from gainnet.core.units import psnr_db_of_mse

if TYPE_CHECKING:
    from gainnet.models.attributes import AttributeClassifier

EXACT = 1e-4


@final
@dataclass(frozen=True)
class Quality:
    """Fidelity of a batch of pictures.

    Args:
        psnr_db: dB of the mean squared error over the batch, values in [0, 1]; `None` when exact.
        ssim: mean structural similarity (Wang et al. 2004), at most 1.
        exact: no value differs by more than 1e-4.
        prompt_fidelity: share of what the prompts name that the model's judge finds; of drawn scenes as
            `counted_fidelity`; `None` for prompts that the judge does not know.
        reference_fidelity: the same of the channel-free pictures: a share that they lack, too, is missed by the model
            and not by the air.
    """

    psnr_db: float | None
    ssim: float
    exact: bool
    prompt_fidelity: float | None
    reference_fidelity: float | None


def quality(
    images: Tensor,
    references: Tensor,
    prompts: Sequence[str],
    judge: Callable[[Tensor, Sequence[str]], float | None] | None = None,
) -> Quality:
    """Fidelity of pictures, against those that no channel has touched and against what was asked for.

    Args:
        images: [num_items, 3, H, W], in [0, 1], as received.
        references: [num_items, 3, H, W], in [0, 1], without a channel.
        prompts: one per item.
        judge: says how much of what prompts name is in pictures; `counted_fidelity` when `None`.
    """
    judged = judge or counted_fidelity
    found_db = psnr_db(images, references)
    # One at a time, which gives the numbers of several together, takes 15 MB where eight take 100, and half the time.
    pairs = pieces(images, references, num_items=1)
    similarity = float(torch.cat([ssim(one, other) for one, other in pairs]).mean())
    fidelity = judged(images, prompts)
    # Pictures without an error are not judged a second time.
    own = fidelity if found_db is None else judged(references, prompts)
    return Quality(found_db, similarity, found_db is None, fidelity, own)


def psnr_db(images: Tensor, references: Tensor) -> float | None:
    """dB of the mean squared error over all values; `None` when none differs by more than 1e-4.

    Args:
        images: [...], in [0, 1].
        references: [...], in [0, 1].

    >>> psnr_db(torch.zeros(3), torch.zeros(3)), round(psnr_db(torch.zeros(3), torch.full((3,), 0.1)), 3)
    (None, 20.0)
    """
    # By the largest error: a single wrong pixel disappears in the mean of a large picture.
    largest = max(float((a - b).abs().max()) for a, b in pieces(images, references))
    return None if largest <= EXACT else float(psnr_db_of_mse(torch.tensor(mse(images, references))))


def mse(images: Tensor, references: Tensor) -> float:
    """Mean squared difference of all values of two batches of pictures.

    Args:
        images: [num_items, ...].
        references: [num_items, ...].

    >>> mse(torch.zeros(20, 3), torch.full((20, 3), 0.5))
    0.25
    """
    means = ((len(a), float((a - b).square().mean())) for a, b in pieces(images, references))
    return math.fsum(number * mean for number, mean in means) / len(images)


def ssim(images: Tensor, references: Tensor) -> Tensor:
    """[num_items], structural similarity with a Gaussian window of 11 pixels, values in [0, 1].

    >>> x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> ssim(x, x)
    tensor([1., 1.])
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    values = structural_similarity_index_measure(images, references, data_range=1.0, reduction="none")
    if not isinstance(values, Tensor):
        raise TypeError("torchmetrics returned more than the similarity")
    return values.reshape(-1)


def counted_fidelity(images: Tensor, prompts: Sequence[str]) -> float | None:
    """Mean fidelity, where a picture with too many things or too few counts by the smaller of both numbers' ratios.

    A classifier alone calls two stars that have grown together a star.

    Args:
        images: [num_items, 3, H, W], in [0, 1].
        prompts: one per picture.
    """
    from gainnet.models.attributes import AttributeClassifier
    from gainnet.models.scenes import count_things, parse

    classifier, judged = AttributeClassifier.from_pretrained(), []
    for (image,), prompt in zip(pieces(images, num_items=1), prompts, strict=True):
        if (fidelity := mean_fidelity(image, [prompt], classifier)) is None or (scene := parse(prompt)) is None:
            continue
        drawn, named = count_things(image[0], scene), len(scene.things)
        judged.append(fidelity * (1.0 if drawn is None else min(drawn, named) / max(drawn, named)))
    return sum(judged) / len(judged) if judged else None


def mean_fidelity(
    images: Tensor, prompts: Sequence[str], classifier: AttributeClassifier | None = None
) -> float | None:
    """Mean share of the attributes named in the prompts that a classifier finds; `None` when no prompt can be judged.

    Args:
        images: [num_items, 3, H, W], in [0, 1].
        prompts: one per picture.
        classifier: the judge; the shipped one if `None`.
    """
    from gainnet.models.attributes import AttributeClassifier, prompt_fidelity

    # The classifier was trained on pictures of the shipped model, which have this size.
    if images.shape[-2:] != (128, 128):
        return None
    with torch.no_grad():
        found = prompt_fidelity(classifier or AttributeClassifier.from_pretrained(), images, prompts)
    judged = [share for share in found if share is not None]
    return sum(judged) / len(judged) if judged else None
