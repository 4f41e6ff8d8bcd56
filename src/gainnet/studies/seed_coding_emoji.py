"""Study seed-coding-emoji: seeds of the emoji model against the strongest picture codecs, at equal channel uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, product
from typing import Annotated, Final, final

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from gainnet.codecs import LinearCode, TransformSeed
from gainnet.codecs.basis import BASES
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.components import load_components
from gainnet.codecs.content import Content
from gainnet.codecs.opponents import BestPicture, EncodeCache, cache_folder, installed
from gainnet.codecs.seed_codec import SeedCodec, SeedWeights
from gainnet.codecs.seed_codec.weights import NETWORKS
from gainnet.codecs.transform_seed import TransformWeights
from gainnet.codecs.transform_seed.weights import TRANSFORMS
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.emoji.captions import WORDINGS, read_wordings
from gainnet.models.loading import find_folder, load_model, weights_sha256
from gainnet.models.scenes import stream
from gainnet.studies.codec_labels import SEED_LABELS
from gainnet.studies.figures import Panel, Style, draw_panels, log2_uses, plot_curves, with_own
from gainnet.studies.own import Guarded, OwnCodec, check_codec, one_or_own, own
from gainnet.studies.palette import BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from gainnet.studies.photographs.material import encoders
from gainnet.studies.pictures import Pictures, generate_of
from gainnet.studies.seed_coding.judging import mean_ssim, quality
from gainnet.studies.seed_coding.transports import Analog, Digital, Prompts, Transport, own_transport
from gainnet.studies.settings import NonEmpty, Seeds, SnrDb
from gainnet.studies.statistics import at, present, psnr_cells, round_metrics, uses_for
from gainnet.studies.study import Case, Method, Row, Study, Value

ANALOG: Final = ("linear", "seed", "seed_prompt")
TRANSFORM: Final = ("transform", "transform_prompt")
SEEDS: Final = (*ANALOG, *TRANSFORM)
CODECS: Final = ("avif", "hevc", "vvc", "jpeg_xl")
METHODS: Final = (*SEEDS, *CODECS)
SNRS_DB: Final = (0, 5, 10)
USES: Final = (64, 256, 1024)
TARGET_PSNR_DB: Final = 30.0
STREAM: Final = "seed-coding-emoji"
STYLES: Final = {
    "seed_prompt": Style(SEED_LABELS["seed_prompt"], PURPLE, "-", "*"),
    "seed": Style(SEED_LABELS["seed"], BLUE, "-", "o"),
    "linear": Style(SEED_LABELS["linear"], SKY, "-", "v"),
    "transform_prompt": Style(SEED_LABELS["transform_prompt"], GREEN, "--", "*"),
    "transform": Style(SEED_LABELS["transform"], GREEN, "-", "D"),
    "vvc": Style("VVC, LDPC", RED, "--", "s"),
    "hevc": Style("HEVC, LDPC", ORANGE, "--", "^"),
    "avif": Style("AVIF, LDPC", BROWN, "--", "x"),
    "jpeg_xl": Style("JPEG XL, LDPC", GREY, "--", "P"),
}
METRIC_NAMES: Final = (
    *(f"uses_for_30db.{method}.{snr}db" for method, snr in product((*METHODS, "best_image_codec"), SNRS_DB)),
    *(f"psnr_db.{method}.l{uses}.{snr}db" for method, uses, snr in product(METHODS, USES, SNRS_DB)),
    *(f"share_of_best_image_codec.{snr}db" for snr in SNRS_DB),
)


@final
@dataclass(frozen=True)
class SeedCodingEmojiConfig:
    """Settings of the study seed-coding-emoji.

    Args:
        random_seeds: each draws its own names and noise.
        num_images: pictures per random seed.
        methods: which run; codecs of yours as `module:Class(args)`, of pictures as `image=module:Class(args)`.
        snrs_db: mean received Es/N0, AWGN.
        nums_channel_uses: complex uses of one picture; a learned seed has none beyond those it was trained for.
        model: name or folder of the model; its codes are found by its digest.
    """

    random_seeds: Seeds
    num_images: Annotated[int, Field(ge=1, le=1000)]
    methods: NonEmpty[Annotated[str, one_or_own(METHODS, check_codec)]]
    snrs_db: NonEmpty[SnrDb]
    nums_channel_uses: NonEmpty[Annotated[int, Field(ge=16, le=1_000_000)]]
    model: str = "emoji"

    def runs(self, names: tuple[str, ...]) -> bool:
        """Whether one of some methods runs."""
        return bool(set(names) & set(self.methods))


def cases(config: SeedCodingEmojiConfig) -> Iterator[Case]:
    """Every method over SNR and uses, one random seed after the other."""
    air: dict[str, Value] = {"fading": "awgn", "report_offset_db": 0.0, "report_error_db": 0.0}
    axes = config.random_seeds, config.methods, config.snrs_db, config.nums_channel_uses
    for random_seed, method, snr_db, uses in product(*axes):
        bearer = {"bearer": "analog" if method in ANALOG or _is_analog(method) else "ldpc"}
        yield Case(method, {**bearer, **air, "snr_db": snr_db, "num_channel_uses": uses}, random_seed)


def _is_analog(method: str) -> bool:
    return method not in METHODS and OwnCodec.of_text(method).emits is Symbols


def names_of(model: str, random_seed: int, num_images: int) -> tuple[str, ...]:
    """Different names of pictures that the model knows, in random order.

    Args:
        model: name or folder.
        random_seed: of the choice.
        num_images: how many.
    """
    wordings = read_wordings(find_folder(model) / WORDINGS)
    if num_images > len(wordings):
        raise ConfigError(f"num_images: {num_images} are more than the {len(wordings)} names of the model")
    chosen = stream(random_seed, STREAM, 0).permutation(len(wordings))[:num_images]
    return tuple(wordings[k].own() for k in chosen.tolist())


def open_methods(config: SeedCodingEmojiConfig) -> Mapping[str, Method]:
    """The methods, with model and codes loaded once.

    Raises:
        ModelError: the model or one of its codes is missing.
        ConfigError: a codec is not installed.
    """
    wanted = [name for name in CODECS if name in config.methods]
    if lacking := set(wanted) - set(installed(wanted)):
        raise ConfigError(
            f"methods: {', '.join(sorted(lacking))} cannot encode here; install 'gainnet[opponents]' or leave them out"
        )
    model, cache = load_model(config.model), EncodeCache(cache_folder())
    given = config.model, model.sha256
    symbols: dict[str, Callable[[int, Prompts], AnyCodec]] = {}
    bits: dict[str, Callable[[float, Prompts], AnyCodec]] = {}
    if "linear" in config.methods:
        basis = load_components(*given)
        symbols["linear"] = lambda uses, prompts: LinearCode(uses, basis)
    if config.runs(ANALOG[1:]):
        learned = SeedWeights.load(*given)
        symbols["seed"] = lambda uses, prompts: SeedCodec(uses, weights=learned)
        symbols["seed_prompt"] = lambda uses, prompts: SeedCodec(uses, prompts, learned)
    if config.runs(TRANSFORM):
        weights = TransformWeights.load(*given)
        bits["transform"] = lambda most, prompts: TransformSeed(most, weights=weights)
        bits["transform_prompt"] = lambda most, prompts: TransformSeed(most, prompts=prompts, weights=weights)
    seeds: dict[str, Transport] = {name: Analog(code) for name, code in symbols.items()}
    seeds |= {name: Digital(code) for name, code in bits.items()}
    pictures = {name: Digital(partial(_opponent, name, cache)) for name in wanted}

    @lru_cache(maxsize=1)
    def pictures_of(random_seed: int) -> Pictures:
        return generate_of(model, names_of(config.model, random_seed, config.num_images), random_seed)

    return {
        **{name: partial(_send, model, pictures_of, transport, True) for name, transport in seeds.items()},
        **{name: partial(_send, model, pictures_of, transport, False) for name, transport in pictures.items()},
        **{name: _own(model, config.model, pictures_of, name) for name in own(config.methods, METHODS)},
    }


def _own(model: DiffusionModel, name: str, pictures_of: Callable[[int], Pictures], text: str) -> Method:
    """The method of a codec of the user's."""
    codec = OwnCodec.of_text(text)
    is_seed = codec.kind == "seed"
    content = Content(model.latent if is_seed else model.image, codec.kind, name, model.sha256)
    return Guarded(text, partial(_send, model, pictures_of, own_transport(codec, content), is_seed))


