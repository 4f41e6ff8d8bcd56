"""Figures of seed-coding, from its table alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.studies.figures import Style, legend_below, panels
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from gainnet.studies.seed_coding.curves import ALL, cells, curve
from gainnet.studies.seed_coding.question import FAST_BLOCK, LDPC_IR, OPTA, SCENE, SHANNON
from gainnet.studies.seed_coding.summary import BEST_CODEC, RATE_SNRS_DB, TARGET_PSNR_DB, summarise
from gainnet.studies.seed_coding.wide_drawing import draw_wide

STYLES: Final = {
    "seed_prompt": Style("learned seed, prompt known", PURPLE, "-", "*"),
    "seed": Style("learned seed", BLUE, "-", "o"),
    "seed_denoiser": Style("learned seed + denoiser as receiver", BLUE, "--", "x"),
    "digital_seed_prompt": Style("digital seed, prompt known, LDPC", GREEN, "--", "*"),
    "digital_seed": Style("digital seed, LDPC", GREEN, "-", "D"),
    "pca_seed": Style("PCA seed, LDPC", BROWN, "-", "d"),
    "linear": Style("linear seed", SKY, "-", "v"),
    "raw": Style("raw seed", GREY, "-", "P"),
    "webp": Style("WebP picture, LDPC", ORANGE, "--", "s"),
    "avif": Style("AVIF picture, LDPC", RED, "--", "^"),
    "jpeg": Style("JPEG picture, LDPC", BROWN, ":", "x"),
    "gaussian_opta": Style("Gaussian OPTA of the latent (bound for Gaussian latents)", BLACK, ":", ""),
}
HIGHEST_DRAWN_DB: Final = 48.0
FADINGS: Final = {"awgn": "AWGN", "rayleigh": "Rayleigh, blocks of 256", "rayleigh_fast": "Rayleigh, blocks of 16"}
SNRS_DB_OF_FADING: Final = {"awgn": RATE_SNRS_DB, "rayleigh": (0, 10, 20)}
JUDGES: Final = {"ssim": "SSIM", "prompt_fidelity": "prompt fidelity", "latent_nmse": "latent error / variance"}
QUANTILES: Final = {"p50_db": "median over pictures", "p5_db": "5 % of pictures are worse"}
BARS: Final = (
    OPTA, "seed_denoiser", "seed_prompt", "seed", "digital_seed_prompt", "digital_seed", "pca_seed", "linear",
)  # fmt: skip


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Quality over SNR and uses, other judges, distance to the bound, reports, fading, uses, and the wide latent."""
    found, note = cells(table), note_of(table)
    second = (found["bearer"] == SHANNON) | ((found["bearer"] == LDPC_IR) & (found["fading"] == "rayleigh"))
    scenes = found[(found["content"] == SCENE) & ~second]
    exact = scenes[(scenes["report_offset_db"] == 0) & (scenes["report_error_db"] == 0)]
    yield "psnr_over_snr", _over_snr(exact[exact["fading"] == "awgn"], note)
    yield "psnr_over_uses", _over_uses(exact, note)
    yield "other_judges", _other_judges(exact[exact["fading"] == "awgn"], note)
    yield "quantiles", _quantiles(exact, note)
    if len(gaps := _gaps(table)):
        yield "gap_to_opta", _gap_to_opta(gaps, note)
    if (scenes["report_offset_db"] != 0).any():
        yield "mismatch", _mismatch(scenes, note)
    if (exact["fading"] != "awgn").any():
        yield "fading", _fading(exact[exact["fading"] != "awgn"], note)
    yield "uses_for_30db", _uses_for_30db(table, note)
    yield from draw_wide(found)


