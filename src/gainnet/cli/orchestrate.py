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
def orchestrate(
    asked: Asked,
    *,
    edge: str | None = None,
    token: str | None = None,
    out: Path = Path("out/orchestrate"),
    as_json: bool = False,
) -> None:
    """Decide which vehicle trains which model, with how much spectrum and computing, and draw it.

    Args:
        edge: url of a running edge server, as serve shows it; its measured rates of requests are planned for.
        token: that the edge asks for; may stand behind # in the url instead.
        out: folder for pictures, tables and report.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet orchestrate --scenario "street(num_clients=5)" --rounds 5
    """
    from gainnet.core.files import check_writable

    check_writable(out)
    with status("loading") as show:
        from gainnet.catalog.orchestration import episode_of
        from gainnet.orchestration.save import save

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            config = EpisodeConfig(**asked.values)
            episode = episode_of(config, lambda name: show(f"playing {name}"), _measured(edge, token))
        show("drawing")
        summary = save(episode, out)
    _tell([str(warning.message) for warning in caught])
    print_json(summary) if as_json else _print_episode(summary, out)


def _measured(edge: str | None, token: str | None) -> Any:
    if edge is None:
        return None
    from gainnet.service.measured import measured

    return measured(edge, token)


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
    shown = {
        "label": "policy",
        "gain": "gain",
        "share_of_reference": "of best",
        "consumed_share": "sensed then trained",
    }
    shown |= {"num_samples": "samples sensed", "decision_ms": "decision ms"}
    _print_policies(title, shown, summary["policies"])
    if (asked := summary["requests"]) is not None:
        title = f"training beside {asked['offered_per_s']:.3g} requests/s, {100 * asked['share']:.0f} % to be served"
        shown = {"label": "policy", "gain": "gain", "gain_of_bound": "of the bound", "served_share": "served"}
        _print_policies(title, shown | {"decision_ms": "decision ms"}, asked["policies"])
    typer.echo(out / "report.html")


def _print_policies(title: str, shown: dict[str, str], policies: list[dict[str, Any]]) -> None:
    # Most decide in microseconds, which seconds would write as powers of ten.
    rows = [{**row, "decision_ms": float(f"{1e3 * row['decision_s']:.3g}")} for row in policies]
    print_table(title, tuple(shown.values()), [{text: row[name] for name, text in shown.items()} for row in rows])
