"""The Stable-Diffusion-shaped latent beside published figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from gainnet.studies.figures import legend_below, panels
from gainnet.studies.palette import BLACK, BLUE, GREEN, GREY, ORANGE, RED, SKY
from gainnet.studies.seed_coding.question import (
    OPTA,
    SD_SHAPED,
    WIDE_MERGED_USES,
    WIDE_METHODS,
    WIDE_PIXEL_USES,
    WIDE_RAW_USES,
)
from gainnet.studies.seed_coding.wide import FRECHET_DISTANCES, SNRS_DB, SOURCE

COLOURS: Final = {"raw_pixels": GREY, "raw": SKY, "merged": ORANGE, "linear": GREEN, "seed": BLUE, OPTA: BLACK}
NAMES: Final = {
    "raw_pixels": "all pixels, analog", "merged": "neighbours merged", "seed": "learned seed", OPTA: "Gaussian OPTA",
}  # fmt: skip
PUBLISHED_COLOURS: Final = {"published_centralised": GREY, "published_split": SKY, "published_merged": RED}
TIMES_FEWER: Final = {WIDE_PIXEL_USES: "1x", WIDE_RAW_USES: "48x", WIDE_MERGED_USES: "96x"}
LINES: Final = {WIDE_PIXEL_USES: "-", WIDE_RAW_USES: "-", WIDE_MERGED_USES: "--"}


def draw_wide(found: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """PSNR and Fréchet distance of ours, and, in a panel of their own, the published distances."""
    rows = found[found["content"] == SD_SHAPED]
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
        for method, budgets in WIDE_METHODS.items():
            for uses in budgets if method in COLOURS else ():
                label = f"{NAMES.get(method, method + ' seed')}, {TIMES_FEWER[uses]}"
                if len(own := rows[(rows["method"] == method) & (rows["num_channel_uses"] == uses)]):
                    own = own.sort_values("snr_db")
                    ax.plot(own["snr_db"], own[column], LINES[uses], color=COLOURS[method], marker=".", label=label)
    axes[0].set(title="ours", xlabel="SNR in dB", ylabel="PSNR in dB")
    axes[1].set(title="ours", xlabel="SNR in dB", ylabel="Fréchet distance / variance, our features", yscale="log")
    for method, values in FRECHET_DISTANCES.items():
        label = f"PUBLISHED: {method.removeprefix('published_')}"
        axes[2].plot(SNRS_DB, values, ":", color=PUBLISHED_COLOURS[method], marker="s", label=label)
    axes[2].set(title="published", xlabel="SNR in dB", ylabel="FID, 6 pictures, 64 features", yscale="log")
    legend_below(axes, 4)
    yield "sd_shaped", figure
