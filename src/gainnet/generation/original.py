"""The picture that image-to-image changes, and how much of it a model can keep at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.generation.quality import psnr_db
from gainnet.models.diffusion import DiffusionModel


@final
@dataclass(frozen=True, eq=False)
class Original:
    """A picture of the device's, beside what the model's autoencoder alone leaves of it.

    picture --image encoder--> latent --decoder--> kept

    It is the limit of the model, before any step of the denoiser and any channel: finer details cannot come back.

    Args:
        picture: [3, H, W], in [0, 1].
        kept: [3, H, W], in [0, 1].
        kept_psnr_db: of `kept` against the picture, dB; `None` when exact.
        psnr_db: of the received pictures against it, dB of the mean error; `None` when exact.
    """

    picture: Tensor
    kept: Tensor
    kept_psnr_db: float | None
    psnr_db: float | None


def original_of(picture: Tensor | None, model: DiffusionModel, images: Tensor) -> Original | None:
    """The original of a generation; `None` for text-to-image.

    Args:
        picture: [3, H, W], in [0, 1], the device's.
        model: whose autoencoder is measured.
        images: [num_items, 3, H, W], in [0, 1], as received.
    """
    if picture is None:
        return None
    # Nothing is drawn: the encoder gives the mode of its posterior.
    random = Random.of([0])
    latent = model.image_encoder({"image": picture[None]}, random)
    kept = model.decoder(latent, random)["image"][0]
    return Original(picture, kept, psnr_db(kept, picture), psnr_db(images, picture.expand_as(images)))
