"""Terms between edge and device: numbers within limits and names of our own, and nothing that is opened or run.

edge: LearnConfig --offer--> words --accepted by the device's own Terms--> LearnConfig of the device
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from gainnet.codecs import ACTIVATION_CODECS
from gainnet.core.errors import ConfigError
from gainnet.core.outside import read_integer, read_list, read_text, reading, shorten
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Algorithm
from gainnet.learning.clients import Client
from gainnet.learning.config import LearnConfig, config_of, deal, make_algorithm, network_of, open_model, texts_of
from gainnet.models.language import ABSTRACTS, pack
from gainnet.models.language_text import DOMAINS
from gainnet.network import profiles

OWN_TEXTS = "own"
"""In an offer: every device has to bring text of its own."""
MAX_ROWS = 1_000_000
"""Rows of text that a client may count in an average; no edge can see whether they are there."""

_LONGEST_TEXT, _LONGEST_LIST = 256, 64
_MAX_SEED = (1 << 63) - 1


@final
@dataclass(frozen=True)
class Terms:
    """Model, codec and text of a device, which no edge can change, and limits of what an edge may request.

    Args:
        model: abstracts (shipped), a folder in Hugging Face format, or a hub id in the local cache.
        codec: the only codec that the device accepts; any shipped one when `None`.
        texts: the device's own text file, one text per line; its share of the synthetic abstracts when `None`.
        max_clients: most devices of a run.
        max_texts: most synthetic abstracts that the device writes, over all fields.
        max_row_length: most tokens per row, whose square attention takes.
        max_tokens: most tokens per mini-batch.
        max_steps: most mini-batches per round.
    """

    model: str = ABSTRACTS
    codec: str | None = None
    texts: Path | None = None
    max_clients: int = 1000
    max_texts: int = 100_000
    max_row_length: int = 2048
    max_tokens: int = 65_536
    max_steps: int = 10_000

    def accept(self, words: object) -> tuple[LearnConfig, str]:
        """(settings of the run as this device runs it, label of the model that the edge has).

        Whatever is a name of code, a file or a model is this device's own; what the edge says is compared with it.

        Raises:
            ConfigError: names the first word that this device does not go along with.
        """
        if not isinstance(words, dict):
            raise ConfigError(f"config: the edge sends {shorten(words)} in the place of settings")
        if unknown := sorted(set(words) - {field.name for field in fields(LearnConfig)}):
            raise ConfigError(f"config: the edge sends {shorten(unknown[0])}, which is no setting")
        with reading("config", ConfigError):
            label = read_text(words.get("model", ABSTRACTS), "model", _LONGEST_TEXT, ConfigError)
            texts, codec = words.get("texts"), words.get("codec", LearnConfig.codec)
            if texts == OWN_TEXTS and self.texts is None:
                raise ConfigError("texts: every device of this run brings its own text; give --texts FILE")
            if texts not in (None, OWN_TEXTS):
                raise ConfigError(f"texts: the edge names {shorten(texts)}; devices read their own, give --texts FILE")
            if self.codec is None:
                _check_known("codec", codec, ACTIVATION_CODECS)
            elif codec != self.codec:
                raise _differs("codec", codec, self.codec)
            for name in ("hardware", "edge_hardware"):
                _check_known(name, words.get(name, getattr(LearnConfig, name)), profiles())
            for domain in read_list(
                words.get("domains", list(LearnConfig.domains)), "domains", len(DOMAINS), ConfigError
            ):
                _check_known("domains", domain, DOMAINS)
            own = {"model": self.model, "texts": None if self.texts is None else str(self.texts)}
            config = config_of({**words, **own})
            self._check_sizes(config)
        if self.model == ABSTRACTS:  # its label is known without opening it
            check_label(label, ABSTRACTS)
        return config, label

    def _check_sizes(self, config: LearnConfig) -> None:
        num_texts = config.num_texts * len(config.domains)
        for name, size, limit in (
            ("clients", config.clients, self.max_clients),
            ("num_texts", 0 if self.texts is not None else num_texts, self.max_texts),
            ("row_length", config.row_length, self.max_row_length),
            ("batch_size", config.batch_size * config.row_length, self.max_tokens),
            ("num_steps", config.num_steps, self.max_steps),
            ("random_seed", config.random_seed, _MAX_SEED),
        ):
            if size > limit:
                raise ConfigError(f"{name}: the edge asks for {size:.6g}, and this device allows {limit:.6g} at most")


def offer(config: LearnConfig, model: nn.Module) -> dict[str, Any]:
    """Settings as an edge sends them: no path of its machine, and a label in the place of the model's name."""
    texts = None if config.texts is None else OWN_TEXTS
    return {**asdict(config), "texts": texts, "model": label_of(config.model, model)}


