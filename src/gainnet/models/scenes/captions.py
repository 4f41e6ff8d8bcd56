"""The grammar of captions: from scenes to sentences and from sentences back to attributes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

import numpy as np

from gainnet.models.scenes.scene import COLOURS, LAYOUTS, SETTINGS, SHAPES, SIZES, Scenes

SHARE_OF_SAID_SIZES = 0.6
SHARE_OF_SAID_SETTINGS = 0.95

# phrase -> (layout, whether the thing named first is the first one of the scene)
RELATIONS = {
    "above": ("vertical", True),
    "over": ("vertical", True),
    "below": ("vertical", False),
    "under": ("vertical", False),
    "to the left of": ("horizontal", True),
    "left of": ("horizontal", True),
    "to the right of": ("horizontal", False),
    "right of": ("horizontal", False),
}
FORMS = ("{things} {setting}", "{things}, {setting}", "a picture of {things} {setting}", "{setting} there is {things}")


@final
@dataclass(frozen=True)
class Thing:
    """One named thing; `size` is None where the caption leaves it open."""

    shape: str
    colour: str
    size: str | None = None


@final
@dataclass(frozen=True)
class Scene:
    """The attributes that a caption names; the first of two things is the upper or the left one.

    Args:
        things: one or two things.
        layout: one of `LAYOUTS`.
        setting: one of `SETTINGS`, or None where the caption leaves it open.
    """

    things: tuple[Thing, ...]
    layout: str
    setting: str | None = None


def _thing_words(scenes: Scenes, item: int, slot: int, say_size: bool) -> str:
    words = [COLOURS[scenes.colour[item, slot]], SHAPES[scenes.shape[item, slot]]]
    if say_size:
        words.insert(0, SIZES[scenes.size[item, slot]])
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words])


def _things_words(scenes: Scenes, item: int, choices: np.ndarray) -> str:
    sizes = [bool(choices[slot] < SHARE_OF_SAID_SIZES) for slot in range(2)]
    layout = LAYOUTS[scenes.layout[item]]
    if layout == "single":
        return _thing_words(scenes, item, 0, sizes[0])
    # All words of a layout, also those that name the second thing first: order of words must not give the place away.
    relations = [relation for relation, (kind, _) in RELATIONS.items() if kind == layout]
    relation = relations[int(choices[2] * len(relations))]
    things = [_thing_words(scenes, item, slot, sizes[slot]) for slot in range(2)]
    first, second = things if RELATIONS[relation][1] else reversed(things)
    return f"{first} {relation} {second}"


def write_captions(scenes: Scenes, rng: np.random.Generator) -> list[str]:
    """One sentence per scene, its form, relation word and the attributes left open drawn at random.

    Args:
        scenes: the scenes to describe.
        rng: where the choices come from.

    >>> from gainnet.models.scenes.scene import draw_scenes, stream
    >>> rng = stream(2, "doctest", 0)
    >>> write_captions(draw_scenes(1, rng), rng)
    ['...']
    """
    # Five numbers per scene whether they are used or not, so that the caption of a scene does not depend on the others.
    choices = rng.random((len(scenes), 5))
    captions = []
    for item in range(len(scenes)):
        things = _things_words(scenes, item, choices[item])
        setting = SETTINGS[scenes.background[item]]
        form = FORMS[int(choices[item, 4] * len(FORMS))]
        said = choices[item, 3] < SHARE_OF_SAID_SETTINGS
        captions.append(form.format(things=things, setting=setting) if said else things)
    return captions


_THING = rf"an? (?:({'|'.join(SIZES)}) )?({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})"
_SETTING = rf"({'|'.join(SETTINGS)})"
_CAPTION = re.compile(
    rf"(?:{_SETTING} )?(?:there is )?(?:a (?:picture|drawing) of )?"
    rf"{_THING}(?: (?:is )?({'|'.join(RELATIONS)}) {_THING})?(?: {_SETTING})?"
)


def parse(caption: str) -> Scene | None:
    """The attributes that a caption names, or None where it is not of the grammar.

    Case, commas and full stops do not matter.

    >>> parse("a red star above a blue house at sunset").things[1]
    Thing(shape='house', colour='blue', size=None)
    >>> parse("a photo of my cat") is None
    True
    """
    words = " ".join(re.sub(r"[.,!]", " ", caption.lower()).split())
    match = _CAPTION.fullmatch(words)
    if match is None:
        return None
    before, size, colour, shape, relation, other_size, other_colour, other_shape, after = match.groups()
    # The expression allows a setting on both ends, which no sentence of the grammar has.
    if before and after:
        return None
    thing = Thing(shape, colour, size)
    if relation is None:
        return Scene((thing,), "single", before or after)
    layout, in_order = RELATIONS[relation]
    other = Thing(other_shape, other_colour, other_size)
    return Scene((thing, other) if in_order else (other, thing), layout, before or after)
