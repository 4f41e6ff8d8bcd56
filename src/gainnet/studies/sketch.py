"""Study sketch: is a sketch, completed on the device with the prompt, worth more than enlarging it or drawing alone?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from operator import attrgetter
from typing import Annotated, final

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from gainnet.codecs import AnyCodec, EdgeMap, QuantizedSketch
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.units import psnr_db_of_mse
from gainnet.generation.quality import mean_fidelity
from gainnet.models.attributes import AttributeClassifier
from gainnet.models.completing import completion, completion_of_edges, enlargement
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder, load_model
from gainnet.models.part import Part, TensorMap
from gainnet.models.sketches import edge_sketch, picture_sketch
from gainnet.network import EDGE
from gainnet.protocols.candidates import best_candidate
from gainnet.protocols.task import Task
from gainnet.studies.figures import Panel, draw_panels, error_bars
from gainnet.studies.palette import BLUE, GREEN, ORANGE, PURPLE, RED
from gainnet.studies.pictures import in_batches
from gainnet.studies.settings import NonEmpty, Seeds
from gainnet.studies.statistics import at, named, round_metrics
from gainnet.studies.study import Case, Method, Row, Study
from gainnet.studies.weights import picture_digests
from gainnet.training.scenes_evaluation import unseen_captions

METHODS = ("esuc", "bicubic", "esuc_one", "esuc_edges", "device_only")
BUDGETED = ("esuc", "bicubic")
"""Methods that are tried at every budget; `esuc_one` is at the largest, and a map of edges takes what it takes."""
MEASURES = ("agreement", "psnr_db", "fidelity")
METRIC_NAMES = tuple(f"{measure}.{method}" for measure in MEASURES for method in METHODS)
LABELS = {"agreement": "agreement with the edge's picture", "psnr_db": "PSNR in dB", "fidelity": "prompt fidelity"}
ARMS = {
    "esuc": "sketch completed", "bicubic": "sketch enlarged", "esuc_one": "sketch of one candidate",
    "esuc_edges": "outlines instead", "device_only": "device alone",
}  # fmt: skip
COLOURS = {"esuc": BLUE, "bicubic": ORANGE, "esuc_one": RED, "esuc_edges": PURPLE, "device_only": GREEN}
RANDOM_SEEDS_APART = 100_000
FIRST = "image of latent"
"""Name of the first candidate's picture in the plan of `esuc`."""


@final
@dataclass(frozen=True)
class SketchConfig:
    """Settings of the study sketch.

    Args:
        random_seeds: each draws its own captions and noise.
        num_captions: unseen captions per random seed.
        max_bits: budgets of one sketch of 16 x 16 pixels; the metrics are those of the largest.
        num_candidates: pictures that the edge draws to choose from, at least 2; all methods but `esuc_one` sketch the
            chosen one and are compared with it.
        model: name or folder of the model.
    """

    random_seeds: Seeds
    num_captions: Annotated[int, Field(ge=1, le=10_000)]
    max_bits: NonEmpty[Annotated[int, Field(ge=384)]]
    num_candidates: Annotated[int, Field(ge=2, le=64)]
    model: str = "scenes"


@final
@dataclass(frozen=True)
class Drawn:
    """Pictures that edge and device draw alone from the captions of one random seed.

    Args:
        prompts: unseen captions.
        random: streams of the items.
        condition: [n, branches, tokens, width], of the prompts.
        chosen: [n, 3, 128, 128], the edge's pictures that it chose of several.
        first: [n, 3, 128, 128], those that it drew first.
        device: [n, 3, 128, 128], the device's own, from noise that it drew itself.
    """

    prompts: tuple[str, ...]
    random: Random
    condition: Tensor
    chosen: Tensor
    first: Tensor
    device: Tensor


def drawing(model: DiffusionModel, num_candidates: int) -> tuple[Part, ...]:
    """Parts of an edge that draws candidates and chooses, as `esuc` plans them: prompt -> image."""
    task = Task.of(model)
    return task.begin(), *(step.part for step in best_candidate(task, EDGE, num_candidates))


