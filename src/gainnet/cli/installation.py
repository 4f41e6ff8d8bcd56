"""This machine and this installation: `calibrate`, `doctor`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from gainnet.cli.options import command
from gainnet.cli.printing import print_json, print_table, status


@command("calibrate")
def calibrate(*, as_json: bool = False) -> None:
    """Measure this machine and print it as a hardware profile: into a .toml file, for --hardware.

    Args:
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet calibrate
    """
    with status("measuring"):
        from gainnet.generation.calibrate import calibrate as measure
        from gainnet.network import profile

        measured = measure()
    if as_json:
        return print_json(measured)
    # Whole, so that a file of it is a profile for --hardware.
    for name, value in asdict(profile("laptop")).items():
        line = f"{name} = {measured.get(name, value):.4g}"
        typer.echo(line if name in measured else f"{line}  # not measured: of the profile laptop")
    return None


@command("doctor")
def doctor(*, as_json: bool = False) -> None:
    """Say what is installed, what is missing and which command brings it, and try one picture.

    Args:
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet doctor
    """
    with status("checking") as show:
        from gainnet.generation.extras import extras, platform_notes
        from gainnet.generation.selfcheck import check_installation

        found, optional, notes = check_installation(show), extras(), platform_notes()
    if as_json:
        print_json({"checks": found, "extras": optional, "notes": notes})
    else:
        print_table("Installation", ("check", "passed", "found"), found)
        print_table("Optional parts", ("extra", "installed", "purpose"), optional)
        for line in notes:
            typer.echo(line)
        if lacking := [row["extra"] for row in optional if row["missing"]]:
            typer.echo(f"all that is missing: pip install 'gainnet[{','.join(lacking)}]'")
    if not all(row["passed"] for row in found):
        raise typer.Exit(1)
