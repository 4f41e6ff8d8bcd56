"""How the methods of seed-coding look in every figure, and the conventions below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gainnet.studies.figures import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, PURPLE, RED, SKY
from gainnet.studies.image_quality.drawing import Look
from gainnet.studies.seed_coding.question import FAST_BLOCK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LOOKS: Final = {
    "seed_prompt": Look("learned seed, prompt known", PURPLE, "-", "*"),
    "seed": Look("learned seed", BLUE, "-", "o"),
    "seed_denoiser": Look("learned seed + denoiser as receiver", BLUE, "--", "x"),
    "digital_seed_prompt": Look("digital seed, prompt known, LDPC", GREEN, "--", "*"),
    "digital_seed": Look("digital seed, LDPC", GREEN, "-", "D"),
    "pca_seed": Look("PCA seed, LDPC", BROWN, "-", "d"),
    "linear": Look("linear seed", SKY, "-", "v"),
    "raw": Look("raw seed", GREY, "-", "P"),
    "webp": Look("WebP picture, LDPC", ORANGE, "--", "s"),
    "avif": Look("AVIF picture, LDPC", RED, "--", "^"),
    "jpeg": Look("JPEG picture, LDPC", BROWN, ":", "x"),
    "gaussian_opta": Look("Gaussian OPTA of the latent (bound for Gaussian latents)", BLACK, ":", ""),
}
EVERY: Final = tuple(LOOKS)


def note_of(table: pd.DataFrame) -> str:
    """Conventions under which the numbers of a table hold."""
    own = table[table["content"] == "scene"]
    num_images, num_seeds = int(own["num_images"].max()), own["random_seed"].nunique()
    return (
        "SNR = mean received Es/N0, E|s|² = 1, E|h|² = 1; a channel use is one complex symbol, retransmissions count, "
        "container headers do not.\n"
        "PSNR = dB of the mean MSE against the channel-free generation, values in [0, 1], over "
        f"{num_images} pictures x {num_seeds} random seeds; bands (AWGN): 95 % Student interval over random seeds.\n"
        f"Rayleigh blocks of 256 uses (fast: {FAST_BLOCK}), known to the receiver; the sender is told the SNR of the "
        "first block. Real latents are not Gaussian: a code may pass the OPTA."
    )


def plot(ax: Axes, rows: pd.DataFrame, x: str, y: str, names: tuple[str, ...] = EVERY, label: str = "") -> None:
    """A curve of every method that the rows hold, with its band where it is a PSNR without fading.

    Args:
        ax: where.
        rows: cells of one air.
        x: column across.
        y: column upwards.
        names: methods, in order.
        label: goes in front of the label of every method.
    """
    for name in names:
        own = rows[rows["method"] == name].dropna(subset=[y]).sort_values(x)
        if own.empty:
            continue
        look = LOOKS[name]
        marks = max(1, len(own) // 7)
        ax.plot(
            own[x],
            own[y],
            look.line,
            color=look.colour,
            marker=look.marker,
            markersize=4.5,
            markevery=marks,
            linewidth=1.4,
            label=label + look.label,
        )
        if y == "psnr_db" and (own["fading"] == "awgn").all() and own["half_width_db"].notna().all():
            low, high = own[y] - own["half_width_db"], own[y] + own["half_width_db"]
            ax.fill_between(own[x], low, high, color=look.colour, alpha=0.13, linewidth=0)