def draw_alone(model: DiffusionModel, prompts: Sequence[str], random_seed: int, num_candidates: int) -> Drawn:
    """The pictures that edge and device make without each other."""
    random = Random.of([RANDOM_SEEDS_APART * random_seed + item for item in range(len(prompts))])
    given = {"prompt": text_to_tensor(list(prompts))}
    names = ("condition", "image", FIRST)
    edge = in_batches(drawing(model, num_candidates), given, random, names)
    # With noise of its own, as another machine would draw it.
    device = in_batches(model.parts, given, random.child("device"), ("image",))
    return Drawn(tuple(prompts), random, edge["condition"], edge["image"], edge[FIRST], device["image"])


def judge(
    classifier: AttributeClassifier, images: Tensor, reference: Tensor, prompts: Sequence[str]
) -> dict[str, float | None]:
    """Agreement and PSNR against the edge's pictures, and prompt fidelity.

    Agreement is the share of the attributes that the classifier sees alike in a picture and in the edge's.
    """
    # With the edge's picture and not with the caption, which names less than the picture shows.
    alike = classifier.predict(images) == classifier.predict(reference)
    return {
        "agreement": float(alike.float().mean()),
        "psnr_db": float(psnr_db_of_mse((images - reference).double().square().mean())),
        "fidelity": mean_fidelity(images, prompts, classifier),
    }


def cases(config: SketchConfig) -> Iterator[Case]:
    """Every method, and those of a small picture at every budget."""
    budgets_of = dict.fromkeys(BUDGETED, config.max_bits) | {"esuc_one": (max(config.max_bits),)}
    for random_seed, method in product(config.random_seeds, METHODS):
        for max_bits in budgets_of.get(method, (None,)):
            yield Case(method, {"max_bits": max_bits, "num_captions": config.num_captions}, random_seed)


@final
@dataclass(frozen=True)
class Route:
    """Steps of a method from the edge's picture to the device's.

    Args:
        sketcher: what the edge makes of its picture.
        codec_of: what carries that in a case.
        parts: what the device makes of it, one after the other.
        picture_of: which of the edge's pictures is sketched.
        num_candidates: pictures that the edge draws to choose from.
    """

    sketcher: TensorMap
    codec_of: Callable[[Case], AnyCodec]
    parts: Sequence[Part]
    picture_of: Callable[[Drawn], Tensor]
    num_candidates: int


@final
@dataclass(frozen=True)
class Material:
    """Model, judge and pictures of all methods.

    Args:
        model: of edge and device.
        classifier: the judge.
        drawn_of: pictures of a random seed.
        edge_flops: of an edge, by the number of candidates that it draws.
    """

    model: DiffusionModel
    classifier: AttributeClassifier
    drawn_of: Callable[[int], Drawn]
    edge_flops: Mapping[int, float]

    def completed(self, route: Route, case: Case, random: Random) -> Row:
        """The edge sends a sketch, the device completes it."""
        drawn, codec = self.drawn_of(case.random_seed), route.codec_of(case)
        reference = route.picture_of(drawn)
        sketch = route.sketcher({"image": reference}, drawn.random)["sketch"]
        # Codecs of bits do not look at the SNR.
        payload = codec.encode(sketch, torch.ones(len(drawn.prompts)))
        given = {"condition": drawn.condition, "sketch": codec.decode(payload, route.sketcher.writes["sketch"])}
        images = in_batches(route.parts, given, drawn.random, ("image",))["image"]
        return {
            **judge(self.classifier, images, reference, drawn.prompts),
            "num_bits": payload.num_bits / len(drawn.prompts),
            "device_flops": _flops(route.parts),
            "edge_flops": self.edge_flops[route.num_candidates],
            "num_candidates": route.num_candidates,
        }

    def device_only(self, case: Case, random: Random) -> Row:
        """The device draws alone, and is compared with what the edge would have drawn."""
        drawn, device_flops = self.drawn_of(case.random_seed), _flops(self.model.parts)
        judged = judge(self.classifier, drawn.device, drawn.chosen, drawn.prompts)
        return {**judged, "num_bits": 0.0, "device_flops": device_flops, "edge_flops": 0.0, "num_candidates": 0}


