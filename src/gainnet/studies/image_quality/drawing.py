"""Figures of image-quality, from its table alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from gainnet.studies.figures import Style, legend_below, panels
from gainnet.studies.image_quality.question import BEST_SHANNON, SNRS_DB_OF_RATE, TARGET_PSNR_DB
from gainnet.studies.image_quality.question import COMMON_NUM_CHANNEL_USES as COMMON
from gainnet.studies.image_quality.summary import cells
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY

BLUE_ORANGE = LinearSegmentedColormap.from_list("blue_orange", ["#E8A35C", "#F8E2C4", "#FFFFFF", "#C4DFF0", "#62A8D4"])
HIGHEST_DRAWN_DB = 50.0
ENOUGH_DB = 45.0
FADING_TITLES = {"awgn": "AWGN", "rayleigh": "Rayleigh block fading"}


STYLES = {
    "linear": Style("seed, linear code (eiug)", BLUE, "-", "o"),
    "digital": Style("seed, quantised + LDPC (eiug)", GREEN, "-", "D"),
    "raw": Style("seed, raw analog (eiug)", SKY, "-", "v"),
    "webp": Style("WebP + LDPC (centralized)", ORANGE, "--", "s"),
    "avif": Style("AVIF + LDPC (centralized)", RED, "--", "^"),
    "jpeg": Style("JPEG + LDPC (centralized)", BROWN, "--", "P"),
    "raw_pixels": Style("raw pixels + LDPC (centralized)", GREY, "--", "x"),
    "best_codec_shannon": Style("best image codec at the Shannon rate (bound)", PURPLE, ":", ""),
    "gaussian_opta": Style("Gaussian OPTA of the seed (bound)", BLACK, ":", ""),
}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Quality over SNR, quality over channel uses, judges other than PSNR, and the crossover map."""
    found, note = cells(table), _note(table)
    yield "quality_over_snr", _quality_over_snr(found, note)
    yield "quality_over_uses", _quality_over_uses(found, note)
    yield "ssim_and_prompt_fidelity", _other_judges(found, note)
    yield "crossover", _crossover(found, note)


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


def _quality_over_snr(found: pd.DataFrame, note: str) -> Figure:
    fadings, budgets = _present(found, "fading"), _two_budgets(found)
    title = "Picture quality over SNR: seeds finished on the device, and finished pictures"
    figure, axes = panels(len(fadings), len(budgets), title, note)
    for ax, (fading, uses) in zip(axes, product(fadings, budgets), strict=True):
        _curves(ax, found[(found["fading"] == fading) & (found["num_channel_uses"] == uses)], "snr_db", "psnr_db")
        title = f"{FADING_TITLES[fading]}, {uses} channel uses per picture"
        ax.set(title=title, xlabel="SNR in dB", ylabel="PSNR in dB")
    _same_height(axes)
    legend_below(axes, 3)
    return figure


def _quality_over_uses(found: pd.DataFrame, note: str) -> Figure:
    fadings = _present(found, "fading")
    snrs_db = [snr for snr in SNRS_DB_OF_RATE if snr in set(found["snr_db"])] or sorted(set(found["snr_db"]))[:1]
    figure, axes = panels(len(fadings), len(snrs_db), "Picture quality over channel uses per picture", note)
    for ax, (fading, snr_db) in zip(axes, product(fadings, snrs_db), strict=True):
        _curves(ax, found[(found["fading"] == fading) & (found["snr_db"] == snr_db)], "num_channel_uses", "psnr_db")
        ax.axhline(TARGET_PSNR_DB, color=GREY, linewidth=0.8)
        ax.set_xscale("log", base=2)
        ax.set(title=f"{FADING_TITLES[fading]}, {snr_db:g} dB", xlabel="channel uses per picture", ylabel="PSNR in dB")
        ax.xaxis.set_major_formatter(lambda x, position: f"{x / 1024:g}k" if x >= 1024 else f"{x:g}")
    _same_height(axes)
    legend_below(axes, 3)
    return figure


def _other_judges(found: pd.DataFrame, note: str) -> Figure:
    fadings, uses = _present(found, "fading"), _two_budgets(found)[0]
    judges = {"ssim": "SSIM", "prompt_fidelity": "prompt fidelity (share of attributes)"}
    figure, axes = panels(len(fadings), 2, f"SSIM and prompt fidelity at {uses} channel uses per picture", note)
    for ax, (fading, judge) in zip(axes, product(fadings, judges), strict=True):
        _curves(ax, found[(found["fading"] == fading) & (found["num_channel_uses"] == uses)], "snr_db", judge)
        ax.set(title=FADING_TITLES[fading], xlabel="SNR in dB", ylabel=judges[judge], ylim=(-0.02, 1.02))
    legend_below(axes, 3)
    return figure


