"""Question and sweep of seed-coding: codes for seeds and pictures, over SNR, channel uses, fading and wrong reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Final, final

from pydantic import Field

from gainnet.core.types import Symbols
from gainnet.studies.own import OwnCodec, check_codec, check_fading, one_or_own, own
from gainnet.studies.settings import NonEmpty, Seeds, one_of
from gainnet.studies.study import Case, Value

LISTS: Final = ("denoiser", "text_encoder", "seed_basis", "seed_codec", "transform_seed")
"""Trainings of the shipped weights that read captions; all others see pictures alone."""

LEARNED = ("seed", "seed_prompt")
ANALOG = ("raw", "linear", *LEARNED, "seed_denoiser")
DIGITAL_SEEDS = ("digital_seed", "digital_seed_prompt", "pca_seed")
PICTURES = ("webp", "avif", "jpeg")
BEST_CODEC: Final = "best_image_codec"
OPTA = "gaussian_opta"
ON_FINE_GRID = ("raw", "linear", *LEARNED, OPTA)
"""Methods that cost little more than decoding what arrived."""

WITH_REDUNDANCY = ("digital_seed", "avif")
"""Methods whose bits also go with incremental redundancy where blocks fade."""

WIDE = ("raw_pixels", "merged")
"""Methods of the Stable-Diffusion-shaped latent alone."""

PUBLISHED = ("published_centralised", "published_split", "published_merged")
SWEPT: Final = (*ANALOG, *DIGITAL_SEEDS, *PICTURES, OPTA, *WIDE, *PUBLISHED)
"""Methods of the sweeps on few pictures."""

DENOISED: Final = "transform_prompt_denoised"
SEEDS_OF_BITS: Final = ("transform", "transform_prompt", DENOISED)
OPPONENTS: Final = ("hevc", "avif", "vvc", BEST_CODEC)
"""Image codecs at their strongest; the last one is the best of all, picture by picture."""

SCHEMES_OF_BITS: Final = (*SEEDS_OF_BITS, "domain_picture", *OPPONENTS)
SCHEMES_OF_SYMBOLS: Final = ("linear", "seed")
SCHEMES: Final = (*SCHEMES_OF_SYMBOLS, *SCHEMES_OF_BITS)
"""What is compared on unseen pictures; `domain_picture` is the finished picture through the model's autoencoder and the
learned transform code."""

OVERLAP, POWER, SLOWER_VVC, DEVICE_ONLY = "overlap", "power", "vvc_slower", "device_only"
METHODS: Final = (*SWEPT, *(name for name in SCHEMES if name not in SWEPT), OVERLAP, POWER, SLOWER_VVC, DEVICE_ONLY)

NUMS_BYTES: Final = {
    **dict.fromkeys(("transform", "domain_picture"), (28, 40, 48, 56, 64, 72, 84, 104)),
    **dict.fromkeys(("transform_prompt", DENOISED), (24, 34, 42, 50, 58, 66, 78, 98)),
    **dict.fromkeys(OPPONENTS, (110, 140, 165, 195, 240, 300)),
}
"""Budgets of a picture by scheme, close where 30 dB are; an encode is dear, and serves all SNRs."""

NUMS_USES: Final = {
    "linear": (256, 362, 512, 1024, 1448, 2896, 4096, 5793),
    "seed": (64, 128, 181, 256, 362, 512, 724, 1024),
}
SLOWER_NUMS_BYTES: Final = (140, 180)
POWER_USES: Final = (256, 1024)
PASSES: Final = 2
"""Of the denoiser in one guided step, the least that a device alone can make a picture with."""

SCENE, SD_SHAPED, UNSEEN = "scene", "sd_shaped", "unseen"
FREE: Final = "free"
"""Codewords of any length with redundancy and counted acknowledgements."""
ANALOG_BEARER, LDPC, LDPC_IR, SHANNON, BOUND, PAPER = "analog", "ldpc", "ldpc_ir", "shannon", "bound", "published"
"""Bearer of a method: symbols; codewords sent anew when they fail, or with incremental redundancy; bits at
capacity; mutual information; paper."""
RATE_BEARERS = (LDPC, SHANNON)
"""Codewords, and bits at capacity."""

RAW_USES: Final = 512
"""Channel uses of the latent of the scenes model, two values each."""

FAST_BLOCK: Final = 16
"""Channel uses with one gain where a seed sees many."""

NUM_PATCHES: Final = 16
WIDE_PIXEL_USES: Final = 3 * 512 * 512 // 2
WIDE_RAW_USES, WIDE_MERGED_USES = WIDE_PIXEL_USES // 48, WIDE_PIXEL_USES // 96
WIDE_METHODS: Final = {
    "raw_pixels": (WIDE_PIXEL_USES,),
    "raw": (WIDE_RAW_USES,),
    "merged": (WIDE_MERGED_USES,),
    "linear": (WIDE_RAW_USES, WIDE_MERGED_USES),
    "seed": (WIDE_RAW_USES, WIDE_MERGED_USES),
    OPTA: (WIDE_RAW_USES, WIDE_MERGED_USES),
    "published_centralised": (WIDE_PIXEL_USES,),
    "published_split": (WIDE_RAW_USES,),
    "published_merged": (WIDE_MERGED_USES,),
}
"""Channel uses of one picture of 512 x 512 pixels by method: all pixels, 48 and 96 times fewer."""

FADINGS: Final = ("awgn", "rayleigh", "rayleigh_fast")
Fading = Annotated[str, one_or_own(FADINGS, check_fading)]
Budget = Annotated[int, Field(ge=1, le=1_000_000)]
SnrDb = Annotated[float, Field(ge=-30.0, le=40.0)]


@final
@dataclass(frozen=True)
class SeedCodingConfig:
    """Settings of the study seed-coding.

    Args:
        random_seeds: each draws its own captions, noise and fading.
        num_images: pictures per random seed.
        methods: which run; codecs of yours as `module:Class(args)`, of pictures as `image=module:Class(args)`.
        fadings: awgn; rayleigh in blocks of 256 uses; rayleigh_fast in blocks of 16, so that a seed sees many;
            channels of yours.
        snrs_db: mean received Es/N0 without fading, of methods that cost little.
        coarse_snrs_db: of all others.
        fading_snrs_db: of all methods under fading, and of pictures.
        nums_channel_uses: complex uses of one seed.
        nums_channel_uses_pictures: of one coded picture.
        rate_snrs_db: SNRs without fading at which `uses_for_30db` is measured.
        rate_nums_channel_uses: denser budgets for that.
        report_offsets_db: the report to the sender is this much more than the SNR.
        report_errors_db: standard deviation of the report, for codes of bits and of symbols alike.
        wrong_nums_channel_uses: uses of one seed where reports are wrong.
        wide_snrs_db: SNRs of the Stable-Diffusion-shaped latent.
        num_wide_images: pictures of 512 x 512 per random seed; 0 leaves them out.
        model: name or folder of the model.
        seed_codec: folder of the weights of the learned seed code, or name of the model that they are for.
        transform_seed: name or folder of the weights of the learned transform code.
        schemes: which are compared on unseen pictures.
        num_unseen_images: pictures per random seed that no training has drawn; 0 leaves them out.
        unseen_snrs_db: of unseen pictures.
    """

    random_seeds: Seeds
    num_images: Annotated[int, Field(ge=1, le=1000)]
    methods: NonEmpty[Annotated[str, one_or_own(SWEPT, check_codec)]]
    fadings: NonEmpty[Fading]
    snrs_db: NonEmpty[SnrDb]
    coarse_snrs_db: NonEmpty[SnrDb]
    fading_snrs_db: NonEmpty[SnrDb]
    nums_channel_uses: NonEmpty[Budget]
    nums_channel_uses_pictures: tuple[Budget, ...]
    rate_snrs_db: tuple[SnrDb, ...]
    rate_nums_channel_uses: tuple[Budget, ...]
    report_offsets_db: tuple[Annotated[float, Field(ge=-20.0, le=20.0)], ...]
    report_errors_db: tuple[Annotated[float, Field(gt=0.0, le=20.0)], ...]
    wrong_nums_channel_uses: tuple[Budget, ...]
    wide_snrs_db: tuple[SnrDb, ...]
    num_wide_images: Annotated[int, Field(ge=0, le=100)]
    model: str = "scenes"
    seed_codec: str = "scenes"
    transform_seed: str = "transform_seed"
    schemes: tuple[Annotated[str, one_of(SCHEMES)], ...] = SCHEMES
    num_unseen_images: Annotated[int, Field(ge=0, le=1000)] = 0
    unseen_snrs_db: tuple[SnrDb, ...] = (-20.0, -10.0, 0.0, 5.0, 10.0, 20.0)

    def snrs_db_of(self, method: str, fading: str) -> tuple[float, ...]:
        """A grid of 1 dB where that costs little, few points where it costs most."""
        if fading != "awgn" or sends_pictures(method):
            return self.fading_snrs_db
        return self.snrs_db if method in ON_FINE_GRID else self.coarse_snrs_db

    def uses_of(self, method: str) -> tuple[int, ...]:
        """Budgets of a method; raw fits into those alone that hold every value once, or a whole number of times."""
        if method == "raw":
            return tuple(uses for uses in self.nums_channel_uses if uses % RAW_USES == 0)
        return self.nums_channel_uses_pictures if sends_pictures(method) else self.nums_channel_uses

    def rate_uses_of(self, method: str) -> tuple[int, ...]:
        """Budgets in which a method may come to 30 dB; a learned code has none beyond those it was trained for."""
        most = max(self.nums_channel_uses)
        least, most = {
            "linear": (0, 8 * most),
            **dict.fromkeys(DIGITAL_SEEDS, (0, 2 * most)),
            **dict.fromkeys(PICTURES, (min(self.nums_channel_uses_pictures, default=0), 64 * most)),
        }.get(method, (0, most if method in SWEPT else 64 * most))
        return tuple(uses for uses in self.rate_nums_channel_uses if least <= uses <= most)

    @property
    def own(self) -> tuple[str, ...]:
        """Codecs of the user's."""
        return own(self.methods, SWEPT)

    def runs(self, methods: tuple[str, ...]) -> tuple[str, ...]:
        """Those that run, in the order of `methods`."""
        return tuple(name for name in methods if name in self.methods)

    def compares(self, schemes: tuple[str, ...]) -> tuple[str, ...]:
        """Those that are compared on unseen pictures, in the order of `schemes`."""
        return tuple(name for name in schemes if name in self.schemes and self.num_unseen_images)


