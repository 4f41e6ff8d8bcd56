"""The gallery of the emoji model: each sample beside the picture of its training that is nearest to it."""

from __future__ import annotations

import base64
import io
from textwrap import fill
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gainnet.studies.study import Row

QUALITY: Final = 85
"""Of the small WebP files in which pictures stand in a table: a sample takes 2 to 4 kB."""
NUM_COLUMNS: Final = 6
WIDTH: Final = 30
"""Characters of a caption that fit above a pair; tones stand at its end, so that it is broken and not cut."""


def gallery_row(caption: str, sample: Tensor, name: str, picture: Tensor, is_asked: bool) -> Row:
    """A sample and the nearest picture in a row of a table, so that the figure is drawn of the table alone.

    Args:
        caption: that was asked for.
        sample: [3, H, W], in [0, 1].
        name: of the picture of the training that is nearest to the sample.
        picture: [3, H, W], uint8, that picture.
        is_asked: whether it is the one that was asked for.
    """
    pixels = (sample * 255).round().byte()
    return {
        "caption": caption,
        "nearest": name,
        "is_asked": is_asked,
        "sample_webp": _text_of(pixels),
        "nearest_webp": _text_of(picture),
    }


def draw_gallery(rows: pd.DataFrame) -> Figure:
    """Pairs of sample and nearest picture; a pair whose nearest picture is another than the one asked for says so.

    Args:
        rows: of the method `gallery`.
    """
    num_columns = min(NUM_COLUMNS, len(rows))
    num_rows = -(-len(rows) // num_columns)
    # Pairs are twice as wide as high, and every pixel of theirs is shown once at least.
    figure = Figure(figsize=(2.1 * num_columns, 1.7 * num_rows + 0.6), dpi=130, layout="constrained")
    figure.suptitle("What is drawn (left), and the nearest picture of the training (right)", fontsize=11)
    figure.supxlabel("Nearest in features of EfficientNet-Lite0; named where it is not what was asked for.", fontsize=7)
    axes = list(figure.subplots(num_rows, num_columns, squeeze=False).flat)
    for ax in axes:
        ax.set_axis_off()
    for ax, (_, row) in zip(axes, rows.iterrows(), strict=False):
        pair = [_pixels_of(str(row[key])) for key in ("sample_webp", "nearest_webp")]
        ax.imshow(np.concatenate(pair, 1))
        held_out = "held out: " if row["half"] == "held_out" else ""
        ax.set_title(fill(held_out + str(row["caption"]), WIDTH), fontsize=7)
        if not bool(row["is_asked"]):
            # An axis label, unlike a text, takes part in the layout.
            ax.set_axis_on()
            ax.set(xticks=[], yticks=[], frame_on=False)
            ax.set_xlabel(fill(str(row["nearest"]).replace("-", " "), WIDTH), fontsize=6)
    return figure


def _text_of(pixels: Tensor) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, "WEBP", quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode()


def _pixels_of(text: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))
