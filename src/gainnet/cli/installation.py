"""This machine and this installation: `calibrate`, `check`."""

from __future__ import annotations

import typer

from gainnet.cli.options import AsJson
from gainnet.cli.printing import print_json, print_table, status

app = typer.Typer()


@app.command()
def calibrate(as_json: AsJson = False) -> None:
    """Measure this machine and print it as a hardware profile."""
    with status("measuring"):
        from gainnet.generation.calibrate import calibrate as measure

        measured = measure()
    if as_json:
        return print_json(measured)
    for name, value in measured.items():
        typer.echo(f"{name} = {value:.4g}")
    return None


@app.command()
def check(as_json: AsJson = False) -> None:
    """Check the installation: versions, weights, one generation over an ideal link."""
    with status("checking") as tell:
        from gainnet.generation.selfcheck import check_installation

        found = check_installation(tell)
    print_json({"checks": found}) if as_json else print_table("Installation", ("check", "passed", "found"), found)
    if not all(row["passed"] for row in found):
        raise typer.Exit(1)
