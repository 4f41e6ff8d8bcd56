"""An episode as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

from gainnet.core.page import Page, embed_picture, table, tiles

CONVENTION = (
    "Gain = sum over rounds of data correlation times the saturating worth of the workload that is achievable when "
    "deciding; under contention a model's samples are added up before they saturate. The optimum of independent "
    "clients is exact and clairvoyant: it knows where everybody will be. The bound of clients that share spectrum is "
    "Lagrangian: no policy exceeds it, and none need reach it. Consumed share: samples trained per sample sensed, less "
    "than 1 where reception decreased after the decision."
)

_STYLE = "  tr.chosen { background: #fff1e5; font-weight: 600 }\n"

_BODY = Template("""$tiles
<h2>Who serves which model</h2>
$map
<h2>Gain</h2>
$gain
$policies
<h2>Boards</h2>
<p class="note">The universal resource pools of clients A, B and C of the map. A number is the round that a piece
belongs to: a CR senses for one round (green, yellow) while it downloads, trains and uploads for the round before (blue,
red).</p>
$boards""")

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
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("policy", *COLUMNS.values()))
    rows = "".join(_row(row, row["policy"] == summary["policy"]) for row in summary["policies"])
    body = _BODY.substitute(
        tiles=_tiles(summary),
        policies=table(heads, rows),
        **{name: embed_picture(name, content) for name, content in pictures.items()},
    )
    title = f"{summary['policy']} in {summary['scenario']}"
    regime = "share the spectrum of edges" if summary["regime"] == "contention" else "are independent"
    subtitle = (
        f"{summary['num_clients']} clients that {regime}, {summary['num_models']} models, "
        f"{summary['num_rounds']} rounds of {summary['duration_s']:g} s, random seed {summary['random_seed']}"
    )
    return Page(title, subtitle, body, CONVENTION, "summary.json", summary, _STYLE).html()


def _tiles(summary: Mapping[str, Any]) -> str:
    row = next(row for row in summary["policies"] if row["policy"] == summary["policy"])
    ratio = summary["over_best_paper_baseline"]
    cells = _cells(row)
    shown = {
        "gain": f"{row['gain']:.2f}",
        f"of the {summary['reference']['name'] or 'best'}": _percent(row["share_of_reference"], 1),
        "over the best paper baseline": "–" if ratio is None else f"{ratio:.2f} x",
        "one decision": f"{cells['decision_s']} ms",
        "samples sensed": cells["num_samples"],
        "consumed share": cells["consumed_share"],
    }
    return tiles(shown)


def _row(row: Mapping[str, Any], chosen: bool) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in _cells(row).values())
    return f"<tr{' class=chosen' if chosen else ''}><td>{escape(row['label'])}</td>{cells}</tr>"


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    """The numbers of a policy as text, in the order of `COLUMNS`."""
    return {
        "gain": f"{row['gain']:.3f}",
        "share_of_reference": _percent(row["share_of_reference"], 2),
        "consumed_share": _percent(row["consumed_share"], 1),
        "num_samples": f"{row['num_samples']:,.0f}",
        "decision_s": f"{1e3 * row['decision_s']:.2f}",
    }


def _percent(share: float | None, digits: int) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"
