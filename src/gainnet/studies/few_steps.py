"""Study few-steps: how near does a fast model come to its teacher with a few passes, and how near do fewer steps?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final, Literal, final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.core.units import psnr_db_of_mse
from gainnet.models.attributes import AttributeClassifier, prompt_fidelity
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.drafts import draft_part
from gainnet.models.loading import find_folder, load_model, weights_sha256
from gainnet.models.students import MEND, find_student, open_student
from gainnet.studies.figures import Panel, Style, draw_panels, plot_curves
from gainnet.studies.palette import BLACK, BLUE, GREEN, GREY, ORANGE
from gainnet.studies.pictures import PROMPT, UNGUIDED, Pictures, drafts_of, drawn_alone, in_batches, of_prompts
from gainnet.studies.seed_coding.unseen import FIRST_RANDOM_SEED
from gainnet.studies.seed_coding.unseen_list import unseen_captions
from gainnet.studies.settings import Count, NonEmpty, Seeds
from gainnet.studies.statistics import psnr_db, round_metrics
from gainnet.studies.study import Case, Method, Row, Study
from gainnet.studies.weights import picture_digests
from gainnet.training.few_steps import NUMS_PASSES, captions_seen

TEACHER, STUDENT, FITTED = "teacher", "student", "fitted"
FEWER: Final = ("ddim", "dpm", UNGUIDED)
"""Samplers of the teacher with fewer steps."""
OTHERS: Final = (STUDENT, *FEWER, FITTED)
METHODS: Final = (TEACHER, *OTHERS)
NUM_DRAWS: Final = 2000


@final
@dataclass(frozen=True)
class FewStepsConfig:
    """Settings of the study few-steps.

    Args:
        random_seeds: each draws its own captions and initial noise.
        num_images: pictures per random seed, of captions that no training has drawn.
        methods: teacher, student, ddim, dpm, unguided, and fitted: the drafts whose coefficients were fitted to the
            teacher, for even numbers of passes.
        nums_passes: evaluations of the denoiser per picture.
        student: folder of the fast model; the one that is installed for the model when empty.
        model: name or folder of the teacher.
    """

    random_seeds: Seeds
    num_images: Annotated[int, Field(ge=1, le=1000)]
    methods: NonEmpty[Literal["teacher", "student", "ddim", "dpm", "unguided", "fitted"]]
    nums_passes: NonEmpty[Count]
    student: str = ""
    model: str = "scenes"


def cases(config: FewStepsConfig) -> Iterator[Case]:
    """Random seed outermost, so that pictures of the teacher are made once; the teacher has its own passes."""
    for random_seed, method in product(config.random_seeds, config.methods):
        for passes in _passes_of(config, method):
            yield Case(method, {"num_passes": passes}, random_seed)


def _passes_of(config: FewStepsConfig, method: str) -> tuple[int | None, ...]:
    if method == TEACHER:
        return (None,)
    # Two fitted drafts in a row differ by a guided step, which takes two.
    return tuple(passes for passes in config.nums_passes if method != FITTED or passes % 2 == 0)


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """A teacher and its pictures.

    Args:
        model: the teacher.
        pictures_of: its pictures of a random seed.
        classifier: the judge of attributes.
        columns: about the training of the student, in every row of it.
    """

    model: DiffusionModel
    pictures_of: Callable[[int], Pictures]
    classifier: AttributeClassifier
    columns: Row

    def row(self, images: Tensor, pictures: Pictures) -> Row:
        """Columns of pictures [n, 3, H, W] that stand in the place of those of the teacher."""
        errors = (images - pictures.images).double().square().flatten(1).mean(1)
        shares = prompt_fidelity(self.classifier, images, pictures.prompts)
        return {
            "mse": float(f"{float(errors.mean()):.6g}"),
            "psnr_db_of_images": " ".join(f"{float(x):.2f}" for x in psnr_db_of_mse(errors.clamp_min(1e-12))),
            # A caption that names nothing cannot be judged.
            "fidelity_of_images": " ".join("nan" if x is None else f"{x:.4f}" for x in shares),
            "num_images": len(images),
        }


def teacher(bench: Bench, case: Case, random: Random) -> Row:
    """The guided run itself, whose fidelity is the measure."""
    pictures = bench.pictures_of(case.random_seed)
    return {**bench.row(pictures.images, pictures), "mse": None, "psnr_db_of_images": None}


def student(bench: Bench, folder: Path, case: Case, random: Random) -> Row:
    """The fast model with so many passes, from the same noise and captions."""
    pictures, model = bench.pictures_of(case.random_seed), open_student(folder, case.count("num_passes"))
    given = {"prompt": pictures.places[PROMPT]}
    images = in_batches(model.parts, given, pictures.random, ("image",))["image"]
    overlap = len(_seen(folder) & set(pictures.prompts))
    return {**bench.row(images, pictures), **bench.columns, "overlap": overlap}


def fewer_steps(bench: Bench, case: Case, random: Random) -> Row:
    """The teacher with fewer steps, of which an odd number of passes guides none."""
    pictures = bench.pictures_of(case.random_seed)
    passes = case.count("num_passes")
    images = drawn_alone(bench.model, pictures.prompts, pictures.random, passes, case.method)
    return bench.row(images, pictures)


def fitted(bench: Bench, case: Case, random: Random) -> Row:
    """The fitted draft with as many passes, decoded as it is."""
    pictures, model = bench.pictures_of(case.random_seed), bench.model
    part = draft_part(model, f"fitted-{case.count('num_passes') // 2}")
    made = drafts_of(model, part, pictures.prompts, pictures.random)
    images = in_batches((model.decoder,), {"latent": made}, pictures.random, ("image",))["image"]
    return bench.row(images, pictures)


@lru_cache(maxsize=1)
def _seen(folder: Path) -> set[str]:
    """Captions of the student's training; some ten thousands, which are written again in seconds."""
    return captions_seen(_trained(folder))


