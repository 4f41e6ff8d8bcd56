"""Study protocols: which protocol when, and does a picture come when an edge is lost?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Annotated, Any, final

import pandas as pd
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from gainnet.catalog import GenerationConfig, parse, text_of
from gainnet.catalog.opening import Request, open_request
from gainnet.core.errors import NodeFailedError, PlanError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId, Place
from gainnet.generation.advice import cost, judge
from gainnet.generation.cell import network_over, use_tables
from gainnet.generation.memory import Memory
from gainnet.generation.planning import inputs
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.scenes import draw_scenes, render, stream, write_captions
from gainnet.network import Network
from gainnet.protocols import Plan, execute, pricing
from gainnet.studies.own import Guarded, one_or_own, own
from gainnet.studies.protocols_drawing import METHODS, draw
from gainnet.studies.settings import AirField, Count, NonEmpty, Positive, Seeds, SnrDb, linear_seed, one_of
from gainnet.studies.study import Case, Method, Row, Study, Value, grid
from gainnet.studies.weights import picture_digests

Places = Mapping[Place, Tensor]
Failure = tuple[NodeId, int]
SEVERAL = ("uidg", "diug", "dsuc", "uidcg", "dcsuc")
COOPERATIVE = ("uidcg", "dcsuc")
TASKS = ("text_to_image", "image_to_image")
NUM_EDGES = 2
LOSS = "loss"
VALUES: dict[str, Value] = {"task": None, "snr_db": None, "hardware": None, "num_edges": None, "cooperation": None}
METRIC_NAMES = ("delivered_share",)


def check_protocol(text: str) -> None:
    """Raises `ConfigError` unless a text names a protocol."""
    parse("protocol", text)


def has_several(method: str) -> bool:
    """Whether a protocol takes several edges.

    >>> has_several("diug"), has_several("ciag(cut=3)")
    (True, False)
    """
    return method in SEVERAL or (method not in METHODS and parse("protocol", method).max_edges > 1)


@final
@dataclass(frozen=True)
class ProtocolsConfig:
    """Settings of the study protocols.

    Args:
        random_seeds: each draws its own captions, pictures, noise and fading.
        num_images: pictures per random seed.
        methods: protocols, of yours too as `module:Class(args)`; those with several edges have two.
        tasks: what is generated.
        snrs_db: mean received Es/N0, dB, in the place of that of the air.
        hardware: of the device.
        air: between device and edges.
        loss_protocols: protocols whose edges are killed, each at every `loss_stride`-th step; those that share a
            generation in every way that fits.
        loss_edges: K while edges are killed.
        loss_stride: 1 for every step.
        loss_steps: sampler steps while edges are killed; few, since there is a picture per edge and step of the plan.
        deadline_s: within which a picture has to be there when an edge was killed.
        loss_hardware: of the device while edges are killed.
        strength: of image-to-image.
        priced_as: price list.
    """

    random_seeds: Seeds
    num_images: Annotated[int, Field(ge=1, le=1000)]
    methods: tuple[Annotated[str, one_or_own(METHODS, check_protocol)], ...]
    tasks: NonEmpty[Annotated[str, one_of(TASKS)]]
    snrs_db: NonEmpty[SnrDb]
    hardware: NonEmpty[str]
    air: AirField
    loss_protocols: tuple[Annotated[str, one_of(SEVERAL)], ...]
    loss_edges: tuple[Annotated[int, Field(ge=2, le=4)], ...]
    loss_stride: Count
    loss_steps: Annotated[int, Field(ge=2)]
    deadline_s: Positive
    loss_hardware: str = "laptop"
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6
    priced_as: str = "sd15"


def cases(config: ProtocolsConfig) -> Iterator[Case]:
    """Losses with the first random seed, then every protocol in every situation."""
    for killed, num_edges in product(config.loss_protocols, config.loss_edges):
        for cooperation in cooperations(killed, num_edges):
            loss: dict[str, Value] = {"task": LOSS, "num_edges": num_edges, "cooperation": cooperation}
            yield Case(killed, VALUES | loss, config.random_seeds[0])
    for random_seed, task, method in product(config.random_seeds, config.tasks, config.methods):
        for values in grid({"task": (task,), "snr_db": config.snrs_db, "hardware": config.hardware}):
            yield Case(method, VALUES | values, random_seed)


def cooperations(method: str, num_edges: int) -> tuple[str | None, ...]:
    """Ways to share a generation between edges, for the protocols that do.

    >>> cooperations("uidcg", 2), cooperations("uidcg", 3), cooperations("diug", 2)
    (('pipeline', 'regions', 'guidance'), ('pipeline', 'regions'), (None,))
    """
    if method not in COOPERATIVE:
        return (None,)
    return ("pipeline", "regions", "guidance") if num_edges == NUM_EDGES else ("pipeline", "regions")


def open_methods(config: ProtocolsConfig) -> Mapping[str, Method]:
    """One method per protocol; a case of losses kills its edges."""
    model_of = lru_cache(maxsize=2)(lambda num_steps: (load_model(num_steps=num_steps), Memory()))
    seen: dict[tuple[object, ...], Mapping[str, Value]] = {}

    def evaluate(case: Case, random: Random) -> Row:
        if case.values["task"] == LOSS:
            return _losses(config, case, *model_of(config.loss_steps))
        return _trial(config, case, *model_of(None), seen)

    users: dict[str, Method] = {name: Guarded(name, evaluate) for name in own(config.methods, METHODS)}
    return {**dict.fromkeys(METHODS, evaluate), **users}


def generation_of(config: ProtocolsConfig, case: Case, prompts: tuple[str, ...]) -> GenerationConfig:
    """The generation of a case."""
    return GenerationConfig(
        prompts,
        case.method,
        snr_db=float(case.values["snr_db"] or 0.0),
        fading=text_of("fading", config.air.fading),
        random_seed=1000 * case.random_seed,
        hardware=case.text("hardware"),
        priced_as=config.priced_as,
        num_edges=NUM_EDGES if has_several(case.method) else 1,
        harq="none",
        codec=linear_seed(case.method),
    )


def _trial(
    config: ProtocolsConfig,
    case: Case,
    model: DiffusionModel,
    memory: Memory,
    seen: dict[tuple[object, ...], Mapping[str, Value]],
) -> Row:
    """Cost and quality; a protocol that does not fit the device has neither. Hardware changes no picture."""
    with _captions_and_picture(config, case) as (prompts, path):
        ask = generation_of(config, case, prompts)
        if case.values["task"] == "image_to_image":
            ask = replace(ask, image=path, strength=config.strength)
        request = open_request(ask, model)
        try:
            spent = asdict(cost(case.method, replace(request, prompts=prompts[:1]).estimate()))
        except PlanError as error:
            return {"reason": str(error)}
        # Pictures do not depend on the hardware, and generating them is what takes time.
        key = case.method, case.values["task"], case.values["snr_db"], case.random_seed
        if key not in seen:
            picture, strength = request.picture, request.strength
            made = _tabulated(request).make_plan()
            seen[key] = judge(made, model, prompts, request.random_seed, memory, picture, strength)
    row = {**spent, **seen[key]}
    return {key: value for key, value in row.items() if key != "protocol"}


@contextmanager
def _captions_and_picture(config: ProtocolsConfig, case: Case) -> Iterator[tuple[tuple[str, ...], str]]:
    """Unseen captions, and the file of another scene that the device has a picture of."""
    rng = stream(case.random_seed, "protocols", 0)
    prompts = tuple(write_captions(draw_scenes(config.num_images, rng), rng))
    pixels = (render(draw_scenes(1, rng))[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        Image.fromarray(pixels.numpy()).save(path)
        yield prompts, str(path)


def _losses(config: ProtocolsConfig, case: Case, model: DiffusionModel, memory: Memory) -> Row:
    """Every edge is killed before every step (or every few); what came of it."""
    edges, cooperation = int(case.values["num_edges"] or NUM_EDGES), case.values["cooperation"]
    ask = replace(
        generation_of(config, case, ("a red star above a blue house at sunset",)),
        # A good link, so that what is lost is lost with the edge and not on the air.
        snr_db=15.0,
        hardware=config.loss_hardware,
        num_edges=edges,
        cooperation=None if cooperation is None else str(cooperation),
    )
    request = open_request(ask, model)
    made, given = _tabulated(request).make_plan(), inputs(request.prompts)
    plan, network = memory.over(made.plan), made.network
    kills = [(edge, step) for edge in network.edges for step in range(0, len(plan.steps), config.loss_stride)]
    with torch.inference_mode():
        ends = [_end(config, plan, network, given, kill) for kill in kills]
    counts = {name: sum(end[name] for end in ends) for name in ends[0] if name != "longest_s"}
    return {"num_kills": len(kills), **counts, "longest_s": max(end["longest_s"] for end in ends)}


def _tabulated(request: Request) -> Request:
    """The same over links at table speed."""
    return replace(request, air=use_tables(network_over(request.air)))


def _end(config: ProtocolsConfig, plan: Plan, network: Network, given: Places, kill: Failure) -> dict[str, float]:
    """Outcome of a generation in which an edge died: counts of 0 or 1, and its critical path.

    A picture is delivered if it is there in time and the device did not start over although a tensor had arrived
    somewhere. Where no fallback ran, the death came too late to matter.
    """
    try:
        places, report = execute(plan, given, network, Random.of([0]), pricing(config.priced_as), (kill,))
    except NodeFailedError:
        return {"num_delivered": 0, "num_without_picture": 1, "num_late": 0, "num_recovered": 0, "longest_s": 0.0}
    # Starting over on the device is no recovery: it would be the same with no edge at all.
    gave_up = any(set(r.ran_on) == {plan.result[0]} and not r.reused for r in report.recoveries)
    is_there, is_late = plan.result in places, report.duration_s > config.deadline_s
    return {
        "num_delivered": is_there and not is_late and not gave_up,
        "num_without_picture": not is_there,
        "num_late": is_late,
        "num_recovered": bool(report.recoveries),
        "longest_s": report.duration_s,
    }


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Share of all kills after which a picture was delivered."""
    lost = table[table["task"] == LOSS]
    if lost.empty:
        return {"delivered_share": None}
    return {"delivered_share": float(lost["num_delivered"].sum() / lost["num_kills"].sum())}


def _swept(table: dict[str, Any]) -> dict[str, Any]:
    """Settings of the time when `snr_db` listed what is swept."""
    return {"snrs_db" if name == "snr_db" else name: value for name, value in table.items()}


def identity(config: ProtocolsConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return picture_digests("scenes", "checker", "classifier")


PROTOCOLS_STUDY = Study(
    "protocols", ProtocolsConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw, current=_swept
)