def _over_snr(rows: pd.DataFrame, note: str) -> Figure:
    budgets = _powers_of_two(rows)
    figure, axes = panels(-(-len(budgets) // 3), min(3, len(budgets)), "Seeds over AWGN: PSNR over SNR", note)
    for ax, uses in zip(axes, budgets, strict=False):
        plot(ax, rows[rows["num_channel_uses"] == uses], "snr_db", "psnr_db")
        ax.set(title=f"{uses} channel uses per picture", xlabel="SNR in dB", ylabel="PSNR in dB")
    return _finished(figure, axes)


def _over_uses(exact: pd.DataFrame, note: str) -> Figure:
    fadings = [name for name in SNRS_DB_OF_FADING if name in set(exact["fading"])]
    figure, axes = panels(len(fadings), len(RATE_SNRS_DB), "PSNR over channel uses per picture", note)
    drawn = [(fading, snr_db) for fading in fadings for snr_db in SNRS_DB_OF_FADING[fading]]
    for ax, (fading, snr_db) in zip(axes, drawn, strict=True):
        plot(ax, exact[(exact["fading"] == fading) & (exact["snr_db"] == snr_db)], "num_channel_uses_sent", "psnr_db")
        ax.set(title=f"{FADINGS[fading]}, {snr_db:g} dB", xlabel="channel uses per picture", ylabel="PSNR in dB")
        if ax.has_data():
            ax.axhline(TARGET_PSNR_DB, color=GREY, linewidth=0.8)
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter(lambda x, position: f"{x / 1024:g}k" if x >= 1024 else f"{x:g}")
    return _finished(figure, axes)


def _other_judges(rows: pd.DataFrame, note: str) -> Figure:
    budgets = _usual(rows, (64, 256))
    figure, axes = panels(len(budgets), len(JUDGES), "Other judges over AWGN", note)
    for ax, (uses, judge) in zip(axes, product(budgets, JUDGES), strict=True):
        plot(ax, rows[rows["num_channel_uses"] == uses], "snr_db", judge)
        ax.set(title=f"{uses} channel uses", xlabel="SNR in dB", ylabel=JUDGES[judge])
        if judge == "latent_nmse":
            ax.set_yscale("log")
    legend_below(axes, 4)
    return figure


def _quantiles(exact: pd.DataFrame, note: str) -> Figure:
    fadings = [name for name in ("awgn", "rayleigh") if name in set(exact["fading"])]
    uses = _usual(exact, (256,))[0]
    title = f"Half and nearly all pictures: quantiles of PSNR at {uses} channel uses"
    figure, axes = panels(len(fadings), len(QUANTILES), title, note)
    for ax, (fading, column) in zip(axes, product(fadings, QUANTILES), strict=True):
        plot(ax, exact[(exact["fading"] == fading) & (exact["num_channel_uses"] == uses)], "snr_db", column)
        ax.set(title=f"{FADINGS[fading]}: {QUANTILES[column]}", xlabel="SNR in dB", ylabel="PSNR in dB")
    return _finished(figure, axes)


def _gaps(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By method: PSNR at the bound and distance to it, by (snr_db, num_channel_uses)."""
    bound = curve(table, OPTA)
    gaps = {name: curve(table, name) for name in ("linear", "seed", "digital_seed")}
    return {
        name: bound[[ALL]].join((bound - own)[ALL].rename("gap"), how="inner").dropna()
        for name, own in gaps.items()
        if len(own) and len(bound)
    }


def _gap_to_opta(gaps: dict[str, pd.DataFrame], note: str) -> Figure:
    figure, axes = panels(1, len(gaps), "Distance to the Gaussian OPTA: how many dB of PSNR are missing", note)
    for ax, (name, gap) in zip(axes, gaps.items(), strict=True):
        for uses in _powers_of_two(gap.reset_index()):
            rows = gap.xs(uses, level="num_channel_uses")
            ax.plot(rows[ALL], rows["gap"], marker="o", markersize=2.5, linewidth=1.2, label=f"{uses} uses")
        ax.axhline(0.0, color=STYLES[OPTA].colour, linestyle=":", label=STYLES[OPTA].label)
        ax.set(title=STYLES[name].label, xlabel="PSNR at the OPTA in dB", ylabel="OPTA minus method in dB")
        ax.set_xlim(14, 42)
    drawn = np.concatenate([gap["gap"][gap[ALL] <= 42.0] for gap in gaps.values()])
    for ax in axes:
        ax.set_ylim(float(drawn.min()) - 1.0, float(drawn.max()) + 1.0)
    legend_below(axes, 4)
    return figure


def _mismatch(scenes: pd.DataFrame, note: str) -> Figure:
    rows = scenes[(scenes["fading"] == "awgn") & (scenes["report_error_db"] == 0)]
    wrong = rows[rows["report_offset_db"] != 0]
    budgets = _usual(wrong, (64, 256, 1024))
    figure, axes = panels(1, len(budgets), "A wrong report of the SNR: true, 5 dB too low, 5 dB too high", note)
    for ax, uses in zip(axes, budgets, strict=True):
        here = rows[rows["num_channel_uses"] == uses]
        plot(ax, here[here["report_offset_db"] == 0], "snr_db", "psnr_db", ("seed", "linear", OPTA))
        for name in ("seed", "linear"):
            for offset_db, line in ((-5.0, "--"), (5.0, ":")):
                own = here[(here["method"] == name) & (here["report_offset_db"] == offset_db)].sort_values("snr_db")
                label = f"{STYLES[name].label}, report {offset_db:+g} dB"
                if len(own):
                    ax.plot(own["snr_db"], own["psnr_db"], line, color=STYLES[name].colour, label=label)
        ax.set(title=f"{uses} channel uses", xlabel="true SNR in dB", ylabel="PSNR in dB")
    return _finished(figure, axes)


def _fading(exact: pd.DataFrame, note: str) -> Figure:
    fadings = [name for name in FADINGS if name in set(exact["fading"])]
    budgets = _usual(exact, (64, 256, 1024))
    title = "Fading without and inside a seed: PSNR of the mean MSE"
    figure, axes = panels(len(fadings), len(budgets), title, note)
    for ax, (fading, uses) in zip(axes, product(fadings, budgets), strict=True):
        plot(ax, exact[(exact["fading"] == fading) & (exact["num_channel_uses"] == uses)], "snr_db", "psnr_db")
        ax.set(title=f"{FADINGS[fading]}, {uses} uses", xlabel="mean SNR in dB", ylabel="PSNR in dB")
    return _finished(figure, axes)


def _uses_for_30db(table: pd.DataFrame, note: str) -> Figure:
    metrics = summarise(table)
    title = "Channel uses for 30 dB over AWGN; hollow: at the Shannon rate; no bar: not reached"
    figure, axes = panels(1, len(RATE_SNRS_DB), title, note)
    for ax, snr_db in zip(axes, RATE_SNRS_DB, strict=True):
        for place, name in enumerate((*BARS, BEST_CODEC)):
            for suffix, width in (("", 0.8), ("_shannon", 0.35)):
                uses = metrics.get(f"uses_for_30db.{name}{suffix}.{snr_db}db")
                if uses is not None:
                    colour = STYLES[name].colour if name in STYLES else STYLES["webp"].colour
                    _bar(ax, place, uses, width, colour, suffix)
        ax.set_yticks(range(len(BARS) + 1), [*BARS, BEST_CODEC])
        ax.invert_yaxis()
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda x, position: f"{x:g}")
        ax.set(title=f"SNR {snr_db} dB", xlabel="channel uses per picture", xlim=(16, 8192))
    return figure


def _bar(ax: Axes, place: int, uses: float, width: float, colour: str, suffix: str) -> None:
    ax.barh(place, uses, height=width, color="white" if suffix else colour, edgecolor=colour, linewidth=1.2)
    if not suffix:
        ax.text(uses * 1.04, place, f"{uses:.0f}", va="center", fontsize=8.5)


def _usual(rows: pd.DataFrame, budgets: tuple[int, ...]) -> list[int]:
    """Those of some budgets that the rows hold; the least one where they hold none."""
    return [uses for uses in budgets if uses in set(rows["num_channel_uses"])] or _powers_of_two(rows)[:1]


def _powers_of_two(rows: pd.DataFrame) -> list[int]:
    """Budgets that are powers of two, up to 1,024; all budgets where none is."""
    budgets = sorted({int(uses) for uses in rows["num_channel_uses"]})
    return [uses for uses in budgets if uses & (uses - 1) == 0 and uses <= 1024] or budgets


def _finished(figure: Figure, axes: list[Axes]) -> Figure:
    """One height for all panels, up to what an eye can tell apart, and one legend."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for ax in axes for line in ax.get_lines()])
    for ax in axes:
        ax.set_ylim(float(np.nanmin(drawn)) - 1.0, min(float(np.nanmax(drawn)) + 1.0, HIGHEST_DRAWN_DB))
        ax.set_visible(ax.has_data())
    legend_below(axes, 4)
    return figure


def note_of(table: pd.DataFrame) -> str:
    """Conventions under which the numbers of a table hold."""
    own = table[table["content"] == "scene"]
    num_images, num_seeds = int(own["num_images"].max()), own["random_seed"].nunique()
    return (
        "SNR = mean received Es/N0, E|s|² = 1, E|h|² = 1; a channel use is one complex symbol, retransmissions count, "
        "container headers do not.\n"
        "PSNR = dB of the mean MSE against the channel-free generation, values in [0, 1], over "
        f"{num_images} pictures x {num_seeds} random seeds; bands (AWGN): 95 % Student interval over random seeds.\n"
        f"Rayleigh blocks of 256 uses (fast: {FAST_BLOCK}), known to the receiver; the sender knows the SNR of the "
        "first block. Real latents are not Gaussian: a code may pass the OPTA."
    )


def plot(ax: Axes, rows: pd.DataFrame, x: str, y: str, names: Iterable[str] = tuple(STYLES)) -> None:
    """A curve of every method that the rows hold, with its band where it is a PSNR without fading.

    Args:
        ax: where.
        rows: cells of one air.
        x: column across.
        y: column upwards.
        names: methods, in order.
    """
    for name in names:
        own = rows[rows["method"] == name].dropna(subset=[y]).sort_values(x)
        if own.empty:
            continue
        style = STYLES[name]
        # One marker in seven points, or else a grid of 1 dB is a row of touching markers.
        style.plot(ax, own[x], own[y], markersize=4.5, markevery=max(1, len(own) // 7), linewidth=1.4)
        if y == "psnr_db" and (own["fading"] == "awgn").all() and own["half_width_db"].notna().all():
            style.band(ax, own[x], own[y] - own["half_width_db"], own[y] + own["half_width_db"], 0.13)
