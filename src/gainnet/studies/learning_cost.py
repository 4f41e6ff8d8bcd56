"""Study learning-cost: what federated, split and prompt learning cost, and what they reach."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, Any, final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from pydantic import Field

from gainnet.catalog import parse
from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import require_peft
from gainnet.learning.clients import LocalTraining
from gainnet.learning.runner import run_rounds
from gainnet.models.language import mean_loss
from gainnet.studies.figures import Panel, draw_panels, short, with_own
from gainnet.studies.own import Guarded, one_or_own, own
from gainnet.studies.palette import BLUE, GREEN, GREY, ORANGE
from gainnet.studies.settings import AirField, Count, NonEmpty, Seeds
from gainnet.studies.statistics import at, beside, present, round_metrics
from gainnet.studies.step_costs import StepSize, fedavg_round, private_step
from gainnet.studies.step_memory import SHAPES, step_memory
from gainnet.studies.study import Case, Method, Row, Study
from gainnet.studies.weights import language_digest

FEDAVG = "fedavg"
CUTS = ("embedding_only", "u_shape")
SPLIT = {f"{algorithm}.{cut}": (algorithm, cut) for algorithm in ("fsl", "fsl_averaged") for cut in CUTS}
PROMPTS = {"fpl.soft_prompt": "soft_prompt", "fpl.lora": "lora", "fpl.adapter": "adapter"}
LEARNED = (FEDAVG, *SPLIT, *PROMPTS)
STEPS = {"toy": StepSize(8, 72, 40), "gpt2": StepSize(4, 32, 20)}
"""Expected rows of a private step, tokens per row and rows of the client, by the shape of the model."""
PRIVATE, ROUND, MEMORY = "private_step", "fedavg_round", "memory"
MEASURED = (*(f"{PRIVATE}.{shape}" for shape in STEPS), ROUND, *(f"{MEMORY}.{shape}" for shape in SHAPES))
METHODS = (*LEARNED, *MEASURED)
MARKERS = {
    FEDAVG: ("o", GREY),
    "fsl.embedding_only": ("v", BLUE), "fsl.u_shape": ("s", BLUE),
    "fsl_averaged.embedding_only": ("v", GREEN), "fsl_averaged.u_shape": ("s", GREEN),
    "fpl.soft_prompt": ("X", ORANGE), "fpl.lora": ("P", ORANGE), "fpl.adapter": ("D", ORANGE),
}  # fmt: skip
RATIOS = {
    "device_memory": "device_memory_bytes", "device_flops": "device_flops_per_step", "perplexity": "perplexity",
    "bits": "gigabytes",
}  # fmt: skip
"""Columns of the table that are divided by FedAvg's, by the name of the quantity."""
OF_STEP = {"memory": "peak_bytes", "held_memory": "held_bytes", "flops": "flops"}
"""Columns of a step at the shape of a model, by what is divided by that of the whole model."""
OF_PROMPT = ("bits_of_fedavg", "gain_of_fedavg")
METRIC_NAMES = (
    *(f"private_step_ratio.{shape}" for shape in STEPS),
    "fedavg_ratio",
    *(f"{what}_ratio.{shape}{cut}" for what in OF_STEP for cut in ("", ".embedding_only") for shape in SHAPES),
    *(f"fsl.{cut}.{what}" for cut in CUTS for what in ("device_memory_of_fedavg", "device_flops_of_fedavg")),
    "fsl.perplexity_of_fedavg",
    *(f"fsl.{cut}.{what}_of_fedavg" for what in ("perplexity", "bits") for cut in CUTS),
    *(f"{name}.{what}" for name in ("fpl", *PROMPTS) for what in OF_PROMPT),
)


def check_algorithm(text: str) -> None:
    """Raises `ConfigError` unless a text names a way to learn."""
    parse("algorithm", text)


@final
@dataclass(frozen=True)
class LearningCostConfig:
    """Settings of the study learning-cost.

    Args:
        random_seeds: each draws texts, clients, mini-batches and noise of its own.
        methods: what is compared, and ways to learn of yours as `module:Class(args)`.
        skews: Dirichlet concentrations of the fields over the clients; 0 stands for equal shares.
        num_texts: abstracts per field.
        clients: devices.
        rounds: how many.
        num_steps: mini-batches per client and round.
        batch_size: rows per mini-batch.
        rates: learning rate by method; that of `gainnet learn` where none is given.
        sizes: virtual tokens or rank, by method.
        air: of the links; codewords fail where its reports are wrong.
        lossy_attempts: how often a codeword is sent at most in split learning; some items are lost.
        model: shipped, a folder or a hub id.
        hardware: of the devices.
        edge_hardware: of the edge.
        num_pairs: of steps or rounds whose processor time is compared.
    """

    random_seeds: Seeds
    methods: NonEmpty[Annotated[str, one_or_own(METHODS, check_algorithm)]]
    skews: NonEmpty[Annotated[float, Field(ge=0)]]
    num_texts: Annotated[int, Field(ge=10)]
    clients: Annotated[int, Field(ge=1, le=100)]
    rounds: Count
    num_steps: Count
    batch_size: Count
    rates: dict[str, float]
    sizes: dict[str, int]
    air: AirField
    lossy_attempts: Count
    model: str
    hardware: str
    edge_hardware: str
    num_pairs: Count = 24


