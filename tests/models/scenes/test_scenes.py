"""Scenes: grammar, drawing and words."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from gainnet.models.scenes import (
    COLOURS,
    LAYOUTS,
    MAX_NUM_TOKENS,
    SETTINGS,
    SHAPES,
    SIZES,
    UNNAMED,
    Scene,
    Scenes,
    Thing,
    build_tokenizer,
    caption_labels,
    draw_scenes,
    has_pair,
    parse,
    render,
    scene_labels,
    stream,
    write_captions,
)
from gainnet.models.scenes.rendering import PALETTE
from gainnet.models.scenes.shapes import TABLE_REACH, TABLE_SIDE, distance_tables, polygon_distance
from gainnet.models.scenes.words import grammar_words


def one_scene(layout: str, things: list[tuple[str, str, str]], setting: str = "in the fog") -> Scenes:
    things = [*things, things[0]][:2]
    return Scenes(
        background=np.array([SETTINGS.index(setting)]),
        layout=np.array([LAYOUTS.index(layout)]),
        shape=np.array([[SHAPES.index(shape) for _, _, shape in things]]),
        colour=np.array([[COLOURS.index(colour) for _, colour, _ in things]]),
        size=np.array([[SIZES.index(size) for size, _, _ in things]]),
        nuisance=np.full((1, 24), 0.5, dtype=np.float32),
    )


def test_the_sentence_of_the_readme_is_in_the_grammar() -> None:
    things = (Thing("star", "red"), Thing("house", "blue"))
    assert parse("a red star above a blue house at sunset") == Scene(things, "vertical", "at sunset")


@pytest.mark.parametrize(
    ("caption", "first"),
    [
        ("a small red star below an orange house", "house"),
        ("A red star to the left of an orange house, in the snow.", "star"),
        ("at night there is a red star right of a small white boat", "boat"),
    ],
)
def test_the_first_thing_is_the_upper_or_the_left_one(caption: str, first: str) -> None:
    scene = parse(caption)
    assert scene is not None
    assert scene.things[0].shape == first


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a photo of my cat",
        "red star",
        "a red star above",
        "a red star at night at sunset",
        "at night a red star at night",
    ],
)
def test_other_text_is_not_in_the_grammar(caption: str) -> None:
    assert parse(caption) is None


def test_captions_say_what_the_scenes_hold() -> None:
    rng = stream(3, "test captions", 0)
    scenes = draw_scenes(2000, rng)
    captions = write_captions(scenes, rng)
    named, truth = caption_labels([parse(caption) for caption in captions]), scene_labels(scenes)
    asked = named != UNNAMED
    assert torch.equal(named[asked], truth[asked])
    # shape, colour and layout are always said, size and setting mostly
    assert bool((asked[:, [1, 2, 3]]).all())
    assert 0.5 < asked[:, 4].float().mean() < 0.7
    assert 0.9 < asked[:, 0].float().mean() < 1


def test_articles_fit_their_words() -> None:
    rng = stream(4, "test articles", 0)
    words = [caption.split() for caption in write_captions(draw_scenes(500, rng), rng)]
    pairs = [pair for caption in words for pair in pairwise(caption)]
    assert all((article == "an") == (word[0] in "aeiou") for article, word in pairs if article in ("a", "an"))
    assert any(article == "an" for article, _ in pairs)


def test_scenes_depend_on_the_random_seed_alone() -> None:
    first, again = (draw_scenes(8, stream(5, "test", 1)) for _ in range(2))
    other = draw_scenes(8, stream(5, "test", 2))
    assert torch.equal(render(first), render(again))
    assert not torch.equal(render(first), render(other))


def test_a_batch_is_drawn_like_its_items() -> None:
    scenes = draw_scenes(12, stream(6, "test", 0))
    alone = torch.cat([render(scenes[k : k + 1]) for k in range(12)])
    assert torch.allclose(render(scenes), alone, atol=1e-6)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_square_has_its_colour_in_its_middle(colour: str) -> None:
    picture = render(one_scene("single", [("large", colour, "square")]))[0]
    expected = torch.tensor(PALETTE[COLOURS.index(colour)]) / 255
    assert torch.allclose(picture[:, 64, 64], (expected * (1.04 - 0.12 * 64.5 / 128)).clamp(max=1), atol=1e-3)


def test_layouts_put_the_first_thing_up_or_left() -> None:
    red, blue = ("large", "red", "circle"), ("large", "blue", "circle")
    up_down = render(one_scene("vertical", [red, blue]))[0]
    left_right = render(one_scene("horizontal", [red, blue]))[0]
    assert up_down[0, 33, 64] > up_down[2, 33, 64]
    assert up_down[2, 95, 64] > up_down[0, 95, 64]
    assert left_right[0, 64, 33] > left_right[2, 64, 33]
    assert left_right[2, 64, 95] > left_right[0, 64, 95]


def test_sizes_are_far_apart() -> None:
    areas = {}
    for size in SIZES:
        picture = render(one_scene("single", [(size, "red", "square")], "at night"))
        areas[size] = float((picture[:, 0] > picture[:, 2] + 0.3).sum())
    assert areas["large"] > 1.7 * areas["small"]


def test_pictures_are_between_black_and_white() -> None:
    pictures = render(draw_scenes(64, stream(7, "test", 0)))
    assert pictures.shape == (64, 3, 128, 128)
    assert float(pictures.min()) >= 0
    assert float(pictures.max()) <= 1


@pytest.mark.slow
def test_every_thing_stands_out_from_every_background() -> None:
    for setting in SETTINGS:
        for colour in COLOURS:
            with_thing = render(one_scene("single", [("large", colour, "circle")], setting))
            without = render(one_scene("horizontal", [("small", colour, "moon")] * 2, setting))
            assert float((with_thing - without)[0, :, 60:68, 60:68].abs().sum(0).mean()) > 0.15, (setting, colour)


def test_polygon_distance_is_that_of_a_circle_with_many_corners() -> None:
    corners = [(math.cos(2 * math.pi * k / 256), math.sin(2 * math.pi * k / 256)) for k in range(256)]
    points = torch.from_numpy(stream(8, "test", 0).uniform(-2, 2, (500, 2))).float()
    expected = torch.linalg.vector_norm(points, dim=-1) - 1
    assert torch.allclose(polygon_distance(points, corners), expected, atol=2e-4)


def test_polygon_distance_counts_crossings_like_a_ray() -> None:
    corners = [(0.0, -1.0), (0.3, 0.0), (1.0, 0.2), (0.2, 0.4), (-0.8, 1.0), (-0.3, 0.1)]
    points = torch.from_numpy(stream(9, "test", 0).uniform(-1.2, 1.2, (400, 2))).float()
    inside = polygon_distance(points, corners) < 0
    for point, is_inside in zip(points.tolist(), inside.tolist(), strict=True):
        crossings = 0
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            if (y0 > point[1]) != (y1 > point[1]) and point[0] < x0 + (point[1] - y0) * (x1 - x0) / (y1 - y0):
                crossings += 1
        assert (crossings % 2 == 1) == is_inside


def test_shapes_cover_a_fair_area_and_end_inside_their_table() -> None:
    inside = distance_tables() < 0
    shares = inside.float().mean((1, 2)) * (2 * TABLE_REACH) ** 2
    assert bool((shares > 0.9).all()), dict(zip(SHAPES, shares.tolist(), strict=True))
    border = torch.ones(TABLE_SIDE, TABLE_SIDE, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert not bool((inside & border).any())


def test_words_are_single_tokens_and_captions_fit() -> None:
    tokenizer = build_tokenizer()
    assert all(tokenizer.tokenize(word) == [f"{word}</w>"] for word in grammar_words())
    rng = stream(10, "test words", 0)
    captions = write_captions(draw_scenes(500, rng), rng)
    lengths = [len(tokenizer(caption).input_ids) for caption in captions]
    assert max(lengths) < MAX_NUM_TOKENS
    spelled = tokenizer("zebra").input_ids
    assert spelled[0] == tokenizer.bos_token_id
    assert spelled[-1] == tokenizer.eos_token_id
    assert len(spelled) > 3
    assert (
        tokenizer.decode(tokenizer(captions[0]).input_ids, skip_special_tokens=True).replace(" ,", ",") == captions[0]
    )


def test_pairs_are_found_among_visible_things() -> None:
    scenes = draw_scenes(3000, stream(11, "test", 0))
    pairs = [("red", "star"), ("white", "boat")]
    found = has_pair(scenes, pairs)
    for k in range(3000):
        for slot in range(2):
            pair = (COLOURS[scenes.colour[k, slot]], SHAPES[scenes.shape[k, slot]])
            visible = slot == 0 or LAYOUTS[scenes.layout[k]] != "single"
            assert found[k, slot] == (visible and pair in pairs)
    assert found.any()


def test_a_first_picture_in_half_precision_spoils_none_after_it() -> None:
    scenes = draw_scenes(4, stream(1, "precision", 0))
    distance_tables.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        first = render(scenes)
    distance_tables.cache_clear()
    assert torch.equal(first, render(scenes))
