"""Study seed-coding: seeds by learned, linear and digital codes against pictures, bounds and published numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.studies.codec_labels import CODEC_OF_METHOD, SEED_LABELS
from gainnet.studies.figures import (
    Panel,
    Style,
    draw_panels,
    legend_below,
    log2_uses,
    panels,
    plain_log,
    plot_curves,
    same_height,
    short,
    with_own,
)
from gainnet.studies.own import own
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, MARKER_OF, ORANGE, PURPLE, RED, SKY
from gainnet.studies.seed_coding.material import digests, gather
from gainnet.studies.seed_coding.methods import methods
from gainnet.studies.seed_coding.question import (
    BEST_CODEC,
    FAST_BLOCK,
    LDPC_IR,
    METHODS,
    OPTA,
    SCENE,
    SD_SHAPED,
    SHANNON,
    WIDE_MERGED_USES,
    WIDE_METHODS,
    WIDE_PIXEL_USES,
    WIDE_RAW_USES,
    SeedCodingConfig,
    cases,
)
from gainnet.studies.seed_coding.summary import (
    ALL,
    RATE_SNRS_DB,
    TARGET_PSNR_DB,
    cells,
    curve,
    metric_names,
    split,
    summarise,
)
from gainnet.studies.seed_coding.unseen_drawing import draw_unseen
from gainnet.studies.seed_coding.wide import FRECHET_DISTANCES, SNRS_DB, SOURCE
from gainnet.studies.statistics import at, present
from gainnet.studies.study import Method, Study

STYLES: Final = {
    "seed_prompt": Style(SEED_LABELS["seed_prompt"], PURPLE, "-", "*"),
    "seed": Style(SEED_LABELS["seed"], BLUE, "-", "o"),
    "seed_denoiser": Style("seed, analog, and one denoising step", BLUE, "--", "x"),
    "digital_seed_prompt": Style(SEED_LABELS["transform_prompt"], GREEN, "--", "*"),
    "digital_seed": Style(SEED_LABELS["transform"], GREEN, "-", "D"),
    "pca_seed": Style(SEED_LABELS["digital"], BROWN, "-", "d"),
    "linear": Style(SEED_LABELS["linear"], SKY, "-", "v"),
    "raw": Style(SEED_LABELS["raw"], GREY, "-", "P"),
    "webp": Style("WebP picture, LDPC", ORANGE, "--", "s"),
    "avif": Style("AVIF picture, LDPC", RED, "--", "^"),
    "jpeg": Style("JPEG picture, LDPC", BROWN, ":", "x"),
    "gaussian_opta": Style("Gaussian OPTA (bound)", BLACK, ":", ""),
}
KINDS: Final = {
    "symbols": ("seed_prompt", "seed", "seed_denoiser", "linear", "raw", OPTA),
    "bits": ("digital_seed_prompt", "digital_seed", "pca_seed", "webp", "avif", "jpeg", OPTA),
}
"""Methods by what they send: all in one panel would be a thicket of curves."""
HIGHEST_DRAWN_DB: Final = 48.0
FADINGS: Final = {"awgn": "AWGN", "rayleigh": "Rayleigh, blocks of 256", "rayleigh_fast": "Rayleigh, blocks of 16"}
SNRS_DB_OF_FADING: Final = {"awgn": RATE_SNRS_DB, "rayleigh": (0, 10, 20)}
JUDGES: Final = {"ssim": "SSIM", "prompt_fidelity": "prompt fidelity", "latent_nmse": "latent error / variance"}
QUANTILES: Final = {"p50_db": "median over pictures", "p5_db": "5 % of pictures are worse"}
RANKED: Final = (
    OPTA, "seed_denoiser", "seed_prompt", "seed", "digital_seed_prompt", "digital_seed", "pca_seed", "linear",
)  # fmt: skip
_RANKED_NAMES: Final = {
    OPTA: "Gaussian OPTA", "seed_denoiser": "seed + denoising step", BEST_CODEC: "best image codec", **CODEC_OF_METHOD,
}  # fmt: skip
SNR, PSNR, USES = "SNR in dB", "PSNR in dB", "channel uses per picture"
WIDE_COLOURS: Final = {"raw_pixels": GREY, "raw": SKY, "merged": ORANGE, "linear": GREEN, "seed": BLUE, OPTA: BLACK}
WIDE_NAMES: Final = {
    "raw_pixels": "all pixels, analog", "merged": "neighbours merged", OPTA: "Gaussian OPTA",
}  # fmt: skip
PUBLISHED_COLOURS: Final = {"published_centralised": GREY, "published_split": SKY, "published_merged": RED}
TIMES_FEWER: Final = {WIDE_PIXEL_USES: "1x", WIDE_RAW_USES: "48x", WIDE_MERGED_USES: "96x"}
WIDE_LINES: Final = {WIDE_PIXEL_USES: "-", WIDE_RAW_USES: "-", WIDE_MERGED_USES: "--"}


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Quality over SNR and uses, other judges, distance to the bound, reports, fading, uses, and the wide latent."""
    unseen, table = split(table)
    found, note = cells(table), note_of(table)
    second = (found["bearer"] == SHANNON) | ((found["bearer"] == LDPC_IR) & (found["fading"] == "rayleigh"))
    scenes = at(found[~second], content=SCENE, report_error_db=0)
    exact = at(scenes, report_offset_db=0)
    awgn, faded = at(exact, fading="awgn"), exact[exact["fading"] != "awgn"]

    parts = [
        Panel(rows, f"{kind}, {uses} uses", SNR, PSNR)
        for kind, sent in KINDS.items()
        for uses in _usual(awgn, (64, 256, 1024))
        if len(rows := _of_kind(at(awgn, num_channel_uses=uses), sent))
    ]
    yield "psnr_over_snr", _psnrs("Seeds over AWGN: PSNR over SNR", note, parts, plot, 3)
    parts = [
        Panel(at(exact, fading=fading, snr_db=snr_db), f"{FADINGS[fading]}, {snr_db:g} dB", USES, PSNR)
        for fading in present(exact, "fading", SNRS_DB_OF_FADING)
        for snr_db in SNRS_DB_OF_FADING[fading]
    ]
    yield "psnr_over_uses", _psnrs(f"PSNR over {USES}", note, parts, _over_uses, len(RATE_SNRS_DB))
    yield "other_judges", _other_judges(awgn, note)
    uses = _usual(exact, (256,))[0]
    parts = [
        Panel(_seen(at(exact, fading=fading, num_channel_uses=uses), column), f"{FADINGS[fading]}: {label}", SNR, PSNR)
        for fading, (column, label) in product(present(exact, "fading", ("awgn", "rayleigh")), QUANTILES.items())
    ]
    title = f"Half and nearly all pictures: quantiles of PSNR at {uses} channel uses"
    yield "quantiles", _psnrs(title, note, parts, partial(plot, y="seen"), len(QUANTILES))
    if gaps := _gaps(table):
        yield "gap_to_opta", _gap_to_opta(gaps, note)
    if len(wrong := scenes[scenes["report_offset_db"] != 0]):
        here = at(scenes, fading="awgn")
        budgets = _usual(wrong, (64, 256, 1024))
        parts = [Panel(at(here, num_channel_uses=u), f"{u} channel uses", "true SNR in dB", PSNR) for u in budgets]
        title = "A wrong report of the SNR: true, 5 dB too low, 5 dB too high"
        yield "mismatch", _psnrs(title, note, parts, _mismatch, len(budgets))
    if len(faded):
        budgets = _usual(faded, (64, 256, 1024))
        titles = FADINGS | {name: short(name) for name in own(faded["fading"].unique(), FADINGS)}
        parts = [
            Panel(at(faded, fading=fading, num_channel_uses=u), f"{titles[fading]}, {u} uses", f"mean {SNR}", PSNR)
            for fading, u in product(present(faded, "fading", titles), budgets)
        ]
        yield (
            "fading",
            _psnrs("Fading without and inside a seed: PSNR of the mean MSE", note, parts, plot, len(budgets)),
        )
    yield "uses_for_30db", _uses_for_30db(table, note)
    yield from draw_wide(found)
    if len(unseen):
        yield "unseen", draw_unseen(unseen)


