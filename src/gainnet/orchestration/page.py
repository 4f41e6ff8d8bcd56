"""An episode as one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from gainnet.core.page import Page, embed_wide_picture, table, tiles

CONVENTION = (
    "Gain = sum over rounds of data correlation times the saturating worth of the workload that is achievable when "
    "deciding; under contention a model's samples are added up before they saturate. The optimum of independent "
    "clients is exact and clairvoyant: it knows where everybody will be. The bound of clients that share spectrum is "
    "Lagrangian: no policy exceeds it, and none need reach it. Sensed then trained: share of the sensed samples that "
    "the next round trains with; less than all where reception became worse after the decision (consumed_share in "
    "the JSON). Beside requests, gain is that of a round on average, edges compute, too, and its bound is a convex "
    "program with associations as shares; served: requests that are answered in time, per request offered."
)

# Figures of the published run of gairom-regimes: a reader who sees sac beside greedy wonders which one to take.
LEARNING = (
    "When learning pays: in drawn scenarios it does not. In 100 held-out of 200 (study gairom-regimes) no learned "
    "policy gains 1 % more than the best one without learning, and looking ahead over three rounds, the default, has "
    "at least 99.2 % of the best causal policy's gain in each."
)

_FOLDER = Path(__file__).parent

_STYLE = "  tr.chosen { background: #fff1e5; font-weight: 600 }\n" + (_FOLDER / "player.css").read_text(
    encoding="utf-8"
)

_BODY = Template("""$tiles
<h2 class="screen-only">The episode, played</h2>
$player
<h2>Policies</h2>
$policies
<p class="note">$learning</p>
$requests
<h2>Who serves which model, round by round</h2>
$map
<h2>Gain</h2>
$gain
<h2>Boards</h2>
<p class="note">The universal resource pools of clients A, B and C of the map. A number is the round that a piece
belongs to: a CR senses for one round (green, yellow) while it downloads, trains and uploads for the round before (blue,
red).</p>
$boards""")

PICTURES = {
    "map": "maps of all rounds: every client in the colour of the model that it serves, with edges and targets",
    "gain": "gain of every round by policy, and of all rounds as bars; the numbers stand in the table of policies",
    "boards": "boards of clients A, B and C: which activity has which share of bandwidth and of computing, when",
}
COLUMNS = {
    "gain": "gain",
    "share_of_reference": "share of the best",
    "consumed_share": "sensed then trained",
    "num_samples": "samples sensed",
    "decision_s": "decision in ms",
}


def page(summary: Mapping[str, Any], pictures: Mapping[str, bytes], traffic: Mapping[str, Any]) -> str:
    """The page of an episode; nothing in it is loaded from elsewhere.

    Args:
        summary: the episode as a JSON object.
        pictures: PNG files of map, gain and boards by name.
        traffic: what its player shows.
    """
    rows = [(row["label"], *_cells(row).values()) for row in summary["policies"]]
    label = next(row["label"] for row in summary["policies"] if row["policy"] == summary["policy"])
    body = _BODY.substitute(
        tiles=_tiles(summary),
        player=_player(traffic),
        policies=table("policies", ("policy", *COLUMNS.values()), rows, (label,)),
        learning=escape(LEARNING),
        requests=_requests(summary["requests"]),
        **{name: embed_wide_picture(PICTURES[name], content) for name, content in pictures.items()},
    )
    title = f"{label} in {summary['scenario']}"
    regime = "share the spectrum of edges" if summary["regime"] == "contention" else "are independent"
    subtitle = (
        f"{summary['num_clients']} clients that {regime}, {summary['num_models']} models, "
        f"{summary['num_rounds']} rounds of {summary['duration_s']:g} s, random seed {summary['random_seed']}; "
        f"roads: {summary['mobility']}"
    )
    return Page(title, subtitle, body, CONVENTION, "summary.json", summary, _STYLE).html()


def _player(traffic: Mapping[str, Any]) -> str:
    html, script = ((_FOLDER / f"player.{kind}").read_text(encoding="utf-8") for kind in ("html", "js"))
    # A name in the scenario must not end the script that holds it.
    numbers = json.dumps(traffic, separators=(",", ":")).replace("<", "\\u003c")
    return f'{html}<script id="traffic" type="application/json">{numbers}</script>\n<script>{script}</script>'


def _requests(asked: Mapping[str, Any] | None) -> str:
    """Training beside requests, as a table."""
    if asked is None:
        return ""
    heads = ("policy", "gain", "of the bound", "served", "decision in ms")
    rows = [
        (
            row["label"], f"{row['gain']:.3f}", _percent(row["gain_of_bound"], 1), _percent(row["served_share"], 1),
            f"{1e3 * row['decision_s']:.1f}",
        )
        for row in asked["policies"]
    ]  # fmt: skip
    source = "as a running edge counted" if asked["is_measured"] else "as the scenario says"
    note = (
        f"{asked['offered_per_s']:.3g} requests per second, {source}; {100 * asked['share']:.0f} % of them are to be "
        "answered from the pools that training uses, too."
    )
    return (
        f'<h2>Training beside requests of users</h2><p class="note">{escape(note)}</p>{table("requests", heads, rows)}'
    )


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
        "sensed then trained": cells["consumed_share"],
    }
    return tiles(shown)


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
