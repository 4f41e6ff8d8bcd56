"""Study multi-edge: what do more edges buy, in time, in quality and in bits?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Annotated, final

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from gainnet.catalog import GenerationConfig, parse
from gainnet.catalog.opening import open_request
from gainnet.core.randomness import Random
from gainnet.core.units import psnr_db_of_mse
from gainnet.generation.memory import Memory
from gainnet.generation.planning import inputs
from gainnet.generation.quality import mean_fidelity
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.protocols import channel_free
from gainnet.protocols.plan import Plan
from gainnet.protocols.task import IMAGE, Task
from gainnet.radio import Air
from gainnet.studies.figures import Panel, Style, draw_panels, plain_log, with_own
from gainnet.studies.own import Guarded, one_or_own, own
from gainnet.studies.palette import BLUE, BROWN, GREEN, ORANGE, PURPLE, RED, SKY
from gainnet.studies.pictures import captions
from gainnet.studies.protocols import check_protocol
from gainnet.studies.settings import AirField, NonEmpty, Seeds, linear_seed
from gainnet.studies.statistics import at
from gainnet.studies.study import Case, Method, Row, Study, grid
from gainnet.studies.weights import picture_digests

STYLES = {
    "pipeline": Style("pipeline", BLUE, "-", "o"), "guidance": Style("guidance", RED, "-", "D"),
    "regions": Style("regions", GREEN, "-", "s"), "uidg": Style("uidg", ORANGE, "--", "^"),
    "diug": Style("diug", PURPLE, "--", "v"), "dsuc": Style("dsuc", SKY, ":", "P"),
    "dcsuc": Style("dcsuc", BROWN, ":", "X"),
}  # fmt: skip
METHODS = tuple(STYLES)
METRIC_NAMES = ("guidance_two_edges_time_ratio", "regions_four_edges_time_ratio", "best_of_four_minus_one_fidelity")
OF_REPORT = ("duration_s", "duration_p50_s", "duration_p95_s", "energy_j", "device_energy_j", "device_flops")
STEPS_OF_PRICED = 50
"""Sampler steps that the metrics are read at: what Stable Diffusion 1.5 asks for."""


@final
@dataclass(frozen=True)
class MultiEdgeConfig:
    """Settings of the study multi-edge.

    Args:
        random_seeds: each draws its own captions and noise.
        num_edges: K.
        num_steps: sampler steps that are priced.
        edge_hardware: of every edge.
        methods: ways to share a generation (`pipeline`, `guidance`, `regions` are uidcg), the other protocols, and
            protocols of yours as `module:Class(args)`.
        num_images: pictures per random seed that are made for their quality, at the model's own steps.
        air: between device and edges.
        hardware: of the device.
        priced_as: price list.
    """

    random_seeds: Seeds
    num_edges: NonEmpty[Annotated[int, Field(ge=1, le=4)]]
    num_steps: NonEmpty[Annotated[int, Field(ge=2, le=1000)]]
    edge_hardware: NonEmpty[str]
    methods: NonEmpty[Annotated[str, one_or_own(METHODS, check_protocol)]]
    num_images: Annotated[int, Field(ge=0, le=1000)]
    air: AirField = Air()
    hardware: str = "laptop"
    priced_as: str = "sd15"


def cases(config: MultiEdgeConfig) -> Iterator[Case]:
    """Prices once per hardware and number of steps; quality once per random seed, where pictures are asked for."""
    for method, num_edges in product(config.methods, config.num_edges):
        # Classifier-free guidance has two branches, which is all that edges can share.
        if num_edges > (2 if method == "guidance" else most_edges(method)):
            continue
        # Prices are expectations, for which one random seed is as good as ten.
        prices = {"num_edges": (num_edges,), "edge_hardware": config.edge_hardware, "num_steps": config.num_steps}
        for values in grid(prices):
            yield Case(method, values, config.random_seeds[0])
        for random_seed in config.random_seeds if config.num_images else ():
            yield Case(method, {"num_edges": num_edges, "edge_hardware": None, "num_steps": None}, random_seed)


def most_edges(method: str) -> int:
    """Edges that a method takes at most; a protocol of the user's says so itself."""
    return 4 if method in METHODS else int(parse("protocol", method).max_edges)


def open_methods(config: MultiEdgeConfig) -> Mapping[str, Method]:
    """One method per way, which prices or makes pictures as the case asks."""
    model_of = lru_cache(maxsize=8)(lambda num_steps: load_model(num_steps=num_steps))
    memory = Memory()

    def evaluate(case: Case, random: Random) -> Row:
        if case.values["num_steps"] is None:
            return _quality(config, case, model_of(None), memory)
        return _price(config, case, model_of(case.values["num_steps"]))

    users: dict[str, Method] = {name: Guarded(name, evaluate) for name in own(config.methods, METHODS)}
    return {**dict.fromkeys(METHODS, evaluate), **users}


