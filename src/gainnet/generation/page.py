"""A generation as one self-contained HTML page."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any

from gainnet.generation.generate import Generation
from gainnet.generation.pictures import CONVENTION

PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
  h1 { font-size: 1.4rem; margin-bottom: .2rem } h2 { font-size: 1.05rem; margin-top: 2rem }
  .note { color: #57606a; font-size: .85rem }
  .tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0 }
  .tile { border: 1px solid #d0d7de; border-radius: 8px; padding: .5rem .9rem; min-width: 8rem }
  .tile b { display: block; font-size: 1.2rem }
  img.compare { max-width: 100%; border: 1px solid #d0d7de; border-radius: 8px }
  .batch img { width: 128px; margin: 2px; border-radius: 4px }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
  th, td { text-align: right; padding: .25rem .5rem; font-size: .85rem; white-space: nowrap }
  th, td { border-bottom: 1px solid #d8dee4 }
  th:first-child, td:first-child { text-align: left }
  .lane { display: grid; grid-template-columns: 14rem 1fr 6rem; gap: .6rem; font-size: .82rem; margin: 3px 0 }
  .lane span:last-child { text-align: right; font-variant-numeric: tabular-nums }
  .track { position: relative; background: #f6f8fa; border-radius: 3px }
  .bar { position: absolute; top: 2px; bottom: 2px; min-width: 3px; border-radius: 3px }
  .compute { background: #0072b2 } .air { background: #e69f00 }
  pre { background: #f6f8fa; padding: .8rem; border-radius: 8px; overflow-x: auto; font-size: .8rem }
</style>
</head>
<body>
<h1>$title</h1>
<p class="note">$subtitle</p>
<img class="compare" alt="side by side" src="data:image/png;base64,$compared">
<div class="tiles">$tiles</div>
$troubles
<h2>Time line</h2>
<p class="note">Blue: computation, orange: the air. Priced as $priced_as on $hardware and $edge_hardware; a step starts
when its inputs are there and its node or medium is free.</p>
$lanes
<h2>Steps</h2>
<div style="overflow-x:auto"><table><thead><tr>$heads</tr></thead><tbody>$rows</tbody></table></div>
<h2>All pictures</h2>
<div class="batch">$pictures</div>
<h2>Convention</h2>
<p class="note">$convention</p>
<h2>As JSON</h2>
<details><summary>report.json</summary><pre>$json</pre></details>
</body>
</html>
""")

STEP_COLUMNS = (
    "start_s",
    "duration_s",
    "wall_s",
    "energy_j",
    "flops",
    "num_bits",
    "num_channel_uses",
    "num_retransmissions",
)


def page(generation: Generation, summary: dict[str, Any], compared: bytes, images: Sequence[bytes]) -> str:
    """The page of a generation; nothing in it is loaded from elsewhere.

    Args:
        generation: what came out.
        summary: the same as a JSON object.
        compared: the side-by-side picture, a PNG file.
        images: all pictures, PNG files.
    """
    config, report = generation.config, summary["report"]
    first = config.prompts[0] + (f" (and {len(images) - 1} more)" if len(images) > 1 else "")
    return PAGE.substitute(
        title=escape(first),
        subtitle=escape(
            f"{config.protocol}, {generation.fading} at {generation.snr_db:.4g} dB, random seed {config.random_seed}"
        ),
        compared=_base64(compared),
        tiles=_tiles(summary),
        troubles="".join(f'<p class="note"><b>{escape(line)}</b></p>' for line in troubles(report)),
        priced_as=escape(report["priced_as"]),
        hardware=escape(config.hardware),
        edge_hardware=escape(config.edge_hardware),
        lanes=_lanes(report),
        heads="".join(f"<th>{name}</th>" for name in ("step", *STEP_COLUMNS)),
        rows="".join(_row(step) for step in report["steps"]),
        pictures="".join(f'<img alt="picture" src="data:image/png;base64,{_base64(image)}">' for image in images),
        convention=escape(CONVENTION),
        json=escape(json.dumps(summary, indent=2)),
    )


def troubles(report: Mapping[str, Any]) -> list[str]:
    """What was lost on the way and how the plan went on, as sentences; none when all went well.

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
    return lines


def _tiles(summary: dict[str, Any]) -> str:
    judged, report, baseline = summary["quality"], summary["report"], summary["baseline"]
    tiles = {
        "PSNR": "exact" if judged["exact"] else f"{judged['psnr_db']:.1f} dB",
        "SSIM": f"{judged['ssim']:.3f}",
        "prompt fidelity": _number(judged["prompt_fidelity"]),
        "uses down": f"{report['num_channel_uses_down']:,.0f}",
        "uses up": f"{report['num_channel_uses_up']:,.0f}",
        "time": f"{report['duration_s'] * 1e3:,.1f} ms",
        "energy": f"{report['energy_j']:.2f} J",
        "best image codec, same uses": _codec(baseline),
        "image codecs need for that PSNR": _uses(baseline),
    }
    return "".join(
        f'<div class="tile"><span class="note">{escape(k)}</span><b>{escape(v)}</b></div>' for k, v in tiles.items()
    )


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
        bar = f'<div class="bar {kind}" style="left:{min(left, 99.7):.3f}%;width:{width:.3f}%"></div>'
        name, takes = escape(step["label"]), f"{step['duration_s'] * 1e3:,.2f} ms"
        lanes.append(f'<div class="lane"><span>{name}</span><div class="track">{bar}</div><span>{takes}</span></div>')
    return "".join(lanes)


def _row(step: dict[str, Any]) -> str:
    cells = "".join(f"<td>{_number(step[column])}</td>" for column in STEP_COLUMNS)
    return f"<tr><td>{escape(step['label'])}</td>{cells}</tr>"


def _number(x: float | None) -> str:
    if x is None:
        return "–"
    return f"{x:,}" if isinstance(x, int) and x < 1e7 else f"{x:.4g}"


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
