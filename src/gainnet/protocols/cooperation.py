"""How edges share one generation: as a pipeline of steps, as branches of guidance, as regions with overlap.

Every edge has the prompt and the latent at the start. What goes over the backhaul is float32, so that sharing by steps
or by branches changes no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Literal, NamedTuple

from gainnet.codecs import Float32
from gainnet.core.errors import ConfigError, unknown_name
from gainnet.core.types import NodeId
from gainnet.models.guidance import branches
from gainnet.models.regions import Region, crop_of, merge, regional, regions_of
from gainnet.models.renamed import rename
from gainnet.protocols.plan import Compute, Step, Transfer
from gainnet.protocols.task import Task

Cooperation = Literal["pipeline", "guidance", "regions"]


class Shared(NamedTuple):
    """Steps that end with the finished latent on one of the edges."""

    steps: tuple[Step, ...]
    ends_on: NodeId


def pipeline(task: Task, edges: Sequence[NodeId], start: int) -> Shared:
    """Every edge takes as many of the steps as the others, one after the other.

    edge_1: latent[0] -> latent[3] ==backhaul==> edge_2: latent[3] -> latent[6] ==backhaul==> edge_3: ...

    One picture gains no time by it; memory and load are shared, and a stream of pictures would keep all edges busy.

    Args:
        task: whose steps are shared.
        edges: in the order of the pipeline.
        start: steps that have run.
    """
    # Rounded bounds spread a remainder evenly; a stage may be empty when there are more edges than steps.
    left, count = task.num_steps - start, len(edges)
    bounds = [start + round(left * k / count) for k in range(count + 1)]
    stages = [(edge, a, b) for edge, a, b in zip(edges, bounds, bounds[1:], strict=False) if b > a]
    steps: list[Step] = []
    for index, (edge, a, b) in enumerate(stages):
        steps += task.infer(edge, a, b)
        if index + 1 < len(stages):
            steps.append(Transfer(edge, (stages[index + 1][0],), task.latent(b), Float32()))
    return Shared(tuple(steps), stages[-1][0] if stages else edges[0])


def guidance(task: Task, edges: Sequence[NodeId], start: int) -> Shared:
    """Two edges: one predicts without the prompt, one with it; both combine, so that no latent is sent.

    edge_1: predicted_without[i] ==backhaul==> edge_2    both: latent[i + 1]
    edge_2: predicted_with[i]    ==backhaul==> edge_1

    Args:
        task: whose steps are shared; with guidance.
        edges: exactly two.
        start: steps that have run.

    Raises:
        ConfigError: the model has no guidance, or there are not two edges.
    """
    if len(edges) != 2:
        raise ConfigError(f"cooperation: guidance has two branches, for 2 edges, not {len(edges)}; give --num-edges 2")
    # Both combine the predictions, so both need the condition even if one predicts without it.
    encoded = [Compute(edge, task.model.text_encoder) for edge in edges]
    shared = [step for index in range(start, task.num_steps) for step in _guided(task, edges, index)]
    return Shared((*encoded, *shared), edges[0])


def _guided(task: Task, edges: Sequence[NodeId], index: int) -> list[Step]:
    parts = branches(task.denoiser, index)
    without, with_prompt = f"predicted_without[{index}]", f"predicted_with[{index}]"
    before, after = {"latent": task.latent(index)}, {"latent": task.latent(index + 1)}
    predicted: list[Step] = [
        Compute(edges[0], rename(parts.without, before, {"predicted_without": without})),
        Compute(edges[1], rename(parts.with_prompt, before, {"predicted_with": with_prompt})),
        Transfer(edges[1], (edges[0],), with_prompt, Float32()),
    ]
    names = before | {"predicted_without": without, "predicted_with": with_prompt}
    combined = rename(parts.combined, names, after)
    # After the last step only one edge goes on to decode, and the other needs nothing back.
    if index + 1 == task.num_steps:
        return [*predicted, Compute(edges[0], combined)]
    back = Transfer(edges[0], (edges[1],), without, Float32())
    return [*predicted, back, *(Compute(edge, combined) for edge in edges)]


def regions(task: Task, edges: Sequence[NodeId], start: int) -> Shared:
    """Every edge takes half of the steps whole, then denoises its region; regions are exchanged after every step.

    edge_k: latent[0] -> latent[m];  then crop -> one step -> region_k[i + 1] ==backhaul==> all others;  all: merge

    (MultiDiffusion, Bar-Tal et al. 2023.) A region does not see the rest of the picture, and the first steps settle
    where things are; so all edges take these alike, which costs their time but no exchange. With one edge it is the
    picture of that edge, with more another one.

    Args:
        task: whose steps are shared.
        edges: 1 to 4.
        start: steps that have run.

    Raises:
        ConfigError: there are more edges, or the latent is too small for so many regions.
    """
    rectangles = regions_of(task.model, len(edges))
    # The first half of the steps settles the composition, which needs the whole latent in view.
    middle = start + (task.num_steps - start) // 2
    whole = [step for edge in edges for step in task.infer(edge, start, middle)]
    encoded = [Compute(edge, task.model.text_encoder) for edge in edges if middle == start]
    shared = [step for index in range(middle, task.num_steps) for step in _regional(task, edges, rectangles, index)]
    return Shared((*whole, *encoded, *shared), edges[0])


def _regional(task: Task, edges: Sequence[NodeId], rectangles: Sequence[Region], index: int) -> list[Step]:
    before, after = (task.denoiser.state(step) for step in (index, index + 1))
    last = index + 1 == task.num_steps
    names = tuple(f"region_{k}[{index + 1}]" for k in range(1, len(edges) + 1))
    steps: list[Step] = []
    for edge, region, name in zip(edges, rectangles, names, strict=True):
        # A region costs its share of the area, as FLOPs of a UNet are about linear in pixels.
        piece = f"crop of {name}"
        step = regional(task.denoiser[index : index + 1], region)
        steps.append(Compute(edge, crop_of(task.latent(index), before, region, piece)))
        steps.append(Compute(edge, rename(step, {"latent": piece}, {"latent": name}, share=area(region, task))))
    for (source, name), (target, _) in permutations(zip(edges, names, strict=True), 2):
        # After the last step the regions meet on one edge alone.
        if target == edges[0] or not last:
            steps.append(Transfer(source, (target,), name, Float32()))
    merged = merge(names, tuple(rectangles), after, task.latent(index + 1))
    return [*steps, *(Compute(edge, merged) for edge in (edges[:1] if last else edges))]


def area(region: Region, task: Task) -> float:
    """Share of the latent that a region covers."""
    _, height, width = task.model.latent.shape
    return region.height * region.width / (height * width)


COOPERATIONS: dict[Cooperation, Callable[[Task, Sequence[NodeId], int], Shared]] = {
    "pipeline": pipeline,
    "guidance": guidance,
    "regions": regions,
}


def cooperate(task: Task, edges: Sequence[NodeId], start: int, cooperation: Cooperation | None) -> Shared:
    """Steps that share a generation.

    Args:
        task: whose steps are shared.
        edges: that share them.
        start: steps that have run.
        cooperation: guidance for two edges and a guided model, else a pipeline, when `None`.

    Raises:
        ConfigError: there is no such cooperation, or it does not fit the edges.
    """
    by_branches = len(edges) == 2 and task.model.denoiser.num_branches == 2
    chosen = cooperation or ("guidance" if by_branches else "pipeline")
    if chosen not in COOPERATIONS:
        raise unknown_name("cooperation", chosen, COOPERATIONS)
    return COOPERATIONS[chosen](task, edges, start)