def label_of(name: str, model: nn.Module) -> str:
    """The name of a shipped model; the digest of another one, which is not in the same folder on every machine."""
    if name == ABSTRACTS:
        return name
    return f"sha256:{fingerprint({name: p.detach() for name, p in model.named_parameters()})}"


def check_label(label: str, own: str) -> None:
    """Raises `ConfigError` unless the edge's model is this device's own."""
    if label != own:
        raise _differs("model", label, own)


def _differs(field: str, said: object, own: str) -> ConfigError:
    there, here = shorten(said), shorten(own)
    return ConfigError(f"{field}: the edge has {there} and this device {here}; start both with the same")


def open_device(config: LearnConfig, label: str, name: str) -> tuple[Algorithm, Client]:
    """Algorithm and client on a device, from what its own terms have accepted.

    Args:
        config: of `Terms.accept`.
        label: of the edge's model.
        name: of this device.

    Raises:
        ConfigError: the edge has another model, or this device is none of the run's.
        ModelError: the device's own model cannot be loaded.
    """
    model, tokenizer = open_model(config.model)
    check_label(label, label_of(config.model, model))
    algorithm, _ = make_algorithm(config, model, network_of(config))
    return algorithm, own_client(config, tokenizer, name)


def own_client(config: LearnConfig, tokenizer: Any, name: str) -> Client:
    """A device with the text of its own file, else with its share of the synthetic abstracts."""
    texts, _ = texts_of(config)
    if config.texts is not None:
        return Client(NodeId(name), pack(texts[0], tokenizer, config.row_length))
    dealt = {client.name: client for client in deal(config, tokenizer, texts)}
    if name not in dealt:
        raise ConfigError(f"name: {name!r} is none of the {config.clients} devices of this run; join as device_0")
    return dealt[NodeId(name)]


def read_turn(words: Mapping[str, Any], max_steps: int) -> tuple[int, Random]:
    """(mini-batches, streams) of a turn, from the words that open it.

    Raises:
        ConfigError: names the word that is missing or out of range.

    >>> read_turn({"num_steps": 2, "random_seed": 0, "path": ["round", 3]}, 10)[0]
    2
    """
    if missing := sorted({"num_steps", "random_seed", "path"} - set(words)):
        raise ConfigError(f"{missing[0]}: the edge does not say it")
    num_steps = read_integer(words["num_steps"], "num_steps", 0, max_steps, ConfigError)
    random_seed = read_integer(words["random_seed"], "random_seed", 0, _MAX_SEED, ConfigError)
    path = [_read_name(name) for name in read_list(words["path"], "path", _LONGEST_LIST, ConfigError)]
    return num_steps, Random((random_seed,), (), tuple(path))


def check_rows(value: object, max_rows: int = MAX_ROWS) -> int:
    """How many rows a client says it has; raises `PayloadError` when it is no such number."""
    return read_integer(value, "num_rows", 1, max_rows)


def blank_rows(num_rows: int, row_length: int) -> Tensor:
    """[num_rows, row_length], text as an edge knows it: how much there is, and none of what stands in it."""
    return torch.zeros(1, dtype=torch.long).expand(num_rows, row_length)


def _read_name(name: object) -> str | int:
    if isinstance(name, str):
        return read_text(name, "path", _LONGEST_TEXT, ConfigError)
    return read_integer(name, "path", 0, (1 << 32) - 1, ConfigError)


def _check_known(field: str, said: object, known: Mapping[str, Any]) -> None:
    if not isinstance(said, str) or said not in known:
        raise ConfigError(f"{field}: the edge names {shorten(said)}; an edge may name {', '.join(known)} alone")
