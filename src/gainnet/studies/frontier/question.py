"""Question and sweep of frontier: channel uses against denoiser passes on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Final, final

from pydantic import AfterValidator, Field

from gainnet.codecs.correction.stream import NUM_LEVELS
from gainnet.codecs.opponents import ENCODERS
from gainnet.codecs.transform_seed.stream import NUM_LEVELS as NUM_TRANSFORM_LEVELS
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits
from gainnet.studies.own import OwnCodec, one_or_own, own
from gainnet.studies.pictures import UNGUIDED
from gainnet.studies.settings import Count, NonEmpty, Seeds, SnrDb, one_of
from gainnet.studies.study import Case
from gainnet.training.few_steps import NUMS_PASSES

BEST: Final = "best_image_codec"
TRANSFORM: Final = "transform_prompt"
DENOISED: Final = "transform_prompt_denoised"
DRAFT: Final = "draft"
ALONE: Final = "device_only"
PERTURBED: Final = "perturbed"
ANNEALED: Final = "transform_prompt_annealed"
ANNEALED_DENOISED: Final = "transform_prompt_annealed_denoised"
DRAFT_ANNEALED: Final = "draft_annealed"
SCHEMES: Final = (BEST, TRANSFORM, DENOISED, DRAFT, ALONE, ANNEALED, ANNEALED_DENOISED, DRAFT_ANNEALED)
"""Schemes of the frontier; the metric `scheme.<passes>.<snr>` is the place of the best one in this list, from 0."""
METHODS: Final = (*SCHEMES, PERTURBED)
PASSES: Final = (0, 1, 2, 4, 8, 10, 20)
"""Denoiser passes on the device at which the frontier is read."""
SNRS: Final = {"0db": 0.0, "5db": 5.0, "10db": 10.0}
SIZES: Final = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
"""Standard deviations of what the draft on the device differs by from that on the edge."""

Slope = Annotated[float, Field(gt=0.0)]


def check_code(text: str) -> None:
    """Raises `ConfigError` unless a text names a codec of bits for seeds."""
    codec = OwnCodec.of_text(text)
    if codec.kind != "seed" or codec.emits is not Bits:
        raise ConfigError(f"{text} is compared in bytes of a seed; give a codec of seeds that emits Bits")


def draft_at(text: str) -> tuple[str, int]:
    """A draft and the level of its corrections; raises `ConfigError` for what is no `NAME@LEVEL`.

    >>> draft_at("fitted-4@12")
    ('fitted-4', 12)
    """
    name, _, level = text.partition("@")
    if not name or not level.isdecimal() or not int(level) < NUM_LEVELS:
        most = NUM_LEVELS - 1
        raise ConfigError(f"{text} is no draft with a level; write NAME@LEVEL, such as fitted-4@12, up to {most}")
    return name, int(level)


def _checked(text: str) -> str:
    draft_at(text)
    return text


DraftAtLevel = Annotated[str, AfterValidator(_checked)]


@final
@dataclass(frozen=True)
class FrontierConfig:
    """Settings of the study frontier.

    Args:
        random_seeds: each draws its own captions and initial noise.
        num_images: pictures per random seed, of those that seed-coding compares on.
        methods: what runs, and codecs of bits for seeds of yours as `module:Class(args)`.
        snrs_db: of the air, without fading.
        drafts: names, `fitted-K`, `coarse-K`, `prefix-K`, or `fast-K` of the fast model, which then generates alone,
            too, with 1, 2 and 4 passes.
        levels: of the code of corrections.
        transform_levels: of the transform code of seeds.
        annealing_steps: of the search for the latents to send, in the place of the finished ones.
        annealed_levels: of the transform code of seeds that were searched for.
        annealed_drafts: whose corrections are searched for, each with the level of their code, `NAME@LEVEL`.
        nums_bytes: budgets in which picture codecs encode, and codecs of yours.
        slopes: mean squared error, of values in [0, 1], that a picture codec gives up for a bit less: every picture
            takes the encode of least error plus slope times bits, so that those that need more bits get them.
        encoders: of the opponents; the metrics are called those of the best image codec only where all ran.
        device_only_passes: denoiser passes of a device that generates alone, by DDIM, with guidance and
            without, and by DPM++ 2M.
        perturbed_draft: draft whose copy on the device is perturbed; empty for none.
        perturbed_level: level of its correction.
        model: name or folder of the model.
    """

    random_seeds: Seeds
    num_images: Annotated[int, Field(ge=1, le=1000)]
    methods: NonEmpty[Annotated[str, one_or_own(METHODS, check_code)]]
    snrs_db: NonEmpty[SnrDb]
    drafts: NonEmpty[str]
    levels: NonEmpty[Annotated[int, Field(ge=0, lt=NUM_LEVELS)]]
    transform_levels: NonEmpty[Annotated[int, Field(ge=0, lt=NUM_TRANSFORM_LEVELS)]]
    nums_bytes: NonEmpty[Count]
    slopes: NonEmpty[Slope]
    encoders: NonEmpty[Annotated[str, one_of(tuple(ENCODERS))]]
    device_only_passes: NonEmpty[Count]
    annealing_steps: Count = 300
    annealed_levels: NonEmpty[Annotated[int, Field(ge=0, lt=NUM_TRANSFORM_LEVELS)]] = (52, 64)
    annealed_drafts: NonEmpty[DraftAtLevel] = ("fitted-4@15", "fitted-4@18", "fast-2@15", "fast-2@18")
    perturbed_draft: str = ""
    perturbed_level: Annotated[int, Field(ge=0, lt=NUM_LEVELS)] = 8
    model: str = "scenes"


def cases(config: FrontierConfig) -> Iterator[Case]:
    """Random seed outermost, so that pictures and drafts are made once; opponents last, whose encodes are dear."""
    for random_seed in config.random_seeds:
        yield from _own(config, random_seed)
    for random_seed, slope, snr_db in product(config.random_seeds, config.slopes, config.snrs_db):
        if BEST in config.methods:
            yield _case(BEST, random_seed, slope, snr_db)


def _own(config: FrontierConfig, random_seed: int) -> Iterator[Case]:
    """Every scheme but the opponents at every rate over every air."""
    for draft in config.drafts if DRAFT in config.methods else ():
        yield _case(DRAFT, random_seed, None, None, draft)
        for level, snr_db in product(config.levels, config.snrs_db):
            yield _case(DRAFT, random_seed, level, snr_db, draft)
    for method in (name for name in (TRANSFORM, DENOISED) if name in config.methods):
        for level, snr_db in product(config.transform_levels, config.snrs_db):
            yield _case(method, random_seed, level, snr_db)
    yield from _annealed(config, random_seed)
    for users in own(config.methods, METHODS):
        for num_bytes, snr_db in product(config.nums_bytes, config.snrs_db):
            yield _case(users, random_seed, num_bytes, snr_db)
    for passes, sampler in product(config.device_only_passes, SAMPLERS) if ALONE in config.methods else ():
        yield _case(ALONE, random_seed, passes, None, sampler)
    for passes in passes_of_fast(config) if ALONE in config.methods else ():
        yield _case(ALONE, random_seed, passes, None, FAST)
    if ALONE in config.methods:
        yield _case(ALONE, random_seed, None, None, WHOLE)
    for size in (0.0, *SIZES) if PERTURBED in config.methods and config.perturbed_draft else ():
        yield _case(PERTURBED, random_seed, size, None, config.perturbed_draft)


def _annealed(config: FrontierConfig, random_seed: int) -> Iterator[Case]:
    """Schemes whose latents are searched for, level by level, so that each search is made once."""
    chosen = [name for name in (ANNEALED, ANNEALED_DENOISED) if name in config.methods]
    for level, method, snr_db in product(config.annealed_levels, chosen, config.snrs_db):
        yield _case(method, random_seed, level, snr_db)
    drafts = map(draft_at, config.annealed_drafts if DRAFT_ANNEALED in config.methods else ())
    for (draft, level), snr_db in product(drafts, config.snrs_db):
        yield _case(DRAFT_ANNEALED, random_seed, level, snr_db, draft)


def named_drafts(config: FrontierConfig) -> tuple[str, ...]:
    """Names of all drafts that a run makes."""
    plain = config.drafts if DRAFT in config.methods else ()
    searched = [draft_at(text)[0] for text in config.annealed_drafts if DRAFT_ANNEALED in config.methods]
    return tuple(dict.fromkeys([*plain, *searched]))


def passes_of_fast(config: FrontierConfig) -> tuple[int, ...]:
    """Passes with which the fast model generates alone; none where the settings name no draft of it."""
    return NUMS_PASSES if any(name.startswith(f"{FAST}-") for name in config.drafts) else ()


FAST: Final = "fast"
"""The fast model, as a form of drafts and as a sampler of a device that generates alone."""
WHOLE: Final = "whole"
"""The device makes the whole run alone."""
SAMPLERS: Final = ("ddim", "dpm", UNGUIDED)


def _case(method: str, random_seed: int, point: float | None, snr_db: float | None, variant: str = "") -> Case:
    """A case; `point` is level, slope, passes, size or bytes, by method, and `variant` draft or sampler."""
    return Case(method, {"variant": variant, "point": point, "snr_db": snr_db}, random_seed)
