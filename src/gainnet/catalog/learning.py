"""From the texts of a run of learning to clients, algorithm, air and safeguards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from torch import Tensor

from gainnet.catalog.drawing import OF_DRAWING, OF_TEXT, Material, drawing_method, open_pictures
from gainnet.catalog.families import entry, parse, read_of, table_of
from gainnet.catalog.grammar import Call
from gainnet.catalog.parameters import parameters_of
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.catalog.safeguards import check_hidden, safeguards_of
from gainnet.core.errors import ConfigError, ModelError, nearest
from gainnet.core.lines import lines_of
from gainnet.core.outside import first_mistake
from gainnet.learning.algorithms.fsl import SharedEdge
from gainnet.learning.algorithms.methods import Method, SplitLora
from gainnet.learning.clients import LocalTraining, Participation, cell_of, devices_of
from gainnet.learning.safeguards.incentives import Incentives, by_leave_one_out, by_shapley
from gainnet.learning.session import Learning, Session
from gainnet.learning.split.model import Cut
from gainnet.models.language import ABSTRACTS, ABSTRACTS_FOLDER, check_rows_fit, load_language_model, pack
from gainnet.models.language_text import write_texts
from gainnet.models.loading import torch_device_of
from gainnet.models.package_text import START, descriptions_of, read_packages, split_descriptions
from gainnet.network import Hardware, Network, profile
from gainnet.radio import Air, AnyLink, Arq, Ideal, Radios, Reports, Shannon, Tabulated

if TYPE_CHECKING:
    from pydantic import TypeAdapter

TEST_SEED: Final = (1 << 40) + 1

Table = TypeVar("Table", LearnConfig, SafeguardsConfig)

Reader = Callable[[str, str], Any]
"""Turns the text of a family into an object: `parse`, or a stricter one where a peer sent the text."""

_PARAMETERS: Final = {"cut": ("cut",), "codec": ("codec",), "edge_rate": ("edge",), "rank": ("rank", "num_tokens")}
"""Parameters of algorithms that an option sets."""
_CUT = re.compile(r"(embedding_only|u_shape)(?:\+(\d{1,3}))?")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_NOT_IDEAL: Final = ("fading", "snr_db", "report_error_db", "max_attempts", "bandwidth_hz")


def config_of(table: Mapping[str, Any]) -> LearnConfig:
    """A configuration from plain values.

    Raises:
        ConfigError: a field is unknown, of a wrong type or out of range.

    >>> config_of({"algorithm": "lora", "skew": float("inf")}).rank
    2
    """
    return _record_of(LearnConfig, table)


def safeguards_config_of(table: Mapping[str, Any]) -> SafeguardsConfig:
    """Safeguards from plain values; errors as `config_of`.

    >>> safeguards_config_of({"num_groups": 1}).num_groups
    1
    """
    return _record_of(SafeguardsConfig, table)


def _record_of(kind: type[Table], table: Mapping[str, Any]) -> Table:
    from pydantic import ValidationError

    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(table) - set(known)):
        raise ConfigError(f"{unknown[0]}: unknown field; {nearest(unknown[0], known)}")
    try:
        # The checker takes the records' own hash for that of their class.
        found: Table = _reader(kind).validate_json(json.dumps(dict(table)))  # type: ignore[arg-type]
        return found
    except ValidationError as error:
        place, words = first_mistake(error.errors())
        raise ConfigError(f"{place or 'config'}: {words}") from None


# Made once, as an edge reads a configuration from every device that joins.
@cache
def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def check_used(config: LearnConfig, given: Iterable[str]) -> None:
    """Refuses a setting that somebody chose and that the others leave without effect.

    Args:
        config: what is run.
        given: names of the fields that were chosen.

    Raises:
        ConfigError: names the first field without effect, and what it is for.

    >>> check_used(LearnConfig("fedavg", cut="embedding_only"), ["cut"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: cut: fedavg has none; leave it out or choose the algorithm fsl or ...
    """
    term = read_of("algorithm", config.algorithm)
    called = term if isinstance(term, Call) else Call(config.algorithm)
    for name in sorted(given):
        if name in _PARAMETERS and not _takes(entry("algorithm", called.name), name):
            other = " or ".join(key for key, found in table_of("algorithm").items() if _takes(found, name))
            raise ConfigError(f"{name}: {called.name} has none; leave it out or choose the algorithm {other}")
        if name in _PARAMETERS and set(_PARAMETERS[name]) & set(called.arguments):
            raise ConfigError(f"{name}: {config.algorithm} says it already; leave one of the two out")
        if name in _NOT_IDEAL and config.link == "ideal":
            raise ConfigError(f"{name}: an ideal link has none; leave it out or choose the link tabulated or shannon")
        if name in ("domains", "num_texts") and config.texts is not None:
            raise ConfigError(f"{name}: texts of a file have none; leave it or texts out")
        if name in OF_TEXT and config.task == "draw":
            raise ConfigError(f"{name}: pictures have none; leave it out or choose the task text")
        if name in OF_DRAWING[1:] and config.task == "text":
            raise ConfigError(f"{name}: text has none; leave it out or choose the task draw")


def _takes(algorithm: Any, option: str) -> bool:
    return callable(algorithm) and bool(set(_PARAMETERS[option]) & set(parameters_of(algorithm)))


def open_session(config: LearnConfig, safeguards: SafeguardsConfig | None = None) -> Session:
    """Model, text, cell and algorithm of a configuration.

    Args:
        config: who learns what.
        safeguards: how it is kept safe; as it is when `None`.

    Raises:
        ConfigError: a field is unknown or does not fit another one.
        ModelError: the model cannot be loaded or cut.
        MissingExtraError: a library is not installed.
    """
    learning = learning_of(config)
    if config.task == "draw":
        learning = replace(learning, method=drawing_method(learning.method))
    if safeguards is not None:
        check_hidden(safeguards, learning.method)  # before the accountant, which takes seconds
    guarded = None if safeguards is None else safeguards_of(safeguards, config)
    if guarded is not None:
        learning = replace(learning, method=guarded.fitted(learning.method))
    settings = settings_of(config)
    if safeguards is not None and guarded is not None:
        # Privacy's noise depends on the number of rounds, so a run with another number is another run.
        promise = None if guarded.guarantee is None else asdict(guarded.guarantee)
        texts = asdict(safeguards)
        # Of a run that pays nobody nothing is said, so that one that began before there were payments goes on.
        settings |= {"safeguards": {k: x for k, x in texts.items() if (k, x) != ("contributions", "none")}}
        settings |= {"privacy": promise}
    device = torch_device_of(config.torch_device)
    material = open_pictures(config, learning) if config.task == "draw" else open_texts(config, learning)
    model, clients, test_rows = material.model, material.clients, material.test_rows
    # Before anything is computed: an index beyond a table is a traceback here, and an aborted kernel on a GPU.
    for rows in (test_rows, *(client.rows for client in clients)):
        check_rows_fit(model, rows)
    if safeguards is not None and guarded is not None and safeguards.contributions != "none":
        shares = by_shapley if safeguards.contributions == "shapley" else by_leave_one_out
        guarded = replace(guarded, incentives=Incentives(shares, test_rows))
    model = model.to(device)
    algorithm, cost = learning.bound(model, test_rows.shape[1])
    return Session(
        model, algorithm, clients, test_rows, cost, learning.training.states_per_value, config.rounds,
        config.random_seed, settings, guarded, material.shown,
    )  # fmt: skip


def open_texts(config: LearnConfig, learning: Learning) -> Material:
    """Model of text, and text of the clients and of the test."""
    train, test = texts_of(config)
    model, tokenizer = open_model(config.model, config.online)
    clients = learning.deal(rows_of(train, tokenizer, config))
    return Material(model, clients, pack(test, tokenizer, config.row_length))


def settings_of(config: LearnConfig) -> dict[str, Any]:
    """Settings that identify a run, as JSON: with more rounds it is the same run, and JSON has no infinity."""
    infinite = {"deadline_s": str(config.deadline_s), "skew": str(config.skew)}
    # Runs of text that were begun before there was another task go on.
    without = ("rounds", "random_seed", *(OF_DRAWING if config.task == "text" else ()))
    return {key: x for key, x in asdict(config).items() if key not in without} | infinite


def learning_of(config: LearnConfig, read_as: Reader = parse) -> Learning:
    """How clients learn by a configuration, but for model and text.

    Args:
        config: texts.
        read_as: turns the text of a family into an object.

    Raises:
        ConfigError: a name, an argument or a number is wrong.
    """
    training = LocalTraining(
        config.optimizer, config.rate, config.num_steps, config.batch_size, config.num_parts, config.precision,
        config.dropout,
    )  # fmt: skip
    participation = Participation(config.share, config.drop_out, config.deadline_s)
    method, network = method_of(config, read_as), network_of(config, read_as)
    return Learning(method, network, training, participation, config.skew, config.random_seed, config.skew_of)


def method_of(config: LearnConfig, read_as: Reader = parse) -> Method:
    """The method that a configuration names, with the parameters that are options of their own.

    >>> method_of(LearnConfig("lora", rank=4)), method_of(LearnConfig("lora(rank=3)"))
    (Lora(rank=4, merging=None), Lora(rank=3, merging=None))
    """
    term, method = read_of("algorithm", config.algorithm), read_as("algorithm", config.algorithm)
    stated = term.arguments if isinstance(term, Call) else {}
    free = {each.name for each in fields(method)} - set(stated) if is_dataclass(method) else set()
    options: dict[str, Any] = {"rank": config.rank, "num_tokens": config.rank}
    # Adapters need a block on the device, which the usual cut does not give them.
    if "cut" in free and not (isinstance(method, SplitLora) and config.cut == LearnConfig.cut):
        options["cut"] = cut_of(config.cut)
    if "codec" in free:
        options["codec"] = read_as("codec.activations", config.codec)
    # The rate of a shared part says nothing about parts that are averaged.
    if "edge" in free and config.edge_rate is not None and method.edge == SharedEdge():
        options["edge"] = SharedEdge(config.edge_rate)
    made: Method = replace(method, **{name: value for name, value in options.items() if name in free})
    return made


def cut_of(text: str) -> Cut:
    """The cut of a text: `embedding_only` or `u_shape`, with `+k` for k blocks on the device.

    Raises:
        ConfigError: any other text.

    >>> cut_of("u_shape+1")
    Cut(num_blocks=1, head_on_device=True)
    """
    # The whole text has to match: a trailing word would otherwise be ignored silently.
    found = _CUT.fullmatch(text)
    if found is None:
        raise ConfigError(f"cut: {text!r} is unknown; give embedding_only, embedding_only+2, u_shape or u_shape+1")
    return Cut(int(found[2] or 0), found[1] == "u_shape")


def network_of(config: LearnConfig, read_as: Reader = parse) -> Network:
    """One edge and the devices, on links that share the spectrum."""
    edge, device = profile(config.edge_hardware, "edge_hardware"), profile(config.hardware)
    fading, reports = read_as("fading", config.fading), Reports(config.report_error_db)

    def link(medium: str, sender: Hardware, receiver: Hardware) -> AnyLink:
        if config.link == "ideal":
            return Ideal()
        air = Air(fading, config.snr_db, config.bandwidth_hz, reports, medium)
        radios = Radios(sender.tx_power_w, receiver.rx_power_w)
        # Adapters are thousands of bytes, for which the ladder of 5G has no codewords too short to be cheap.
        arq = Arq(config.max_attempts, harq="none")
        return Shannon(air, radios) if config.link == "shannon" else Tabulated(air, radios, arq)

    up, down = link("up", device, edge), link("down", edge, device)
    return cell_of(devices_of(config.clients), edge, device, (up,), (down,))


def open_model(name: str, online: bool = False) -> tuple[Any, Any]:
    """Model and tokenizer of a name: `abstracts` (shipped), a folder in Hugging Face format, or a hub id.

    Args:
        name: of the model.
        online: whether a hub id may be downloaded.

    Raises:
        ModelError: there is none, or it cannot be loaded.
    """
    if name == ABSTRACTS:
        return load_language_model(str(ABSTRACTS_FOLDER))
    if not ((name and Path(name).expanduser().is_dir()) or _HUB_ID.fullmatch(name)):
        known = "abstracts, a folder in Hugging Face format or a hub id as owner/name"
        raise ModelError(f"model: {name!r} is unknown; give {known}, for example openai-community/gpt2")
    return load_language_model(name, online)


def texts_of(config: LearnConfig) -> tuple[list[list[str]], list[str]]:
    """(training texts by kind, test texts)."""
    if config.texts is not None:
        return read_texts(Path(config.texts))
    # Seeds of training start at 1, far below that of the test: no abstract is in both.
    train = [write_texts(domain, config.num_texts, 1 + config.random_seed) for domain in config.domains]
    return train, [text for domain in config.domains for text in write_texts(domain, 120, TEST_SEED)]


def rows_of(texts: Sequence[Sequence[str]], tokenizer: Any, config: LearnConfig) -> list[Tensor]:
    """[num_rows, row_length] tokens per kind of text."""
    return [pack(some, tokenizer, config.row_length) for some in texts]


def read_texts(path: Path) -> tuple[list[list[str]], list[str]]:
    """(training texts by kind, test texts) of a file: lines, or descriptions of packages with sections as kinds.

    Raises:
        ConfigError: it cannot be read, or holds fewer than 2 texts.
    """
    found = list(lines_of(path, "texts", "a UTF-8 file, one text per line"))
    if found and found[0].startswith(START):
        train, test = split_descriptions(descriptions_of(read_packages("\n".join(found)), "section"))
        if not test:
            raise ConfigError(f"texts: {path} describes too few packages to test on one; give at least 10 of a section")
        return train, test
    lines = [line.strip() for line in found if line.strip()]
    if len(lines) < 2:
        raise ConfigError(f"texts: {path} holds {len(lines)} texts; give at least 2, one per line")
    # The last tenth of a file, unshuffled: whoever reads the file knows what was the test.
    count = max(1, len(lines) // 10)
    return [lines[:-count]], lines[-count:]
