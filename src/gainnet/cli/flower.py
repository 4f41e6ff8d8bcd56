"""Learning over Flower: `flower simulate | local | app | keys`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gainnet.cli.options import Asked, Fields, Usual, command
from gainnet.cli.printing import print_json, print_rounds, rounds_progress, status
from gainnet.cli.trust import SAFEGUARDS, check_privacy_used
from gainnet.core.errors import ConfigError

if TYPE_CHECKING:
    from gainnet.catalog.flower import AppSettings
    from gainnet.catalog.records import LearnConfig

_USUAL = {"algorithm": "fedavg", "clients": "4", "rounds": "10", "random_seed": "0"}


def of_config(*names: str) -> Fields:
    """Settings of learning that may stand in a file instead, by the names of their fields."""
    usual = {name: Usual(f"{_USUAL[name]}, or that of --config") for name in names}
    return Fields("gainnet.catalog.records:LearnConfig", names, defaults=usual)


@command("simulate", of_config(*_USUAL), SAFEGUARDS)
def simulate(
    asked: Asked,
    guarded: Asked,
    *,
    config: Path | None = None,
    timeout_s: float = 600.0,
    num_workers: int = 2,
    out: Path = Path("out/flower"),
    as_json: bool = False,
) -> None:
    """Run the app in Flower's simulation, every client a virtual node.

    Args:
        config: a .toml file with settings, named as the options of learn.
        timeout_s: how long a round waits for silent nodes.
        num_workers: processes of Ray.
        out: folder for checkpoint and records.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet flower simulate --clients 4 --rounds 2
    """
    from gainnet.core.files import check_writable

    check_writable(out)
    settings = _settings(config, out, timeout_s, asked, guarded)
    from gainnet.catalog.terms import Terms, offer
    from gainnet.learning.engines.flower.simulation import simulate as run_app

    with rounds_progress(settings.config.algorithm) as show:
        session = settings.open()
        # All nodes are on this machine, so that the model of the settings is their own, whatever its folder.
        admit, offered = Terms(settings.config.model).admit, offer(settings.config, session.model, session.safeguards)
        run = run_app(session, offered, admit, timeout_s, out, num_workers, show)
    _show(settings, list(run.rounds), as_json)


@command("local", of_config(*_USUAL), SAFEGUARDS)
def local(
    asked: Asked,
    guarded: Asked,
    *,
    config: Path | None = None,
    timeout_s: float = 600.0,
    out: Path = Path("out/flower"),
    as_json: bool = False,
) -> None:
    """Run the app between a SuperLink and SuperNodes on this machine: processes, TLS and node keys as on many.

    Args:
        config: a .toml file with settings, named as the options of learn.
        timeout_s: how long a round waits for silent nodes.
        out: folder for checkpoint, records, keys and logs.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet flower local --clients 2 --rounds 2
    """
    import json

    from gainnet.core.files import check_writable

    check_writable(out)
    settings = _settings(config, out.absolute(), timeout_s, asked, guarded)
    from gainnet.catalog.flower import write_app
    from gainnet.learning.clients import devices_of
    from gainnet.learning.engines.flower.local import federation
    from gainnet.learning.safeguards.signing import nodes_folder

    # Absolute paths above: Flower runs the app in a folder of its own.
    write_app(out / "app", settings)
    with status("starting the SuperLink") as show, federation(out / "federation") as processes:
        for name in devices_of(settings.config.clients):
            show(f"starting {name}")
            processes.register(name)
            processes.start_node(name, {"model": settings.config.model, "kept": str(nodes_folder(out.absolute()))})
        show(f"learning; see {processes.folder}")
        ended = processes.wait_for(processes.submit(out / "app"), timeout_s * (settings.config.rounds + 1))
    if ended != "finished:completed":
        raise ConfigError(f"flower: the run is {ended}; see {out / 'federation' / 'app.log'}")
    _show(settings, json.loads((out / "run.json").read_text())["rounds"], as_json)


@command("app", of_config(*_USUAL), SAFEGUARDS)
def app(
    asked: Asked,
    guarded: Asked,
    folder: Path,
    *,
    config: Path | None = None,
    timeout_s: float = 600.0,
    out: Path = Path("out/flower"),
) -> None:
    """Write the folder that `flwr run` takes.

    Args:
        folder: where the app is written.
        config: a .toml file with settings, named as the options of learn.
        timeout_s: how long a round waits for silent nodes.
        out: folder for checkpoint and records, where the SuperLink runs.

    Example:
        gainnet flower app my_app --clients 4
    """
    from gainnet.catalog.flower import write_app

    write_app(folder, _settings(config, out.absolute(), timeout_s, asked, guarded))
    typer.echo(folder / "pyproject.toml")


@command("keys")
def keys(folder: Path, *, host: tuple[str, ...], node: tuple[str, ...] = ()) -> None:
    """Make a server's certificate with an authority of its own, and a key for every node.

    Args:
        folder: where keys and certificates are written.
        host: name or address of the server; give it again for more.
        node: a node that gets a key; give it again for more.

    Example:
        gainnet flower keys keys --host 192.0.2.7 --node phone
    """
    from gainnet.wire.keys import check_names, write_certificates, write_node_key

    check_names("node", node)
    write_certificates(folder, host)
    for name in node:
        write_node_key(folder, name)
    for path in sorted(folder.iterdir()):
        typer.echo(path)


def read_settings(file: Path | None, default: dict[str, Any], asked: Asked) -> LearnConfig:
    """Settings of a file, where there is one, and over them the options that were given."""
    from gainnet.catalog.learning import config_of
    from gainnet.core.files import read_toml

    return config_of(default | ({} if file is None else read_toml(file, "config")) | asked.chosen)


def _settings(file: Path | None, out: Path, timeout_s: float, asked: Asked, guarded: Asked) -> AppSettings:
    from gainnet.catalog.flower import AppSettings
    from gainnet.catalog.records import SafeguardsConfig

    check_privacy_used(guarded)
    safeguards = SafeguardsConfig(**guarded.values) if guarded.given else None
    return AppSettings(read_settings(file, {"algorithm": "fedavg"}, asked), str(out), timeout_s, safeguards)


def _show(settings: AppSettings, rounds: list[dict[str, float]], as_json: bool) -> None:
    import json

    from gainnet.learning.page import privacy_line

    spent = Path(settings.out) / "privacy.json"
    privacy = json.loads(spent.read_text(encoding="utf-8")) if spent.is_file() else None
    if as_json:
        found = {"algorithm": settings.config.algorithm, "out": settings.out, "rounds": rounds, "privacy": privacy}
        return print_json(found)
    print_rounds(f"{settings.config.algorithm}: {settings.out}", rounds, rounds)
    return typer.echo(f"privacy: {privacy_line(privacy)}")
