"""Nodes that walk a plan on their own, with only payloads between them, make the tensors and the report of one run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Queue

import pytest
import torch
from torch import Tensor

from gainnet.codecs import MatchedSeed
from gainnet.core.report import Report
from gainnet.core.types import NodeId, Place, Spec, Usage
from gainnet.network import Network, cell, profile
from gainnet.protocols import PROTOCOLS, Compute, Plan, Transfer, execute, pricing
from gainnet.protocols.ledger import Ledger
from gainnet.protocols.run import receive, recover, send
from gainnet.protocols.transmit import SendCount, Sent
from gainnet.protocols.walk import Failure, dead_at, walk
from gainnet.radio import Air, Analog, Digital, Rayleigh, Tabulated
from plan_desk import RANDOM, SEVERAL, Desk, small_desk

PRICING = pricing("sd15")
PATIENCE_S = 60.0


@dataclass
class Walker:
    """One node: what it knows is the plan, its own tensors and what its queues bring."""

    me: NodeId
    network: Network
    queues: Mapping[tuple[NodeId, NodeId], Queue[Sent | None]]
    at: dict[Place, Tensor]
    count: SendCount = field(default_factory=SendCount)
    booked: dict[int, tuple[Compute | Transfer, Sequence[Usage]]] = field(default_factory=dict)

    def walk(self, plan: Plan, specs: Mapping[Place, Spec], failures: Sequence[Failure], start: int) -> None:
        def compute(index: int, step: Compute, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            self.booked[index] = step, ()
            return step.part(tensors, RANDOM)

        def carry(index: int, step: Transfer, x: Tensor | None) -> Mapping[Place, Tensor]:
            if step.source != self.me:
                frame = self.queues[step.source, self.me].get(timeout=PATIENCE_S)
                if frame is None:
                    return {}
                spec = specs[step.source, step.tensor]
                return {(self.me, step.arrives_as or step.tensor): receive(step, frame, spec)}
            if x is None:
                for target in step.targets:
                    self.queues[self.me, target].put(None)
                return {}
            sent = send(step, x, self.network, RANDOM, self.count)
            self.booked[index] = step, [one.usage for one in sent]
            for target, one in zip(step.targets, sent, strict=True):
                self.queues[self.me, target].put(deepcopy(one))
            return {}

        with torch.no_grad():
            self.at = walk(plan, (self.me,), self.at, compute, carry, failures, start)


def served(
    plan: Plan, inputs: Mapping[Place, Tensor], network: Network, failures: Sequence[Failure] = ()
) -> tuple[dict[Place, Tensor], Report]:
    """As `execute`, with a thread per node."""
    queues: Mapping[tuple[NodeId, NodeId], Queue[Sent | None]] = defaultdict(Queue)
    walkers = [
        Walker(node, network, queues, {p: x for p, x in inputs.items() if p[0] == node}) for node in network.nodes
    ]
    ledger, index, at = Ledger(network, PRICING, RANDOM.num_items), 0, dict(inputs)
    while True:
        specs = plan.check(network, {place: Spec(tuple(x.shape[1:])) for place, x in at.items()})
        with ThreadPoolExecutor(len(walkers)) as threads:
            for done in [threads.submit(walker.walk, plan, specs, failures, index) for walker in walkers]:
                done.result(timeout=PATIENCE_S)
        booked = {k: entry for walker in walkers for k, entry in walker.booked.items() if k >= index}
        for k in sorted(booked):
            step, usages = booked[k]
            if isinstance(step, Compute):
                ledger.computed(step)
            else:
                ledger.sent(step, usages)
        index += len(plan.steps)
        gone = dead_at(failures, index)
        at = {place: x for walker in walkers for place, x in walker.at.items() if walker.me not in gone}
        if plan.result in at:
            return at, ledger.report()
        plan = recover(plan, at, inputs, gone, ledger)


@pytest.fixture(scope="module")
def desk(small_stable_diffusion: Path) -> Desk:
    return small_desk(small_stable_diffusion, num_steps=2)


SERVED_FAST = ("eiug",)
"""Two more protocols are served in the tests below, and several edges as processes in those of the service."""


def over_the_air(num_edges: int, codewords: type[Digital | Tabulated]) -> Network:
    bearers = codewords(Air(Rayleigh(), 18.0)), Analog(Air(Rayleigh(), 18.0))
    return cell(profile("edge_a100"), profile("laptop"), bearers, bearers, num_edges)


def check_served(
    plan: Plan,
    desk: Desk,
    num_edges: int,
    failures: Sequence[Failure] = (),
    picture: bool = False,
    codewords: type[Digital | Tabulated] = Digital,
) -> None:
    inputs, network = desk.inputs(picture), over_the_air(num_edges, codewords)
    with torch.no_grad():
        simulated, report = execute(plan, inputs, network, RANDOM, PRICING, failures)
    tensors, told = served(plan, inputs, network, failures)
    dead = {node for node, _ in failures}
    alive = {place: x for place, x in simulated.items() if place[0] not in dead}
    assert {place for place in tensors if place[0] not in dead} == set(alive)
    assert all(torch.equal(tensors[place], x) for place, x in alive.items())
    # Walkers without a conductor have no one place from which both drafts are seen; a device adds that to its report.
    unwatched = replace(report, steps=tuple(replace(step, wall_s=None) for step in report.steps), drafts_differ=None)
    assert told == unwatched


@pytest.mark.parametrize(
    "name", [name if name in SERVED_FAST else pytest.param(name, marks=pytest.mark.slow) for name in PROTOCOLS]
)
def test_served_equals_simulated(name: str, desk: Desk) -> None:
    num_edges = 2 if name in SEVERAL else 1
    check_served(desk.plan(name, num_edges), desk, num_edges)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOCOLS)
def test_served_equals_simulated_from_a_picture(name: str, desk: Desk) -> None:
    num_edges = 3 if name in SEVERAL else 1
    check_served(desk.plan(name, num_edges, 0.7), desk, num_edges, picture=True)


def test_a_matched_hand_over_is_served(desk: Desk) -> None:
    check_served(desk.plan("ciag", midway=MatchedSeed()), desk, 1)


def test_a_death_is_survived_alike(desk: Desk) -> None:
    # Every death is tried with real codewords below; a table decides about these, in a quarter of the time.
    check_served(desk.plan("uidcg", 2), desk, 2, ((NodeId("edge_2"), 7),), codewords=Tabulated)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("index", [0, 2, 7])
def test_every_death_is_survived_alike(name: str, index: int, desk: Desk) -> None:
    check_served(desk.plan(name, 2), desk, 2, ((NodeId("edge_2"), index),))
