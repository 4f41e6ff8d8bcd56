"""A generation as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from gainnet.core.page import Page, captioned, embed_picture, table, tiles
from gainnet.generation.generate import Generation, png
from gainnet.generation.labels import Labels
from gainnet.generation.pictures import CONVENTION, panels_of
from gainnet.generation.sentences import (
    kept_line,
    quality_lines,
    result_lines,
    spelled_count,
    spelled_psnr,
    unknown_lines,
)

# A bar of the air is striped, so that it differs without colours, too.
STYLE = """\
  .row img, .batch img { image-rendering: pixelated } .row img { width: 100%; max-width: 22rem }
  .batch { display: flex; flex-wrap: wrap; gap: .6rem } .batch figure { width: 128px }
  .lanes { list-style: none; padding: 0; margin: 0 }
  .lane { display: grid; grid-template-columns: 14rem 1fr 6rem; gap: .6rem; font-size: .82rem; margin: 3px 0 }
  .lane span:last-child { text-align: right; font-variant-numeric: tabular-nums }
  .track { position: relative; background: #f6f8fa; border-radius: 3px; min-height: 1rem }
  .bar { position: absolute; top: 2px; bottom: 2px; min-width: 3px; border-radius: 3px }
  .compute { background: #0072b2 } .air { background: repeating-linear-gradient(45deg, #d55e00 0 4px, #a34700 4px 8px) }
  @media (max-width: 44rem) {
    .lane { grid-template-columns: 1fr auto; gap: 0 .6rem; margin: .5rem 0 }
    .track { grid-row: 2; grid-column: 1 / -1 }
  }
"""

BODY = Template("""$warnings
<div class="row">$compared</div>
$tiles
$quality
$troubles
<h2>Time line</h2>
<p class="note">Blue: computation, orange stripes: the air. Priced as $priced_as on $hardware and $edge_hardware; a step
starts when its inputs are there and its node or medium is free.</p>
$lanes
<h2>Steps</h2>
$steps
<h2>All pictures</h2>
<div class="batch"><!-- pictures --></div>""")

PICTURES = "<!-- pictures -->"
"""Their place in the page; nothing that a user wrote can be it, since all of that is escaped."""

STEP_COLUMNS = {
    "start_s": "start in s",
    "duration_s": "takes in s",
    "wall_s": "measured here in s",
    "energy_j": "energy in J",
    "flops": "FLOPs",
    "num_bits": "bits",
    "num_channel_uses": "channel uses",
    "num_retransmissions": "sent again",
}


def page(generation: Generation, labels: Labels, summary: dict[str, Any], images: Iterable[bytes]) -> Iterator[str]:
    """The page of a generation, piece by piece; nothing in it is loaded from elsewhere.

    Args:
        generation: what came out.
        labels: names of its objects.
        summary: the same as a JSON object.
        images: all pictures, PNG files; each is asked for when its place in the page is reached.
    """
    report = summary["report"]
    body = BODY.substitute(
        compared="".join(_compared(generation, labels)),
        warnings=_notes(first_lines(summary)),
        tiles=_tiles(summary),
        quality=_notes([*result_lines(summary), *quality_lines(summary["quality"], summary["original"])]),
        troubles=_notes(troubles(report)),
        priced_as=escape(report["priced_as"]),
        hardware=escape(labels.hardware),
        edge_hardware=escape(labels.edge_hardware),
        lanes=_lanes(report),
        steps=_steps(report),
    )
    number = len(generation.prompts)
    first = generation.prompts[0] + (f" (and {number - 1} more)" if number > 1 else "")
    subtitle = f"{labels.protocol}, {labels.air}, random seed {generation.random_seed}"
    before, after = Page(first, subtitle, body, CONVENTION, "report.json", summary, STYLE).html().split(PICTURES)
    yield before
    for each, image in zip(generation.images, images, strict=True):
        yield captioned(f"{each.prompt}: {spelled_psnr(each.psnr_db)}", embed_picture(each.prompt, image))
    yield after


def first_lines(summary: Mapping[str, Any]) -> list[str]:
    """Sentences that come before any number: words that the model does not know, and what it keeps of a picture.

    Args:
        summary: the JSON object of a generation.
    """
    original = summary["original"]
    kept = [] if original is None else [kept_line(original)]
    return unknown_lines(summary["model"], summary["warnings"]) + kept


def troubles(report: Mapping[str, Any]) -> list[str]:
    """Sentences on what was lost on the way and how the plan went on; none when all went well.

    Args:
        report: as `Report.to_json` makes it.
    """
    lost = [step["label"] for step in report["steps"] if not step["delivered"]]
    lines = [f"not delivered in full, and concealed: {'; '.join(lost)}"] if lost else []
    for recovery in report["recoveries"]:
        reused = ", ".join(recovery["reused"]) or "nothing"
        lines.append(
            f"{', '.join(recovery['lost'])} lost; noticed after {recovery['start_s'] * 1e3:.1f} ms; "
            f"{', '.join(recovery['ran_on']) or 'nobody'} computed on, with {reused}"
        )
    if report["drafts_differ"]:
        lines.append(
            f"{report['drafts_differ']} drafts on the device are others than on the edge (another processor, runtime "
            "or noise), and their corrections fit less well"
        )
    return lines


def _compared(generation: Generation, labels: Labels) -> Iterator[str]:
    for caption, picture in panels_of(generation, labels):
        alt = f"{generation.prompts[0]}: {' '.join(caption.splitlines())}"
        yield captioned(caption, embed_picture(alt, png(picture)))


def _notes(lines: Sequence[str]) -> str:
    return "".join(f'<p class="note"><b>{escape(line)}</b></p>' for line in lines)


def _tiles(summary: dict[str, Any]) -> str:
    judged, report, baseline = summary["quality"], summary["report"], summary["baseline"]
    shown = {
        "PSNR": "exact" if judged["exact"] else f"{judged['psnr_db']:.1f} dB",
        "SSIM": f"{judged['ssim']:.3f}",
        "prompt fidelity": _number(judged["prompt_fidelity"]),
        "that of the unsplit picture": _number(judged["reference_fidelity"]),
        "uses down": spelled_count(report["num_channel_uses_down"]),
        "uses up": spelled_count(report["num_channel_uses_up"]),
        "time": f"{report['duration_s'] * 1e3:,.1f} ms",
        "energy": f"{report['energy_j']:.2f} J",
        "best image codec, same uses": _codec(baseline),
        "image codecs need for that PSNR": _uses(baseline),
    }
    return tiles(shown)


def _codec(baseline: dict[str, Any]) -> str:
    psnr_db = baseline["psnr_db_equal_uses"]
    return "–" if psnr_db is None else f"{baseline['name']}: {psnr_db:.1f} dB"


def _uses(baseline: dict[str, Any]) -> str:
    uses = baseline["num_channel_uses_equal_psnr"]
    return "–" if uses is None else f"{uses:,.0f} uses"


def _lanes(report: dict[str, Any]) -> str:
    total_s = max(report["duration_s"], 1e-12)
    lanes = []
    for step in report["steps"]:
        kind = "compute" if step["direction"] == "none" else "air"
        left, width = 100.0 * step["start_s"] / total_s, 100.0 * step["duration_s"] / total_s
        # Steps of no duration keep a visible bar inside the track.
        bar = f'<div class="bar {kind}" style="left:{min(left, 99.7):.3f}%;width:{width:.3f}%"></div>'
        name, takes = escape(step["label"]), f"{step['duration_s'] * 1e3:,.2f} ms"
        lanes.append(f'<li class="lane"><span>{name}</span><div class="track">{bar}</div><span>{takes}</span></li>')
    return f'<ul class="lanes">{"".join(lanes)}</ul>'


def _steps(report: dict[str, Any]) -> str:
    rows = [[step["label"], *(_number(step[column]) for column in STEP_COLUMNS)] for step in report["steps"]]
    return table("steps", ("step", *STEP_COLUMNS.values()), rows)


def _number(x: float | None) -> str:
    if x is None:
        return "–"
    return f"{x:,}" if isinstance(x, int) and x < 1e7 else f"{x:.4g}"
