"""Completing a map of edges draws what the prompt says where the edges are."""

import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.completing import completion_of_edges, keep_to_edges
from gainnet.models.loading import load_model
from gainnet.models.sketches import edge_sketch
from gainnet.testing import check_part

PROMPTS = [
    "a red star above a blue house at sunset",
    "a green tree in the snow",
    "a yellow boat",
    "a red moon at night",
]


def run(parts, random, tensors):
    for part in parts:
        with torch.no_grad():
            tensors = tensors | part({key: tensors[key] for key in part.reads}, random)
    return tensors


def overlap(a, b):
    """Sorensen's index of two maps."""
    return 2 * float((a * b).sum()) / float(a.sum() + b.sum())


@pytest.mark.slow
def test_the_contract_and_the_price_of_a_gradient(small_stable_diffusion):
    model, random = load_model(str(small_stable_diffusion), num_steps=4), Random.of([1, 2])
    sketcher = edge_sketch(model.image, factor=2)
    tensors = {"clean": random.normal(model.latent.shape, "clean")}
    tensors |= {"sketch": (random.uniform(sketcher.writes["sketch"].shape, "sketch") > 0.9).float()}
    keep = keep_to_edges(model.decoder, 2)
    check_part(keep, tensors, random)
    assert keep.flops == pytest.approx(2 * model.decoder.flops, rel=0.05)


@pytest.mark.slow
def test_edges_are_drawn_where_they_were_received():
    model, random = load_model("scenes"), Random.of([1, 2, 3, 4])
    edge = run(model.parts, random, {"prompt": text_to_tensor(PROMPTS)})
    sketcher = edge_sketch(model.image)
    sketch = sketcher(edge, random)["sketch"]
    given = {"condition": edge["condition"], "sketch": sketch}
    completed = run(completion_of_edges(model, sketcher.writes["sketch"]), random, given)
    alone = run((model.prior, model.denoiser, model.decoder), random.child("completing"), given)
    ours, theirs = (overlap(sketcher(made, random)["sketch"], sketch) for made in (completed, alone))
    assert ours > theirs + 0.1
