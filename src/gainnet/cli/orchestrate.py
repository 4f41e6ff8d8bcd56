"""Orchestration: `orchestrate`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import typer

from gainnet.catalog.records import EpisodeConfig
from gainnet.cli.options import Asked, Fields, Usual, command
from gainnet.cli.printing import print_json, print_table, status

_MOST_WARNINGS = 10
_EPISODE = Fields("gainnet.catalog.records:EpisodeConfig", defaults={"regime": Usual("the scenario's")})


@command("orchestrate", _EPISODE)
def orchestrate(asked: Asked, *, out: Path = Path("out/orchestrate"), as_json: bool = False) -> None:
    """Decide who serves which model with which resources, and draw what comes of it.

    Args:
        out: folder for pictures, tables and report.
        as_json: one JSON object on standard output, nothing else.
    """
    from gainnet.core.files import check_writable

    check_writable(out)
    with status("loading") as show:
        from gainnet.catalog.orchestration import episode_of
        from gainnet.orchestration.save import save

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            episode = episode_of(EpisodeConfig(**asked.values), lambda name: show(f"playing {name}"))
        show("drawing")
        summary = save(episode, out)
    _tell([str(warning.message) for warning in caught])
    print_json(summary) if as_json else _print_episode(summary, out)


def _tell(warned: list[str]) -> None:
    """Each warning once on standard error; of many jumps of a vehicle the first ones say enough."""
    lines = list(dict.fromkeys(warned))
    for line in lines[:_MOST_WARNINGS]:
        typer.echo(f"warning: {line}", err=True)
    if len(lines) > _MOST_WARNINGS:
        typer.echo(f"warning: and {len(lines) - _MOST_WARNINGS} more", err=True)


def _print_episode(summary: dict[str, Any], out: Path) -> None:
    reference = summary["reference"]
    best = "" if reference["name"] is None else f"; {reference['name']} {reference['gain']:.3f}"
    title = f"{summary['policy']} in {summary['scenario']}, {summary['num_clients']} clients, {summary['regime']}{best}"
    shown = {"label": "policy", "gain": "gain", "share_of_reference": "of best", "consumed_share": "consumed"}
    shown |= {"num_samples": "samples", "decision_s": "decision s"}
    rows = [{title: row[name] for name, title in shown.items()} for row in summary["policies"]]
    print_table(title, tuple(shown.values()), rows)
    typer.echo(out / "report.html")
