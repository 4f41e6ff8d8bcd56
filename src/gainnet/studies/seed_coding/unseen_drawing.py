"""Figure of unseen pictures: PSNR of the mean error over channel uses, one panel per SNR."""

from __future__ import annotations

from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.studies.codec_labels import SEED_LABELS
from gainnet.studies.figures import Panel, Style, draw_panels, same_height
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from gainnet.studies.seed_coding.question import SCHEMES
from gainnet.studies.seed_coding.unseen_summary import TARGET_PSNR_DB
from gainnet.studies.statistics import at, present, psnr_db

STYLES: Final = {
    "transform_prompt_denoised": Style("transform_prompt and one denoising step", PURPLE, "-", "*"),
    "transform_prompt": Style(SEED_LABELS["transform_prompt"], GREEN, "-", "D"),
    "transform": Style(SEED_LABELS["transform"], BLUE, "-", "o"),
    "domain_picture": Style("finished picture coded for the domain", BROWN, "--", "d"),
    "seed": Style(SEED_LABELS["seed"], SKY, "-", "P"),
    "linear": Style(SEED_LABELS["linear"], GREY, "-", "v"),
    "best_image_codec": Style("best image codec", BLACK, "-", "s"),
    "vvc": Style("VVC", RED, "--", "s"),
    "hevc": Style("HEVC", ORANGE, "--", "^"),
    "avif": Style("AVIF", ORANGE, ":", "x"),
}
LEAST_DRAWN_DB: Final = 16.0


def draw_unseen(unseen: pd.DataFrame) -> Figure:
    """PSNR over uses of every scheme; a line at 30 dB."""
    sent = unseen[unseen["method"].isin(SCHEMES)]
    num = int(at(sent, method=str(sent["method"].iloc[0])).groupby("random_seed")["num_images"].max().sum())
    parts = [
        Panel(at(sent, snr_db=snr_db), f"{snr_db:g} dB", "channel uses per picture", "PSNR in dB")
        for snr_db in sorted(set(sent["snr_db"]))
    ]
    note = (
        f"{num} captions and random seeds that no training has drawn; AWGN; PSNR of the mean error against the "
        "channel-free generation.\nBits: codewords of any length; retransmissions, headers, acknowledgements counted. "
        "Symbols: mean power of at most 1 in every item."
    )
    figure = draw_panels("Channel uses for pictures that no training has drawn", note, parts, _plot, 3, legend=4)
    same_height(figure, 1.0, 40.0)
    return figure


def _plot(ax: Axes, rows: pd.DataFrame) -> None:
    for name in present(rows, "method", STYLES):
        own, style = at(rows, method=name), STYLES[name]
        budget = own["num_bytes"].fillna(own["num_channel_uses"]) if "num_bytes" in own else own["num_channel_uses"]
        points = own.groupby(budget)[["num_channel_uses_sent", "mse"]].mean()
        shown = points[points["num_channel_uses_sent"] > 0].sort_values("num_channel_uses_sent")
        ax.plot(
            shown["num_channel_uses_sent"],
            shown["mse"].map(psnr_db),
            style.line,
            color=style.colour,
            marker=style.marker,
            markersize=4.5,
            linewidth=1.4,
            label=style.label,
        )
    ax.axhline(TARGET_PSNR_DB, color=GREY, linewidth=0.8)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda x, position: f"{x:g}")
    ax.set_ylim(LEAST_DRAWN_DB, None)