def cases(config: LearningCostConfig) -> Iterator[Case]:
    """Every method at every skew with every random seed; processor time and memory at shapes of models once."""
    learned = [method for method in config.methods if method not in MEASURED]
    for random_seed, skew, method in product(config.random_seeds, config.skews, learned):
        yield Case(method, {"skew": skew}, random_seed)
    for method in config.methods:
        if method in MEASURED:
            yield Case(method, {"skew": config.skews[0]}, config.random_seeds[0])


def open_methods(config: LearningCostConfig) -> Mapping[str, Method]:
    """All methods are rounds of one algorithm on the same model and texts; raises when one lacks its library."""
    if set(config.methods) & set(PROMPTS):
        require_peft()

    def learned(case: Case, random: Random) -> Row:
        return _learned(config, case)

    def measured(case: Case, random: Random) -> Row:
        return _measured(config, case, random)

    users: dict[str, Method] = {name: Guarded(name, learned) for name in own(config.methods, METHODS)}
    return {**dict.fromkeys(LEARNED, learned), **dict.fromkeys(MEASURED, measured), **users}


def settings_of(config: LearningCostConfig, method: str, skew: float, random_seed: int) -> LearnConfig:
    """Settings of `gainnet learn` for a method."""
    algorithm, cut = SPLIT.get(method, (PROMPTS.get(method, method), "u_shape"))
    return LearnConfig(
        algorithm=algorithm,
        cut=cut,
        codec="int8",
        model=config.model,
        num_texts=config.num_texts,
        clients=config.clients,
        skew=skew or math.inf,
        rounds=config.rounds,
        num_steps=config.num_steps,
        batch_size=config.batch_size,
        rate=config.rates.get(method, LearnConfig.rate),
        # Virtual tokens where the form is a prompt.
        rank=config.sizes.get(method, 1),
        link="tabulated",
        snr_db=config.air.snr_db,
        report_error_db=config.air.reports.error_db,
        max_attempts=config.lossy_attempts if method in SPLIT else 8,
        hardware=config.hardware,
        edge_hardware=config.edge_hardware,
        random_seed=random_seed,
    )


def _measured(config: LearningCostConfig, case: Case, random: Random) -> Row:
    if case.method == ROUND:
        return {**fedavg_round(config.num_pairs, LocalTraining("adamw", 1e-4, 4, 8), random)}
    kind, _, shape = case.method.partition(".")
    if kind == MEMORY:
        return {**step_memory(shape)}
    return {**private_step(shape, replace(STEPS[shape], num_pairs=config.num_pairs), random)}


def _learned(config: LearningCostConfig, case: Case) -> Row:
    settings = settings_of(config, case.method, float(case.values["skew"] or 0), case.random_seed)
    session = open_session(settings)
    random = Random.of(case.random_seed)
    # Of the model that training starts from, adapters included.
    before = mean_loss(session.algorithm.model_of(session.algorithm.init(random)), session.test_rows)
    run = run_rounds(session.algorithm, session.clients, session.test_rows, settings.rounds, case.random_seed)
    after, count = run.rounds[-1]["test_loss"], len(run.rounds)
    total = {key: sum(record[key] for record in run.rounds) for key in run.rounds[-1] if key.startswith("num_")}
    bits = total["num_bits_up"] + total["num_bits_down"]
    return {
        "num_samples": settings.rounds * settings.clients * settings.num_steps * settings.batch_size,
        "loss_before": before,
        "loss": after,
        "perplexity": math.exp(after),
        "num_bits_up_per_round": total["num_bits_up"] / count,
        "num_bits_down_per_round": total["num_bits_down"] / count,
        "gigabytes": bits / 8e9,
        "device_flops_per_step": session.cost.device_flops,
        "edge_flops_per_step": session.cost.edge_flops,
        "device_memory_bytes": session.cost.device_memory_bytes(session.states_per_value),
        "duration_s_per_round": sum(record["duration_s"] for record in run.rounds) / count,
        "energy_j_per_round": sum(record["energy_j"] for record in run.rounds) / count,
        "num_channel_uses": total["num_channel_uses_up"] + total["num_channel_uses_down"],
        "num_lost": total["num_lost"],
    }


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Ratios to FedAvg of the same random seed and skew, averaged; the best prompt form is the one of largest gain."""
    measured = _times(table)
    table = table[~table["method"].isin(MEASURED)]
    if table.empty:
        return round_metrics(measured, 6)
    means = _beside_fedavg(table).groupby("method").mean(numeric_only=True)
    columns_of = dict.fromkeys(PROMPTS, OF_PROMPT) | {
        f"fsl.{cut}": tuple(f"{x}_of_fedavg" for x in RATIOS) for cut in CUTS
    }
    found: dict[str, float | None] = measured | {
        f"{method}.{column}": float(means[column][method])
        for method, columns in columns_of.items()
        for column in columns
        if method in means.index
    }
    found |= {f"{name}.{what}": float(means[what][name]) for name in own(means.index, METHODS) for what in OF_PROMPT}
    if worst := [x for cut in CUTS if (x := found.get(f"fsl.{cut}.perplexity_of_fedavg")) is not None]:
        found["fsl.perplexity_of_fedavg"] = max(worst)
    if best := best_prompt(found):
        found |= {f"fpl.{what}": found[f"{best}.{what}"] for what in OF_PROMPT}
    return round_metrics(found, 6)


def _times(table: pd.DataFrame) -> dict[str, float | None]:
    """Processor time of private steps over plain ones, and of a round over its steps; a device's share of memory."""
    found: dict[str, float | None] = {}
    for method, rows in table[table["method"].isin(MEASURED)].groupby("method"):
        one = rows.iloc[0]
        kind, _, shape = str(method).partition(".")
        if kind == MEMORY:
            for what, column in OF_STEP.items():
                whole = one[f"{column}.whole"]
                found[f"{what}_ratio.{shape}"] = float(one[f"{column}.u_shape"] / whole)
                found[f"{what}_ratio.{shape}.embedding_only"] = float(one[f"{column}.embedding_only"] / whole)
        elif method == ROUND:
            found["fedavg_ratio"] = float(one["measured_round_s"] / one["measured_steps_s"])
        else:
            found[f"private_step_ratio.{shape}"] = float(one["measured_private_step_s"] / one["measured_plain_step_s"])
    return found


