"""Learning with safeguards, and records that can be checked: `trust`."""

from __future__ import annotations

import math
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gainnet.cli.options import AsJson
from gainnet.cli.printing import print_json, print_table, progress
from gainnet.core.errors import ConfigError

app = typer.Typer(help="Learn with safeguards, and check who went into a model.", no_args_is_help=True)

_COLUMNS = ("round", "test_loss", "num_bits_up", "num_bits_down", "duration_s", "energy_j")


class RuleName(StrEnum):
    """How the edge merges."""

    mean = "mean"
    median = "median"
    trimmed_mean = "trimmed_mean"
    krum = "krum"
    multi_krum = "multi_krum"


class Hidden(StrEnum):
    """Whose presence privacy hides."""

    none = "none"
    client = "client"
    example = "example"


@app.command("learn")
def learn(
    algorithm: Annotated[str, typer.Option(help="fedavg, soft_prompt, lora or adapter.")] = "adapter",
    rule: Annotated[RuleName, typer.Option(help="How the edge merges.")] = RuleName.mean,
    num_poisoned: Annotated[int, typer.Option(help="Clients that may be poisoned.")] = 0,
    num_groups: Annotated[int, typer.Option(help="Masked sums per round; 0: the edge sees every update.")] = 0,
    privacy: Annotated[Hidden, typer.Option(help="Whose presence is hidden.")] = Hidden.none,
    epsilon: Annotated[float | None, typer.Option(help="After all rounds.", show_default="8")] = None,
    delta: Annotated[float | None, typer.Option(help="After all rounds.", show_default="1e-5")] = None,
    clip_norm: Annotated[
        float | None, typer.Option(help="Of a client's update, or of a row's gradient.", show_default="1")
    ] = None,
    sample_rate: Annotated[
        float | None, typer.Option(help="Of rows per step, where rows are hidden.", show_default="0.2")
    ] = None,
    model: Annotated[
        str, typer.Option(help="abstracts (shipped), a folder or a hub id in the local cache.")
    ] = "abstracts",
    clients: Annotated[int, typer.Option(help="Devices.")] = 10,
    skew: Annotated[float, typer.Option(help="Dirichlet concentration; inf for equal shares.")] = math.inf,
    rounds: Annotated[int, typer.Option(help="Rounds in all.")] = 6,
    num_steps: Annotated[int, typer.Option(help="Mini-batches per client and round.")] = 2,
    batch_size: Annotated[int, typer.Option(help="Rows per mini-batch.")] = 6,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 0.1,
    rank: Annotated[int, typer.Option(help="Rank of LoRA, or virtual tokens of a soft prompt.")] = 1,
    random_seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, records and the signed record.")] = Path(
        "out/trust"
    ),
    as_json: AsJson = False,
) -> None:
    """Fine-tune together, robust to poison, private, or with updates that the edge cannot read; signed line by line."""
    from gainnet.core.files import check_writable
    from gainnet.learning.config import LearnConfig
    from gainnet.learning.safeguards.settings import Safeguards, learn_safely

    config = LearnConfig(
        algorithm, model=model, clients=clients, skew=skew, rounds=rounds, num_steps=num_steps, batch_size=batch_size,
        rate=rate, rank=rank, random_seed=random_seed,
    )  # fmt: skip
    hiding = _given(privacy, epsilon=epsilon, delta=delta, clip_norm=clip_norm, sample_rate=sample_rate)
    safeguards = Safeguards(rule.value, num_poisoned, num_groups, privacy.value, **hiding)
    check_writable(out)
    with progress(algorithm) as tell:
        told = lambda n, total, loss: tell(n, total, f"{algorithm} (test loss {loss:.4f})")  # noqa: E731
        run, guarantee = learn_safely(config, safeguards, out, told)
    summary: dict[str, Any] = {"algorithm": algorithm, "out": str(out), "rounds": list(run.rounds)}
    summary["privacy"] = None if guarantee is None else asdict(guarantee)
    if as_json:
        return print_json(summary)
    print_table(f"{algorithm}: {out}", _COLUMNS, run.rounds)
    if guarantee is not None:
        typer.echo(
            f"privacy of every {guarantee.level}: epsilon {guarantee.epsilon:.3g}, delta {guarantee.delta:.3g}, "
            f"{guarantee.num_clients} clients, {guarantee.num_releases} releases ({guarantee.accountant})"
        )
    return None


@app.command("verify")
def verify(
    record: Annotated[Path, typer.Argument(help="A record, or the folder of a run.")],
    state: Annotated[
        Path | None, typer.Option(help="The model it should end with.", show_default="state.safetensors beside it")
    ] = None,
    edge_key: Annotated[str | None, typer.Option(help="Public key of the edge, as you know it from elsewhere.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check which update went into which model: every signature, every link of the chain, and the model at its end."""
    from gainnet.learning.safeguards.record import verify_file

    found = verify_file(record, state, edge_key)
    if as_json:
        return print_json(asdict(found))
    typer.echo(f"in order: {found.num_models} models from {found.num_included} of {found.num_updates} signed updates")
    typer.echo(
        f"edge key  {found.edge_key}" + ("" if edge_key else "  (compare it with one that you have from elsewhere)")
    )
    typer.echo(f"model     {found.model}" + ("" if found.state_checked else "  (no model file to compare it with)"))
    print_table("updates in models", ("client", "num_models"), _rows(found.models_of_client))
    return None


def _given(privacy: Hidden, **settings: float | None) -> dict[str, float]:
    """The settings of privacy that were given; one that would hide nothing is refused, not passed over."""
    given = {name: value for name, value in settings.items() if value is not None}
    if given and privacy is Hidden.none:
        raise ConfigError(f"{next(iter(given))}: nothing is hidden; add --privacy client or example, or leave it out")
    if "sample_rate" in given and privacy is Hidden.client:
        raise ConfigError("sample_rate: rows are drawn where rows are hidden; add --privacy example or leave it out")
    return given


def _rows(models_of_client: Any) -> list[dict[str, Any]]:
    return [{"client": client, "num_models": count} for client, count in models_of_client.items()]
