"""Files of pictures, as they come from clients and go to them."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from PIL import Image
from torch import Tensor

from gainnet.core.types import Spec
from gainnet.generation.picture import open_picture
from gainnet.service.provenance import mark, xmp_of

FORMATS: Final = ("png", "jpeg", "webp")


def encoded_picture(values: Tensor, kind: str, source: str | None = None) -> bytes:
    """A file of a picture.

    Args:
        values: [3, H, W], in [0, 1].
        kind: one of `FORMATS`.
        source: digital source type, which its XMP states; none where `None`.
    """
    pixels = (values.clamp(0.0, 1.0) * 255.0).round().to("cpu").permute(1, 2, 0).numpy().astype(np.uint8)
    file = io.BytesIO()
    # The fastest compression of PNG: half the time of a request outside of the networks went there, for 5 % of size.
    if kind == "png":
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        return file.getvalue() if source is None else mark(file.getvalue(), source)
    xmp = {} if source is None else {"xmp": xmp_of(source).encode()}
    Image.fromarray(pixels).save(file, kind.upper(), quality=95, **xmp)
    return file.getvalue()


def decoded_picture(content: bytes, image: Spec) -> Tensor:
    """[3, H, W] in [0, 1], a file of a client's as the model wants it; PNG, JPEG and WebP alone are tried.

    Args:
        content: of the file.
        image: shape of the model's pictures.

    Raises:
        ConfigError: it is no picture, or too large.
    """
    return open_picture(io.BytesIO(content), image)
