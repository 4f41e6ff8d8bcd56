"""Study protocols: which protocol when, and does a picture come when an edge is lost?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal, final

from pydantic import Field

from gainnet.core.randomness import Random
from gainnet.studies.presets import CATALOG
from gainnet.studies.protocols_drawing import draw
from gainnet.studies.study import Case, Method, Row, Study, Value

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from gainnet.generation import GenerationConfig
    from gainnet.generation.memory import Memory
    from gainnet.models.diffusion import DiffusionModel
    from gainnet.network import Network
    from gainnet.protocols import Plan

METHODS = (
    "centralized", "device_only", "uieg", "eiug", "ciag", "esuc", "uidg", "diug", "dsuc", "uidcg", "dcsuc",
)  # fmt: skip
SEVERAL = ("uidg", "diug", "dsuc", "uidcg", "dcsuc")
COOPERATIVE = ("uidcg", "dcsuc")
TASKS = ("text_to_image", "image_to_image")
NUM_EDGES = 2
LOSS = "loss"
VALUES: dict[str, Value] = {"task": None, "snr_db": None, "hardware": None, "num_edges": None, "cooperation": None}
METRIC_NAMES = ("delivered_share",)


@final
@dataclass(frozen=True)
class ProtocolsConfig:
    """Settings of the study protocols.

    Args:
        random_seeds: each draws its own captions, pictures, noise and fading.
        num_images: pictures per random seed.
        methods: protocols; those with several edges have two.
        tasks: what is generated.
        snr_db: mean received Es/N0, dB.
        hardware: of the device.
        fading: awgn or rayleigh.
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

    random_seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    num_images: Annotated[int, Field(ge=1, le=1000)]
    methods: tuple[str, ...]
    tasks: Annotated[tuple[Literal["text_to_image", "image_to_image"], ...], Field(min_length=1)]
    snr_db: Annotated[tuple[Annotated[float, Field(ge=-60, le=100)], ...], Field(min_length=1)]
    hardware: Annotated[tuple[str, ...], Field(min_length=1)]
    fading: Literal["awgn", "rayleigh"]
    loss_protocols: tuple[Literal["uidg", "diug", "dsuc", "uidcg", "dcsuc"], ...]
    loss_edges: tuple[Annotated[int, Field(ge=2, le=4)], ...]
    loss_stride: Annotated[int, Field(ge=1)]
    loss_steps: Annotated[int, Field(ge=2)]
    deadline_s: Annotated[float, Field(gt=0)]
    loss_hardware: str = "laptop"
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6
    priced_as: str = "sd15"


def cases(config: ProtocolsConfig) -> Iterator[Case]:
    """Losses with the first random seed, then every protocol in every situation."""
    for killed in config.loss_protocols:
        for num_edges in config.loss_edges:
            for cooperation in ways(killed, num_edges):
                loss: dict[str, Value] = {"num_edges": num_edges, "cooperation": cooperation}
                yield Case(killed, VALUES | {"task": LOSS} | loss, config.random_seeds[0])
    for random_seed in config.random_seeds:
        for task in config.tasks:
            for method in config.methods:
                for snr_db in config.snr_db:
                    for hardware in config.hardware:
                        case: dict[str, Value] = {"task": task, "snr_db": snr_db, "hardware": hardware}
                        yield Case(method, VALUES | case, random_seed)


def ways(method: str, num_edges: int) -> tuple[str | None, ...]:
    """How edges share a generation: every way for the protocols that do.

    >>> ways("uidcg", 2), ways("uidcg", 3), ways("diug", 2)
    (('pipeline', 'regions', 'guidance'), ('pipeline', 'regions'), (None,))
    """
    if method not in COOPERATIVE:
        return (None,)
    return ("pipeline", "regions", "guidance") if num_edges == NUM_EDGES else ("pipeline", "regions")


def open_methods(config: ProtocolsConfig) -> Mapping[str, Method]:
    """One method per protocol; a case of losses kills its edges."""
    from gainnet.generation.memory import Memory
    from gainnet.models.loading import load_model

    model_of = lru_cache(maxsize=2)(lambda num_steps: (load_model(num_steps=num_steps), Memory()))
    seen: dict[tuple[object, ...], Mapping[str, Value]] = {}

    def evaluate(case: Case, random: Random) -> Row:
        if case.values["task"] == LOSS:
            return _losses(config, case, *model_of(config.loss_steps))
        return _trial(config, case, *model_of(None), seen)

    return dict.fromkeys(METHODS, evaluate)


def asked(config: ProtocolsConfig, case: Case, prompts: tuple[str, ...]) -> GenerationConfig:
    """The generation of a case."""
    from gainnet.generation import GenerationConfig

    return GenerationConfig(
        prompts,
        case.method,
        snr_db=float(case.values["snr_db"] or 0.0),
        fading=config.fading,
        random_seed=1000 * case.random_seed,
        hardware=str(case.values["hardware"]),
        priced_as=config.priced_as,
        num_edges=NUM_EDGES if case.method in SEVERAL else 1,
        strength=config.strength,
    )


