"""Colours by their place in the cycle of the style file, so that a style of the user's decides them, too."""

from collections.abc import Mapping
from typing import Final

BLUE, ORANGE, GREEN, RED, PURPLE = "C0", "C1", "C2", "C3", "C4"
SKY, BROWN, GREY, BLACK, INDIGO, OLIVE = "C5", "C6", "C7", "C8", "C9", "C10"

MARKER_OF: Final[Mapping[str, str]] = {
    BLUE: "o", ORANGE: "^", GREEN: "D", RED: "s", PURPLE: "v", SKY: "P", BROWN: "X", GREY: "*", BLACK: "x", INDIGO: "<",
    OLIVE: ">",
}  # fmt: skip
"""A marker of its own for every colour, so that a figure can be read in grey."""
