"""Sentences about a generation, the same in the command, on its page and in `print`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def spelled_psnr(psnr_db: float | None) -> str:
    """A PSNR in dB for people.

    >>> spelled_psnr(30.0), spelled_psnr(None)
    ('PSNR 30.0 dB', 'exact')
    """
    return "exact" if psnr_db is None else f"PSNR {psnr_db:.1f} dB"


def unknown_lines(model: str, warnings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for every word that a model does not know.

    Args:
        model: its name.
        warnings: `word` and `nearest` of each.

    >>> unknown_lines("scenes", [{"word": "cat", "nearest": "boat"}])
    ["scenes does not know 'cat'; the nearest word is 'boat'"]
    """
    return [f"{model} does not know {each['word']!r}; the nearest word is {each['nearest']!r}" for each in warnings]


def kept_line(original: Mapping[str, Any]) -> str:
    """How much of a picture of the device's a model can keep, before anything is claimed of what came out.

    Args:
        original: `kept_psnr_db`, dB, `None` when exact.

    >>> kept_line({"kept_psnr_db": 23.04})
    "of the given picture the model's autoencoder alone keeps: PSNR 23.0 dB; finer details cannot come back"
    """
    kept = spelled_psnr(original["kept_psnr_db"])
    return f"of the given picture the model's autoencoder alone keeps: {kept}; finer details cannot come back"


def quality_lines(quality: Mapping[str, Any], original: Mapping[str, Any] | None) -> list[str]:
    """How good pictures are: against those that were not split, then against what was asked for.

    Args:
        quality: fields of `Quality`.
        original: `psnr_db` against the picture that was given; `None` for text-to-image.

    >>> for line in quality_lines(
    ...     {"psnr_db": 22.88, "ssim": 0.87, "exact": False, "prompt_fidelity": 0.75, "reference_fidelity": 1.0}, None
    ... ):
    ...     print(line)
    against the unsplit picture: PSNR 22.88 dB, SSIM 0.870
    against the prompt: shows 0.75 of what it names, the unsplit picture 1.00
    """
    exact = "exact" if quality["exact"] else f"PSNR {quality['psnr_db']:.2f} dB, SSIM {quality['ssim']:.3f}"
    own, unsplit = quality["prompt_fidelity"], quality["reference_fidelity"]
    shown = (
        "nothing here can judge pictures of such prompts"
        if own is None or unsplit is None
        else f"shows {own:.2f} of what it names, the unsplit picture {unsplit:.2f}"
    )
    lines = [f"against the unsplit picture: {exact}", f"against the prompt: {shown}"]
    return lines + ([] if original is None else [f"against the given picture: {spelled_psnr(original['psnr_db'])}"])
