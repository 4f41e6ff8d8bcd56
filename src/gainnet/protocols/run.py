"""Run a plan, or only price it: the same report either way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import GainnetError, NodeFailedError, PayloadError, PlanError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import Bits, NodeId, Payload, Place, Size, Spec, Usage
from gainnet.network.network import Network
from gainnet.protocols.deadline import expected_in_time, send_in_time
from gainnet.protocols.ledger import Ledger, Timeline, check_memory
from gainnet.protocols.plan import Compute, Plan, Step, Transfer
from gainnet.protocols.pricing import SHIPPED, Pricing

Failure = tuple[NodeId, int]
"""A node that is dead from this step index on, counted over the plan and its fallbacks."""

Watch = Callable[[str], None]
"""Called with the label of each step before it starts."""

NUM_COURSES = 1000


def execute(
    plan: Plan,
    inputs: Mapping[Place, Tensor],
    network: Network,
    random: Random,
    pricing: Pricing = SHIPPED,
    failures: Sequence[Failure] = (),
    watch: Watch = lambda label: None,
) -> tuple[dict[Place, Tensor], Report]:
    """What is where after a plan really ran, and what it cost.

    Args:
        plan: what runs where and what is sent.
        inputs: tensors that are there at the start, [*batch, ...] with the batch of `random`.
        network: nodes and links.
        random: streams of the items; noise is keyed by (item, link, tensor, how often it was sent before).
        pricing: what parts are priced as.
        failures: nodes that die before a step.
        watch: called before each step.

    Raises:
        PlanError: the plan does not fit the network or the inputs.
        NodeFailedError: a node died and no fallback reaches the result.
    """
    specs = {place: _spec(place, x, random) for place, x in inputs.items()}
    run = _Run(network, random, pricing, tuple(failures), watch, dict(inputs))
    pending: Plan | None = plan
    while pending is not None:
        current, pending = pending, None
        current.check(network, specs)
        check_memory(current, network, pricing)
        for step in current.steps:
            run.take(step)
        if current.result not in run.alive():
            pending = run.after_failure(current)
            specs = {place: _spec(place, x, random) for place, x in run.at.items()}
    return run.at, run.ledger.report()


@final
@dataclass
class _Run:
    """Tensors by place while a plan runs."""

    network: Network
    random: Random
    pricing: Pricing
    failures: tuple[Failure, ...]
    watch: Watch
    at: dict[Place, Tensor]
    index: int = 0
    survived: set[NodeId] = field(default_factory=set)
    num_sent: Counter[tuple[NodeId, NodeId, str]] = field(default_factory=Counter)
    ledger: Ledger = field(init=False)
    given: frozenset[Place] = field(init=False)

    def __post_init__(self) -> None:
        self.given = frozenset(self.at)
        self.ledger = Ledger(self.network, self.pricing, self.random.num_items)

    def take(self, step: Step) -> None:
        """Run one step, unless its node is dead or its input never came."""
        alive, dead = self.alive(), self.dead()
        self.index += 1
        if any(place not in alive for place in step.needs):
            return
        self.watch(step.label)
        match step:
            case Compute(node, _) if node not in dead:
                self._compute(step)
            case Transfer() if any(target not in dead for target in step.targets):
                self._transfer(step)

    def dead(self) -> set[NodeId]:
        return {node for node, index in self.failures if index <= self.index}

    def alive(self) -> dict[Place, Tensor]:
        dead = self.dead()
        return {place: x for place, x in self.at.items() if place[0] not in dead}

    def after_failure(self, plan: Plan) -> Plan:
        self.at = self.alive()
        dead = self.dead()
        if plan.fallback is None or dead == self.survived:
            raise NodeFailedError(f"{', '.join(sorted(dead))} died and the plan has no fallback for what arrived")
        self.survived = dead
        onward = plan.fallback(frozenset(self.at))
        ran_on = {step.node for step in onward.steps if isinstance(step, Compute)}
        needed = {place for step in onward.steps for place in step.needs} | {onward.result}
        reused = sorted(needed & (set(self.at) - self.given))
        self.ledger.recovered(sorted(self.dead()), reused, sorted(ran_on))
        return onward

    def _compute(self, step: Compute) -> None:
        begin_s = time.perf_counter()
        made = step.part({key: self.at[step.node, key] for key in step.part.reads}, self.random)
        self.at |= {(step.node, key): x for key, x in made.items()}
        self.ledger.computed(step, time.perf_counter() - begin_s)

    def _transfer(self, step: Transfer) -> None:
        begin_s = time.perf_counter()
        x = self.at[step.source, step.tensor]
        spec = _spec((step.source, step.tensor), x, self.random)
        links = [self.network.link(step.source, target, step.codec.emits) for target in step.targets]
        streams = [self._streams(step, target) for target in step.targets]
        states = [link.observe(stream) for link, stream in zip(links, streams, strict=True)]
        worst = torch.stack([state.reported_snr for state in states]).amin(dim=0)
        payload = _coded(step, step.codec.encode, x, worst)
        if not isinstance(payload, step.codec.emits):
            raise PayloadError(
                f"{step.label}: {_name(step)} promised {step.codec.emits.__name__} and made something else"
            )
        usages: list[Usage] = []
        for place, link, state, stream in zip(step.makes, links, states, streams, strict=True):
            received, usage = send_in_time(link, payload, state, stream, step.deadline_s)
            self.at[place] = _decoded(step, received, spec, self.random)
            usages.append(replace(usage, delivered=usage.delivered and _is_whole(payload)))
        self.ledger.sent(step, usages, time.perf_counter() - begin_s)

    def _streams(self, step: Transfer, target: NodeId) -> Random:
        key = (step.source, target, step.tensor)
        self.num_sent[key] += 1
        return self.random.child("air", *key, self.num_sent[key])


def estimate(
    plan: Plan, given: Mapping[Place, Spec], network: Network, pricing: Pricing = SHIPPED, num_items: int = 1
) -> Report:
    """What a plan would cost, without running it.

    Bits, uses, energy and step durations are expected values; the critical path is the mean over 1,000 drawn courses
    of events, because the mean of a maximum is not the maximum of means.

    Args:
        plan: what runs where and what is sent.
        given: shapes that are there at the start.
        network: nodes and links.
        pricing: what parts are priced as.
        num_items: items of the batch.

    Raises:
        PlanError: the plan does not fit the network.
    """
    plan.check(network, given)
    check_memory(plan, network, pricing)
    ledger, timeline, at = Ledger(network, pricing, num_items), Timeline(NUM_COURSES), dict(given)
    for index, step in enumerate(plan.steps):
        match step:
            case Compute(node, part):
                ledger.computed(step)
                duration_s = network.node(node).hardware.duration_s(pricing.flops(part) * num_items)
                timeline.book((node,), step.needs, step.makes, duration_s)
                at |= {(node, key): spec for key, spec in part.writes.items()}
            case Transfer(source, _, tensor, codec):
                size = codec.size(at[source, tensor])
                _estimate_transfer(step, size, index, network, ledger, timeline, num_items)
                at |= dict.fromkeys(step.makes, at[source, tensor])
    return ledger.report(timeline.stop_s)


def channel_free(plan: Plan, inputs: Mapping[Place, Tensor], random: Random) -> dict[Place, Tensor]:
    """What is where after a plan, had every transfer been perfect: what a received picture is compared with.

    Args:
        plan: whose parts run, and whose transfers copy.
        inputs: tensors that are there at the start.
        random: streams of the items.
    """
    at = dict(inputs)
    for step in plan.steps:
        match step:
            case Compute(node, part):
                made = part({key: at[node, key] for key in part.reads}, random)
                at |= {(node, key): x for key, x in made.items()}
            case Transfer(source, _, tensor):
                at |= dict.fromkeys(step.makes, at[source, tensor])
    return at


def _estimate_transfer(
    step: Transfer, size: Size, index: int, network: Network, ledger: Ledger, timeline: Timeline, num_items: int
) -> None:
    links = [network.link(step.source, target, step.codec.emits) for target in step.targets]
    usages, draws_s = [], []
    for link in links:
        draws = link.draw_durations_s(size, num_items, NUM_COURSES, index).numpy()
        usage, in_time_s = expected_in_time(link.usage(size, num_items), draws, step.deadline_s)
        usages.append(usage)
        draws_s.append(in_time_s)
    ledger.sent(step, usages)
    duration_s = np.max(np.stack(draws_s), axis=0)
    timeline.book((link.medium for link in links), step.needs, step.makes, duration_s)


def _is_whole(payload: Payload) -> bool:
    """Whether every item is sent; a codec whose budget is too small for one sends nothing of it."""
    return not isinstance(payload, Bits) or None not in payload.strings


def _decoded(step: Transfer, received: Payload, spec: Spec, random: Random) -> Tensor:
    x = _coded(step, step.codec.decode, received, spec)
    expected = (*random.batch, *spec.shape)
    if not isinstance(x, Tensor) or tuple(x.shape) != expected:
        raise PayloadError(f"{step.label}: {_name(step)} decoded another shape than {expected}")
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        raise PayloadError(f"{step.label}: {_name(step)} decoded values that are not finite")
    return x


def _coded(step: Transfer, call: Callable[..., Any], *arguments: Any) -> Any:
    """What a codec returns; somebody else's codec may raise anything, and the step that it broke is named."""
    try:
        return call(*arguments)
    except GainnetError:
        raise
    except Exception as error:
        raise PayloadError(f"{step.label}: {_name(step)} failed ({type(error).__name__}: {error})") from error


def _name(step: Transfer) -> str:
    return type(step.codec).__name__


def _spec(place: Place, x: Tensor, random: Random) -> Spec:
    rank = len(random.batch)
    if tuple(x.shape[:rank]) != random.batch:
        raise PlanError(
            f"{place[1]!r} on {place[0]} has shape {tuple(x.shape)}, which does not start with the batch {random.batch}"
        )
    return Spec(tuple(x.shape[rank:]))
