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


def spelled_count(number: float | None) -> str:
    """A number of bits or channel uses for people: a whole one, even where it is a mean; a dash where it is not known.

    >>> spelled_count(512), spelled_count(3793.44), spelled_count(None)
    ('512', '3,793', '–')
    """
    return "–" if number is None else f"{number:,.0f}"


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


def result_lines(summary: Mapping[str, Any]) -> list[str]:
    """Three sentences: how pictures were made, their cost, and that of the best image codec; all per picture.

    Args:
        summary: the JSON object of a generation.
    """
    baseline = summary.get("baseline") or {"name": None}
    lines = [made_line(summary), cost_line(summary["report"], len(summary["images"]))]
    return lines if baseline["name"] is None else [*lines, opponent_line(baseline)]


def made_line(summary: Mapping[str, Any]) -> str:
    """The model, the protocol, the codecs and the air, and how near the pictures are.

    Args:
        summary: the JSON object of a generation.

    >>> made_line({
    ...     "model": "scenes", "images": [{}], "protocol": "eiug", "fading": "awgn", "snr_db": 0.0,
    ...     "codec": {"prompt": "text", "seed": "linear"}, "quality": {"exact": False, "psnr_db": 22.88},
    ... })
    'scenes drew 1 picture by eiug with seed=linear over awgn at 0 dB: PSNR 22.9 dB.'
    """
    number, quality = len(summary["images"]), summary.get("quality")
    # A device that has asked an edge has no picture to compare with.
    near = "" if quality is None else f": {spelled_psnr(None if quality['exact'] else quality['psnr_db'])}"
    return f"{summary['model']} drew {number} picture{'s' * (number > 1)} {_by(summary)}{near}."


def priced_line(summary: Mapping[str, Any], num_items: int) -> str:
    """The model, the protocol, the codecs and the air of pictures that nobody has drawn.

    Args:
        summary: `model`, `protocol`, `codec`, `fading` and `snr_db` as of a generation.
        num_items: how many pictures.

    >>> asked = {"model": "scenes", "protocol": "eiug", "fading": "awgn", "snr_db": 5.0, "codec": {"seed": "linear"}}
    >>> priced_line(asked, 2)
    'scenes would draw 2 pictures by eiug with seed=linear over awgn at 5 dB.'
    """
    return f"{summary['model']} would draw {num_items} picture{'s' * (num_items > 1)} {_by(summary)}."


def _by(summary: Mapping[str, Any]) -> str:
    # The prompt is sent as text whatever is chosen.
    sent = ", ".join(f"{kind}={name}" for kind, name in summary["codec"].items() if kind != "prompt")
    air = summary["fading"] + ("" if summary["snr_db"] is None else f" at {summary['snr_db']:.4g} dB")
    return f"by {summary['protocol']}{' with ' * bool(sent)}{sent} over {air}"


def cost_line(report: Mapping[str, Any], num_items: int = 1) -> str:
    """Time, energy and channel uses, per picture where there are several.

    Args:
        report: as `Report.to_json` makes it, all items together.
        num_items: how many pictures.

    >>> report = {
    ...     "duration_s": 1.9607, "energy_j": 121.4, "device_energy_j": 18.28,
    ...     "num_channel_uses_up": 964, "num_channel_uses_down": 1024,
    ... }
    >>> cost_line(report)
    'It takes 1.961 s on the critical path, 121.4 J (18.28 J on the device), 964 channel uses up and 1,024 down.'
    >>> cost_line(report, 2)
    'Each takes 60.7 J (9.14 J on the device), 482 channel uses up and 512 down; all 2 take 1.961 s on the ...'
    """
    energies = (report[key] / num_items for key in ("energy_j", "device_energy_j"))
    energy_j, device_j = (f"{value:.4g} J" for value in energies)
    uses = [report[f"num_channel_uses_{way}"] for way in ("up", "down")]
    up, down = (spelled_count(None if total is None else total / num_items) for total in uses)
    time = f"{report['duration_s']:.4g} s on the critical path"
    spent = f"{energy_j} ({device_j} on the device), {up} channel uses up and {down} down"
    return f"It takes {time}, {spent}." if num_items == 1 else f"Each takes {spent}; all {num_items} take {time}."


def opponent_line(baseline: Mapping[str, Any]) -> str:
    """The best finished picture over the same air, per picture.

    Args:
        baseline: `name`, `psnr_db_equal_uses`, `num_channel_uses_equal_psnr` of `Baseline`.

    >>> opponent_line({"name": "avif", "psnr_db_equal_uses": 20.32, "num_channel_uses_equal_psnr": 937.2})
    'The best image codec over the same air (avif) has 20.3 dB in as many uses down, and needs 937 for the same PSNR.'
    """
    least, reached_db = baseline["num_channel_uses_equal_psnr"], baseline["psnr_db_equal_uses"]
    reached = "is exact" if reached_db is None else f"has {reached_db:.1f} dB"
    needs = "none reaches the same PSNR" if least is None else f"needs {spelled_count(least)} for the same PSNR"
    return f"The best image codec over the same air ({baseline['name']}) {reached} in as many uses down, and {needs}."
