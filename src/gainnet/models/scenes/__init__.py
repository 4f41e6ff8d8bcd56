"""The scenes that the shipped model draws: attributes, captions, pictures and words.

Only their description and rendering is here; the networks that generate and judge them are in `models`.
"""

from gainnet.models.scenes.captions import Scene, Thing, parse, write_captions
from gainnet.models.scenes.counting import count_things
from gainnet.models.scenes.labels import ATTRIBUTES, UNNAMED, caption_labels, scene_labels
from gainnet.models.scenes.rendering import PLAIN, STICKERS, Style, render
from gainnet.models.scenes.scene import (
    COLOURS,
    LAYOUTS,
    SETTINGS,
    SHAPES,
    SIZES,
    Pair,
    Scenes,
    draw_scenes,
    has_pair,
    stream,
)
from gainnet.models.scenes.words import MAX_NUM_TOKENS, build_tokenizer

__all__ = [
    "ATTRIBUTES",
    "COLOURS",
    "LAYOUTS",
    "MAX_NUM_TOKENS",
    "PLAIN",
    "SETTINGS",
    "SHAPES",
    "SIZES",
    "STICKERS",
    "UNNAMED",
    "Pair",
    "Scene",
    "Scenes",
    "Style",
    "Thing",
    "build_tokenizer",
    "caption_labels",
    "count_things",
    "draw_scenes",
    "has_pair",
    "parse",
    "render",
    "scene_labels",
    "stream",
    "write_captions",
]
