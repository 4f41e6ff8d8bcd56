"""Measurements that are looked up later: `measure bler`, `packets`, `trace` and `encodes`."""

from __future__ import annotations

from pathlib import Path

import typer

from gainnet.cli.options import command
from gainnet.cli.printing import status


@command("bler")
def bler(
    *, out: Path = Path("out/bler.json"), mcs: tuple[int, ...] = (), num_information_bits: tuple[int, ...] = ()
) -> None:
    """Measure block error rates of real codewords into a table, an hour for all; goes on where it was stopped.

    Args:
        out: JSON file to write; the shipped one is never touched.
        mcs: index of a scheme, 0 to 33; again for more; all when left out.
        num_information_bits: length of a code, CRC included; again for more; all when left out.

    Example:
        gainnet measure bler --mcs 0 --num-information-bits 256 --out bler.json
    """
    from gainnet.core.files import check_file

    check_file(out)
    with status("loading") as show:
        from gainnet.radio.coding.bler_measurement import LENGTHS, check_curves, make_bler_tables
        from gainnet.radio.coding.mcs import LADDER

        schemes, lengths = list(mcs or range(len(LADDER))), list(num_information_bits or LENGTHS)
        check_curves(schemes, lengths)
        make_bler_tables(out, schemes, lengths, show)
    typer.echo(f"{len(schemes) * len(lengths)} curves in {out}")


@command("packets")
def packets(*, out: Path = Path("out/packets.json"), code: str = "ldpc") -> None:
    """Measure block error rates of short packets into a table, ten minutes a code; goes on where it was stopped.

    Args:
        out: JSON file to write; the shipped one is never touched.
        code: family of codes, ldpc or polar.

    Example:
        gainnet measure packets --code polar --out packets.json
    """
    from gainnet.core.errors import check_name
    from gainnet.core.files import check_file

    check_file(out)
    with status("loading") as show:
        from gainnet.radio.coding.free_measurement import DESCRIPTIONS, GRIDS, make_free_tables

        check_name("code", code, DESCRIPTIONS)
        make_free_tables(out, *GRIDS[code], show, code)
    typer.echo(f"curves in {out}")


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
        num_rows: number of rows, one fading block each.
        mean_snr_db: mean of the linear SNR in dB.
        doppler: largest Doppler shift times the duration of a row.
        random_seed: random seed of the fading.

    Example:
        gainnet measure trace --out trace.csv
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


@command("encodes")
def encodes(
    *,
    cache: Path | None = None,
    codec: tuple[str, ...] = (),
    random_seed: tuple[int, ...] = (0,),
    num_images: int = 4,
    stream: str = "image-quality",
    model: str = "scenes",
    num_bytes: tuple[int, ...] = (),
) -> None:
    """Code the pictures of a study by the strongest image codecs, into a cache; goes on where it was stopped.

    Args:
        cache: folder of the encodes; that of $GAINNET_ENCODES, or of the user, when left out.
        codec: vvc, hevc, avif, jpeg_xl, webp or jpeg; again for more; all when left out.
        random_seed: of captions and noise; again for more.
        num_images: pictures per random seed.
        stream: name of the stream that captions are drawn from.
        model: name or folder of the model that makes the pictures.
        num_bytes: budget of a picture; again for more; every quantiser when left out.

    Example:
        gainnet measure encodes --codec vvc --random-seed 0 --cache encodes --num-bytes 160
    """
    from gainnet.core.errors import check_name, check_range
    from gainnet.core.files import check_writable

    check_range(1 <= num_images <= 10_000, "num_images", num_images, "1 to 10,000")
    with status("loading") as show:
        from gainnet.codecs.opponents import ENCODERS, EncodeCache, cache_folder
        from gainnet.codecs.opponents.best import fill
        from gainnet.models.loading import load_model
        from gainnet.studies.pictures import generate

        names, folder = codec or tuple(ENCODERS), cache or cache_folder()
        for name in names:
            check_name("codec", name, ENCODERS)
        check_writable(folder)
        made, num_streams = load_model(model), 0
        for seed in random_seed:
            pictures = generate(made, stream, seed, num_images).images
            # In memory only while a random seed lasts: the files are what is kept.
            num_streams += fill(EncodeCache(folder), names, pictures, show, num_bytes)
    typer.echo(f"{num_streams} streams of {len(random_seed) * num_images} pictures in {folder}")