def generation_of(config: MultiEdgeConfig, case: Case) -> GenerationConfig:
    """The generation of a case; the device infers nothing, so that the edges share all steps."""
    shared = case.method in ("pipeline", "guidance", "regions")
    edges = int(case.values["num_edges"] or 1)
    alone = case.method == "guidance" and edges == 1
    return GenerationConfig(
        prompts=("a red star above a blue house at sunset",),
        protocol="uidcg" if shared else case.method,
        snr_db=config.air.snr_db,
        num_edges=edges,
        cooperation="pipeline" if alone else case.method if shared else None,
        cut=0 if shared or case.method == "uidg" else None,
        hardware=config.hardware,
        priced_as=config.priced_as,
        harq="none",
        codec=linear_seed(case.method),
    )


def _price(config: MultiEdgeConfig, case: Case, model: DiffusionModel) -> Row:
    hardware, steps = case.text("edge_hardware"), case.values["num_steps"]
    own = replace(generation_of(config, case), edge_hardware=hardware, num_steps=steps)  # type: ignore[arg-type]
    report = open_request(own, model).estimate()
    return {
        **{name: getattr(report, name) for name in OF_REPORT},
        "flops": sum(node.flops for node in report.nodes.values()),
        **{f"num_bits_{way}": report.num_bits_of(way) for way in ("up", "down", "backhaul")},
        "num_channel_uses": report.num_channel_uses("up", "down"),
    }


def _quality(config: MultiEdgeConfig, case: Case, model: DiffusionModel, memory: Memory) -> Row:
    """Pictures without a channel beside those of one edge, so that what is seen is what sharing does."""
    prompts = captions("multi-edge", case.random_seed, config.num_images)
    ask = replace(generation_of(config, case), prompts=prompts, fading="ideal")
    random = Random.of([1000 * case.random_seed + k for k in range(config.num_images)])
    given = inputs(prompts)
    with torch.inference_mode():
        plan = memory.over(open_request(ask, model).make_plan().plan)
        images = channel_free(plan, given, random)[plan.result]
        alone = memory.over(Plan(Task.of(model).whole(IMAGE[0]), IMAGE))
        whole = channel_free(alone, given, random)[IMAGE]
    # Sharing that changes nothing but the order of sums is exact, and has no PSNR.
    mse = (images - whole).double().square().mean()
    return {
        "psnr_db_of_one_edge": None if float(mse) < 1e-10 else float(psnr_db_of_mse(mse)),
        "prompt_fidelity": mean_fidelity(images, prompts),
    }


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Time ratios on the first hardware at the steps of the priced model; fidelity over all pictures."""
    priced = at(table, num_steps=STEPS_OF_PRICED)
    first = at(priced, edge_hardware=next(iter(priced["edge_hardware"]), None))
    return {
        "guidance_two_edges_time_ratio": _ratio(first, "guidance", 2),
        "regions_four_edges_time_ratio": _ratio(first, "regions", 4),
        "best_of_four_minus_one_fidelity": _gain(table),
    }


def _ratio(table: pd.DataFrame, method: str, num_edges: int) -> float | None:
    rows = at(table, method=method).set_index("num_edges")["duration_s"]
    return float(rows[num_edges] / rows[1]) if {1, num_edges} <= set(rows.index) else None


def _gain(table: pd.DataFrame) -> float | None:
    if "prompt_fidelity" not in table:
        return None
    means = at(table, method="diug").groupby("num_edges")["prompt_fidelity"].mean().dropna()
    return float(means[4] - means[1]) if {1, 4} <= set(means.index) else None


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Critical path against the number of edges, per hardware."""

    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        for method, style in with_own(STYLES, rows, METHODS).items():
            if len(curve := at(rows, method=method)):
                style.plot(ax, curve["num_edges"], curve["duration_s"])
        ax.set(yscale="log", xticks=[1, 2, 3, 4])
        plain_log(ax.yaxis)

    places = table.dropna(subset=["num_steps"]).groupby(["edge_hardware", "num_steps"], sort=False)
    parts = [
        Panel(own, f"{hardware}, {num_steps:g} steps", "edges", "critical path in s")
        for (hardware, num_steps), own in places
    ]
    note = "Priced, not measured; the device infers nothing; edges share one air and are joined by 1 ms, 1 Gbit/s."
    # A row per edge hardware, so that panels in a column differ in that alone.
    num_columns = table.dropna(subset=["num_steps"])["num_steps"].nunique()
    yield "time", draw_panels("What do more edges buy?", note, parts, plot, max(num_columns, 1))


def identity(config: MultiEdgeConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return picture_digests("scenes", "checker", "classifier")


MULTI_EDGE = Study("multi-edge", MultiEdgeConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw)
