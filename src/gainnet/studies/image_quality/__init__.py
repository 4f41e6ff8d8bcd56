"""Study image-quality: seeds finished on the device against finished pictures, over the same air."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from gainnet.network.hardware import profile
from gainnet.protocols.pricing import pricing
from gainnet.studies.codec_labels import SEED_LABELS
from gainnet.studies.figures import Panel, Style, draw_panels, log2_uses, plot_curves, same_height, short, with_own
from gainnet.studies.image_quality.material import gather
from gainnet.studies.image_quality.question import (
    BEST_SHANNON,
    METHODS,
    SNRS_DB_OF_RATE,
    TARGET_PSNR_DB,
    ImageQualityConfig,
    cases,
)
from gainnet.studies.image_quality.question import COMMON_NUM_CHANNEL_USES as COMMON
from gainnet.studies.image_quality.summary import cells, metric_names, summarise
from gainnet.studies.image_quality.systems import methods
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from gainnet.studies.results import config_hash
from gainnet.studies.statistics import at, present
from gainnet.studies.study import Method, Study
from gainnet.studies.weights import picture_digests

BLUE_ORANGE = LinearSegmentedColormap.from_list("blue_orange", ["#E8A35C", "#F8E2C4", "#FFFFFF", "#C4DFF0", "#62A8D4"])
HIGHEST_DRAWN_DB = 50.0
ENOUGH_DB = 45.0
SNR, USES = "SNR in dB", "channel uses per picture"
FADINGS = {"awgn": "AWGN", "rayleigh": "Rayleigh block fading"}


STYLES = {
    "linear": Style(f"{SEED_LABELS['linear']} (eiug)", BLUE, "-", "o"),
    "digital": Style(f"{SEED_LABELS['digital']} (eiug)", GREEN, "-", "D"),
    "raw": Style(f"{SEED_LABELS['raw']} (eiug)", SKY, "-", "v"),
    "webp": Style("WebP + LDPC (centralized)", ORANGE, "--", "s"),
    "avif": Style("AVIF + LDPC (centralized)", RED, "--", "^"),
    "jpeg": Style("JPEG + LDPC (centralized)", BROWN, "--", "P"),
    "raw_pixels": Style("raw pixels + LDPC (centralized)", GREY, "--", "x"),
    "best_codec_shannon": Style("best image codec at the Shannon rate (bound)", PURPLE, "-.", ""),
    "gaussian_opta": Style("Gaussian OPTA of the seed (bound)", BLACK, ":", ""),
}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Quality over SNR, quality over channel uses, judges other than PSNR, and the crossover map."""
    found, note = cells(table), _note(table)
    fadings, budgets = [str(name) for name in found["fading"].unique()], _two_budgets(found)
    snrs_db = present(found, "snr_db", SNRS_DB_OF_RATE) or sorted(set(found["snr_db"]))[:1]
    judges = {"ssim": "SSIM", "prompt_fidelity": "prompt fidelity (share of attributes)"}

    over_snr = [
        Panel(at(found, fading=name, num_channel_uses=uses), f"{_title(name)}, {uses} {USES}", SNR, "PSNR in dB")
        for name, uses in product(fadings, budgets)
    ]
    title = "Picture quality over SNR: seeds finished on the device, and finished pictures"
    yield "quality_over_snr", _drawn(title, note, over_snr, len(budgets), "snr_db", "psnr_db")

    over_uses = [
        Panel(at(found, fading=name, snr_db=snr_db), f"{_title(name)}, {snr_db:g} dB", USES, "PSNR in dB")
        for name, snr_db in product(fadings, snrs_db)
    ]
    title = f"Picture quality over {USES}"
    yield "quality_over_uses", _drawn(title, note, over_uses, len(snrs_db), "num_channel_uses", "psnr_db")

    here = at(found, num_channel_uses=budgets[0])
    judged = [
        Panel(at(here, fading=name).assign(judged=here[judge]), _title(name), SNR, label)
        for name, (judge, label) in product(fadings, judges.items())
    ]
    title = f"SSIM and prompt fidelity at {budgets[0]} {USES}"
    yield "ssim_and_prompt_fidelity", _drawn(title, note, judged, len(judges), "snr_db", "judged")
    yield "crossover", _crossover(found, fadings, note)


def _title(fading: str) -> str:
    return FADINGS.get(fading, short(fading))


def _note(table: pd.DataFrame) -> str:
    num_images, num_seeds = int(table["num_images"].max()), table["random_seed"].nunique()
    fading = ""
    if table["block_length"].notna().any():
        fading = (
            f"\nRayleigh: one gain per {table['block_length'].max():.0f} channel uses, known to the receiver; "
            "the sender knows the SNR of a picture's first block, and of every block where it sends codewords."
        )
    return (
        "SNR = mean received Es/N0 with E|s|² = 1, E|h|² = 1; noise CN(0, 1/SNR) per complex channel use. "
        "A channel use carries one complex symbol; retransmissions count.\n"
        "Quality against the channel-free generation from the same random seed: PSNR = dB of the mean MSE over "
        f"{num_images} pictures x {num_seeds} random seeds, values in [0, 1];\n"
        "bands: 95 % Student interval over random seeds. "
        "A budget into which nothing fits counts with a grey picture or the mean seed. Bounds are no systems."
        f"{fading}"
    )


