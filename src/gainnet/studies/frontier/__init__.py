"""Study frontier: how many channel uses does a picture need, given so many denoiser passes on the device?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gainnet.codecs.correction.weights import CORRECTIONS
from gainnet.codecs.transform_seed.weights import TRANSFORMS
from gainnet.models.loading import find_folder, weights_sha256
from gainnet.models.students import find_student
from gainnet.studies.figures import Panel, Style, draw_panels, with_own
from gainnet.studies.frontier.methods import open_methods
from gainnet.studies.frontier.question import (
    ALONE,
    ANNEALED,
    ANNEALED_DENOISED,
    BEST,
    DENOISED,
    DRAFT,
    DRAFT_ANNEALED,
    METHODS,
    TRANSFORM,
    FrontierConfig,
    cases,
    passes_of_fast,
)
from gainnet.studies.frontier.summary import alone_psnrs, fewest_uses, metric_names, summarise
from gainnet.studies.palette import BLACK, BLUE, GREEN, GREY, MARKER_OF, ORANGE, PURPLE, RED, SKY
from gainnet.studies.study import Study
from gainnet.studies.weights import picture_digests

COLOURS: Final = {
    BEST: BLACK, TRANSFORM: GREEN, DENOISED: BLUE, DRAFT: ORANGE, ALONE: GREY, ANNEALED: PURPLE, ANNEALED_DENOISED: SKY,
    DRAFT_ANNEALED: RED,
}  # fmt: skip


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Uses for 30 dB over passes on the device, one panel per SNR."""
    found = fewest_uses(table)
    sent = found[found["method"] != ALONE]
    if sent.empty:
        return
    known = sorted(alone_psnrs(table).items())
    # All steps make the reference itself, which is 120 dB to the rounding of the table.
    alone = ", ".join(f"{passes}: {psnr:.1f} dB" if psnr < 100 else f"{passes}: exact" for passes, psnr in known)
    note = (
        f"{int(table['num_images'].max())} pictures x {table['random_seed'].nunique()} random seeds; mean uses of a "
        "picture, headers, retransmissions and acknowledgements counted, at which the PSNR of the mean error is "
        "30 dB; AWGN. Of drafts the best of its passes is named; annealed is what the edge has searched for.\n"
        f"The device alone, by the best sampler or the fast model, by passes: {alone}."
    )
    parts = [
        Panel(own, f"{snr_db:g} dB", "denoiser passes on the device", "uses") for snr_db, own in sent.groupby("snr_db")
    ]
    yield "frontier", draw_panels("Channel uses for 30 dB", note, parts, _points, len(parts))


def _points(ax: Axes, rows: pd.DataFrame) -> None:
    styles = {
        method: Style(method.replace("_", " "), colour, "", MARKER_OF[colour]) for method, colour in COLOURS.items()
    }
    for method, style in with_own(styles, rows, METHODS).items():
        if len(own := rows[rows["method"] == method]):
            style.plot(ax, own["num_passes"], own["uses"], linestyle="")
    drafts = rows[rows["method"].isin((DRAFT, DRAFT_ANNEALED))]
    # Names of others would lie upon each other.
    for _, row in drafts.loc[drafts.groupby(["method", "num_passes"])["uses"].idxmin()].iterrows():
        # To the left of the last ones, which would leave the panel.
        side = -1 if row["num_passes"] > 8 else 1
        place, end = (5 * side, 4), "left" if side > 0 else "right"
        ax.annotate(
            str(row["variant"]), (row["num_passes"], row["uses"]), place, textcoords="offset points", ha=end,
            fontsize="x-small",
        )  # fmt: skip
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xticks(sorted(rows["num_passes"].unique()))


def identity(config: FrontierConfig) -> Mapping[str, str]:
    """sha256 of everything with weights that the methods read."""
    return {
        **picture_digests(config.model),
        "transform_seed": weights_sha256(TRANSFORMS.find(config.model)),
        "correction": weights_sha256(CORRECTIONS.find(config.model)),
        **_student(config),
    }


def _student(config: FrontierConfig) -> dict[str, str]:
    # Named only where it is used, so that runs without it keep their place.
    folder = find_student(weights_sha256(find_folder(config.model))) if passes_of_fast(config) else None
    return {} if folder is None else {"student": weights_sha256(folder)}


FRONTIER = Study("frontier", FrontierConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw)