def _crossover(found: pd.DataFrame, note: str) -> Figure:
    fadings, is_seed = _present(found, "fading"), found["protocol"] == "eiug"
    opponents = {
        "pictures over LDPC": found[found["protocol"] == "centralized"],
        "pictures at the Shannon rate": found[found["method"] == BEST_SHANNON],
    }
    drawn = [(name, rows, fading) for name, rows in opponents.items() if len(rows) for fading in fadings]
    title = (
        "Where each side wins: PSNR of the best seed over a real link minus PSNR of the best coded picture, in dB\n"
        "(blue: a seed that the device finishes wins; orange: the finished picture wins; below, the winner)\n"
        f"PSNR counts up to {ENOUGH_DB:g} dB, nobody sees more; a lossy picture ends near there"
    )
    figure, axes = panels(len(drawn) // len(fadings), len(fadings), title, note)
    for ax, (name, rows, fading) in zip(axes, drawn, strict=True):
        draw_map(ax, found[is_seed & (found["fading"] == fading)], rows[rows["fading"] == fading])
        ax.set(title=f"{FADING_TITLES[fading]}, against {name}", xlabel="SNR in dB", ylabel="channel uses per picture")
        ax.title.set_fontsize(10.5)
    return figure


def draw_map(ax: Axes, seeds: pd.DataFrame, pictures: pd.DataFrame) -> None:
    """Gain of the best of some seeds over the best of some pictures, per SNR and budget, with the winner."""
    seed, picture = _best(seeds), _best(pictures)
    budgets = sorted(set(seed["num_channel_uses"]) & set(picture["num_channel_uses"]))
    snrs_db = sorted(set(seed["snr_db"]) & set(picture["snr_db"]))
    index = ["num_channel_uses", "snr_db"]
    both = seed.merge(picture, on=index, suffixes=("_seed", "_picture")).set_index(index)
    both = both.reindex([(uses, snr) for uses in budgets for snr in snrs_db])
    seed_db, picture_db = (both[name].clip(upper=ENOUGH_DB) for name in ("psnr_db_seed", "psnr_db_picture"))
    gain_db = np.asarray(seed_db - picture_db, dtype=float)
    cells = gain_db.reshape(len(budgets), len(snrs_db))
    ax.imshow(cells, cmap=BLUE_ORANGE, vmin=-12, vmax=12, origin="lower", aspect="auto")
    names = list(zip(both["method_seed"], both["method_picture"], strict=True))
    for position, (gain, (seed_name, picture_name)) in enumerate(zip(gain_db, names, strict=True)):
        y, x = divmod(position, len(snrs_db))
        if np.isfinite(gain):
            winner = "tie" if abs(gain) < 0.05 else seed_name if gain > 0 else picture_name
            ax.text(x, y, f"{gain:+.1f}\n{winner.removeprefix('best_codec_')}", ha="center", va="center", fontsize=7.5)
    ax.grid(False)
    ax.set_xticks(range(len(snrs_db)), [f"{snr:g}" for snr in snrs_db])
    ax.set_yticks(range(len(budgets)), [f"{uses:g}" for uses in budgets])


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    """The best method per SNR and budget."""
    best = rows.loc[rows.groupby(["num_channel_uses", "snr_db"])["psnr_db"].idxmax()]
    return best[["num_channel_uses", "snr_db", "method", "psnr_db"]]


def _curves(ax: Axes, rows: pd.DataFrame, x: str, y: str) -> None:
    for method, style in STYLES.items():
        own = rows[rows["method"] == method].sort_values(x)
        if not own[y].notna().any():
            continue
        style.plot(ax, own[x], own[y], markersize=4.5, linewidth=1.6)
        if y == "psnr_db":
            style.band(ax, own[x], own[y] - own["half_width_db"], own[y] + own["half_width_db"], 0.15)


def _two_budgets(found: pd.DataFrame) -> list[int]:
    """The common budget and a larger one."""
    budgets = sorted(set(found[found["method"] != "raw_pixels"]["num_channel_uses"]))
    common = COMMON if COMMON in budgets else budgets[0]
    larger = [uses for uses in budgets if common < uses <= 4 * common]
    return [int(uses) for uses in (common, *larger[-1:])]


def _present(found: pd.DataFrame, column: str) -> list[str]:
    return [str(value) for value in found[column].unique()]


def _same_height(axes: Sequence[Axes]) -> None:
    """From just below the lowest curve to what an eye can tell apart, so that no band sets the scale."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for ax in axes for line in ax.get_lines()])
    for ax in axes:
        ax.set_ylim(float(np.nanmin(drawn)) - 2.0, min(float(np.nanmax(drawn)) + 2.0, HIGHEST_DRAWN_DB))