def cases(config: SeedCodingConfig) -> Iterator[Case]:
    """Random seed outermost, so that pictures are generated once; a case that two sweeps share comes once."""
    # A dictionary, since sweeps overlap and a case must be in the table once.
    for random_seed in config.random_seeds:
        found: dict[str, Case] = {}
        for sweep in (quality, rates, wrong_reports, sd_shaped, unseen):
            found |= {case.key: case for case in sweep(config, random_seed)}
        yield from found.values()


def quality(config: SeedCodingConfig, random_seed: int) -> Iterator[Case]:
    """Every method over SNR, uses and fading, but JPEG, which is never the best picture."""
    swept = (*config.runs((*ANALOG, *DIGITAL_SEEDS, "webp", "avif", OPTA)), *config.own)
    for fading, method in product(config.fadings, swept):
        points = tuple(product(config.snrs_db_of(method, fading), config.uses_of(method)))
        for bearer, (snr_db, uses) in product(_bearers(method, fading), points):
            yield _case(method, bearer, snr_db, uses, random_seed, fading=fading)


def _bearers(method: str, fading: str) -> tuple[str, ...]:
    """Incremental redundancy too where blocks fade; it alone where blocks are shorter than codewords."""
    usual = bearer_of(method)
    if usual != LDPC or fading == "awgn":
        return (usual,)
    if fading != "rayleigh_fast":
        return (LDPC, LDPC_IR) if method in WITH_REDUNDANCY else (LDPC,)
    return (LDPC_IR,) if method in WITH_REDUNDANCY else ()


