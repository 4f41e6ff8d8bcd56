"""Study photographs: seeds against the best picture codecs on photographs that nobody trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.studies.codec_labels import SEED_LABELS
from gainnet.studies.figures import Panel, Style, draw_panels, with_own
from gainnet.studies.palette import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from gainnet.studies.photographs.material import gather, identity
from gainnet.studies.photographs.methods import methods
from gainnet.studies.photographs.question import AUTOENCODER, METHODS, USES, PhotographsConfig, cases
from gainnet.studies.photographs.summary import metric_names, summarise
from gainnet.studies.statistics import at, present, psnr_db
from gainnet.studies.study import Method, Study

STYLES: Final = {
    "seed": Style(SEED_LABELS["seed"], BLUE, "-", "o"),
    "linear": Style(SEED_LABELS["linear"], SKY, "-", "v"),
    "digital": Style(SEED_LABELS["digital"], PURPLE, "-", "d"),
    "transform": Style(SEED_LABELS["transform"], GREEN, "-", "D"),
    "vvc": Style("VVC, LDPC", RED, "--", "s"),
    "hevc": Style("HEVC, LDPC", ORANGE, "--", "^"),
    "avif": Style("AVIF, LDPC", BROWN, "--", "x"),
    "jpeg_xl": Style("JPEG XL, LDPC", GREY, "--", "P"),
}
COLUMNS: Final = {
    "psnr_db": "PSNR in dB", "ssim": "SSIM", "feature_distance": "1 - cosine of features",
}  # fmt: skip


def open_methods(config: PhotographsConfig) -> Mapping[str, Method]:
    """The methods, with photographs, model and judge loaded once."""
    return methods(gather(config))


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """PSNR, SSIM and distance of features over SNR, a row of panels per number of uses."""
    alone, sent = at(table, method=AUTOENCODER), table[table["method"] != AUTOENCODER]
    found = sent.groupby(["method", "uses_per_value", "snr_db"])[["mse", "ssim", "feature_distance"]].mean()
    found = found.reset_index().assign(psnr_db=lambda rows: rows["mse"].map(psnr_db))
    limits = alone[["mse", "ssim", "feature_distance"]].mean()
    limits["psnr_db"] = psnr_db(float(limits["mse"])) if len(alone) else float("nan")
    parts, columns = [], []
    for uses in present(found, "uses_per_value", USES):
        for column, label in COLUMNS.items():
            parts.append(Panel(at(found, uses_per_value=uses), f"{uses} uses per value", "SNR in dB", label))
            columns.append(column)
    if not parts:
        return
    drawn = iter(columns)

    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        column = next(drawn)
        for method, style in with_own(STYLES, rows, METHODS).items():
            own = at(rows, method=method).sort_values("snr_db")
            if len(own):
                style.plot(ax, own["snr_db"], own[column])
        if limits.notna()[column]:
            ax.axhline(float(limits[column]), color=BLACK, linestyle=":", label="autoencoder alone: limit of its seeds")

    note = (
        f"{int(table.groupby('half')['num_crops'].max().sum())} crops, each half of the photographs judged with "
        "codes learned on the other; AWGN, SNR known to the sender.\n"
        "PSNR = dB of the mean MSE against the crop; features of EfficientNet-Lite0, last layer."
    )
    yield "photographs", draw_panels("Photographs over a weak radio", note, parts, plot, len(COLUMNS))


PHOTOGRAPHS = Study(
    "photographs", PhotographsConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw
)
