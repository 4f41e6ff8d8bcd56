"""Sketches of outlines: what their codec carries decides what is drawn and how it is completed."""

from __future__ import annotations

import pytest
import torch

from gainnet.catalog import GenerationConfig
from gainnet.catalog.opening import open_request
from gainnet.codecs import EdgeMap
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec
from gainnet.models.completing import keep_to_edges
from gainnet.models.loading import load_model
from gainnet.network import DEVICE, edge_names
from gainnet.protocols import execute, pricing
from gainnet.protocols.sketching import sketcher
from gainnet.testing import check_plan
from plan_desk import RANDOM, Desk, ideal, small_desk


@pytest.fixture(scope="module")
def desk(small_stable_diffusion) -> Desk:
    return small_desk(small_stable_diffusion, lossless=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_edges"),
    [*(pytest.param(*case, marks=pytest.mark.slow) for case in (("esuc", 1), ("dcsuc", 2))), ("dsuc", 2)],
)
def test_outlines_are_sent_and_completed_as_plans_run(desk: Desk, name: str, num_edges: int) -> None:
    plan = desk.plan(name, num_edges, sketch=EdgeMap())
    with torch.inference_mode():
        places, report = execute(plan, desk.inputs(False), ideal(num_edges), RANDOM, pricing("sd15"))
    image, sketch = places[plan.result], places[DEVICE, "sketch"]
    assert image.shape == (2, *desk.model.image.shape)
    assert bool(torch.isfinite(image).all())
    assert sketch.shape[1:] == (1, 16, 16)
    if plan.reference is not None:
        drawn = sketcher(desk.model, EdgeMap())({"image": places[plan.reference]}, RANDOM)["sketch"]
        assert torch.equal(sketch, drawn)
    upper = sum(EdgeMap().size(Spec(tuple(x.shape[1:]))).upper for x in _pieces(places, num_edges, name))
    assert 0 < report.num_bits_of("down") <= 2 * upper


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num_edges"), [("esuc", 1), ("dsuc", 2), ("dcsuc", 2)])
def test_plans_with_outlines_keep_the_contract(small_stable_diffusion, name: str, num_edges: int) -> None:
    desk = small_desk(small_stable_diffusion, num_steps=2)
    plan = desk.plan(name, num_edges, sketch=EdgeMap())
    check_plan(plan, ideal(num_edges), desk.inputs(False), RANDOM, pricing("sd15"))


def _pieces(places, num_edges: int, name: str) -> list[torch.Tensor]:
    if name != "dsuc":
        return [places[DEVICE, "sketch"]]
    return [places[edge, f"sketch_{k}"] for k, edge in enumerate(edge_names(num_edges), 1)]


def test_keeping_to_edges_is_the_same_in_inference_mode(desk: Desk) -> None:
    keep = keep_to_edges(desk.model.decoder, 1)
    clean = RANDOM.normal(desk.model.latent.shape, "clean")
    sketch = (RANDOM.uniform((1, 16, 16), "sketch") > 0.8).float()
    outside = keep({"clean": clean, "sketch": sketch}, RANDOM)["clean"]
    with torch.inference_mode():
        inside = keep({"clean": clean + 0.0, "sketch": sketch + 0.0}, RANDOM)["clean"]
    assert torch.equal(inside, outside)
    assert not outside.requires_grad
    assert float((outside - clean).flatten(1).norm(dim=1).min()) > 1.0


@pytest.mark.slow
def test_outlines_are_asked_for_by_name() -> None:
    config = GenerationConfig(("a red star",), "esuc", num_steps=2, codec={"sketch": "edges"}, num_candidates=1)
    model = load_model("scenes", num_steps=2)
    made, priced = open_request(config, model).generate(), open_request(config, model).estimate()
    assert isinstance(made.codecs["sketch"], EdgeMap)
    assert made.values.shape == (1, 3, 128, 128)
    assert made.report.delivered
    assert made.report.nodes[DEVICE].flops == pytest.approx(priced.nodes[DEVICE].flops)
    uses = GenerationConfig(("a red star",), "esuc", num_steps=2, codec={"sketch": "edges"}, num_channel_uses=100)
    with pytest.raises(ConfigError, match="num_channel_uses"):
        open_request(uses, model).generate()


def test_candidates_are_refused_where_nobody_draws_them() -> None:
    config = GenerationConfig(("a red star",), "eiug", num_steps=2, num_candidates=2)
    with pytest.raises(ConfigError, match="num_candidates: eiug has no use"):
        open_request(config, load_model("scenes", num_steps=2)).estimate()


@pytest.mark.slow
def test_the_random_stream_of_completing_outlines_is_the_devices(desk: Desk) -> None:
    plan = desk.plan("esuc", sketch=EdgeMap())
    one, other = (
        execute(plan, desk.inputs(False), ideal(), Random.of(seeds), pricing("sd15"))[0][plan.result]
        for seeds in ([7, 8], [7, 9])
    )
    assert torch.equal(one[0], other[0])
    assert not torch.allclose(one[1], other[1])
