"""Study sketch: is a small picture, completed on the device with the prompt, worth more than enlarging it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, final

import torch
from pydantic import Field
from torch import Tensor

from gainnet.codecs import QuantizedSketch
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Tensors
from gainnet.core.units import psnr_db_of_mse
from gainnet.models.part import Part
from gainnet.models.sketches import PictureSketch
from gainnet.studies.figures import BLUE, GREEN, ORANGE, legend_below, panels
from gainnet.studies.presets import CATALOG
from gainnet.studies.statistics import spread
from gainnet.studies.study import Case, Method, Row, Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gainnet.models.attributes import AttributeClassifier
    from gainnet.models.diffusion import DiffusionModel

METHODS = ("esuc", "bicubic", "device_only")
MEASURES = ("agreement", "psnr_db", "fidelity")
METRIC_NAMES = tuple(f"{measure}.{method}" for measure in MEASURES for method in METHODS)
LABELS = {"agreement": "agreement with the edge's picture", "psnr_db": "PSNR in dB", "fidelity": "prompt fidelity"}
COLOURS = {"esuc": BLUE, "bicubic": ORANGE, "device_only": GREEN}
RANDOM_SEEDS_APART = 100_000
BATCH_SIZE = 20


@final
@dataclass(frozen=True)
class SketchConfig:
    """Settings of the study sketch.

    Args:
        random_seeds: each draws its own captions and noise.
        num_captions: unseen captions per random seed.
        max_bits: budgets of one sketch of 16 x 16 pixels; the metrics are those of the largest.
        model: name or folder of the model.
    """

    random_seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    num_captions: Annotated[int, Field(ge=1, le=10_000)]
    max_bits: Annotated[tuple[Annotated[int, Field(ge=384)], ...], Field(min_length=1)]
    model: str = "scenes"


@final
@dataclass(frozen=True)
class Drawn:
    """What edge and device draw alone from the captions of one random seed.

    Args:
        prompts: unseen captions.
        random: streams of the items.
        condition: [n, branches, tokens, width], of the prompts.
        edge: [n, 3, 128, 128], the edge's pictures.
        device: [n, 3, 128, 128], the device's own, from noise that it drew itself.
    """

    prompts: tuple[str, ...]
    random: Random
    condition: Tensor
    edge: Tensor
    device: Tensor


@torch.no_grad()
def in_batches(parts: Sequence[Part], given: Tensors, random: Random) -> dict[str, Tensor]:
    """What parts that run one after the other leave, a few items at a time.

    Args:
        parts: in order.
        given: [n, ...] for every name that they read and do not write.
        random: streams of n items.
    """
    made: list[dict[str, Tensor]] = []
    for start in range(0, random.num_items, BATCH_SIZE):
        items = slice(start, start + BATCH_SIZE)
        seeds = random.random_seeds[items]
        streams, tensors = Random(seeds, (len(seeds),), random.path), {key: x[items] for key, x in given.items()}
        for part in parts:
            tensors |= part({key: tensors[key] for key in part.reads}, streams)
        made.append(tensors)
    return {key: torch.cat([tensors[key] for tensors in made]) for key in made[0]}


def draw_alone(model: DiffusionModel, prompts: Sequence[str], random_seed: int) -> Drawn:
    """The pictures that edge and device make without each other."""
    random = Random.of([RANDOM_SEEDS_APART * random_seed + item for item in range(len(prompts))])
    given = {"prompt": text_to_tensor(list(prompts))}
    edge = in_batches(model.parts, given, random)
    device = in_batches(model.parts, given, random.child("device"))
    return Drawn(tuple(prompts), random, edge["condition"], edge["image"], device["image"])


def judge(classifier: AttributeClassifier, images: Tensor, drawn: Drawn) -> dict[str, float]:
    """Agreement, PSNR against the edge's pictures, and prompt fidelity.

    Agreement is the share of the attributes that the classifier sees alike in a picture and in the edge's.
    """
    from gainnet.models.attributes import prompt_fidelity

    shares = [share for share in prompt_fidelity(classifier, images, drawn.prompts) if share is not None]
    alike = classifier.predict(images) == classifier.predict(drawn.edge)
    return {
        "agreement": float(alike.float().mean()),
        "psnr_db": float(psnr_db_of_mse((images - drawn.edge).double().square().mean())),
        "fidelity": sum(shares) / len(shares),
    }


def cases(config: SketchConfig) -> Iterator[Case]:
    """Every method at every budget; the device alone needs none."""
    for random_seed in config.random_seeds:
        for max_bits in config.max_bits:
            yield Case("esuc", {"max_bits": max_bits, "num_captions": config.num_captions}, random_seed)
            yield Case("bicubic", {"max_bits": max_bits, "num_captions": config.num_captions}, random_seed)
        yield Case("device_only", {"max_bits": None, "num_captions": config.num_captions}, random_seed)


def open_methods(config: SketchConfig) -> Mapping[str, Method]:
    """Model and judge, loaded once; pictures of one random seed are drawn once."""
    from gainnet.models.attributes import AttributeClassifier
    from gainnet.models.completing import Enlarge, completion
    from gainnet.models.loading import find_folder, load_model
    from gainnet.training.scenes_evaluation import unseen_captions

    folder, model = find_folder(config.model), load_model(config.model)
    classifier, sketcher = AttributeClassifier.from_pretrained(), PictureSketch(model.image)
    spec = sketcher.writes["sketch"]

    @lru_cache(maxsize=1)
    def drawn_of(random_seed: int) -> Drawn:
        return draw_alone(model, unseen_captions(folder, config.num_captions, random_seed), random_seed)

    def sent(case: Case, drawn: Drawn) -> tuple[Tensor, float]:
        """The sketches as they arrive, and the mean of their bits."""
        codec, snr = QuantizedSketch(float(str(case.values["max_bits"]))), torch.ones(len(drawn.prompts))
        payload = codec.encode(sketcher.observe(drawn.edge), snr)
        return codec.decode(payload, spec), payload.num_bits / len(drawn.prompts)

    def completed_by(parts: Sequence[Part]) -> Method:
        def method(case: Case, random: Random) -> Row:
            drawn = drawn_of(case.random_seed)
            sketch, num_bits = sent(case, drawn)
            images = in_batches(parts, {"condition": drawn.condition, "sketch": sketch}, drawn.random)["image"]
            return {**judge(classifier, images, drawn), "num_bits": num_bits, "device_flops": _flops(parts)}

        return method

    def device_only(case: Case, random: Random) -> Row:
        drawn = drawn_of(case.random_seed)
        return {**judge(classifier, drawn.device, drawn), "num_bits": 0.0, "device_flops": _flops(model.parts)}

    return {
        "esuc": completed_by(completion(model, sketcher)),
        "bicubic": completed_by((Enlarge(spec, model.image),)),
        "device_only": device_only,
    }


def _flops(parts: Sequence[Part]) -> float:
    return sum(part.flops for part in parts)


def identity(config: SketchConfig) -> Mapping[str, str]:
    """sha256 of the model and of the classifier that judges it."""
    from gainnet.models.attributes import PRETRAINED
    from gainnet.models.loading import find_folder, weights_sha256

    return {"model": weights_sha256(find_folder(config.model)), "classifier": weights_sha256(PRETRAINED)}


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Means over the random seeds, at the largest budget."""
    largest = table["max_bits"].max()
    read = table[(table["max_bits"] == largest) | table["max_bits"].isna()]
    return {
        f"{measure}.{method}": round(float(read.loc[read["method"] == method, measure].mean()), 6)
        for measure in MEASURES
        for method in METHODS
    }


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Agreement, PSNR and fidelity over the bits of a sketch."""
    num_seeds, num_captions = table["random_seed"].nunique(), int(table["num_captions"].max())
    note = (
        f"16 x 16 sketches, {num_captions} unseen captions x {num_seeds} random seeds; bars: 95 % Student intervals.\n"
        "PSNR and agreement against the edge's own picture; the device draws its own noise."
    )
    figure, axes = panels(1, 3, "A sketch completed with the prompt, enlarged, and no sketch at all", note)
    for ax, measure in zip(axes, MEASURES, strict=True):
        for method in ("esuc", "bicubic"):
            rows = table[table["method"] == method]
            points = [
                (float(b), spread(list(rows.loc[rows["max_bits"] == b, measure])))
                for b in sorted(set(rows["max_bits"]))
            ]
            ax.errorbar(
                [bits for bits, _ in points],
                [s.mean for _, s in points],
                [s.half_width or 0.0 for _, s in points],
                fmt="o-",
                color=COLOURS[method],
                label=method,
                capsize=3,
            )
        alone = float(table.loc[table["method"] == "device_only", measure].mean())
        ax.axhline(alone, color=COLOURS["device_only"], linestyle="--", label="device_only")
        ax.set(xlabel="bits of the sketch", ylabel=LABELS[measure])
    legend_below(axes, 3)
    yield "sketch", figure


SKETCH = Study(
    name="sketch",
    question="Is a 16 x 16 sketch, completed on the device with the prompt, better than enlarging it or drawing alone?",
    catalog=CATALOG,
    config=SketchConfig,
    methods=METHODS,
    metric_names=METRIC_NAMES,
    cases=cases,
    open=open_methods,
    identity=identity,
    summarise=summarise,
    draw=draw,
)