def rates(config: SeedCodingConfig, random_seed: int) -> Iterator[Case]:
    """Denser budgets without fading; bits over codewords and at capacity."""
    swept = ("linear", *LEARNED, "seed_denoiser", OPTA, *DIGITAL_SEEDS, *PICTURES)
    for method in (*config.runs(swept), *config.own):
        bearers = RATE_BEARERS if bearer_of(method) == LDPC else (bearer_of(method),)
        for bearer, snr_db, uses in product(bearers, config.rate_snrs_db, config.rate_uses_of(method)):
            yield _case(method, bearer, snr_db, uses, random_seed)


def wrong_reports(config: SeedCodingConfig, random_seed: int) -> Iterator[Case]:
    """Reports that are always too high or too low, and reports with a random error."""
    misled = config.runs(("linear", "seed"))
    for method, offset_db, uses in product(misled, config.report_offsets_db, config.wrong_nums_channel_uses):
        for snr_db in config.snrs_db if method == "seed" else config.coarse_snrs_db:
            yield _case(method, ANALOG_BEARER, snr_db, uses, random_seed, report_offset_db=offset_db)
    misled = config.runs(("linear", "seed", "digital_seed"))
    for method, error_db, uses in product(misled, config.report_errors_db, config.wrong_nums_channel_uses):
        for snr_db in config.coarse_snrs_db:
            yield _case(method, bearer_of(method), snr_db, uses, random_seed, report_error_db=error_db)