def open_methods(config: SketchConfig) -> Mapping[str, Method]:
    """Model and judge, loaded once; pictures of one random seed are drawn once."""
    folder, model = find_folder(config.model), load_model(config.model)

    @lru_cache(maxsize=1)
    def drawn_of(random_seed: int) -> Drawn:
        prompts = unseen_captions(folder, config.num_captions, random_seed)
        return draw_alone(model, prompts, random_seed, config.num_candidates)

    edge_flops = {count: _flops(drawing(model, count)) for count in (1, config.num_candidates)}
    material = Material(model, AttributeClassifier.from_pretrained(), drawn_of, edge_flops)
    completing = {
        name: partial(material.completed, route) for name, route in routes(model, config.num_candidates).items()
    }
    return {**completing, "device_only": material.device_only}


def routes(model: DiffusionModel, num_candidates: int) -> dict[str, Route]:
    """The methods whose edge sends a sketch, by name."""
    small, outlines = picture_sketch(model.image), edge_sketch(model.image)
    completing = completion(model, small.writes["sketch"])
    following = completion_of_edges(model, outlines.writes["sketch"])
    enlarging = (enlargement(small.writes["sketch"], model.image),)
    return {
        "esuc": Route(small, _quantized, completing, attrgetter("chosen"), num_candidates),
        "bicubic": Route(small, _quantized, enlarging, attrgetter("chosen"), num_candidates),
        "esuc_one": Route(small, _quantized, completing, attrgetter("first"), 1),
        "esuc_edges": Route(outlines, lambda case: EdgeMap(), following, attrgetter("chosen"), num_candidates),
    }


def _quantized(case: Case) -> QuantizedSketch:
    return QuantizedSketch(case.number("max_bits"))


def _flops(parts: Sequence[Part]) -> float:
    return sum(part.flops for part in parts)


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Means over the random seeds, at the largest budget."""
    # Methods without a budget are the same at every one.
    read = table[(table["max_bits"] == table["max_bits"].max()) | table["max_bits"].isna()]
    means = read.groupby("method")[[*MEASURES]].mean()
    return round_metrics(named(means.reindex(METHODS).stack(future_stack=True), "{1}.{0}"), 6)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Agreement, PSNR and fidelity over the bits of a sketch."""
    num_seeds, num_captions = table["random_seed"].nunique(), int(table["num_captions"].max())
    note = (
        f"{num_captions} unseen captions x {num_seeds} random seeds; bars: 95 % Student intervals. The edge "
        f"draws {int(table['num_candidates'].max())} candidates,\nand its checker chooses the one to sketch; one "
        "candidate: it draws one. Enlarged: bicubic, the same sketch without the prompt.\n"
        "PSNR and agreement against the picture that was sketched; the judge of the measures chooses nothing."
    )
    parts = [Panel(table.assign(measure=table[name]), "", "bits of the sketch", LABELS[name]) for name in MEASURES]
    title = "A sketch completed with the prompt, enlarged, and no sketch at all"
    yield "sketch", draw_panels(title, note, parts, _curves, 3, legend=len(METHODS))


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    """Means over random seeds against the bits that sketches took, and the device alone, which needs none."""
    for method in METHODS[:-1]:
        groups = [group for _, group in at(rows, method=method).groupby("max_bits", dropna=False)]
        num_bits = [float(group["num_bits"].mean()) for group in groups]
        error_bars(ax, num_bits, [group["measure"] for group in groups], COLOURS[method], ARMS[method])
    alone = float(at(rows, method="device_only")["measure"].mean())
    ax.axhline(alone, color=COLOURS["device_only"], linestyle="--", label=ARMS["device_only"])


def identity(config: SketchConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return picture_digests(config.model, "checker", "classifier")


SKETCH = Study("sketch", SketchConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw)
