"""The air: `measure bler`, `measure trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.options import RandomSeed
from gainnet.cli.printing import status

app = typer.Typer(help="Measure what the air looks up.", no_args_is_help=True)


@app.command()
def bler(
    out: Annotated[Path, typer.Option(help="JSON file to write; the shipped one is never touched.")] = Path(
        "out/bler.json"
    ),
    mcs: Annotated[
        list[int] | None, typer.Option(help="Index of a scheme, 0 to 33; again for more; all when left out.")
    ] = None,
    num_information_bits: Annotated[
        list[int] | None, typer.Option(help="Length of a code, CRC included; again for more; all when left out.")
    ] = None,
) -> None:
    """Measure block error rates of real codewords, with their confidence, into a table; all of them take an hour."""
    from gainnet.core.files import check_writable

    check_writable(out.parent)
    with status("loading") as tell:
        from gainnet.radio.coding.bler_measurement import LENGTHS, check_curves, make_bler_tables
        from gainnet.radio.coding.mcs import LADDER

        schemes, lengths = mcs or list(range(len(LADDER))), num_information_bits or list(LENGTHS)
        check_curves(schemes, lengths)
        make_bler_tables(out, schemes, lengths, tell)
    typer.echo(f"{len(schemes) * len(lengths)} curves in {out}")


@app.command()
def trace(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("out/trace.csv"),
    num_rows: Annotated[int, typer.Option(help="Rows, one fading block each.")] = 600,
    mean_snr_db: Annotated[float, typer.Option(help="Mean of the linear SNR in dB.")] = 10.0,
    doppler: Annotated[float, typer.Option(help="Largest Doppler shift times the duration of a row.")] = 0.05,
    random_seed: RandomSeed = 0,
) -> None:
    """Write an SNR trace of Jakes fading, as `generate --trace` reads it."""
    from gainnet.core.errors import ConfigError

    if not 1 <= num_rows <= 1_000_000:
        raise ConfigError(f"num_rows: {num_rows} is outside 1 to 1,000,000")
    if not -60.0 <= mean_snr_db <= 100.0:
        raise ConfigError(f"mean_snr_db: {mean_snr_db} is outside -60 to 100 dB")
    with status("loading"):
        from gainnet.radio import write_generated_trace

        write_generated_trace(out, num_rows, mean_snr_db, doppler, random_seed)
    typer.echo(f"{num_rows} rows in {out}")
