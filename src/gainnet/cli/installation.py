"""This machine and this installation: `calibrate`, `check`."""

from __future__ import annotations

import typer

from gainnet.cli.options import command
from gainnet.cli.printing import print_json, print_table, status


@command("calibrate")
def calibrate(*, as_json: bool = False) -> None:
    """Measure this machine and print it as a hardware profile.

    Args:
        as_json: one JSON object on standard output, nothing else.
    """
    with status("measuring"):
        from gainnet.generation.calibrate import calibrate as measure

        measured = measure()
    if as_json:
        return print_json(measured)
    for name, value in measured.items():
        typer.echo(f"{name} = {value:.4g}")
    return None


@command("check")
def check(*, as_json: bool = False) -> None:
    """Check the installation: versions, weights, one generation over an ideal link.

    Args:
        as_json: one JSON object on standard output, nothing else.
    """
    with status("checking") as show:
        from gainnet.generation.selfcheck import check_installation

        found = check_installation(show)
    print_json({"checks": found}) if as_json else print_table("Installation", ("check", "passed", "found"), found)
    if not all(row["passed"] for row in found):
        raise typer.Exit(1)
