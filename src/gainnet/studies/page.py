"""A finished run of a study as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

from gainnet.core.page import Page, embed_wide_picture, table, tiles

CONVENTION: Final = (
    "Every number is computed from table.csv, which has one row per method, swept values and random seed; metrics that "
    "this run did not compute are left out. Names of metrics are explained in the docs, page Reproduce. Times of "
    "computation are measured on the machine of the run; all other times and energies are priced by the ledger."
)

_BODY = Template("""$warnings
$tiles
<h2>Metrics</h2>
$metrics
<h2>Figures</h2>
$figures
<h2>Rows</h2>
<p>$rows rows in <code>table.csv</code>; <code>gainnet study check $folder</code> computes drawn rows again.</p>""")


def page(
    study: str, question: str, run: Mapping[str, Any], num_rows: int, folder: Path, figures: Iterable[Path]
) -> str:
    """The page of a run; nothing in it is loaded from elsewhere.

    Args:
        study: its name.
        question: that it answers.
        run: its run.json, complete.
        num_rows: of its table.
        folder: of the run.
        figures: their files, of which those in PNG are shown.
    """
    known = {name: value for name, value in run["metrics"].items() if value is not None}
    body = _BODY.substitute(
        warnings="".join(f"<p><b>{escape(line)}</b></p>" for line in run.get("warnings", ())),
        tiles=tiles(_tiles(run, len(known))),
        metrics=table("metrics", ("metric", "value"), [(name, f"{value:.6g}") for name, value in known.items()]),
        figures="".join(_figure(study, path) for path in figures if path.suffix == ".png") or "<p>none</p>",
        rows=f"{num_rows:,}",
        folder=escape(str(folder)),
    )
    return Page(study, question, body, CONVENTION, "run.json", run).html()


def _tiles(run: Mapping[str, Any], num_known: int) -> dict[str, str]:
    return {
        "metrics": f"{num_known:,} of {len(run['metrics']):,}",
        "random seeds": _few(run.get("random_seeds", ())),
        "preset": str(run.get("preset", "none")),
        "computed in": f"{run['wall_s']:,.{0 if run['wall_s'] >= 10 else 1}f} s",
        "on": str(run.get("date", "unknown"))[:10],
        "commit": str(run["commit"] or "unknown")[:10],
    }


def _few(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(x) for x in numbers[:4])
    return shown if len(numbers) <= 4 else f"{shown}, … ({len(numbers)})"


def _figure(study: str, path: Path) -> str:
    # Names of figures say what is drawn; a number that cannot be seen is in the table.
    words = path.stem.replace("_", " ")
    alt = f"{words}: figure of {study}, drawn from table.csv, where its numbers are"
    return f"<h3>{escape(words)}</h3>{embed_wide_picture(alt, path.read_bytes())}"
