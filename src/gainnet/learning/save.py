"""A run of learning as files: page, figure, JSON, and the adapter in the format of PEFT."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from gainnet.core.files import write_folder, write_json, write_whole
from gainnet.core.page import png_of
from gainnet.learning.algorithms.adapters import save_denoiser_adapter
from gainnet.learning.drawing import draw_bits, draw_curves, draw_loss
from gainnet.learning.page import page
from gainnet.learning.runner import Run
from gainnet.learning.safeguards.accounting import Guarantee
from gainnet.learning.session import Session
from gainnet.learning.shares import totals_of

ADAPTER: Final = "adapter"


def save(session: Session, run: Run, out: Path, algorithm: str) -> dict[str, Any]:
    """Writes everything that a user looks at beside the run's own files; returns the JSON object of it.

    report.html · curves.png · summary.json · adapter/ (of algorithms that train one) · pictures.png (of denoisers)

    Args:
        session: that was run.
        run: its result.
        out: folder of the run.
        algorithm: its name.

    Raises:
        ConfigError: the folder cannot be written.
    """
    guarantee = session.safeguards.spent(out) if session.safeguards else None
    adapter = save_adapter(session, run, out / ADAPTER)
    summary = summary_of(session, run, algorithm, guarantee, adapter)
    write_whole(out / "curves.png", png_of(draw_curves(summary)))
    shown = None if session.shown is None else session.shown.sheet(session.algorithm, run.state)
    if shown is not None:
        write_whole(out / "pictures.png", shown)
    html = page(summary, png_of(draw_loss(summary)), png_of(draw_bits(summary)), shown)
    write_whole(out / "report.html", html.encode())
    write_json(out / "summary.json", summary)
    return summary


def summary_of(
    session: Session, run: Run, algorithm: str, guarantee: Guarantee | None, adapter: Path | None
) -> dict[str, Any]:
    """A run as one object of plain values.

    Args:
        session: that was run.
        run: its result, at least one round.
        algorithm: its name.
        guarantee: of privacy, as spent.
        adapter: folder of the adapter; `None` where none was trained.
    """
    privacy = None if guarantee is None else {n: _plain(value) for n, value in asdict(guarantee).items()}
    return {
        "task": "text" if session.shown is None else "draw",
        "algorithm": algorithm,
        "settings": {name: _plain(value) for name, value in session.settings.items()},
        "rounds": list(run.rounds),
        "start": run.start,
        "curve": run.curve,
        "nodes": totals_of(run.details),
        "took_part": _took_part(session, run),
        "privacy": privacy,
        "adapter": None if adapter is None else adapter.name,
    }


def save_adapter(session: Session, run: Run, folder: Path) -> Path | None:
    """Writes what was trained beside a locked model, as PEFT does; `None` where the algorithm trains no such thing.

    Args:
        session: that was run.
        run: its result.
        folder: is replaced when it is there.
    """
    model = session.algorithm.model_of(run.state)
    if not hasattr(model, "peft_config"):
        return None
    for config in model.peft_config.values():
        config.base_model_name_or_path = str(session.settings.get("model", ""))

    def fill(new: Path) -> None:
        if session.shown is not None:
            save_denoiser_adapter(model, new)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Whether embeddings changed would otherwise be asked of a hub; they are locked.
            model.save_pretrained(new, save_embedding_layers=False)

    return write_folder(folder, fill)


def _took_part(session: Session, run: Run) -> dict[str, dict[str, Any]]:
    """Rows of every client, and a mark per round."""
    found: dict[str, dict[str, Any]] = {}
    for client in session.clients:
        shares = [detail["nodes"].get(client.name) for detail in run.details]
        marks = "".join("·" if share is None else "●" if share["values_sent"] else "○" for share in shares)
        found[client.name] = {"num_rows": len(client.rows), "marks": marks}
    return found


def _plain(value: Any) -> Any:
    # JSON has neither infinity nor tuples.
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
