"""A picture file as the model wants it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from gainnet.codecs.picture_file import read_colours
from gainnet.core.types import Spec


def open_picture(source: Path | BytesIO, image: Spec) -> Tensor:
    """[3, H, W] in [0, 1]: any picture that Pillow reads, upright, on white, cut to shape around its centre.

    Args:
        source: the file; of a content that a peer sent only PNG, JPEG and WebP.
        image: shape of the model's pictures.

    Raises:
        ConfigError: the file is not there, is no picture, is cut off, or is larger than Pillow takes for harmless.
    """
    return fit_picture(read_colours(source), image)


def fit_picture(picture: Image.Image, image: Spec) -> Tensor:
    """[3, H, W] in [0, 1]: a picture cut to shape around its centre.

    Args:
        picture: in RGB.
        image: shape of the model's pictures.
    """
    _, height, width = image.shape
    fitted = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted, dtype=np.float32) / 255.0).permute(2, 0, 1).contiguous()
