"""The received picture beside the channel-free one and the best centralised system over the same air."""

from __future__ import annotations

import io
import warnings

import matplotlib
from torch import Tensor

from gainnet.generation.generate import Generation

CONVENTION = (
    "SNR = mean received Es/N0 with E|s|² = 1 and E|h|² = 1; noise variance 1/SNR per complex channel use.\n"
    "PSNR against the channel-free generation from the same random seed."
)


def side_by_side(generation: Generation) -> bytes:
    """The first picture of a generation beside its reference and its baseline, as a PNG file."""
    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    panels = _panels(generation)
    figure = Figure(figsize=(3.1 * len(panels), 4.4), dpi=150)
    for index, (title, image) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        axes.imshow(image.permute(1, 2, 0).cpu().numpy(), interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    prompt = generation.config.prompts[0].replace("$", r"\$")  # else it is read as a formula
    figure.suptitle(f"“{prompt}”", fontsize=11, wrap=True)
    figure.text(0.5, 0.015, CONVENTION, ha="center", fontsize=6.5, color="0.35")
    figure.subplots_adjust(left=0.02, right=0.98, top=0.8, bottom=0.09, wspace=0.04)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a prompt may be in any writing, the font is not
        figure.savefig(file, format="png")
    return file.getvalue()


def _panels(generation: Generation) -> list[tuple[str, Tensor]]:
    config, report, baseline = generation.config, generation.report, generation.baseline
    uses = (report.num_channel_uses("down") + report.num_channel_uses("backhaul")) / len(config.prompts)
    air = f"{uses:,.0f} channel uses at {config.snr_db:g} dB ({config.fading})"
    panels = [
        ("without a channel", generation.references[0]),
        (f"{config.protocol}: {_db(generation.quality.psnr_db)}\n{air}", generation.images[0]),
    ]
    if baseline is not None:
        title = f"centralized, {baseline.name}: {_db(baseline.psnr_db_equal_uses)}\nthe same {uses:,.0f} channel uses"
        panels.append((title, baseline.image))
    return panels


def _db(psnr_db: float | None) -> str:
    return "exact" if psnr_db is None else f"{psnr_db:.1f} dB"
