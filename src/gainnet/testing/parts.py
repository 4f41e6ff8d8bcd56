"""The contract of a part, as a check that anyone can call on their own."""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from gainnet.core.randomness import Random
from gainnet.core.types import Tensors
from gainnet.models.part import Part, Role, Sliceable
from gainnet.testing.requirement import alone, close, finite, require, twice


def check_part(part: Part, inputs: Tensors, random: Random, tolerance: float = 1e-3) -> None:
    """The contract test of a part.

    It reads and writes what it names, [*batch, *spec.shape]; item 3 of a batch as item 3 alone; noise from its named
    streams only; inputs untouched; FLOPs within 1 % of torch's `FlopCounterMode`.

    Args:
        part: what is tested.
        inputs: [num_items, ...] for every name that it reads, at least 2 items.
        random: streams of these items, batch (num_items,).
        tolerance: largest difference, relative to the largest value, between an item in a batch and alone.

    Raises:
        AssertionError: the contract does not hold; one sentence says where.
    """
    _check_names(part, inputs)
    read = {key: inputs[key] for key in part.reads}
    before = {key: x.clone() for key, x in read.items()}
    with torch.no_grad():
        written, repeated = twice(lambda: part(read, random))
    require(all(torch.equal(before[key], x) for key, x in read.items()), f"{part.name} changes what it reads")
    same = all(torch.equal(repeated[key], x) for key, x in written.items())
    require(same, f"{part.name} is not repeatable from its random streams")
    _check_written(part, written, random.batch)
    _check_items(part, read, random, tolerance)
    _check_flops(part, read, random)


def check_sliceable(part: Sliceable, inputs: Tensors, random: Random, tolerance: float = 1e-5) -> None:
    """The contract test of a part that can be cut: running the pieces is running the whole.

    inputs --> [ part[:k] ] --> [ part[k:] ] --> the same as part

    Args:
        part: what is tested.
        inputs: [num_items, ...] for every name that it reads.
        random: streams of these items.
        tolerance: largest difference, relative to the largest value; 0 demands equal bits.

    Raises:
        AssertionError: the contract does not hold; one sentence says where.
    """
    check_part(part, inputs, random)
    require(part.num_steps >= 1, f"{part.name} has no steps")
    with torch.no_grad():
        whole = part(inputs, random)
    for cut in sorted({0, 1, part.num_steps // 2, part.num_steps - 1, part.num_steps}):
        first, second = part[:cut], part[cut:]
        with torch.no_grad():
            arrived = {**inputs, **first(inputs, random)}
            pieces = second(arrived, random)
        same = all(close(pieces[key], whole[key], tolerance) for key in part.writes)
        require(same, f"{part.name} cut at step {cut} does not give what the whole gives")
        summed = first.flops + second.flops
        equal = math.isclose(summed, part.flops, rel_tol=1e-6)
        require(equal, f"{part.name} cut at step {cut} takes {summed:.4g} FLOPs, the whole {part.flops:.4g}")
        passes = first.num_passes + second.num_passes
        require(passes == part.num_passes, f"{part.name} cut at step {cut} has {passes} passes, not {part.num_passes}")


def _check_names(part: Part, inputs: Tensors) -> None:
    require(isinstance(part.name, str) and part.name != "", "the part has no name")
    require(part.role in get_args(Role), f"role {part.role!r} of {part.name} is none of {', '.join(get_args(Role))}")
    require(part.num_passes >= 1, f"{part.name} makes no pass")
    require(len(part.writes) > 0, f"{part.name} writes nothing")
    missing = [key for key in part.reads if key not in inputs]
    require(not missing, f"{part.name} reads {', '.join(missing)}, which the check was not given")
    for name, value in (("flops", part.flops), ("memory_bytes", part.memory_bytes)):
        require(math.isfinite(value) and value >= 0, f"{name} of {part.name} is {value}, not a finite number >= 0")


def _check_written(part: Part, written: Tensors, batch: tuple[int, ...]) -> None:
    names = sorted(part.writes)
    require(sorted(written) == names, f"{part.name} writes {sorted(written)}, but promises {names}")
    for key, spec in part.writes.items():
        shape = tuple(written[key].shape)
        require(shape == (*batch, *spec.shape), f"{part.name} writes {key} as {shape}, not {(*batch, *spec.shape)}")
        require(finite(written[key]), f"{part.name} writes values of {key} that are not finite")


def _check_items(part: Part, read: Tensors, random: Random, tolerance: float) -> None:
    last = random.num_items - 1
    with torch.no_grad():
        batch = part(read, random)
        single = part({key: x[last] for key, x in read.items()}, alone(random, last))
    _check_written(part, single, ())
    for key in part.writes:
        same = close(batch[key][last], single[key], tolerance)
        require(same, f"{part.name} writes another {key} for item {last} of a batch than for the item alone")


def _check_flops(part: Part, read: Tensors, random: Random) -> None:
    # torch counts no fused attention on a CPU; the plain kernel is made of products that it counts.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        part(read, random)
    counted = counter.get_total_flops() / random.num_items
    agrees = math.isclose(part.flops, counted, rel_tol=0.01)
    require(agrees, f"{part.name} promises {part.flops:.5g} FLOPs per item, torch counts {counted:.5g}")