def _trained(folder: Path) -> dict[str, Any]:
    try:
        trained: dict[str, Any] = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
        _ = trained["random_seed"], trained["steps"]["steps"], trained["steps"]["batch_size"], trained["cpu_s"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"student: {folder}/trained.json is missing or damaged ({error!r}); {MEND}") from error
    return trained


def student_folder(config: FewStepsConfig) -> Path:
    """The fast model of the settings.

    Raises:
        ModelError: there is none for the model.
    """
    if config.student:
        return find_folder(config.student)
    if (found := find_student(weights_sha256(find_folder(config.model)))) is None:
        raise ModelError(f"student: {config.model} has no fast model; {MEND}, or leave student out of methods")
    return found


def pictures_of(model: DiffusionModel, config: FewStepsConfig, random_seed: int) -> Pictures:
    """The teacher's pictures of a random seed, of captions and noise on which seed-coding compares, too."""
    first = config.random_seeds.index(random_seed) * config.num_images
    texts = unseen_captions()[first : first + config.num_images]
    random = Random.of([FIRST_RANDOM_SEED + first + item for item in range(len(texts))])
    return of_prompts(model, texts, random)


def open_methods(config: FewStepsConfig) -> Mapping[str, Method]:
    """Teacher, judge and, where it is asked for, the student.

    Raises:
        ModelError: there is no student, or its folder is damaged.
    """
    model, columns = load_model(config.model), dict[str, Any]()
    methods: dict[str, Any] = {**dict.fromkeys(FEWER, fewer_steps), FITTED: fitted}
    if STUDENT in config.methods:
        folder = student_folder(config)
        trained = _trained(folder)
        steps = trained["steps"]
        columns = {
            "num_steps": steps["steps"], "num_samples": steps["steps"] * steps["batch_size"],
            "cpu_s": float(trained["cpu_s"]), "weights_sha256": weights_sha256(folder)[:16],
        }  # fmt: skip
        methods[STUDENT] = lambda bench, case, random: student(bench, folder, case, random)
    remembered = lru_cache(maxsize=1)(partial(pictures_of, model, config))
    bench = Bench(model, remembered, AttributeClassifier.from_pretrained(), columns)
    return {name: partial(method, bench) for name, method in {TEACHER: teacher, **methods}.items()}


def identity(config: FewStepsConfig) -> Mapping[str, str]:
    """sha256 of teacher, judge and student."""
    found = picture_digests(config.model, "classifier")
    return found | ({str(STUDENT): weights_sha256(student_folder(config))} if STUDENT in config.methods else {})


