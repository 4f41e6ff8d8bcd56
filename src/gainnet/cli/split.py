"""Learning between processes, split or averaged: `split keys | serve | join`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from gainnet.cli.flower import of_config, read_settings
from gainnet.cli.options import Asked, Fields, command
from gainnet.cli.printing import print_json, print_rounds, print_table, rounds_progress
from gainnet.cli.trust import SAFEGUARDS, check_privacy_used
from gainnet.core.errors import ConfigError


@command("keys")
def keys(folder: Path, *, device: tuple[str, ...], host: tuple[str, ...] = ()) -> None:
    """Make certificates of an edge and its devices, signed by an authority of their own.

    Args:
        folder: where certificates and keys are written.
        device: name of a device; give it again for more.
        host: name or address of the edge; give it again for more.

    Example:
        gainnet split keys keys --device phone --device laptop
    """
    from gainnet.wire.keys import write_certificates

    write_certificates(folder, host or ("localhost", "127.0.0.1"), device)
    for path in sorted(folder.iterdir()):
        typer.echo(path)


@command("serve", of_config("clients", "rounds"), SAFEGUARDS)
def serve(
    asked: Asked,
    guarded: Asked,
    *,
    keys: Path,
    config: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8443,
    timeout_s: float = 600.0,
    max_rows: int = 1_000_000,
    pinned: Path | None = None,
    out: Path = Path("out/split"),
    as_json: bool = False,
) -> None:
    """Be the edge: wait for the devices, then run all rounds with them.

    Args:
        keys: folder that split keys has written.
        config: a .toml file with settings, named as the options of learn.
        host: address to listen on.
        port: of the edge.
        timeout_s: how long to wait for the other side.
        max_rows: rows of text that a device may report, its weight in an average.
        pinned: JSON file of the devices' public keys by name, which sign the record.
        out: folder for checkpoint and records; with safeguards, for the signed record, too.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet split serve --keys keys --clients 2 --rounds 5
    """
    from gainnet.catalog.learning import open_session
    from gainnet.catalog.records import SafeguardsConfig
    from gainnet.catalog.terms import offer
    from gainnet.core.files import check_writable
    from gainnet.learning.algorithms.fsl import SplitLearning
    from gainnet.learning.engines.averaged import serve_averaging
    from gainnet.learning.engines.streamed import Traffic
    from gainnet.learning.engines.streamed import serve as run_rounds
    from gainnet.learning.safeguards.verification import read_pinned
    from gainnet.wire.tls import listening

    check_writable(out)
    settings = read_settings(config, {"algorithm": "fsl"}, asked)
    check_privacy_used(guarded)
    safeguards = SafeguardsConfig(**guarded.values) if guarded.given else None
    known = None if pinned is None else read_pinned(pinned)
    # Before anybody can connect, who would wait while a model is loaded.
    session, privacy = open_session(settings, safeguards), None
    offered = offer(settings, session.model, session.safeguards)
    with listening(host, port) as listener, rounds_progress(settings.algorithm) as show:
        if isinstance(session.algorithm, SplitLearning):
            if safeguards is not None:
                raise ConfigError("algorithm: split learning has no updates to guard; choose lora, adapter or fedavg")
            run, traffic = run_rounds(session, offered, listener, keys, timeout_s, out, show, max_rows)
        else:
            served = serve_averaging(session, offered, listener, keys, timeout_s, out, show, max_rows, known)
            run, traffic, privacy = served.run, Traffic.of(served.connections), served.guarantee
    found = {"algorithm": settings.algorithm, "out": str(out), "rounds": list(run.rounds)}
    _show(found | {"privacy": None if privacy is None else asdict(privacy)}, asdict(traffic), as_json)


def _show(found: dict[str, Any], traffic: dict[str, int], as_json: bool) -> None:
    from gainnet.learning.page import privacy_line

    if as_json:
        return print_json(found | traffic)
    print_rounds(f"{found['algorithm']}: {found['out']}", found["rounds"], found["rounds"])
    typer.echo(f"privacy: {privacy_line(found['privacy'])}")
    return print_table("on the sockets, before TLS", tuple(traffic), [traffic])


@command("join", Fields("gainnet.catalog.terms:Terms"))
def join(
    asked: Asked,
    name: str,
    *,
    keys: Path,
    host: str = "127.0.0.1",
    port: int = 8443,
    allow_labels: bool = False,
    timeout_s: float = 600.0,
    kept: Path = Path("out/kept"),
    as_json: bool = False,
) -> None:
    """Be a device: take part until the edge has finished.

    Args:
        name: of this device, as in its certificate.
        keys: folder that split keys has written.
        host: name or address of the edge, as in its certificate.
        port: of the edge.
        allow_labels: let labels leave this device, which are its text.
        timeout_s: how long to wait for the other side.
        kept: folder for updates that were sent, from which a device that died goes on.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet split join phone --keys keys --texts mine.txt
    """
    from gainnet.catalog.terms import Terms
    from gainnet.learning.engines.streamed import join as take_part

    terms = Terms(**asked.values)
    if terms.texts is not None and not terms.texts.is_file():
        raise ConfigError(f"texts: {terms.texts} is not a file; give a UTF-8 file, one text per line")
    # On standard error, where `--json` is not disturbed.
    found = take_part(
        host, port, keys, name, terms.admit, allow_labels, timeout_s, terms.max_steps,
        lambda summary: typer.echo(f"running {summary}", err=True), kept,
    )  # fmt: skip
    traffic = asdict(found)
    print_json(traffic) if as_json else print_table("before TLS", tuple(traffic), [traffic])
