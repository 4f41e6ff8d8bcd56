"""Learning across edge and devices: `learn`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from gainnet.cli.options import AsJson
from gainnet.cli.printing import print_json, print_table, progress

app = typer.Typer()

_COLUMNS = ("round", "test_loss", "num_bits_up", "num_bits_down", "duration_s", "energy_j", "num_retransmissions")

Cut = Annotated[
    str | None, typer.Option(help="For fsl: embedding_only or u_shape, with +k for k blocks.", show_default="u_shape")
]
Codec = Annotated[
    str | None, typer.Option(help="For fsl: float32, float16, int8, top_k or module:Class.", show_default="int8")
]
Model = Annotated[
    str, typer.Option(help="abstracts (shipped), a folder in Hugging Face format, or a hub id in the local cache.")
]
Rank = Annotated[int | None, typer.Option(help="Rank of LoRA, or virtual tokens of a soft prompt.", show_default="2")]
Fading = Annotated[
    str | None,
    typer.Option(help="awgn, rayleigh, rician, jakes, tdl-a to tdl-e or cdl-a to cdl-e.", show_default="awgn"),
]


@app.command()
def learn(
    algorithm: Annotated[str, typer.Option(help="fedavg, fsl, fsl_averaged, soft_prompt, lora or adapter.")] = "fsl",
    cut: Cut = None,
    codec: Codec = None,
    model: Model = "abstracts",
    domain: Annotated[list[str] | None, typer.Option(help="Field of the abstracts; give it again for more.")] = None,
    texts: Annotated[Path | None, typer.Option(help="A text file instead, one text per line.")] = None,
    clients: Annotated[int, typer.Option(help="Devices.")] = 4,
    skew: Annotated[
        float, typer.Option(help="Dirichlet concentration of the fields; inf for equal shares.")
    ] = math.inf,
    rounds: Annotated[int, typer.Option(help="Rounds in all; a run goes on where it stopped.")] = 10,
    num_steps: Annotated[int, typer.Option(help="Mini-batches per client and round.")] = 4,
    batch_size: Annotated[int, typer.Option(help="Rows per mini-batch.")] = 8,
    row_length: Annotated[int, typer.Option(help="Tokens per row.")] = 72,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    optimizer: Annotated[str, typer.Option(help="sgd or adamw.")] = "adamw",
    rank: Rank = None,
    share: Annotated[float, typer.Option(help="Of the clients, per round.")] = 1.0,
    drop_out: Annotated[float, typer.Option(help="Probability that a client falls away in a round.")] = 0.0,
    deadline_s: Annotated[float, typer.Option(help="Priced time after which a client does not count.")] = math.inf,
    link: Annotated[str, typer.Option(help="ideal, tabulated or shannon.")] = "tabulated",
    fading: Fading = None,
    snr_db: Annotated[float | None, typer.Option(help="Mean SNR.", show_default="10")] = None,
    hardware: Annotated[str, typer.Option(help="Of the devices.")] = "phone",
    edge_hardware: Annotated[str, typer.Option(help="Of the edge.")] = "edge_l4",
    random_seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for checkpoint and records.")] = Path("out/learn"),
    as_json: AsJson = False,
) -> None:
    """Fine-tune a language model together with devices that keep their text. Goes on where it was stopped."""
    given = {key: value for key, value in locals().items() if key not in ("out", "as_json", "domain", "texts")}
    from gainnet.core.errors import ConfigError
    from gainnet.core.files import check_writable
    from gainnet.learning.config import LearnConfig, check_used
    from gainnet.learning.config import learn as run

    if optimizer not in ("sgd", "adamw"):
        raise ConfigError(f"optimizer: {optimizer!r} is unknown; choose sgd or adamw")
    given = {key: value for key, value in given.items() if value is not None}
    if domain:
        given["domains"] = tuple(domain)
    if texts is not None:
        given["texts"] = str(texts)
    config = LearnConfig(**given)
    check_used(config, given)
    check_writable(out)
    with progress(algorithm) as tell:
        result = run(config, out, lambda n, total, loss: tell(n, total, f"{algorithm} (test loss {loss:.4f})"))
    summary: dict[str, Any] = {"algorithm": algorithm, "out": str(out), "rounds": list(result.rounds)}
    summary["perplexity"] = math.exp(result.rounds[-1]["test_loss"])
    if as_json:
        return print_json(summary)
    print_table(f"{algorithm}: {out}", _COLUMNS, result.rounds)
    typer.echo(f"perplexity {summary['perplexity']:.4g} on text that nobody trained on")
    return None