def best_prompt(found: Mapping[str, float | None]) -> str | None:
    """The form of prompt learning with the largest gain; `None` where none was measured."""
    gains = {name: found.get(f"{name}.gain_of_fedavg") for name in PROMPTS}
    known = {name: gain for name, gain in gains.items() if gain is not None}
    return max(known, key=known.__getitem__) if known else None


def _beside_fedavg(table: pd.DataFrame) -> pd.DataFrame:
    """The rows with their ratios to what FedAvg had at the same random seed and skew, `<quantity>_of_fedavg`.

    The gain is the share of FedAvg's own fall in loss, both counted from the untuned model.
    """

    def fedavg(column: str) -> pd.Series[float]:
        return beside(table, at(table, method=FEDAVG), ["skew", "random_seed"], column)

    ratios = {f"{name}_of_fedavg": table[column] / fedavg(column) for name, column in RATIOS.items()}
    untuned = fedavg("loss_before")
    gain = (untuned - table["loss"]) / (untuned - fedavg("loss"))
    return table.assign(**ratios, gain_of_fedavg=gain).dropna(subset=["gain_of_fedavg"])


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Quality over bytes and over device memory, one mark per method; nothing where nobody has learned."""
    if table["method"].isin(MEASURED).all():
        return

    def plot(ax: Axes, rows: pd.DataFrame) -> None:
        rows = rows[~rows["method"].isin(MEASURED)]
        means = rows.groupby(["method", "skew"])[["cost", "perplexity"]].mean().reset_index()
        users = with_own({}, means, METHODS)
        markers = MARKERS | {name: (style.marker, style.colour) for name, style in users.items()}
        for method in present(means, "method", (*LEARNED, *users)):
            for skew, x, y in at(means, method=method).drop(columns="method").itertuples(index=False):
                style: dict[str, Any] = {"fillstyle": "none"} if skew else {"label": short(method)}
                ax.plot(x, y, markers[method][0], color=markers[method][1], markersize=6.5, **style)
        ax.set_xscale("log")
        # From kilobytes to gigabytes, in whatever of them a number is short.
        ax.xaxis.set_major_formatter(EngFormatter("B"))

    note = (
        f"{table['num_samples'].max():g} samples per method; {table['random_seed'].nunique()} random seeds; filled: "
        "equal shares of the fields, hollow: Dirichlet;\nmemory = parameters + gradients + Adam's state + saved tensors"
    )
    table = table.assign(bytes_on_air=1e9 * table["gigabytes"])
    labels = {"bytes_on_air": "sent over the air", "device_memory_bytes": "memory of a device"}
    parts = [
        Panel(table.assign(cost=table[column]), "", label, "perplexity on unseen abstracts")
        for column, label in labels.items()
    ]
    yield "learning_cost", draw_panels("What learning costs, and what it reaches", note, parts, plot, 2)


def identity(config: LearningCostConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return language_digest(config.model)


LEARNING_COST: Study[Any] = Study(
    "learning-cost", LearningCostConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
