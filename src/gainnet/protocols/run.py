"""Run a plan, or only price it: the same report either way."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from torch import Tensor

from gainnet.core.errors import NodeFailedError, PlanError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.types import NodeId, Place, Size, Spec, Usage
from gainnet.network.network import Network
from gainnet.protocols.deadline import expected_in_time
from gainnet.protocols.drafting import drafts_that_differ
from gainnet.protocols.ledger import Ledger, Timeline, check_memory
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.protocols.pricing import SHIPPED, Pricing
from gainnet.protocols.transmit import SendCount, Sent, accept, emit
from gainnet.protocols.walk import Carry, Failure, Run, T, dead_at, walk

Watch = Callable[[str], None]
"""Called with the label of each step before it starts."""

NUM_COURSES = 1000


@final
@dataclass(frozen=True)
class Leg:
    """A plan, or a fallback of one, where it begins among all steps.

    Args:
        plan: whose steps are walked.
        start: index of its first step, counted over the plan and its fallbacks.
    """

    plan: Plan
    start: int = 0

    @property
    def stop(self) -> int:
        """Index after its last step."""
        return self.start + len(self.plan.steps)


def execute(
    plan: Plan,
    inputs: Mapping[Place, Tensor],
    network: Network,
    random: Random,
    pricing: Pricing = SHIPPED,
    failures: Sequence[Failure] = (),
    watch: Watch = lambda label: None,
) -> tuple[dict[Place, Tensor], Report]:
    """Tensors by place after a plan has run, and the report of their cost.

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

    >>> import torch
    >>> from gainnet.codecs import RawAnalog
    >>> from gainnet.network import DEVICE, EDGE, cell, profile
    >>> from gainnet.radio import Air, Analog
    >>> network = cell(profile("edge_l4"), profile("phone"), (), (Analog(Air(snr_db=40.0)),))
    >>> plan = Plan((Transfer(EDGE, (DEVICE,), "x", RawAnalog()),), (DEVICE, "x"))
    >>> places, report = execute(plan, {(EDGE, "x"): torch.ones(1, 3)}, network, Random.of([1]))
    >>> places[DEVICE, "x"].round(decimals=1), report.steps[0].num_channel_uses
    (tensor([[1., 1., 1.]]), 2.0)
    """
    ledger, count = Ledger(network, pricing, random.num_items), SendCount()

    def compute(index: int, step: Compute, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        watch(step.label)
        begin_s = time.perf_counter()
        made = step.part(tensors, random)
        ledger.computed(step, time.perf_counter() - begin_s)
        return made

    def carry(index: int, step: Transfer, x: Tensor | None) -> Mapping[Place, Tensor]:
        # The source is alive, but a node before it died, and the tensor never came.
        if x is None:
            return {}
        watch(step.label)
        begin_s = time.perf_counter()
        received, usages = _cross(step, x, network, random, count)
        ledger.sent(step, usages, time.perf_counter() - begin_s)
        return received

    def check(plan: Plan, at: Mapping[Place, Tensor]) -> None:
        plan.check(network, {place: spec_of(place, x, random) for place, x in at.items()})
        check_memory(plan, network, pricing)

    _, at = pursue(plan, inputs, network.nodes, check, compute, carry, ledger, failures)
    return at, replace(ledger.report(), drafts_differ=drafts_that_differ(at))


def pursue(
    plan: Plan,
    given: Mapping[Place, T],
    nodes: Collection[NodeId],
    check: Callable[[Plan, Mapping[Place, T]], None],
    compute: Run[T],
    carry: Carry[T],
    ledger: Ledger,
    failures: Sequence[Failure] = (),
) -> tuple[Leg, dict[Place, T]]:
    """A plan and its fallbacks, one after the other, until the result is there: the last of them, and all tensors.

    Args:
        plan: of which fallbacks are made.
        given: tensors that are there at the start, or their shapes.
        nodes: of the network.
        check: called with each plan and what is there, before it is walked.
        compute: as in `walk`; books the step.
        carry: likewise.
        ledger: books the recoveries.
        failures: nodes that die before a step.

    Raises:
        NodeFailedError: a node died and no fallback reaches the result.
    """
    at, index, dead = dict(given), 0, frozenset[NodeId]()
    while True:
        check(plan, at)
        at = walk(plan, nodes, at, compute, carry, failures, index)
        leg = Leg(plan, index)
        # Indices run on over fallbacks, so that a second death can strike in the first recovery.
        gone = dead_at(failures, leg.stop)
        if plan.result in at and plan.result[0] not in gone:
            return leg, at
        # Without a new death the same fallback would fail in the same way for ever.
        if gone == dead:
            raise _failed(gone)
        dead, index, at = gone, leg.stop, {place: x for place, x in at.items() if place[0] not in gone}
        plan = recover(plan, at, given, gone, ledger)


def send(step: Transfer, x: Tensor, network: Network, random: Random, count: SendCount) -> tuple[Sent, ...]:
    """Tensors that the targets of a transfer receive.

    Args:
        step: the transfer.
        x: [*batch, *shape] with the batch of `random`.
        network: whose links carry it.
        random: streams of the items.
        count: of the transfers that the source has sent.
    """
    links = [network.link(step.source, target, step.codec.emits) for target in step.targets]
    streams = [random.child(*count.stream(step.source, target, step.tensor)) for target in step.targets]
    return emit(x, step.codec, links, streams, step.deadline_s, step.label)


def _cross(
    step: Transfer, x: Tensor, network: Network, random: Random, count: SendCount
) -> tuple[dict[Place, Tensor], list[Usage]]:
    """Tensors that the targets of a transfer decode, and what its links were used for."""
    sent = send(step, x, network, random, count)
    spec = spec_of((step.source, step.tensor), x, random)
    received = {place: receive(step, one, spec) for place, one in zip(step.makes, sent, strict=True)}
    return received, [one.usage for one in sent]


def receive(step: Transfer, sent: Sent, spec: Spec) -> Tensor:
    """[*batch, *spec.shape], the tensor of a transfer as one of its targets decodes it."""
    return accept(sent, step.codec, spec, step.label).values


def recover(
    plan: Plan, at: Collection[Place], given: Collection[Place], dead: Collection[NodeId], ledger: Ledger
) -> Plan:
    """The fallback of a plan, with the recovery booked.

    Args:
        plan: that did not reach its result.
        at: places on living nodes that have a tensor.
        given: places that had one at the start.
        dead: nodes that have died.
        ledger: of the run.

    Raises:
        NodeFailedError: there is no fallback.
    """
    if plan.fallback is None:
        raise _failed(dead)
    onward = plan.fallback(frozenset(at))
    ran_on = {step.node for step in onward.steps if isinstance(step, Compute)}
    needed = {place for step in onward.steps for place in step.needs} | {onward.result}
    ledger.recovered(sorted(dead), sorted(needed & (set(at) - set(given))), sorted(ran_on))
    return onward


def _failed(dead: Collection[NodeId]) -> NodeFailedError:
    return NodeFailedError(f"{', '.join(sorted(dead))} died and the plan has no fallback for what arrived")


def estimate(
    plan: Plan, given: Mapping[Place, Spec], network: Network, pricing: Pricing = SHIPPED, num_items: int = 1
) -> Report:
    """Report of a plan that is priced and not run.

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

    >>> from gainnet.codecs import RawAnalog
    >>> from gainnet.network import DEVICE, EDGE, cell, profile
    >>> from gainnet.radio import Air, Analog
    >>> air = (Analog(Air(bandwidth_hz=1e6)),)
    >>> network = cell(profile("edge_l4"), profile("phone"), air, air)
    >>> plan = Plan((Transfer(EDGE, (DEVICE,), "latent", RawAnalog()),), (DEVICE, "latent"))
    >>> report = estimate(plan, {(EDGE, "latent"): Spec((4, 16, 16))}, network)
    >>> report.num_channel_uses("down"), round(1e3 * report.duration_s, 3)  # uses, ms
    (512.0, 0.512)
    """
    specs = plan.check(network, given)
    check_memory(plan, network, pricing)
    ledger, timeline = Ledger(network, pricing, num_items), Timeline(NUM_COURSES)
    for index, step in enumerate(plan.steps):
        match step:
            case Compute(node, part):
                ledger.computed(step)
                # The ledger books expectations; the timeline follows the drawn courses beside it.
                duration_s = network.node(node).hardware.duration_s(pricing.flops(part) * num_items)
                timeline.book((node,), step.needs, step.makes, duration_s)
            case Transfer(source, _, tensor, codec):
                size = codec.size(specs[source, tensor])
                _estimate_transfer(step, size, index, network, ledger, timeline, num_items)
    return ledger.report(timeline.stop_s)


def channel_free(plan: Plan, inputs: Mapping[Place, Tensor], random: Random) -> dict[Place, Tensor]:
    """Tensors by place after a plan whose transfers are perfect: the reference of received pictures.

    Args:
        plan: whose parts run, and whose transfers copy.
        inputs: tensors that are there at the start.
        random: streams of the items.

    >>> import torch
    >>> from gainnet.codecs import RawAnalog
    >>> from gainnet.network import DEVICE, EDGE
    >>> plan = Plan((Transfer(EDGE, (DEVICE,), "x", RawAnalog()),), (DEVICE, "x"))
    >>> channel_free(plan, {(EDGE, "x"): torch.ones(1, 3)}, Random.of([1]))[DEVICE, "x"]
    tensor([[1., 1., 1.]])
    """
    nodes = {node for step in plan.steps for node, _ in (*step.needs, *step.makes)} | {node for node, _ in inputs}
    return walk(
        plan,
        nodes,
        inputs,
        compute=lambda index, step, tensors: step.part(tensors, random),
        carry=lambda index, step, x: {} if x is None else dict.fromkeys(step.makes, x),
    )


def _estimate_transfer(
    step: Transfer, size: Size, index: int, network: Network, ledger: Ledger, timeline: Timeline, num_items: int
) -> None:
    links = [network.link(step.source, target, step.codec.emits) for target in step.targets]
    usages, draws_s = [], []
    for link in links:
        # The index of the step is the random seed, so that two transfers of a plan are drawn independently.
        draws = link.draw_durations_s(size, num_items, NUM_COURSES, index).numpy()
        usage, in_time_s = expected_in_time(link.usage(size, num_items), draws, step.deadline_s)
        usages.append(usage)
        draws_s.append(in_time_s)
    ledger.sent(step, usages)
    # A broadcast lasts until its slowest receiver has everything, in every drawn course of events apart.
    duration_s = np.max(np.stack(draws_s), axis=0)
    timeline.book((link.medium for link in links), step.needs, step.makes, duration_s)


def spec_of(place: Place, x: Tensor, random: Random) -> Spec:
    """Shape of one item of a tensor [*batch, ...]; raises `PlanError` when it does not start with the batch."""
    rank = len(random.batch)
    if tuple(x.shape[:rank]) != random.batch:
        raise PlanError(
            f"{place[1]!r} on {place[0]} has shape {tuple(x.shape)}, which does not start with the batch {random.batch}"
        )
    return Spec(tuple(x.shape[rank:]))