def sd_shaped(config: SeedCodingConfig, random_seed: int) -> Iterator[Case]:
    """Pictures of 512 x 512 pixels; published numbers stand beside them, once."""
    first = random_seed == config.random_seeds[0]
    for method in config.runs(tuple(WIDE_METHODS)) if config.num_wide_images else ():
        if method in PUBLISHED and not first:
            continue
        for snr_db, uses in product(config.wide_snrs_db, WIDE_METHODS[method]):
            yield _case(method, bearer_of(method), snr_db, uses, random_seed, content=SD_SHAPED)


def unseen(config: SeedCodingConfig, random_seed: int) -> Iterator[Case]:
    """Every scheme over its budgets and all SNRs, the dearest encoders last; then what is to be checked, once."""
    for scheme in config.compares(SCHEMES):
        is_bits = scheme in SCHEMES_OF_BITS
        name, budgets = ("num_bytes", NUMS_BYTES) if is_bits else ("num_channel_uses", NUMS_USES)
        # SNRs innermost: what was coded for one of them is sent over all.
        for budget, snr_db in product(budgets[scheme], config.unseen_snrs_db):
            where = {"content": UNSEEN, "bearer": FREE if is_bits else ANALOG_BEARER, "fading": "awgn"}
            yield Case(scheme, {**where, "snr_db": snr_db, name: budget}, random_seed)
    if config.compares((DENOISED,)):
        # What assumes a denoiser on the device stands beside what that device can do alone.
        yield Case(DEVICE_ONLY, {"content": UNSEEN, "num_passes": PASSES}, random_seed)
    if random_seed != config.random_seeds[0] or not config.num_unseen_images:
        return
    for name in LISTS:
        yield Case(OVERLAP, {"content": UNSEEN, "training": name}, random_seed)
    axes = config.compares(SCHEMES_OF_SYMBOLS), ("rendered", "photograph"), (0.0, 10.0), POWER_USES
    for code, pictures, snr_db, uses in product(*axes):
        own: dict[str, Value] = {"code": code, "pictures": pictures, "snr_db": snr_db, "num_channel_uses": uses}
        yield Case(POWER, {"content": UNSEEN, **own}, random_seed)
    for num_bytes in SLOWER_NUMS_BYTES if config.compares(("vvc",)) else ():
        yield Case(SLOWER_VVC, {"content": UNSEEN, "num_bytes": num_bytes}, random_seed)


def sends_pictures(method: str) -> bool:
    """Whether a method sends finished pictures instead of seeds."""
    return method in PICTURES or (method not in METHODS and OwnCodec.of_text(method).kind == "image")


def bearer_of(method: str) -> str:
    """Bearer of a method unless a sweep names another one.

    >>> bearer_of("linear"), bearer_of("webp"), bearer_of("gaussian_opta")
    ('analog', 'ldpc', 'bound')
    """
    if method in (*DIGITAL_SEEDS, *PICTURES):
        return LDPC
    if method not in METHODS:
        return ANALOG_BEARER if OwnCodec.of_text(method).emits is Symbols else LDPC
    if method in PUBLISHED:
        return PAPER
    return BOUND if method == OPTA else ANALOG_BEARER


def _case(
    method: str,
    bearer: str,
    snr_db: float,
    num_channel_uses: int,
    random_seed: int,
    *,
    content: str = SCENE,
    fading: str = "awgn",
    report_offset_db: float = 0.0,
    report_error_db: float = 0.0,
) -> Case:
    where: dict[str, Value] = {"content": content, "bearer": bearer, "fading": fading}
    where |= {"report_offset_db": report_offset_db, "report_error_db": report_error_db}
    return Case(method, {**where, "snr_db": snr_db, "num_channel_uses": num_channel_uses}, random_seed)
