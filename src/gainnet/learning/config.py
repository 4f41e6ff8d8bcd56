"""Learning by a few settings: the same for the command line, for studies and for scripts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, final

from torch import Tensor

from gainnet.codecs import ACTIVATION_CODECS
from gainnet.core.errors import ConfigError, ModelError, check_name, check_range
from gainnet.core.plugins import call_plugin, find
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import FORMS
from gainnet.learning.algorithms.algorithm import Algorithm
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.algorithms.fsl import AveragedEdge, SharedEdge
from gainnet.learning.algorithms.methods import Adapter, Lora, Method, Setting, SoftPrompt, Split, WholeModel
from gainnet.learning.clients import Client, LocalTraining, Participation, cell_of, devices_of, partition
from gainnet.learning.runner import Progress, Run, run_rounds, silent
from gainnet.learning.split.model import Cut
from gainnet.models.language import load_language_model, pack
from gainnet.models.language_text import DOMAINS, write_texts
from gainnet.network import Hardware, Network, profile
from gainnet.radio import CHANNELS, Air, AnyLink, Arq, Ideal, Radios, Reports, Shannon, Tabulated

ALGORITHMS = ("fedavg", "fsl", "fsl_averaged", *FORMS)
LINKS = ("ideal", "tabulated", "shannon")
ABSTRACTS = Path(__file__).parents[1] / "models" / "pretrained" / "abstracts"
TEST_SEED = (1 << 40) + 1

_ALGORITHMS_OF = {
    "cut": ("fsl", "fsl_averaged"),
    "codec": ("fsl", "fsl_averaged"),
    "edge_rate": ("fsl",),
    "rank": ("soft_prompt", "lora"),
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_NOT_IDEAL = ("fading", "snr_db", "report_error_db", "max_attempts", "bandwidth_hz")


@final
@dataclass(frozen=True)
class LearnConfig:
    """Who learns what, how, and over which air.

    Args:
        algorithm: fedavg, fsl (shared edge part), fsl_averaged, soft_prompt, lora or adapter.
        cut: for fsl: embedding_only or u_shape, with `+k` for k blocks on the device.
        codec: for fsl: float32, float16, int8, top_k or `module:Class`.
        model: abstracts (shipped), a folder in Hugging Face format, or a hub id in the local cache.
        domains: fields of the synthetic abstracts.
        texts: a text file, one text per line, in the place of the synthetic ones; the last tenth is the test.
        num_texts: abstracts per domain.
        row_length: tokens per row.
        clients: how many devices.
        skew: concentration of Dirichlet shares of the domains; `inf` for equal shares.
        rounds: how many.
        num_steps: mini-batches per client and round.
        batch_size: rows per mini-batch.
        rate: learning rate on the devices.
        edge_rate: learning rate of a shared edge part; that of the devices when `None`.
        optimizer: sgd or adamw.
        rank: rank of LoRA, or virtual tokens of a soft prompt.
        share: of the clients, per round.
        drop_out: probability that a client falls away during a round.
        deadline_s: priced seconds after which a client does not count.
        link: ideal, tabulated (5G codewords at table speed) or shannon.
        fading: awgn, rayleigh, rician, jakes, tdl-a to tdl-e or cdl-a to cdl-e.
        snr_db: mean SNR.
        report_error_db: standard deviation of the error of SNR reports.
        max_attempts: how often a codeword is sent at most.
        bandwidth_hz: of the cell, which all devices share.
        hardware: of the devices.
        edge_hardware: of the edge.
        random_seed: of everything that is drawn.

    Raises:
        ConfigError: a field is out of range.
    """

    algorithm: str = "fsl"
    cut: str = "u_shape"
    codec: str = "int8"
    model: str = "abstracts"
    domains: tuple[str, ...] = ("cardiology", "oncology", "endocrinology")
    texts: str | None = None
    num_texts: int = 400
    row_length: int = 72
    clients: int = 4
    skew: float = math.inf
    rounds: int = 10
    num_steps: int = 4
    batch_size: int = 8
    rate: float = 1e-3
    edge_rate: float | None = None
    optimizer: Literal["sgd", "adamw"] = "adamw"
    rank: int = 2
    share: float = 1.0
    drop_out: float = 0.0
    deadline_s: float = math.inf
    link: str = "tabulated"
    fading: str = "awgn"
    snr_db: float = 10.0
    report_error_db: float = 0.0
    max_attempts: int = 8
    bandwidth_hz: float = 20e6
    hardware: str = "phone"
    edge_hardware: str = "edge_l4"
    random_seed: int = 0

    def __post_init__(self) -> None:
        check_name("algorithm", self.algorithm, ALGORITHMS)
        check_name("link", self.link, LINKS)
        check_name("fading", self.fading, CHANNELS)
        for name in ("rounds", "clients", "num_texts", "rank"):
            check_range(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        check_range(self.row_length >= 4, "row_length", self.row_length, "4 tokens or more")
        check_range(self.random_seed >= 0, "random_seed", self.random_seed, "0 or more")
        check_range(self.skew > 0.0, "skew", self.skew, "positive, for example 0.3, or inf for equal shares")
        if not self.domains:
            raise ConfigError(f"domains: none is given; choose among {', '.join(DOMAINS)}")
        Cut.parse(self.cut), self.training, self.participation

    @property
    def training(self) -> LocalTraining:
        """Steps, rate and optimizer of a client in a round."""
        return LocalTraining(self.optimizer, self.rate, self.num_steps, self.batch_size)

    @property
    def participation(self) -> Participation:
        """Who takes part."""
        return Participation(self.share, self.drop_out, self.deadline_s)


def config_of(table: Mapping[str, Any]) -> LearnConfig:
    """A configuration from plain values.

    Raises:
        ConfigError: a field is unknown, of a wrong type or out of range.

    >>> config_of({"algorithm": "lora", "skew": math.inf}).rank
    2
    """
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in fields(LearnConfig)]
    if unknown := sorted(set(table) - set(known)):
        raise ConfigError(f"{unknown[0]}: unknown field; choose among {', '.join(known)}")
    try:
        return TypeAdapter(LearnConfig).validate_json(json.dumps(dict(table)))
    except ValidationError as error:
        first = error.errors()[0]
        message = str(first["msg"]).removeprefix("Value error, ")
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: {message}, got {first['input']!r}" if where else f"config: {message}") from None


@final
@dataclass(frozen=True, eq=False)
class Session:
    """Everything that rounds need.

    Args:
        model: that learns.
        algorithm: what a round is.
        clients: who learns.
        test_rows: text that nobody trains on.
        cost: of one step.
        states_per_value: numbers that the optimizer keeps per trained parameter.
    """

    model: Any
    algorithm: Algorithm
    clients: tuple[Client, ...]
    test_rows: Tensor
    cost: StepCost
    states_per_value: int


def check_used(config: LearnConfig, given: Iterable[str]) -> None:
    """Refuses a setting that somebody chose and that the others leave without effect.

    Args:
        config: what is run.
        given: names of the fields that were chosen.

    Raises:
        ConfigError: names the first field without effect, and what it is for.

    >>> check_used(LearnConfig("fedavg", cut="embedding_only"), ["cut"])
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: cut: fedavg has none; leave it out or choose the algorithm fsl or fsl_averaged
    """
    for name in sorted(given):
        if config.algorithm not in _ALGORITHMS_OF.get(name, ALGORITHMS):
            other = " or ".join(_ALGORITHMS_OF[name])
            raise ConfigError(f"{name}: {config.algorithm} has none; leave it out or choose the algorithm {other}")
        if name in _NOT_IDEAL and config.link == "ideal":
            raise ConfigError(f"{name}: an ideal link has none; leave it out or choose the link tabulated or shannon")
        if name in ("domains", "num_texts") and config.texts is not None:
            raise ConfigError(f"{name}: texts of a file have none; leave it or texts out")


def open_session(config: LearnConfig) -> Session:
    """Model, text, cell and algorithm of a configuration.

    Raises:
        ConfigError: a field is unknown or does not fit another one.
        ModelError: the model cannot be loaded or cut.
    """
    network = network_of(config)
    model, tokenizer = open_model(config.model)
    train, test = texts_of(config)
    clients = deal(config, tokenizer, train)
    algorithm, cost = make_algorithm(config, model, network)
    test_rows = pack(test, tokenizer, config.row_length)
    return Session(model, algorithm, clients, test_rows, cost, config.training.states_per_value)


def deal(config: LearnConfig, tokenizer: Any, texts: Sequence[Sequence[str]]) -> tuple[Client, ...]:
    """The clients of a run, each with its share of texts by kind; who computes it again gets the same shares."""
    rows = [pack(some, tokenizer, config.row_length) for some in texts]
    parts = partition(rows, config.clients, config.skew, Random.of(config.random_seed).child("partition"))
    return tuple(Client(name, part) for name, part in zip(devices_of(config.clients), parts, strict=True))


def learn(config: LearnConfig, out: Path | None = None, progress: Progress = silent) -> Run:
    """Runs all rounds of a configuration, or goes on where they were stopped; errors as `open_session`."""
    return run_session(config, open_session(config), out, settings_of(config), progress)


def settings_of(config: LearnConfig) -> dict[str, Any]:
    """Settings that decide a run, as JSON: with more rounds it is the same run, and JSON has no infinity."""
    infinite = {"deadline_s": str(config.deadline_s), "skew": str(config.skew)}
    return {key: x for key, x in asdict(config).items() if key not in ("rounds", "random_seed")} | infinite


def run_session(
    config: LearnConfig, session: Session, out: Path | None, settings: dict[str, Any], progress: Progress = silent
) -> Run:
    """As `run_rounds`, of a session and with the rounds and the random seed of a configuration."""
    algorithm, clients, rows = session.algorithm, session.clients, session.test_rows
    return run_rounds(algorithm, clients, rows, config.rounds, config.random_seed, out, settings, progress)


def open_model(name: str) -> tuple[Any, Any]:
    """Model and tokenizer: the shipped one by its name, else as `load_language_model`.

    Raises:
        ModelError: there is none, or it cannot be loaded.
    """
    if name == "abstracts":
        return load_language_model(str(ABSTRACTS))
    if not ((name and Path(name).expanduser().is_dir()) or _HUB_ID.fullmatch(name)):
        raise ModelError(f"model: {name!r} is unknown; give abstracts, a folder in Hugging Face format or a hub id")
    return load_language_model(name)


def texts_of(config: LearnConfig) -> tuple[list[list[str]], list[str]]:
    """(training texts by kind, test texts)."""
    if config.texts is not None:
        lines = _lines(Path(config.texts))
        # The last tenth of a file, unshuffled: whoever reads the file knows what was the test.
        count = max(1, len(lines) // 10)
        return [lines[:-count]], lines[-count:]
    # Seeds of training start at 1, far below that of the test: no abstract is in both.
    train = [write_texts(domain, config.num_texts, 1 + config.random_seed) for domain in config.domains]
    return train, [text for domain in config.domains for text in write_texts(domain, 120, TEST_SEED)]


def make_algorithm(config: LearnConfig, model: Any, network: Network) -> tuple[Algorithm, StepCost]:
    """The algorithm of a configuration on a model, and what one step of it costs."""
    return method_of(config).bound(Setting(model, network, config.training, config.participation, config.row_length))


def method_of(config: LearnConfig) -> Method:
    """The method that a configuration names.

    >>> method_of(LearnConfig("lora", rank=4))
    Lora(rank=4)
    """
    if config.algorithm.startswith("fsl"):
        codec = call_plugin("codec", find("codec.activations", config.codec, ACTIVATION_CODECS))
        edge = AveragedEdge() if config.algorithm == "fsl_averaged" else SharedEdge(config.edge_rate)
        return Split(Cut.parse(config.cut), codec, edge)
    methods: dict[str, Method] = {"fedavg": WholeModel(), "soft_prompt": SoftPrompt(config.rank), "adapter": Adapter()}
    return methods.get(config.algorithm, Lora(config.rank))


def network_of(config: LearnConfig) -> Network:
    """One edge and the devices, on links that share the spectrum."""
    edge, device = profile(config.edge_hardware, "edge_hardware"), profile(config.hardware)
    reports = Reports(config.report_error_db)

    def link(medium: str, sender: Hardware, receiver: Hardware) -> AnyLink:
        if config.link == "ideal":
            return Ideal()
        air = Air(CHANNELS[config.fading](), config.snr_db, config.bandwidth_hz, reports, medium)
        radios = Radios(sender.tx_power_w, receiver.rx_power_w)
        return Shannon(air, radios) if config.link == "shannon" else Tabulated(air, radios, Arq(config.max_attempts))

    up, down = link("up", device, edge), link("down", edge, device)
    return cell_of(devices_of(config.clients), edge, device, (up,), (down,))


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"texts: {path} cannot be read ({error}); give a UTF-8 file, one text per line") from None
    if len(lines) < 2:
        raise ConfigError(f"texts: {path} holds {len(lines)} texts; give at least 2, one per line")
    return lines
