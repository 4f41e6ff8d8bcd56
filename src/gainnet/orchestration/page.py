"""An episode as one self-contained HTML page."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

CONVENTION = (
    "Gain = sum over rounds of data correlation times the saturating worth of the workload that is achievable when "
    "deciding; under contention a model's samples are added up before they saturate. The optimum of independent "
    "clients is exact and clairvoyant: it knows where everybody will be. The bound of clients that share spectrum is "
    "Lagrangian: no policy exceeds it, and none need reach it. Consumed share: samples trained per sample sensed, less "
    "than 1 where reception fell after the decision."
)

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
  h1 { font-size: 1.4rem; margin-bottom: .2rem } h2 { font-size: 1.05rem; margin-top: 2rem }
  .note { color: #57606a; font-size: .85rem }
  .tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0 }
  .tile { border: 1px solid #d0d7de; border-radius: 8px; padding: .5rem .9rem; min-width: 8rem }
  .tile b { display: block; font-size: 1.2rem }
  img { max-width: 100%; border: 1px solid #d0d7de; border-radius: 8px }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums }
  th, td { text-align: right; padding: .25rem .9rem; font-size: .9rem; border-bottom: 1px solid #d8dee4 }
  th:first-child, td:first-child { text-align: left }
  tr.chosen { background: #fff1e5; font-weight: 600 }
  pre { background: #f6f8fa; padding: .8rem; border-radius: 8px; overflow-x: auto; font-size: .8rem }
</style>
</head>
<body>
<h1>$title</h1>
<p class="note">$subtitle</p>
<div class="tiles">$tiles</div>
<h2>Who serves which model</h2>
$map
<h2>Gain</h2>
$gain
<div style="overflow-x:auto"><table><thead><tr>$heads</tr></thead><tbody>$rows</tbody></table></div>
<h2>Boards</h2>
<p class="note">The universal resource pools of clients A, B and C of the map. A number is the round that a piece
belongs to: a CR senses for one round (green, yellow) while it downloads, trains and uploads for the round before (blue,
red).</p>
$boards
<h2>Convention</h2>
<p class="note">$convention</p>
<h2>As JSON</h2>
<details><summary>summary.json</summary><pre>$json</pre></details>
</body>
</html>
""")

COLUMNS = {
    "gain": "gain",
    "share_of_reference": "share of the best",
    "consumed_share": "consumed share",
    "num_samples": "samples sensed",
    "decision_s": "decision in ms",
}


def page(summary: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page of an episode; nothing in it is loaded from elsewhere.

    Args:
        summary: the episode as a JSON object.
        pictures: PNG files of map, gain and boards by name.
    """
    title = f"{summary['policy']} in {summary['scenario']}"
    regime = "share the spectrum of edges" if summary["regime"] == "contention" else "are independent"
    return _PAGE.substitute(
        title=escape(title),
        subtitle=escape(
            f"{summary['num_clients']} clients that {regime}, {summary['num_models']} models, "
            f"{summary['num_rounds']} rounds of {summary['duration_s']:g} s, random seed {summary['random_seed']}"
        ),
        tiles=_tiles(summary),
        heads="".join(f"<th>{escape(name)}</th>" for name in ("policy", *COLUMNS.values())),
        rows="".join(_row(row, row["policy"] == summary["policy"]) for row in summary["policies"]),
        convention=escape(CONVENTION),
        json=escape(json.dumps(summary, indent=2)),
        **{name: _picture(name, content) for name, content in pictures.items()},
    )


def _tiles(summary: Mapping[str, Any]) -> str:
    row = next(row for row in summary["policies"] if row["policy"] == summary["policy"])
    reference = summary["reference"]
    share = row["share_of_reference"]
    tiles = {
        "gain": f"{row['gain']:.2f}",
        f"of the {reference['name'] or 'best'}": "–" if share is None else f"{100 * share:.1f} %",
        "over the best paper baseline": _times(summary["over_best_paper_baseline"]),
        "one decision": f"{1e3 * row['decision_s']:.2f} ms",
        "samples sensed": f"{row['num_samples']:,.0f}",
        "consumed share": f"{100 * row['consumed_share']:.1f} %",
    }
    return "".join(
        f'<div class="tile"><span class="note">{escape(k)}</span><b>{escape(v)}</b></div>' for k, v in tiles.items()
    )


def _row(row: Mapping[str, Any], chosen: bool) -> str:
    shown = {
        "gain": f"{row['gain']:.3f}",
        "share_of_reference": "–" if row["share_of_reference"] is None else f"{100 * row['share_of_reference']:.2f} %",
        "consumed_share": f"{100 * row['consumed_share']:.1f} %",
        "num_samples": f"{row['num_samples']:,.0f}",
        "decision_s": f"{1e3 * row['decision_s']:.2f}",
    }
    cells = "".join(f"<td>{escape(shown[name])}</td>" for name in COLUMNS)
    return f"<tr{' class=chosen' if chosen else ''}><td>{escape(row['label'])}</td>{cells}</tr>"


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f} x"


def _picture(name: str, content: bytes) -> str:
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{b64encode(content).decode()}">'
