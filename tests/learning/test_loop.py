"""The loop: what crosses, what a merge gives, what a distilled student has learned."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.adapters import attach
from gainnet.learning.algorithms.algorithm import values_of
from gainnet.learning.algorithms.costs import whole_step_cost
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client, LocalTraining, cell_of
from gainnet.learning.loop import MERGES, Distillation, Edge, Loop, backhaul_of, distil, mixture_of, train_centrally
from gainnet.models.language import mean_loss, pack, small_decoder, word_tokenizer
from gainnet.models.language_text import write_texts
from gainnet.network import profile
from gainnet.radio import Ideal

LENGTH = 24
DOMAINS = ("cardiology", "oncology")
ROWS = {kind: pack(write_texts(kind, 16, 1), word_tokenizer(), LENGTH) for kind in (*DOMAINS, "public")}


def loop_of(model: Any, **changes: Any) -> Loop:
    air = (Ideal(),)
    edges = []
    for domain in DOMAINS:
        device = Client(NodeId(f"{domain}_0"), ROWS[domain])
        cell = cell_of((device.name,), profile("edge_l4"), profile("phone"), air, air)
        edges.append(Edge(NodeId(domain), (device,), cell))
    cost = whole_step_cost(attach(copy.deepcopy(model), "lora", 2), ROWS["public"][:4])
    growth = Fpl(model, edges[0].cell, LocalTraining("adamw", 2e-2, 6, 8), cost, "lora", 2, torch.float32)
    backhaul = backhaul_of([edge.name for edge in edges], profile("edge_a100"), profile("edge_l4"), Ideal())
    rest = {"rounds": 1, "growth": growth, "merge": "svd", "distillation": Distillation(10, 8, 3e-3)} | changes
    return Loop(edges=tuple(edges), backhaul=backhaul, public_rows=ROWS["public"], **rest)


@pytest.fixture(scope="module")
def trained() -> Any:
    cloud = small_decoder(16, 2, 2)
    train_centrally(cloud, ROWS["public"], 40, 8, 1e-2, Random.of(1))
    return cloud


@pytest.mark.slow
@pytest.mark.parametrize(
    "merge", ["svd", *(pytest.param(name, marks=pytest.mark.slow) for name in MERGES if name != "svd")]
)
def test_a_cycle_teaches_the_cloud_every_domain(merge: Any, trained: Any) -> None:
    cloud = copy.deepcopy(trained)
    before = values_of(cloud)
    after, experts, report = loop_of(cloud, merge=merge).cycle(cloud, Random.of(2))
    assert all(torch.equal(x, before[name]) for name, x in values_of(cloud).items())
    for domain in DOMAINS:
        assert mean_loss(experts[NodeId(domain)], ROWS[domain]) < mean_loss(cloud, ROWS[domain])
        assert mean_loss(after, ROWS[domain]) < mean_loss(cloud, ROWS[domain])
    assert {step.label.split(":")[0] for step in report.steps if step.num_bits} == {"weights", "adapters"}
    assert all(p.requires_grad for p in after.parameters())


@pytest.mark.slow
def test_one_edge_without_distillation_is_its_expert() -> None:
    cloud = small_decoder(16, 2, 2)
    loop = loop_of(cloud, distillation=Distillation(0))
    single = Loop(loop.edges[:1], 2, loop.growth, loop.backhaul, ROWS["public"], "svd", loop.distillation)
    after, experts, _ = single.cycle(cloud, Random.of(3))
    tokens = ROWS["cardiology"][:4]
    with torch.no_grad():
        difference = after(input_ids=tokens).logits - experts[NodeId("cardiology")](input_ids=tokens).logits
    assert float(difference.abs().max()) < 1e-4


def test_the_mixture_is_bayes_rule() -> None:
    experts = [small_decoder(16, 1, 2, random_seed=seed) for seed in (1, 2)]
    rows = ROWS["public"][:2, :5]
    mixture = mixture_of(experts, rows)
    with torch.no_grad():
        each = [expert(input_ids=rows).logits.softmax(-1).double() for expert in experts]
    for item in range(2):
        prior = [1.0, 1.0]
        for t in range(5):
            total = sum(prior)
            wanted = sum(w / total * p[item, t] for w, p in zip(prior, each, strict=True))
            torch.testing.assert_close(mixture[item, t].double(), wanted, rtol=0, atol=1e-6)
            if t < 4:
                prior = [w * float(p[item, t, rows[item, t + 1]]) for w, p in zip(prior, each, strict=True)]
    torch.testing.assert_close(mixture.sum(-1), torch.ones(2, 5), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_student_becomes_its_only_expert() -> None:
    expert, student = small_decoder(16, 1, 2, random_seed=1), small_decoder(16, 1, 2, random_seed=2)
    rows = ROWS["cardiology"]

    def distance() -> float:
        with torch.no_grad():
            p, q = (m(input_ids=rows).logits.log_softmax(-1) for m in (expert, student))
        return float((p.exp() * (p - q)).sum(-1).mean())

    train_centrally(expert, rows, 60, 8, 1e-2, Random.of(4))
    before = distance()
    distil(student, [expert], rows, Distillation(150, 8, 1e-2), Random.of(5))
    assert distance() < 0.15 * before


def test_what_cannot_be_merged_is_refused() -> None:
    cloud = small_decoder(16, 2, 2)
    with pytest.raises(ConfigError, match="merge: 'sum'"):
        loop_of(cloud, merge="sum")
    loop = loop_of(cloud)
    prompt = Fpl(cloud, loop.edges[0].cell, LocalTraining(), loop.growth.cost, "soft_prompt", 2)
    with pytest.raises(ConfigError, match="soft_prompt"):
        loop_of(cloud, growth=prompt)
