"""Split learning between processes: `split keys | serve | join`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from gainnet.cli.options import AsJson
from gainnet.cli.printing import print_json, print_table, progress
from gainnet.core.errors import ConfigError

app = typer.Typer(
    help="Split learning with devices that are processes of their own, over TLS streams.", no_args_is_help=True
)

Keys = Annotated[Path, typer.Option(help="Folder that split keys has written.")]
Port = Annotated[int, typer.Option(help="Of the edge.")]
Timeout = Annotated[float, typer.Option(help="How long to wait for the other side.")]
_COLUMNS = ("round", "test_loss", "num_bits_up", "num_bits_down", "duration_s", "energy_j", "num_lost")


@app.command("keys")
def split_keys(
    folder: Annotated[Path, typer.Argument(help="Where certificates and keys are written.")],
    device: Annotated[list[str], typer.Option(help="Name of a device; give it again for more.")],
    host: Annotated[list[str] | None, typer.Option(help="Name or address of the edge.")] = None,
) -> None:
    """Make certificates of an edge and its devices, signed by an authority of their own."""
    from gainnet.wire.keys import write_certificates

    write_certificates(folder, host or ("localhost", "127.0.0.1"), device)
    for path in sorted(folder.iterdir()):
        typer.echo(path)


@app.command("serve")
def split_serve(
    keys: Keys,
    config: Annotated[
        Path | None, typer.Option(help="A .toml file with settings, named as the options of learn.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8443,
    clients: Annotated[int | None, typer.Option(help="Devices.", show_default="4, or that of --config")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds in all.", show_default="10, or that of --config")] = None,
    timeout_s: Timeout = 600.0,
    out: Annotated[Path, typer.Option(help="Folder for checkpoint and records.")] = Path("out/split"),
    as_json: AsJson = False,
) -> None:
    """Be the edge: wait for the devices, then run all rounds with them."""
    from gainnet.cli.flower import read_settings
    from gainnet.core.files import check_writable
    from gainnet.learning.engines.streamed import serve
    from gainnet.wire.tls import listening

    check_writable(out)
    settings = read_settings(config, {"algorithm": "fsl"}, {"clients": clients, "rounds": rounds})
    with listening(host, port) as listener, progress(settings.algorithm) as tell:
        run, traffic = serve(
            settings, listener, keys, timeout_s, out, lambda n, total, loss: tell(n, total, f"test loss {loss:.4f}")
        )
    found: dict[str, Any] = {"algorithm": settings.algorithm, "out": str(out), "rounds": list(run.rounds)}
    if as_json:
        return print_json(found | asdict(traffic))
    print_table(f"{settings.algorithm}: {out}", _COLUMNS, run.rounds)
    return print_table("on the sockets, before TLS", tuple(asdict(traffic)), [asdict(traffic)])


@app.command("join")
def split_join(
    name: Annotated[str, typer.Argument(help="Of this device, as in its certificate.")],
    keys: Keys,
    host: Annotated[str, typer.Option(help="Name or address of the edge, as in its certificate.")] = "127.0.0.1",
    port: Port = 8443,
    texts: Annotated[Path | None, typer.Option(help="This device's text, one per line.")] = None,
    model: Annotated[
        str, typer.Option(help="This device's model: abstracts (shipped), a folder or a hub id in the local cache.")
    ] = "abstracts",
    codec: Annotated[
        str | None, typer.Option(help="The only codec to go along with.", show_default="any shipped one")
    ] = None,
    allow_labels: Annotated[
        bool, typer.Option("--allow-labels", help="Let labels leave this device, which are its text.")
    ] = False,
    timeout_s: Timeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Be a device: take part until the edge has finished."""
    if texts is not None and not texts.is_file():
        raise ConfigError(f"texts: {texts} is no file; give a UTF-8 file, one text per line")
    from gainnet.learning.engines.streamed import join
    from gainnet.learning.engines.terms import Terms

    terms = Terms(model, codec, texts)
    traffic = asdict(join(host, port, keys, name, terms, allow_labels, timeout_s, _show_run))
    print_json(traffic) if as_json else print_table("before TLS", tuple(traffic), [traffic])


def _show_run(config: Any) -> None:
    """What a device is about to run, before it runs it; on standard error, where it is in the way of nobody."""
    text = config.texts or f"its share of {config.num_texts} texts per field"
    typer.echo(
        f"running {config.algorithm}, cut {config.cut}, codec {config.codec}, model {config.model}, text: {text}",
        err=True,
    )
