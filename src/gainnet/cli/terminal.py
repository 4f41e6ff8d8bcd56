"""Pictures in a terminal: two pixels a character, in colour where the terminal has it."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image
from rich.console import Console
from rich.text import Text

MOST_COLUMNS: Final = 64
"""Widest picture: 64 columns of half characters show the 128 pixels of the shipped model by halves."""
_GREYS: Final = " .:-=+*#%@"


def show_picture(png: bytes, console: Console | None = None) -> None:
    """Prints a picture on standard output.

    Args:
        png: a picture file.
        console: where to; standard output when `None`.
    """
    here = console or Console(highlight=False)
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    width = min(MOST_COLUMNS, here.width)
    height = max(2, 2 * round(width * picture.height / picture.width / 2))
    small = picture.resize((width, height), Image.Resampling.LANCZOS)
    # A character is about twice as high as it is wide, so that it stands for two pixels.
    for row in range(0, height, 2):
        here.print(_in_greys(small, row) if here.color_system is None else _in_colour(small, row), soft_wrap=True)


def _in_colour(picture: Image.Image, row: int) -> Text:
    line = Text()
    for column in range(picture.width):
        upper, lower = (picture.getpixel((column, y)) for y in (row, row + 1))
        line.append("▀", style=f"rgb{upper} on rgb{lower}".replace(" ", "").replace("on", " on "))
    return line


def _in_greys(picture: Image.Image, row: int) -> Text:
    grey = picture.convert("L").crop((0, row, picture.width, row + 2)).resize((picture.width, 1), Image.Resampling.BOX)
    return Text("".join(_GREYS[value * len(_GREYS) // 256] for value in grey.tobytes()))
