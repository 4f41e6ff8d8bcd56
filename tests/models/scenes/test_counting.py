"""Things are counted as they are drawn: apart, grown together, of two parts, and not where nothing tells them."""

import pytest
import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.generation.quality import counted_fidelity
from gainnet.models.loading import load_model
from gainnet.models.scenes import count_things, draw_scenes, parse, render, stream, write_captions


def counted(picture: Tensor, caption: str) -> int | None:
    scene = parse(caption)
    assert scene is not None
    return count_things(picture, scene)


@pytest.mark.slow
def test_what_is_drawn_is_counted() -> None:
    scenes = draw_scenes(120, stream(11, "counting", 0))
    captions = write_captions(scenes, stream(11, "counting captions", 0))
    pairs = [
        (counted(picture, caption), parse(caption)) for picture, caption in zip(render(scenes), captions, strict=True)
    ]
    judged = [(n, len(scene.things)) for n, scene in pairs if scene is not None and n is not None]
    assert len(judged) > 80
    assert sum(n != named for n, named in judged) <= 1
    assert all(n is None for n, scene in pairs if scene and "white" in {thing.colour for thing in scene.things})


@pytest.mark.slow
def test_two_that_have_grown_together_are_two() -> None:
    scenes = draw_scenes(200, stream(12, "counting", 0))
    captions = write_captions(scenes, stream(12, "counting captions", 0))
    pictures, num_seen = render(scenes), 0
    for picture, caption in zip(pictures, captions, strict=True):
        scene = parse(caption)
        if scene is None or scene.layout != "single" or scene.things[0].colour != "blue":
            continue
        num_seen += 1
        # A second one, over the edge of the first: every pixel is the bluer of both.
        shifted = picture.roll(32, -1)
        more = (shifted[2] - shifted[0]) > (picture[2] - picture[0])
        assert counted(torch.where(more, shifted, picture), caption) == 2, caption
    assert num_seen > 3


@pytest.mark.slow
def test_h2_the_stars_that_are_two_halve_the_fidelity() -> None:
    model, random = load_model("scenes"), Random.of(range(4))
    tensors = dict(model.prior({}, random)) | {"prompt": text_to_tensor(["a red star"] * 4)}
    with torch.inference_mode():
        tensors |= model.text_encoder(tensors, random)
        images = model.decoder(dict(model.denoiser(tensors, random)), random)["image"]
    shares = [counted_fidelity(image[None], ["a red star"]) for image in images]
    assert shares == [0.5, 0.5, 1.0, 1.0]
