"""The radio: `measure bler`, `measure trace`."""

from __future__ import annotations

from pathlib import Path

import typer

from gainnet.cli.options import command
from gainnet.cli.printing import status


@command("bler")
def bler(
    *, out: Path = Path("out/bler.json"), mcs: tuple[int, ...] = (), num_information_bits: tuple[int, ...] = ()
) -> None:
    """Measure block error rates of real codewords, with their confidence, into a table; all of them take an hour.

    Args:
        out: JSON file to write; the shipped one is never touched.
        mcs: index of a scheme, 0 to 33; again for more; all when left out.
        num_information_bits: length of a code, CRC included; again for more; all when left out.
    """
    from gainnet.core.files import check_writable

    check_writable(out.parent)
    with status("loading") as show:
        from gainnet.radio.coding.bler_measurement import LENGTHS, check_curves, make_bler_tables
        from gainnet.radio.coding.mcs import LADDER

        schemes, lengths = list(mcs or range(len(LADDER))), list(num_information_bits or LENGTHS)
        check_curves(schemes, lengths)
        make_bler_tables(out, schemes, lengths, show)
    typer.echo(f"{len(schemes) * len(lengths)} curves in {out}")


@command("trace")
def trace(
    *,
    out: Path = Path("out/trace.csv"),
    num_rows: int = 600,
    mean_snr_db: float = 10.0,
    doppler: float = 0.05,
    random_seed: int = 0,
) -> None:
    """Write an SNR trace of Jakes fading, as `generate --trace` reads it.

    Args:
        out: CSV file to write.
        num_rows: rows, one fading block each.
        mean_snr_db: mean of the linear SNR in dB.
        doppler: largest Doppler shift times the duration of a row.
        random_seed: random seed of the fading.
    """
    from gainnet.core.errors import ConfigError

    if not 1 <= num_rows <= 1_000_000:
        raise ConfigError(f"num_rows: {num_rows} is outside 1 to 1,000,000")
    if not -60.0 <= mean_snr_db <= 100.0:
        raise ConfigError(f"mean_snr_db: {mean_snr_db} is outside -60 to 100 dB")
    with status("loading"):
        from gainnet.radio import write_generated_trace

        write_generated_trace(out, num_rows, mean_snr_db, doppler, random_seed)
    typer.echo(f"{num_rows} rows in {out}")
