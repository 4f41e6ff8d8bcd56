"""A run of learning as one self-contained HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any, Final

from gainnet.core.page import Page, embed_picture, embed_wide_picture, table, tiles
from gainnet.learning.drawing import LOSS_OF, MEGABYTE

_OF_TEXT: Final = "Loss in nats per predicted token on text that nobody trained on; perplexity is its exponential"
_OF_PICTURES: Final = (
    "Loss: mean square error of the prediction over all noise levels, weighted by min-SNR-5, on pictures that nobody "
    "trained on; encoding a device's pictures once, before round 1, is not counted"
)
_CONVENTION: Final = (
    "; round 0 is the model before any. Bits are eight times the bytes that were serialised. Seconds and joules are "
    "priced by the ledger for the hardware and links of the settings, not measured here; devices compute side by side, "
    "and transfers of one medium go one after another. A broadcast counts once for its sender and once for every "
    "receiver."
)
MOST_ROUNDS: Final = 60
"""Of which the page shows one by one who took part."""

_BODY = Template("""$tiles
<h2>Curves</h2>
<div class="row">$curves</div>
$pictures
<h2>Rounds</h2>
$rounds
<h2>Ledger by node</h2>
$nodes
<h2>Who took part</h2>
<p class="note">● has sent what it trained, ○ was asked and has not delivered, · was not asked.</p>
$clients
<h2>Privacy</h2>
<p class="note">$privacy</p>
$adapter""")


def page(summary: Mapping[str, Any], loss: bytes, bits: bytes, pictures: bytes | None = None) -> str:
    """The page of a run; nothing in it is loaded from elsewhere.

    Args:
        summary: as `summary_of` makes it.
        loss: PNG file, the test loss by round.
        bits: PNG file, what crossed up to each round.
        pictures: PNG file of what a denoiser draws; `None` for text.
    """
    adapter = summary["adapter"]
    body = _BODY.substitute(
        tiles=tiles(_tiles(summary)),
        curves=embed_picture(_loss_in_words(summary), loss) + embed_picture(_bits_in_words(summary), bits),
        pictures="" if pictures is None else f"<h2>Pictures</h2>\n{embed_wide_picture(_PICTURES, pictures)}",
        rounds=_rounds(summary),
        nodes=_nodes(summary["nodes"]),
        clients=_clients(summary),
        privacy=escape(privacy_line(summary["privacy"])),
        adapter=""
        if adapter is None
        else f"<h2>Adapter</h2><p>PEFT loads the folder {escape(adapter)} on the model.</p>",
    )
    # Models that are not cut have a cut and a codec in their settings, which say nothing.
    splits = summary["algorithm"].startswith(("fsl", "split"))
    shown = [name for name in _SHOWN if splits or name not in ("cut", "codec")]
    settings = ", ".join(_in_words(name, summary["settings"][name]) for name in shown if name in summary["settings"])
    convention = (_OF_PICTURES if summary.get("task", "text") == "draw" else _OF_TEXT) + _CONVENTION
    title = f"Learning by {summary['algorithm']}"
    return Page(title, settings, body, convention, "summary.json", summary).html()


_PICTURES: Final = "pictures of captions that nobody trained on, before and after, above those of the devices' style"
_SHOWN: Final = ("model", "cut", "codec", "clients", "skew", "link", "fading", "snr_db", "hardware", "random_seed")


def _in_words(name: str, value: Any) -> str:
    """A setting as people say it: names of fields are for files."""
    match name:
        case "clients":
            return f"{value} clients"
        case "snr_db":
            return f"{float(value):g} dB"
        case "skew":
            return "equal shares" if math.isinf(float(value)) else f"skew {value}"
        case _:
            return f"{name.replace('_', ' ')} {value}"


def _tiles(summary: Mapping[str, Any]) -> dict[str, str]:
    rounds, start, privacy = summary["rounds"], summary["curve"][0], summary["privacy"]
    total = {key: sum(record[key] for record in rounds) for key in rounds[-1]}
    name, value = ("loss", float) if summary.get("task", "text") == "draw" else ("perplexity", math.exp)
    before = f"{value(start['test_loss']):.4g} → " if start["round"] == 0 else ""
    return {
        name: f"{before}{value(rounds[-1]['test_loss']):.4g}",
        "rounds": str(len(rounds)),
        "megabytes up": f"{total['num_bits_up'] / MEGABYTE:,.3f}",
        "megabytes down": f"{total['num_bits_down'] / MEGABYTE:,.3f}",
        "seconds": f"{total['duration_s']:,.3g}",
        "joules": f"{total['energy_j']:,.3g}",
        "epsilon": "none" if privacy is None or not privacy["private"] else f"{privacy['epsilon']:.3g}",
    }


def _loss_in_words(summary: Mapping[str, Any]) -> str:
    (first, *_, last), (unit, _) = summary["curve"], LOSS_OF[summary.get("task", "text")]
    return (
        f"test loss by round, with the middle 80 % of its rows: {first['test_loss']:.3f} {unit} in round "
        f"{first['round']}, {last['test_loss']:.3f} in round {last['round']}"
    )


def _bits_in_words(summary: Mapping[str, Any]) -> str:
    up, down = (sum(record[f"num_bits_{way}"] for record in summary["rounds"]) / MEGABYTE for way in ("up", "down"))
    return f"megabytes that crossed up to each round: {up:,.3f} up and {down:,.3f} down after the last"


def _rounds(summary: Mapping[str, Any]) -> str:
    heads = ("round", "test loss", "middle 80 %", "bits up", "bits down", "seconds", "joules", "lost transfers")
    costs = {record["round"]: record for record in summary["rounds"]}
    rows = []
    for point in summary["curve"]:
        spread = f"{point['test_loss_p10']:.3f} to {point['test_loss_p90']:.3f}"
        cost = costs.get(point["round"])
        spent = ["–"] * 5 if cost is None else [
            f"{cost['num_bits_up']:,.0f}", f"{cost['num_bits_down']:,.0f}", f"{cost['duration_s']:.3g}",
            f"{cost['energy_j']:.3g}", f"{cost['num_lost']:.0f}",
        ]  # fmt: skip
        rows.append([str(point["round"]), f"{point['test_loss']:.4f}", spread, *spent])
    return table("rounds", heads, rows)


def _nodes(nodes: Mapping[str, Mapping[str, Any]]) -> str:
    heads = (
        "node", "rounds", "GFLOP", "megabytes sent", "megabytes received", "lost transfers", "J computing", "J radio",
        "J waiting",
    )  # fmt: skip
    rows = [
        [
            name, str(node["num_rounds"]), f"{node['flops'] / 1e9:,.3g}", f"{node['num_bits_sent'] / MEGABYTE:,.3f}",
            f"{node['num_bits_received'] / MEGABYTE:,.3f}", str(node["num_lost"]), f"{node['compute_energy_j']:.3g}",
            f"{node['radio_energy_j']:.3g}", f"{node['idle_energy_j']:.3g}",
        ]
        for name, node in nodes.items()
    ]  # fmt: skip
    return table("ledger by node", heads, rows)


def _clients(summary: Mapping[str, Any]) -> str:
    """One row per client: in how many rounds it has sent values, and a mark per round while there are few."""
    took_part, num_rounds = summary["took_part"], len(summary["rounds"])
    shown = num_rounds if num_rounds <= MOST_ROUNDS else 0
    heads = ("client", "rows", "has sent", *(str(index + 1) for index in range(shown)))
    rows = [
        [name, f"{client['num_rows']:,}", f"{client['marks'].count('●')} of {num_rounds}", *client["marks"][:shown]]
        for name, client in took_part.items()
    ]
    return table("who took part", heads, rows)


def privacy_line(privacy: Mapping[str, Any] | None) -> str:
    """The promise of a guarantee in one sentence, and that of none.

    >>> privacy_line(None)
    'No guarantee: what clients send is seen by the edge, and models may remember their text.'
    """
    if privacy is None:
        return "No guarantee: what clients send is seen by the edge, and models may remember their text."
    spent = (
        f"Every {privacy['level']}: epsilon {privacy['epsilon']:.3g} at delta {privacy['delta']:.3g} "
        f"(who sees models alone: {privacy['epsilon_model']:.3g}; who reads the folder, too: "
        f"{privacy['epsilon_folder']:.3g}), {privacy['num_releases']} releases, {privacy['accountant']} accountant."
    )
    return spent if privacy["private"] else f"{spent} Not private: the noise repeats from the random seed."