def _opponent(name: str, cache: EncodeCache, max_bits: float, prompts: Prompts) -> AnyCodec:
    return BestPicture(max_bits, (name,), cache, encoders())


@torch.no_grad()
def _send(
    model: DiffusionModel,
    pictures_of: Callable[[int], Pictures],
    transport: Transport,
    is_seed: bool,
    case: Case,
    random: Random,
) -> Row:
    pictures = pictures_of(case.random_seed)
    sent = pictures.latents if is_seed else pictures.images
    try:
        received = transport(case, sent, pictures.prompts, pictures.random.child("air"))
    except ConfigError:
        # A learned code has no more uses than components.
        return {"psnr_db": None, "mse": None, "ssim": None}
    images = received.values
    if is_seed:
        images = model.decoder({"latent": received.values}, pictures.random)["image"]
    return {
        **quality(images, pictures.images),
        "ssim": mean_ssim(images, pictures.images),
        "num_channel_uses_sent": received.num_channel_uses,
        "num_bits": received.num_bits,
        "delivered": received.delivered,
    }


def identity(config: SeedCodingEmojiConfig) -> Mapping[str, str]:
    """sha256 of the model and of its codes."""
    sha256 = weights_sha256(find_folder(config.model))
    shelves = {
        "seed_basis": (BASES, ("linear",)), "seed_codec": (NETWORKS, ANALOG[1:]),
        "transform_seed": (TRANSFORMS, TRANSFORM),
    }  # fmt: skip
    return {
        "model": sha256,
        **{
            name: weights_sha256(shelf.find(config.model, sha256))
            for name, (shelf, methods) in shelves.items()
            if config.runs(methods)
        },
    }


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Uses for 30 dB, PSNR at a few numbers of uses, and the best seed's share of the uses of the best codec."""
    found: dict[str, float | None] = {}
    every = cells(table)
    ran = (*METHODS, *own(every["method"].unique(), METHODS))
    for snr_db in SNRS_DB:
        rows = every[every["snr_db"] == snr_db]
        needed = {method: _uses(rows[rows["method"] == method]) for method in present(rows, "method", ran)}
        best = {kind: _least(needed, names) for kind, names in (("seed", SEEDS), ("codec", CODECS))}
        found |= {f"uses_for_30db.{method}.{snr_db}db": uses for method, uses in needed.items()}
        found[f"uses_for_30db.best_image_codec.{snr_db}db"] = best["codec"]
        if best["seed"] is not None and best["codec"] is not None:
            found[f"share_of_best_image_codec.{snr_db}db"] = best["seed"] / best["codec"]
        for row in rows[rows["num_channel_uses"].isin(USES)].to_dict("records"):
            found[f"psnr_db.{row['method']}.l{row['num_channel_uses']}.{snr_db}db"] = float(row["psnr_db"])
    return round_metrics(found, 3)


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method, SNR and budget, over the random seeds; see `psnr_cells`."""
    return psnr_cells(table, ["method", "snr_db", "num_channel_uses"], ("ssim", "num_bits", "num_channel_uses_sent"))


def _uses(rows: pd.DataFrame) -> float | None:
    own = rows.sort_values("num_channel_uses_sent")
    # Of budgets that took more uses and gave no better picture only the best counts, as a sender would choose.
    return uses_for(TARGET_PSNR_DB, list(own["num_channel_uses_sent"]), list(accumulate(own["psnr_db"], max)))


def _least(needed: Mapping[str, float | None], names: tuple[str, ...]) -> float | None:
    return min((uses for name, uses in needed.items() if name in names and uses is not None), default=None)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """PSNR over channel uses, a panel per SNR."""
    every = cells(table)
    parts = [
        Panel(at(every, snr_db=snr_db), f"{snr_db:g} dB", "channel uses per picture", "PSNR in dB")
        for snr_db in sorted({float(x) for x in every["snr_db"]})
    ]

    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        plot_curves(ax, rows, "num_channel_uses_sent", "psnr_db", with_own(STYLES, rows, METHODS))
        log2_uses(ax, TARGET_PSNR_DB)

    note = "PSNR of the mean MSE against the same generation without a channel, values in [0, 1]; AWGN, SNR known."
    if parts:
        yield "psnr_over_uses", draw_panels("Seeds of emoji against picture codecs", note, parts, plot, len(parts))


SEED_CODING_EMOJI = Study(
    "seed-coding-emoji", SeedCodingEmojiConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
