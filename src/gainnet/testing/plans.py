"""The contract of a plan, as a check that anyone can call on their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from gainnet.core.errors import PlanError
from gainnet.core.randomness import Random
from gainnet.core.report import Report, StepRecord
from gainnet.core.types import Bits, Place, Spec
from gainnet.network.network import Network
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.protocols.pricing import SHIPPED, Pricing
from gainnet.protocols.run import estimate, execute
from gainnet.testing.requirement import alone, close, finite, require, twice


def check_plan(
    plan: Plan,
    network: Network,
    inputs: Mapping[Place, Tensor],
    random: Random,
    pricing: Pricing = SHIPPED,
    tolerance: float = 1e-3,
) -> None:
    """The contract test of a plan.

    It makes its result where it says; it misses every input that is taken away; executing is repeatable; one item of
    a batch comes out as alone; what is estimated is what is executed, exactly wherever sizes are fixed.

    Args:
        plan: what is tested; reads every input.
        network: where it runs.
        inputs: [num_items, ...] by place, at least 2 items.
        random: streams of these items, batch (num_items,).
        pricing: what parts are priced as.
        tolerance: largest difference, relative to the largest value, between an item in a batch and alone.

    Raises:
        AssertionError: the contract does not hold; one sentence says where.
    """
    given = {place: Spec(tuple(x.shape[1:])) for place, x in inputs.items()}
    _check_inputs(plan, network, given)
    with torch.no_grad():
        (places, report), (places_again, repeated) = twice(lambda: execute(plan, inputs, network, random, pricing))
        last = random.num_items - 1
        single = {place: x[last] for place, x in inputs.items()}
        places_alone, _ = execute(plan, single, network, alone(random, last), pricing)
    same = torch.equal(places[plan.result], places_again[plan.result])
    require(same, "executing the plan twice gives two results")
    require(_untimed(report) == _untimed(repeated), "executing the plan twice gives two reports")
    _check_result(plan, network, given, places, random)
    same = close(places[plan.result][last], places_alone[plan.result], tolerance)
    require(same, f"the result of item {last} of a batch is not that of the item alone")
    _check_estimate(plan, network, given, report, estimate(plan, given, network, pricing, random.num_items), random)
    require(plan.remaining([plan.result]).steps == (), "a plan whose result is there still has steps to run")


def _untimed(report: Report) -> Report:
    return replace(report, steps=tuple(replace(step, wall_s=None) for step in report.steps))


def _check_inputs(plan: Plan, network: Network, given: Mapping[Place, Spec]) -> None:
    require(plan.result in plan.check(network, given), "the plan never makes its result")
    for taken in given:
        rest = {place: spec for place, spec in given.items() if place != taken}
        try:
            plan.check(network, rest)
        except PlanError:
            continue
        raise AssertionError(f"the plan does not miss its input {taken[1]!r} on {taken[0]}")


def _check_result(
    plan: Plan, network: Network, given: Mapping[Place, Spec], places: Mapping[Place, Tensor], random: Random
) -> None:
    promised = plan.check(network, given)[plan.result].shape
    shape = tuple(places[plan.result].shape)
    require(shape == (*random.batch, *promised), f"the result has shape {shape}, not {(*random.batch, *promised)}")
    require(finite(places[plan.result]), "the result is not finite")


def _check_estimate(
    plan: Plan, network: Network, given: Mapping[Place, Spec], executed: Report, estimated: Report, random: Random
) -> None:
    labels = [[step.label for step in report.steps] for report in (executed, estimated)]
    require(labels[0] == labels[1], f"executed steps are {labels[0]}, estimated ones {labels[1]}")
    specs = plan.check(network, given)
    for step, booked, expected in zip(plan.steps, executed.steps, estimated.steps, strict=True):
        require(booked.direction == expected.direction, f"{step.label} is executed and estimated in two directions")
        if isinstance(step, Compute):
            _check_equal(booked, expected, "duration_s", "energy_j", "flops")
        else:
            _check_transfer(step, specs[step.source, step.tensor], booked, expected, random.num_items)
    latest = max((step.stop_s for step in executed.steps), default=0.0)
    require(math.isclose(executed.duration_s, latest), "duration_s is not when the last step ends")
    if all(a.duration_s == b.duration_s for a, b in zip(executed.steps, estimated.steps, strict=True)):
        equal = math.isclose(executed.duration_s, estimated.duration_s, rel_tol=1e-9)
        require(equal, f"steps last as estimated, but the plan {executed.duration_s} s, not {estimated.duration_s} s")


def _check_equal(booked: StepRecord, expected: StepRecord, *names: str) -> None:
    for name in names:
        a, b = getattr(booked, name), getattr(expected, name)
        require(math.isclose(a, b, rel_tol=1e-9), f"{name} of {booked.label} is {a}, estimated as {b}")


def _check_transfer(step: Transfer, spec: Spec, booked: StepRecord, expected: StepRecord, num_items: int) -> None:
    size = step.codec.size(spec)
    fixed = size.expected == size.upper
    if step.codec.emits is Bits:
        upper = size.upper * num_items
        require(booked.num_bits <= upper, f"{step.label} sends {booked.num_bits:.0f} bits, above its upper {upper:.0f}")
        if fixed:
            _check_equal(booked, expected, "num_bits")
    elif fixed:
        _check_equal(booked, expected, "num_bits", "num_channel_uses", "duration_s", "energy_j")
