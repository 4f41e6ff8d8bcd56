"""Learning over Flower: `flower simulate | local | app | keys`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gainnet.cli.options import AsJson
from gainnet.cli.printing import print_json, print_table, progress, status
from gainnet.core.errors import ConfigError

if TYPE_CHECKING:
    from gainnet.learning.config import LearnConfig
    from gainnet.learning.engines.flower.settings import AppSettings

app = typer.Typer(
    help="The algorithms of learn as a Flower app, in simulation and on many machines.", no_args_is_help=True
)

Config = Annotated[Path | None, typer.Option(help="A .toml file with settings, named as the options of learn.")]
Algorithm = Annotated[
    str | None, typer.Option(help="fedavg, soft_prompt, lora or adapter.", show_default="fedavg, or that of --config")
]
Clients = Annotated[int | None, typer.Option(help="Nodes.", show_default="4, or that of --config")]
Rounds = Annotated[int | None, typer.Option(help="Rounds in all.", show_default="10, or that of --config")]
Seed = Annotated[int | None, typer.Option(help="Of everything that is drawn.", show_default="0, or that of --config")]
Timeout = Annotated[float, typer.Option(help="How long a round waits for silent nodes.")]
_COLUMNS = ("round", "test_loss", "num_bits_up", "num_bits_down", "duration_s", "energy_j", "num_lost")


@app.command("simulate")
def flower_simulate(
    config: Config = None,
    algorithm: Algorithm = None,
    clients: Clients = None,
    rounds: Rounds = None,
    random_seed: Seed = None,
    timeout_s: Timeout = 600.0,
    num_workers: Annotated[int, typer.Option(help="Processes of Ray.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for checkpoint and records.")] = Path("out/flower"),
    as_json: AsJson = False,
) -> None:
    """Run the app in Flower's simulation, every client a virtual node."""
    from gainnet.core.files import check_writable

    check_writable(out)
    settings = _settings(config, out, timeout_s, algorithm, clients, rounds, random_seed)
    from gainnet.learning.engines.flower.simulation import simulate

    with progress(settings.config.algorithm) as tell:
        run = simulate(settings, num_workers, lambda n, total, loss: tell(n, total, f"test loss {loss:.4f}"))
    _show(settings, list(run.rounds), as_json)


@app.command("local")
def flower_local(
    config: Config = None,
    algorithm: Algorithm = None,
    clients: Clients = None,
    rounds: Rounds = None,
    random_seed: Seed = None,
    timeout_s: Timeout = 600.0,
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, records, keys and logs.")] = Path("out/flower"),
    as_json: AsJson = False,
) -> None:
    """Run the app between a SuperLink and SuperNodes on this machine: processes, TLS and node keys as on many."""
    import json

    from gainnet.core.files import check_writable

    check_writable(out)
    settings = _settings(config, out.absolute(), timeout_s, algorithm, clients, rounds, random_seed)
    from gainnet.learning.clients import devices_of
    from gainnet.learning.engines.flower.folder import write_app
    from gainnet.learning.engines.flower.local import federation

    write_app(out / "app", settings)
    with status("starting the SuperLink") as tell, federation(out / "federation") as processes:
        for name in devices_of(settings.config.clients):
            tell(f"starting {name}")
            processes.register(name)
            processes.start_node(name, {"model": settings.config.model})
        tell(f"learning; see {processes.folder}")
        ended = processes.wait_for(processes.submit(out / "app"), timeout_s * (settings.config.rounds + 1))
    if ended != "finished:completed":
        raise ConfigError(f"flower: the run is {ended}; see {out / 'federation' / 'app.log'}")
    _show(settings, json.loads((out / "run.json").read_text())["rounds"], as_json)


@app.command("app")
def flower_app(
    folder: Annotated[Path, typer.Argument(help="Where the app is written.")],
    config: Config = None,
    algorithm: Algorithm = None,
    clients: Clients = None,
    rounds: Rounds = None,
    random_seed: Seed = None,
    timeout_s: Timeout = 600.0,
    out: Annotated[Path, typer.Option(help="Folder for checkpoint and records, where the SuperLink runs.")] = Path(
        "out/flower"
    ),
) -> None:
    """Write the folder that `flwr run` takes."""
    from gainnet.learning.engines.flower.folder import write_app

    write_app(folder, _settings(config, out.absolute(), timeout_s, algorithm, clients, rounds, random_seed))
    typer.echo(folder / "pyproject.toml")


@app.command("keys")
def flower_keys(
    folder: Annotated[Path, typer.Argument(help="Where keys and certificates are written.")],
    host: Annotated[list[str], typer.Option(help="Name or address of the server; give it again for more.")],
    node: Annotated[list[str] | None, typer.Option(help="A node that gets a key; give it again for more.")] = None,
) -> None:
    """Make a server's certificate with an authority of its own, and a key for every node."""
    from gainnet.wire.keys import check_names, write_certificates, write_node_key

    check_names("node", node or [])
    write_certificates(folder, host)
    for name in node or []:
        write_node_key(folder, name)
    for path in sorted(folder.iterdir()):
        typer.echo(path)


def read_settings(file: Path | None, default: dict[str, Any], given: dict[str, Any]) -> LearnConfig:
    """Settings of a file, where there is one, and over them the options that were given."""
    import tomllib

    from gainnet.learning.config import config_of

    table = default
    if file is not None:
        try:
            table = default | tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"config: {file} cannot be read ({error}); give a .toml file") from None
    return config_of(table | {name: value for name, value in given.items() if value is not None})


def _settings(
    file: Path | None, out: Path, timeout_s: float, algorithm: str | None, clients: int | None, *rest: int | None
) -> AppSettings:
    from gainnet.learning.engines.flower.settings import AppSettings

    given = dict(zip(("algorithm", "clients", "rounds", "random_seed"), (algorithm, clients, *rest), strict=True))
    return AppSettings(read_settings(file, {"algorithm": "fedavg"}, given), str(out), timeout_s)


def _show(settings: AppSettings, rounds: list[dict[str, float]], as_json: bool) -> None:
    if as_json:
        return print_json({"algorithm": settings.config.algorithm, "out": settings.out, "rounds": rounds})
    return print_table(f"{settings.config.algorithm}: {settings.out}", _COLUMNS, rounds)