def metric_names() -> tuple[str, ...]:
    """All metrics.

    >>> metric_names()[:2]
    ('psnr_db_to_teacher.student.1', 'psnr_db_to_teacher.student.1.low')
    """
    whose = [f"{method}.{passes}" for method, passes in product(OTHERS, NUMS_PASSES)]
    psnr = [f"psnr_db_to_teacher.{own}{part}" for own in whose for part in ("", ".low", ".high", ".p05", ".mean_error")]
    shares = [f"fidelity_of_teacher.{own}{part}" for own in whose for part in ("", ".low", ".high")]
    return (*psnr, *shares, "fidelity.teacher", "num_pictures", "overlap")


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Medians and shares with 95 % intervals: percentiles of 2,000 bootstrap draws of pictures."""
    measure = _numbers(table[table["method"] == TEACHER], "fidelity_of_images")
    found: dict[str, float | None] = {"num_pictures": float(table.groupby("random_seed")["num_images"].max().sum())}
    if len(measure):
        found["fidelity.teacher"] = float(np.nanmean(measure))
    if "overlap" in table:
        found["overlap"] = float(table.groupby("random_seed")["overlap"].max().sum())
    for method, passes in product(OTHERS, NUMS_PASSES):
        own = table[(table["method"] == method) & (table["num_passes"] == passes)]
        if len(own):
            found |= _psnr(f"psnr_db_to_teacher.{method}.{passes}", own)
            found |= _fidelity(f"fidelity_of_teacher.{method}.{passes}", own, measure)
    return round_metrics(found, 4)


def _psnr(name: str, rows: pd.DataFrame) -> dict[str, float | None]:
    values = _numbers(rows, "psnr_db_of_images")
    low, high = np.quantile(np.median(values[_drawn(len(values))], axis=1), (0.025, 0.975))
    return {
        name: float(np.median(values)), f"{name}.low": float(low), f"{name}.high": float(high),
        f"{name}.p05": float(np.quantile(values, 0.05)), f"{name}.mean_error": psnr_db(float(rows["mse"].mean())),
    }  # fmt: skip


def _fidelity(name: str, rows: pd.DataFrame, measure: NDArray[np.float64]) -> dict[str, float | None]:
    """Mean fidelity over that of the teacher, on the same pictures."""
    values = _numbers(rows, "fidelity_of_images")
    if len(values) != len(measure) or not np.isfinite(measure).any():
        return {}
    kept = np.isfinite(values) & np.isfinite(measure)
    own, teachers = values[kept], measure[kept]
    drawn = _drawn(len(own))
    low, high = np.quantile(own[drawn].mean(1) / teachers[drawn].mean(1), (0.025, 0.975))
    return {name: float(own.mean() / teachers.mean()), f"{name}.low": float(low), f"{name}.high": float(high)}


def _drawn(count: int) -> NDArray[np.int64]:
    """[NUM_DRAWS, count], pictures of bootstrap draws, the same for all methods."""
    return np.random.default_rng(0).integers(count, size=(NUM_DRAWS, count))


def _numbers(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """[num_pictures], a column of texts of numbers, random seeds one after the other."""
    texts = rows.sort_values("random_seed")[column].dropna().astype(str)
    return np.array([float(x) for text in texts for x in text.split()])


STYLES: Final = {
    STUDENT: Style("fast model", ORANGE, marker="^"), FITTED: Style("teacher, fitted steps", GREEN, marker="D"),
    UNGUIDED: Style("teacher, DDIM without guidance", GREY, marker="s"),
    "ddim": Style("teacher, DDIM", BLUE, marker="o"),
    "dpm": Style("teacher, DPM++ 2M", BLACK, marker="x"),
}  # fmt: skip


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Median PSNR to the teacher over passes."""
    rows = table[table["method"] != TEACHER]
    if rows.empty:
        return
    medians = [
        {"method": method, "num_passes": passes, "psnr_db": float(np.median(_numbers(own, "psnr_db_of_images")))}
        for (method, passes), own in rows.groupby(["method", "num_passes"])
    ]
    count = int(table.groupby("random_seed")["num_images"].max().sum())
    note = f"{count} captions that no training has drawn; one and two steps of DPM++ 2M are those of DDIM."
    part = Panel(pd.DataFrame(medians), "", "denoiser passes", "median PSNR in dB")
    yield "few_steps", draw_panels("How near to the teacher?", note, [part], _curves, 1)


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    plot_curves(ax, rows, "num_passes", "psnr_db", STYLES)
    ax.set_xticks(sorted(rows["num_passes"].unique()))


FEW_STEPS = Study("few-steps", FewStepsConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw)
