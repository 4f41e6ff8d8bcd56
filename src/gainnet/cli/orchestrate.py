"""Orchestration: `orchestrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gainnet.cli.options import AsJson
from gainnet.cli.printing import print_json, print_table, status

app = typer.Typer()


@app.command()
def orchestrate(
    policy: Annotated[
        str, typer.Option(help="sac, greedy, best_response, ml_c, ..., a folder, or module:Name.")
    ] = "sac",
    scenario: Annotated[
        str, typer.Option(help="street, square, coupled, contention, figure or a .toml file.")
    ] = "street",
    regime: Annotated[
        str | None,
        typer.Option(help="independent, or contention for the spectrum of the edges.", show_default="the scenario's"),
    ] = None,
    random_seed: Annotated[int, typer.Option(help="Of positions, targets and reception.")] = 0,
    num_clients: Annotated[
        int | None, typer.Option(help="Clients; the spectrum of the edges grows with them.", show_default=False)
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds; the scenario's own when left out.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures, tables and report.")] = Path("out/orchestrate"),
    as_json: AsJson = False,
) -> None:
    """Decide who serves which model with which resources, and draw what comes of it."""
    from gainnet.core.files import check_writable

    check_writable(out)
    with status("loading") as tell:
        from gainnet.orchestration.episode import EpisodeConfig, episode_of
        from gainnet.orchestration.save import save

        config = EpisodeConfig(policy, scenario, regime, random_seed, num_clients, rounds)
        episode = episode_of(config, lambda name: tell(f"playing {name}"))
        tell("drawing")
        summary = save(episode, out)
    print_json(summary) if as_json else _print_episode(summary, out)


def _print_episode(summary: dict[str, Any], out: Path) -> None:
    reference = summary["reference"]
    best = "" if reference["name"] is None else f"; {reference['name']} {reference['gain']:.3f}"
    title = f"{summary['policy']} in {summary['scenario']}, {summary['num_clients']} clients, {summary['regime']}{best}"
    shown = {"label": "policy", "gain": "gain", "share_of_reference": "of best", "consumed_share": "consumed"}
    shown |= {"num_samples": "samples", "decision_s": "decision s"}
    rows = [{title: row[name] for name, title in shown.items()} for row in summary["policies"]]
    print_table(title, tuple(shown.values()), rows)
    typer.echo(out / "report.html")