def _trial(
    config: ProtocolsConfig,
    case: Case,
    model: DiffusionModel,
    memory: Memory,
    seen: dict[tuple[object, ...], Mapping[str, Value]],
) -> Row:
    """Cost and quality; a protocol that does not fit the device has neither. Hardware changes no picture."""
    from gainnet.core.errors import PlanError
    from gainnet.generation.advice import judged, priced
    from gainnet.generation.assemble import build_network
    from gainnet.generation.tables import tabulated

    with _captions_and_picture(config, case) as (prompts, path):
        ask = asked(config, case, prompts)
        ask = replace(ask, image=path) if case.values["task"] == "image_to_image" else ask
        try:
            cost = asdict(priced(ask, model))
        except PlanError as error:
            return {"reason": str(error)}
        key = case.method, case.values["task"], case.values["snr_db"], case.random_seed
        if key not in seen:
            seen[key] = judged(ask, model, memory, tabulated(build_network(ask)))
    row = {**cost, **seen[key]}
    return {key: value for key, value in row.items() if key != "protocol"}


def _captions_and_picture(config: ProtocolsConfig, case: Case):  # type: ignore[no-untyped-def]
    """Unseen captions, and the file of another scene that the device has a picture of."""
    import tempfile
    from contextlib import contextmanager
    from pathlib import Path

    from PIL import Image

    from gainnet.models.scenes import draw_scenes, render, stream, write_captions

    @contextmanager
    def opened() -> Iterator[tuple[tuple[str, ...], str]]:
        rng = stream(case.random_seed, "protocols", 0)
        prompts = tuple(write_captions(draw_scenes(config.num_images, rng), rng))
        picture = render(draw_scenes(1, rng))[0]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.png"
            Image.fromarray(_pixels(picture)).save(path)
            yield prompts, str(path)

    return opened()


def _pixels(picture: Tensor):  # type: ignore[no-untyped-def]
    return (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def _losses(config: ProtocolsConfig, case: Case, model: DiffusionModel, memory: Memory) -> Row:
    """Every edge is killed before every step (or every few); what came of it."""
    import torch

    from gainnet.generation.assemble import build_network, build_plan
    from gainnet.generation.generate import inputs
    from gainnet.generation.tables import tabulated

    edges, cooperation = int(case.values["num_edges"] or NUM_EDGES), case.values["cooperation"]
    ask = replace(
        asked(config, case, ("a red star above a blue house at sunset",)),
        snr_db=15.0,
        hardware=config.loss_hardware,
        num_edges=edges,
        cooperation=None if cooperation is None else str(cooperation),
    )
    network = tabulated(build_network(ask))
    plan = memory.over(build_plan(ask, model, network))
    kills = [(edge, step) for edge in network.edges for step in range(0, len(plan.steps), config.loss_stride)]
    with torch.inference_mode():
        ends = [_end(config, plan, network, inputs(ask, model), kill) for kill in kills]
    return {
        "num_kills": len(kills),
        "num_delivered": sum(end.delivered for end in ends),
        "num_without_picture": sum(not end.picture for end in ends),
        "num_late": sum(end.duration_s > config.deadline_s for end in ends),
        "num_recovered": sum(end.recovered for end in ends),
        "longest_s": max(end.duration_s for end in ends),
    }


@final
@dataclass(frozen=True)
class End:
    """How a generation ended in which an edge died.

    Args:
        picture: whether there is one.
        recovered: whether a fallback ran; else the death came too late to matter.
        gave_up: whether the device started over although a tensor had arrived somewhere.
        duration_s: critical path, detection included.
        delivered: a picture, in time, that did not give up.
    """

    picture: bool
    recovered: bool
    gave_up: bool
    duration_s: float
    delivered: bool


def _end(config: ProtocolsConfig, plan: Plan, network: Network, given: Mapping, kill: tuple) -> End:  # type: ignore[type-arg]
    from gainnet.core.errors import NodeFailedError
    from gainnet.protocols import execute, pricing

    try:
        places, report = execute(plan, given, network, Random.of([0]), pricing(config.priced_as), (kill,))
    except NodeFailedError:
        return End(False, False, False, 0.0, False)
    gave_up = any(set(r.ran_on) == {plan.result[0]} and not r.reused for r in report.recoveries)
    picture, in_time = plan.result in places, report.duration_s <= config.deadline_s
    recovered = bool(report.recoveries)
    return End(picture, recovered, gave_up, report.duration_s, picture and in_time and not gave_up)


def identity(config: ProtocolsConfig) -> Mapping[str, str]:
    """sha256 of the model, of the checker that chooses among candidates and of the classifier that judges."""
    from gainnet.models import attributes, checker
    from gainnet.models.loading import find_folder, weights_sha256

    return {
        "model": weights_sha256(find_folder("scenes")),
        "checker": weights_sha256(checker.PRETRAINED),
        "classifier": weights_sha256(attributes.PRETRAINED),
    }


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Share of all kills after which a picture was delivered."""
    lost = table[table["task"] == LOSS]
    if lost.empty:
        return {"delivered_share": None}
    return {"delivered_share": float(lost["num_delivered"].sum() / lost["num_kills"].sum())}


PROTOCOLS_STUDY = Study(
    name="protocols",
    question="Which protocol fits which air, device and task, and does a picture come when an edge is lost?",
    catalog=CATALOG,
    config=ProtocolsConfig,
    methods=METHODS,
    metric_names=METRIC_NAMES,
    cases=cases,
    open=open_methods,
    identity=identity,
    summarise=summarise,
    draw=draw,
)
