"""The edge as a server: `serve`, and `serve token add | list | revoke`."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import typer

from gainnet.cli.options import Asked, Fields, command
from gainnet.cli.printing import print_json, print_table, status
from gainnet.core.errors import ConfigError, import_extra
from gainnet.service.extra import require_serve
from gainnet.service.records import Replicas

if TYPE_CHECKING:
    from gainnet.service.serving import Joining, Listening, Ready, Serving


_REPLICAS = Fields(
    "gainnet.service.records:Replicas",
    panels={"Replicas": ("engine", "num_replicas", "most_replicas", "most_per_node", "lease_s")},
)


@command("serve", _REPLICAS)
def serve(
    replicated: Asked,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    journal: Path | None = None,
    pace: float = 0.0,
    runtime: Literal["onnx", "torch"] | None = None,
    model: str | None = None,
    tokens: Path | None = None,
    name: tuple[str, ...] = (),
    certificate: Path | None = None,
    key: Path | None = None,
    plain: bool = False,
    most_batch: int = 4,
    most_waiting: int = 256,
    keys: Path | None = None,
    join_port: int = 0,
    join: str | None = None,
    edge: str | None = None,
    signer: Path | None = None,
    unsigned: bool = False,
    as_json: bool = False,
) -> None:
    """Be an edge that people's phones open: pictures over HTTP, devices over a WebSocket.

    Args:
        host: address to listen at; any but this machine's own needs a token, and a certificate or --plain.
        port: to listen at; 0 takes a free one.
        journal: file of accepted requests, with --engine ray a folder that all machines share; yours when left out.
        pace: of the releases of frames: 1 for the time that the air takes, 0 for as fast as possible.
        runtime: what computes the networks; onnx where the model has graphs when left out.
        model: scenes, emoji, or a folder in diffusers' format; all shipped ones that are here when left out.
        tokens: file of hashed tokens, which serve token writes.
        name: under which this edge is reached, beside its addresses; again for more.
        certificate: of TLS, a .pem file.
        key: of the certificate, a .pem file.
        plain: without TLS at an address that others reach, as behind a reverse proxy.
        most_batch: rows of one pass of a network at most, 1 to 64.
        most_waiting: requests that are open at the same time at most.
        keys: folder that serve keys has written; other edges can join where it is given.
        join_port: where other edges join; 0 takes a free one.
        join: tls://host:port of another edge, or a network file with its address, to take part in its requests.
        edge: name of this edge in its certificate, where it joins another one.
        signer: folder that trust keys has written, whose key signs the pictures; yours when left out.
        unsigned: let pictures leave without a word on where they come from.
        as_json: one JSON object on standard output when it is ready, nothing else.

    Example:
        gainnet serve --port 8000
    """
    require_serve()
    from gainnet.service.serving import Listening, Serving

    _check_used(signer, unsigned, edge, join)
    serving = Serving(model, runtime, journal, pace, most_batch, most_waiting, signer, unsigned)
    if join is not None:
        return _join(serving, join, keys, edge, as_json)
    listening = Listening(host, port, name, certificate, key, plain, tokens)
    return _serve(serving, listening, _joining(keys, join_port), as_json, replicated)


def _joining(keys: Path | None, port: int) -> Joining | None:
    from gainnet.service.serving import Joining

    if keys is None and port:
        raise ConfigError("join_port: no edge can join without certificates; give --keys FOLDER, or leave it out")
    return None if keys is None else Joining(keys, port)


def _check_used(signer: Path | None, unsigned: bool, edge: str | None, join: str | None) -> None:
    """Refuses what would be without effect."""
    if unsigned and signer is not None:
        raise ConfigError("signer: nothing is signed; leave it or --unsigned out")
    if edge is not None and join is None:
        raise ConfigError("edge: it is the name of one that joins another edge; give --join, or leave it out")


@command("keys")
def keys(folder: Path, *, edge: tuple[str, ...], host: tuple[str, ...] = ()) -> None:
    """Make certificates of an edge and of those that join it, signed by an authority of their own.

    Args:
        folder: where certificates and keys are written.
        edge: name of an edge that joins; give it again for more.
        host: name or address of the first edge; give it again for more.

    Example:
        gainnet serve keys keys --edge edge_1 --edge edge_2
    """
    from gainnet.wire.keys import write_certificates

    write_certificates(folder, host or ("localhost", "127.0.0.1"), edge)
    for path in sorted(folder.iterdir()):
        typer.echo(path)


@command("add")
def add(name: str, *, tokens: Path | None = None) -> None:
    """Make a token for somebody, and show it this once.

    Args:
        name: of who will have it.
        tokens: file of hashed tokens; yours when left out.

    Example:
        gainnet serve token add phone
    """
    require_serve()
    from gainnet.service.http.tokens import read_tokens, tokens_file, write_tokens

    path = tokens_file(tokens)
    added, token = read_tokens(path).add(name)
    write_tokens(path, added)
    typer.echo(token)


@command("list")
def listing(*, tokens: Path | None = None, as_json: bool = False) -> None:
    """Show who has a token; the tokens themselves are nowhere.

    Args:
        tokens: file of hashed tokens; yours when left out.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet serve token list
    """
    require_serve()
    from gainnet.service.http.tokens import read_tokens, tokens_file

    known = read_tokens(tokens_file(tokens))
    rows = [
        {"name": name, "added": datetime.fromtimestamp(known.added_at[name], UTC).isoformat(timespec="seconds")}
        for name in known.digests
    ]
    print_json({"tokens": rows}) if as_json else print_table("Tokens", ("name", "added"), rows)


@command("revoke")
def revoke(name: str, *, tokens: Path | None = None) -> None:
    """Take a token back; an edge refuses it from the next request on.

    Args:
        name: of who has it.
        tokens: file of hashed tokens; yours when left out.

    Example:
        gainnet serve token revoke phone
    """
    require_serve()
    from gainnet.service.http.tokens import read_tokens, tokens_file, write_tokens

    path = tokens_file(tokens)
    write_tokens(path, read_tokens(path).without(name))


def _join(serving: Serving, url: str, keys: Path | None, edge: str | None, as_json: bool) -> None:
    from gainnet.service.serving import join

    if keys is None or edge is None:
        raise ConfigError("join: an edge proves who it is; give --keys FOLDER and --edge NAME, see serve keys")
    if as_json:
        return join(serving, url, keys, edge, lambda ready: print_json(ready.to_json()))
    with status("loading") as show:
        return join(serving, url, keys, edge, lambda ready: show(f"{edge} has joined {ready.url}; Ctrl-C ends it"))


def _serve(serving: Serving, listening: Listening, joining: Joining | None, as_json: bool, replicated: Asked) -> None:
    """Serves until it is told to stop; says where when it is ready."""
    run = _run_of(Replicas(**replicated.values), joining, replicated.given)
    if as_json:
        return run(serving, listening, lambda ready: print_json(ready.to_json()))
    with status("loading") as show:

        def ready(edge: Ready) -> None:
            show("serving; Ctrl-C ends it")
            _print_ready(edge)

        return run(serving, listening, ready)


def _run_of(replicas: Replicas, joining: Joining | None, given: Collection[str]) -> Callable[..., None]:
    """The function that serves: in this process, or by replicas."""
    if replicas.engine == "process":
        if idle := sorted(set(given) - {"engine"}):
            raise ConfigError(f"{idle[0]}: there are no replicas; give --engine ray, too, or leave it out")
        from gainnet.service.serving import run

        return partial(run, joining=joining)
    if joining is not None:
        raise ConfigError("keys: no edge can join replicas; leave it out, or --engine ray")
    from gainnet.service.replicas import run_replicas

    return partial(run_replicas, replicas)


def _print_ready(ready: Ready) -> None:
    """The address, as text and as a QR code, and what to do with it."""
    from gainnet.service.http.doors import LOOPBACK

    segno = import_extra("segno", "segno", "serve")
    drawn = io.StringIO()
    segno.make(ready.link, error="l").terminal(drawn, compact=True)
    typer.echo(drawn.getvalue())
    typer.echo(f"edge of {' and '.join(ready.models or (ready.model,))} on {ready.runtime}: {ready.link}")
    if ready.join is not None:
        typer.echo(f"other edges join it: gainnet serve --join {ready.join} --keys FOLDER --edge NAME")
    bearer = "" if ready.token is None else f" -H 'Authorization: Bearer {ready.token}'"
    # A phone cannot reach the loopback address of another machine.
    phone = "a phone needs --host" if urlsplit(ready.url).hostname in LOOPBACK else "or on a phone in the same network"
    typer.echo(f"open it in a browser, {phone}; from a program:")
    typer.echo(
        f"""  curl {ready.url}v1/images/generations{bearer} -H 'Content-Type: application/json' \\
    -d '{{"prompt": "a yellow star"}}'"""
    )