def plot(
    ax: Axes, rows: pd.DataFrame, x: str = "snr_db", y: str = "psnr_db", names: Iterable[str] = tuple(STYLES)
) -> None:
    """A curve of every method that the rows hold, with its band where it is a PSNR without fading.

    Args:
        ax: where.
        rows: cells of one air.
        x: column across.
        y: column upwards.
        names: methods, in order.
    """
    band = ("low_db", "high_db") if y == "psnr_db" and (rows["fading"] == "awgn").all() else None
    styles = {name: STYLES[name] for name in names}
    plot_curves(ax, rows, x, y, with_own(styles, rows, METHODS), band)


def _psnrs(
    title: str, note: str, parts: list[Panel], drawn: Callable[[Axes, pd.DataFrame], None], num_columns: int
) -> Figure:
    """One height for all panels, up to what an eye can tell apart, and one legend."""
    figure = draw_panels(title, note, parts, drawn, num_columns)
    same_height(figure, 1.0, HIGHEST_DRAWN_DB)
    for ax in figure.axes:
        ax.set_visible(ax.has_data())
    return figure


def _seen(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows whose column `seen` is what one of several panels shows."""
    return rows.assign(seen=rows[column])


def _of_kind(rows: pd.DataFrame, sent: tuple[str, ...]) -> pd.DataFrame:
    """Rows of some methods, and of those of the user's, which are compared with all."""
    return rows[rows["method"].isin((*sent, *own(rows["method"].unique(), METHODS)))]


def _over_uses(ax: Axes, rows: pd.DataFrame) -> None:
    plot(ax, rows, "num_channel_uses_sent")
    if ax.has_data():
        log2_uses(ax, TARGET_PSNR_DB)


def _other_judges(awgn: pd.DataFrame, note: str) -> Figure:
    parts = [
        Panel(_seen(at(awgn, num_channel_uses=uses), judge), f"{uses} channel uses", SNR, label)
        for uses, (judge, label) in product(_usual(awgn, (64, 256)), JUDGES.items())
    ]
    figure = draw_panels("Other judges over AWGN", note, parts, partial(plot, y="seen"), len(JUDGES))
    for ax in figure.axes[list(JUDGES).index("latent_nmse") :: len(JUDGES)]:
        ax.set_yscale("log")
        plain_log(ax.yaxis)
    return figure


def _mismatch(ax: Axes, rows: pd.DataFrame) -> None:
    plot(ax, at(rows, report_offset_db=0), names=("seed", "linear", OPTA))
    for name, (offset_db, line) in product(("seed", "linear"), ((-5.0, "--"), (5.0, ":"))):
        own = at(rows, method=name, report_offset_db=offset_db).sort_values("snr_db")
        label = f"{STYLES[name].label}, report {offset_db:+g} dB"
        if len(own):
            ax.plot(own["snr_db"], own["psnr_db"], line, color=STYLES[name].colour, label=label)


def _gaps(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By method: PSNR at the bound and distance to it, one row per SNR and budget."""
    bound = curve(table, OPTA)
    gaps = {name: curve(table, name) for name in ("linear", "seed", "digital_seed")}
    return {
        name: bound[[ALL]].join((bound - own)[ALL].rename("gap"), how="inner").dropna().reset_index()
        for name, own in gaps.items()
        if len(own) and len(bound)
    }


def _gap_to_opta(gaps: Mapping[str, pd.DataFrame], note: str) -> Figure:
    def plot_gap(ax: Axes, gap: pd.DataFrame) -> None:
        budgets = _powers_of_two(gap)
        for uses, colour, marker in zip(budgets, MARKER_OF, MARKER_OF.values(), strict=False):
            rows = at(gap, num_channel_uses=uses)
            look: dict[str, Any] = {
                "color": colour,
                "marker": marker,
                "markersize": 3.5,
                "markevery": max(1, len(rows) // 7),
            }
            ax.plot(rows[ALL], rows["gap"], linewidth=1.0, label=f"{uses} uses", **look)
        ax.axhline(0.0, color=STYLES[OPTA].colour, linestyle=":", label=STYLES[OPTA].label)
        # Beyond 42 dB nobody sees a difference, and neighbouring budgets lie on top of each other.
        ax.set_xlim(14, 42)

    parts = [
        Panel(gap, STYLES[name].label, "PSNR at the OPTA in dB", "OPTA minus method in dB")
        for name, gap in gaps.items()
    ]
    title = "Distance to the Gaussian OPTA: how many dB of PSNR are missing"
    figure = draw_panels(title, note, parts, plot_gap, len(parts))
    drawn = pd.concat([gap["gap"][gap[ALL] <= 42.0] for gap in gaps.values()])
    for ax in figure.axes:
        ax.set_ylim(float(drawn.min()) - 1.0, float(drawn.max()) + 1.0)
    return figure


def _uses_for_30db(table: pd.DataFrame, note: str) -> Figure:
    metrics = summarise(table)
    title = "Channel uses for 30 dB over AWGN; hollow: at the Shannon rate; no dot: not reached"
    figure, axes = panels(1, len(RATE_SNRS_DB), title, note)
    names = (*RANKED, BEST_CODEC)
    for ax, snr_db in zip(axes, RATE_SNRS_DB, strict=True):
        for place, name in enumerate(names):
            for suffix, filling in (("", "full"), ("_shannon", "none")):
                uses = metrics.get(f"uses_for_30db.{name}{suffix}.{snr_db}db")
                if uses is not None:
                    colour = STYLES[name].colour if name in STYLES else STYLES["webp"].colour
                    # Dots, since the length of a bar says nothing where the axis has no zero.
                    ax.plot(uses, place, "o", color=colour, fillstyle=filling, markersize=6)
                if uses is not None and not suffix:
                    where: dict[str, Any] = {"textcoords": "offset points", "xytext": (6, 0), "va": "center"}
                    ax.annotate(f"{uses:.0f}", (uses, place), **where, fontsize="small")
        ax.set_yticks(range(len(names)), [_RANKED_NAMES.get(name, name) for name in names] if ax is axes[0] else [])
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(lambda x, position: f"{x:g}")
        ax.set(
            title=f"SNR {snr_db} dB", xlabel="channel uses per picture", xlim=(32, 8192), ylim=(len(names) - 0.5, -0.5)
        )
    return figure


def _usual(rows: pd.DataFrame, budgets: tuple[int, ...]) -> list[int]:
    """Those of some budgets that the rows hold; the least one where they hold none."""
    return [uses for uses in budgets if uses in set(rows["num_channel_uses"])] or _powers_of_two(rows)[:1]


def _powers_of_two(rows: pd.DataFrame) -> list[int]:
    """Budgets that are powers of two, up to 1,024; all budgets where none is."""
    budgets = sorted({int(uses) for uses in rows["num_channel_uses"]})
    return [uses for uses in budgets if uses & (uses - 1) == 0 and uses <= 1024] or budgets


def note_of(table: pd.DataFrame) -> str:
    """Conventions under which the numbers of a table hold."""
    own = at(table, content=SCENE)
    num_images, num_seeds = int(own["num_images"].max()), own["random_seed"].nunique()
    return (
        "SNR = mean received Es/N0, E|s|² = 1, E|h|² = 1; a channel use is one complex symbol, retransmissions count, "
        "container headers do not.\n"
        "PSNR = dB of the mean MSE against the channel-free generation, values in [0, 1], over "
        f"{num_images} pictures x {num_seeds} random seeds; bands (AWGN): 95 % Student interval over random seeds.\n"
        f"Rayleigh blocks of 256 uses (fast: {FAST_BLOCK}), known to the receiver; the sender knows the SNR of the "
        "first block. Real latents are not Gaussian: a code may pass the OPTA."
    )


def draw_wide(found: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """PSNR and Fréchet distance of ours, and, in a panel of their own, the published distances."""
    rows = at(found, content=SD_SHAPED)
    if rows.empty:
        return
    note = (
        "Ours: latents 4 x 64 x 64 of pictures of sixteen scenes, cut into sixteen patches; AWGN; 48x and 96x: that "
        "many times fewer symbols than all pixels as symbols.\n"
        "PSNR against the picture of the same latent without a channel; Fréchet distance over the 128 x 128 patches "
        "with 104 features of our own attribute classifier, over the variance of the references.\n"
        f"Published: FID over 6 pictures with 64 features, SDXL ({SOURCE}); other pictures, another model, "
        "other features: to be compared in course, not in value."
    )
    figure, axes = panels(1, 3, "A Stable-Diffusion-shaped latent beside published figures", note)
    for ax, column in zip(axes, ("psnr_db", "frechet_distance_scenes"), strict=False):
        for method, uses in ((name, uses) for name in WIDE_COLOURS for uses in WIDE_METHODS[name]):
            own = at(rows, method=method, num_channel_uses=uses).sort_values("snr_db")
            label = f"{WIDE_NAMES.get(method, method)}, {TIMES_FEWER[uses]}"
            if len(own):
                line, colour = WIDE_LINES[uses], WIDE_COLOURS[method]
                ax.plot(own["snr_db"], own[column], line, color=colour, marker=MARKER_OF[colour], label=label)
    axes[0].set(title="ours", xlabel="SNR in dB", ylabel="PSNR in dB")
    axes[1].set(title="ours", xlabel="SNR in dB", ylabel="Fréchet distance / variance,\nour features", yscale="log")
    for method, values in FRECHET_DISTANCES.items():
        colour = PUBLISHED_COLOURS[method]
        label = f"PUBLISHED: {method.removeprefix('published_')}"
        axes[2].plot(SNRS_DB, values, ":", color=colour, marker=MARKER_OF[colour], label=label)
    axes[2].set(title="published", xlabel="SNR in dB", ylabel="FID, 6 pictures, 64 features", yscale="log")
    legend_below(axes, 4)
    yield "sd_shaped", figure


def open_methods(config: SeedCodingConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    return methods(gather(config))


SEED_CODING = Study(
    "seed-coding", SeedCodingConfig, METHODS, metric_names(), cases, open_methods, digests, summarise, draw
)
