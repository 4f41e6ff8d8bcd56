"""A picture file as red, green and blue, upright, whatever wrote it."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gainnet.core.errors import ConfigError

WHITE = (255, 255, 255)
WHITES: Final = {"I": (255.0, 4095.0, 65535.0), "F": (1.0, 255.0, 65535.0)}
"""White of deep greys by the first letter of Pillow's mode: 8, 12 (cameras) or 16 bits, and floats from 0 to 1."""
BRIGHT: Final = 0.99
"""Share of the values that white is to hold; what is above is clipped. Assumed."""
OF_PEERS = ("PNG", "JPEG", "WEBP")
"""Formats that are tried for what a peer sent: the fewer decoders it can reach, the better."""


def read_colours(source: Path | BytesIO) -> Image.Image:
    """A picture of any size in eight bits per colour: upright, on white.

    Args:
        source: the file; 16 bits per value, floats, palettes, grey and transparency are accepted; of a content that a
            peer sent only PNG, JPEG and WebP.

    Raises:
        ConfigError: the file is not there, is no picture, is cut off, or is larger than Pillow takes for harmless.
    """
    path, formats = (source, None) if isinstance(source, Path) else ("the file", OF_PEERS)
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a picture that would fill the memory.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            with Image.open(source, formats=formats) as file:
                # Cameras store how they were held beside the pixels.
                upright = ImageOps.exif_transpose(_eight_bits(file))
                return _on_white(upright)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ConfigError(f"image: {path} has too many pixels; give a smaller picture") from error
    except UnidentifiedImageError as error:
        raise ConfigError(f"image: {path} is no picture that can be read; give a PNG, JPEG or WebP file") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"image: {path} cannot be read ({reason}); give a PNG, JPEG or WebP file") from error


def _eight_bits(file: Image.Image) -> Image.Image:
    """Deep greys scaled to 8 bits, which Pillow would clip; anything else as it is."""
    if not file.mode.startswith(("I", "F")):
        return file
    values = np.nan_to_num(np.asarray(file, dtype=np.float64))
    # Not the largest value, since a single hot pixel or an infinite one would leave the rest black.
    bright = np.quantile(values, BRIGHT)
    white = next((white for white in WHITES[file.mode[0]] if bright <= white), WHITES[file.mode[0]][-1])
    scaled = np.clip(values / white, 0.0, 1.0)
    grey = Image.fromarray(np.rint(scaled * 255.0).astype(np.uint8))
    grey.info = dict(file.info)
    return grey


def _on_white(image: Image.Image) -> Image.Image:
    """Red, green and blue; what is transparent lies on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    paper = Image.new("RGBA", layered.size, (*WHITE, 255))
    return Image.alpha_composite(paper, layered).convert("RGB")
