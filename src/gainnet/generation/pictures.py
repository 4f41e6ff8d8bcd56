"""The received picture beside the channel-free one and the best centralised system over the same air."""

from __future__ import annotations

import io
import warnings

import matplotlib
from torch import Tensor

from gainnet.generation.generate import Generation
from gainnet.generation.labels import Labels
from gainnet.generation.sentences import spelled_psnr

CONVENTION = (
    "SNR = mean received Es/N0 with E|s|² = 1 and E|h|² = 1; noise variance 1/SNR per complex channel use.\n"
    "PSNR against the channel-free generation from the same random seed, where nothing else is said."
)


def side_by_side(generation: Generation, labels: Labels) -> bytes:
    """The first picture of a generation beside its reference and its baseline, as a PNG file.

    Of image-to-image the picture that was given comes first, then what the model's autoencoder keeps of it.

    Args:
        generation: what came out.
        labels: names of its objects.
    """
    # No window is needed; where a notebook's backend cannot be changed, that is no error.
    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    panels = panels_of(generation, labels)
    figure = Figure(figsize=(3.1 * len(panels), 4.4), dpi=150)
    for index, (title, image) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        axes.imshow(image.permute(1, 2, 0).cpu().numpy(), interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    prompt = generation.prompts[0].replace("$", r"\$")  # else it is read as a formula
    figure.suptitle(f"“{prompt}”", fontsize=11, wrap=True)
    figure.text(0.5, 0.015, CONVENTION, ha="center", fontsize=6.5, color="0.35")
    figure.subplots_adjust(left=0.02, right=0.98, top=0.8, bottom=0.09, wspace=0.04)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a prompt may be in any writing, the font is not
        figure.savefig(file, format="png")
    return file.getvalue()


def panels_of(generation: Generation, labels: Labels) -> list[tuple[str, Tensor]]:
    """Captions and pictures, [3, H, W] each, that are compared: of the first prompt of a generation.

    Args:
        generation: what came out.
        labels: names of its objects.
    """
    report, baseline, received = generation.report, generation.baseline, generation.images[0]
    uses = (report.num_channel_uses("down") + report.num_channel_uses("backhaul")) / len(generation.prompts)
    quality = spelled_psnr(generation.quality.psnr_db)
    panels = []
    if (original := generation.original) is not None:
        kept = spelled_psnr(original.kept_psnr_db)
        panels = [
            ("given by the device", original.picture),
            (f"after the model's autoencoder\nalone: {kept}", original.kept),
        ]
    panels += [
        ("without a channel", generation.references[0]),
        (f"{labels.protocol}: {quality}\n{uses:,.0f} channel uses, {labels.air}", received.values),
    ]
    if baseline is not None:
        quality = spelled_psnr(baseline.psnr_db_equal_uses)
        panels.append((f"centralized, {baseline.name}: {quality}\nthe same {uses:,.0f} channel uses", baseline.image))
    return panels