def _drawn(title: str, note: str, parts: list[Panel], num_columns: int, x: str, y: str) -> Figure:
    """A curve per method in every panel; PSNR with its bands and one height for all, other judges from 0 to 1."""

    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        band = ("low_db", "high_db") if y == "psnr_db" else None
        plot_curves(ax, rows, x, y, with_own(STYLES, rows, METHODS), band)
        if x == "num_channel_uses":
            log2_uses(ax, TARGET_PSNR_DB)
        if y == "judged":
            ax.set_ylim(-0.02, 1.02)

    figure = draw_panels(title, note, parts, plot, num_columns, legend=3)
    if y == "psnr_db":
        same_height(figure, 2.0, HIGHEST_DRAWN_DB)
    return figure


def _crossover(found: pd.DataFrame, fadings: list[str], note: str) -> Figure:
    is_seed = found["protocol"] == "eiug"
    opponents = {
        "pictures over LDPC": found["protocol"] == "centralized",
        "pictures at the Shannon rate": found["method"] == BEST_SHANNON,
    }
    parts = [
        Panel(at(found[is_seed | is_picture], fading=fading), f"{_title(fading)}, against {name}", SNR, USES)
        for name, is_picture in opponents.items()
        for fading in fadings
        if is_picture.any()
    ]
    title = "Where each side wins: best seed minus best coded picture, PSNR in dB"
    legend = (
        "Blue, +: a seed over a real link that the device finishes wins; orange, -: the finished picture wins; below, "
        f"the winner. PSNR counts up to {ENOUGH_DB:g} dB, nobody sees more; a lossy picture ends near there. "
    )
    return draw_maps(title, legend + note, parts, len(fadings))


def draw_maps(title: str, note: str, parts: list[Panel], num_columns: int) -> Figure:
    """Maps of the gain of the best seed over the best picture.

    Args:
        title: as `panels`.
        note: as `panels`.
        parts: cells of seeds (protocol eiug) and of pictures over one air.
        num_columns: maps per row.
    """
    return draw_panels(title, note, parts, _map, num_columns, legend=0)


def _map(ax: Axes, rows: pd.DataFrame) -> None:
    """Gain of the best seed over the best picture, per SNR and budget, with the winner."""
    is_seed = rows["protocol"] == "eiug"
    both = _best(rows[is_seed]).add_suffix("_seed").join(_best(rows[~is_seed]).add_suffix("_picture"), how="inner")
    # Nobody sees more than that, and without a limit a perfect seed at high SNR would hide the rest of the map.
    seed_db, picture_db = (both[name].clip(upper=ENOUGH_DB) for name in ("psnr_db_seed", "psnr_db_picture"))
    gains_db = (seed_db - picture_db).unstack()
    ax.imshow(gains_db, cmap=BLUE_ORANGE, vmin=-12, vmax=12, origin="lower", aspect="auto")
    for (y, uses), (x, snr_db) in product(enumerate(gains_db.index), enumerate(gains_db.columns)):
        if np.isfinite(gain := float(gains_db.loc[uses, snr_db])):
            side = "method_seed" if gain > 0 else "method_picture"
            winner = (
                "tie" if abs(gain) < 0.05 else short(str(both.loc[(uses, snr_db), side]).removeprefix("best_codec_"))
            )
            ax.text(x, y, f"{gain:+.1f}\n{winner}", ha="center", va="center", fontsize="x-small")
    ax.grid(False)
    ax.set_xticks(range(len(gains_db.columns)), [f"{snr_db:g}" for snr_db in gains_db.columns])
    ax.set_yticks(range(len(gains_db.index)), [f"{uses:g}" for uses in gains_db.index])


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    """Best method and its PSNR, by budget and SNR."""
    index = ["num_channel_uses", "snr_db"]
    return rows.loc[rows.groupby(index)["psnr_db"].idxmax()].set_index(index)[["method", "psnr_db"]]


def _two_budgets(found: pd.DataFrame) -> list[int]:
    """The common budget and a larger one."""
    budgets = sorted(set(found[found["method"] != "raw_pixels"]["num_channel_uses"]))
    common = COMMON if COMMON in budgets else budgets[0]
    larger = [uses for uses in budgets if common < uses <= 4 * common]
    return [int(uses) for uses in (common, *larger[-1:])]


def identity(config: ImageQualityConfig) -> Mapping[str, str]:
    """sha256 of the model, of its seed basis and of the classifier, digests of hardware and prices."""
    return {
        "edge_hardware": config_hash(asdict(profile(config.edge_hardware))),
        "device_hardware": config_hash(asdict(profile(config.device_hardware))),
        "prices": config_hash(asdict(pricing(config.priced_as))),
        **picture_digests(config.model, "seed_basis", "classifier"),
    }


def open_methods(config: ImageQualityConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    return methods(gather(config))


IMAGE_QUALITY = Study(
    "image-quality", ImageQualityConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw
)
