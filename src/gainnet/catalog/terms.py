"""Terms of a device: what an edge may ask it for, and what it opens of its own.

edge: LearnConfig --offer--> words --accepted by the device's own Terms--> Member, made of the device's own names
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, final

from torch import nn

from gainnet.catalog.drawing import OF_DRAWING
from gainnet.catalog.families import parse, parse_from_peer
from gainnet.catalog.learning import config_of, learning_of, open_model, rows_of, texts_of
from gainnet.catalog.records import LearnConfig
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.outside import read_list, read_text, reading, shorten
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.clients import Client
from gainnet.learning.engines.turns import LONGEST_TEXT, MAX_SEED, MAX_STEPS, Member
from gainnet.learning.safeguards.incentives import MAX_COST
from gainnet.learning.safeguards.privacy import PrivateSteps
from gainnet.learning.safeguards.settings import Guards, Safeguards
from gainnet.learning.session import Learning
from gainnet.models.language import ABSTRACTS, check_rows_fit
from gainnet.models.language_text import DOMAINS
from gainnet.models.loading import torch_device_of
from gainnet.network import profiles

OWN_TEXTS: Final = "own"
"""In an offer: every device has to bring text of its own."""

STEPS: Final = "private_steps"
"""In an offer: how devices clip gradients of rows, and how much noise they add; there is none without privacy."""
GUARDS: Final = "guards"
"""In an offer: which safeguards need the device; there is none without."""
_OF_STEPS: Final = ("clip_norm", "noise_multiplier", "sample_rate")


@final
@dataclass(frozen=True)
class Terms:
    """Model, codec and text of a device, which no edge can change, and limits of what an edge may request.

    Args:
        model: abstracts (shipped), a folder in Hugging Face format, or a hub id in the local cache.
        codec: the only codec that the device accepts; left out, any shipped one.
        texts: the device's own text file, one text per line; left out, its share of the synthetic abstracts.
        max_clients: most devices of a run.
        max_texts: most synthetic abstracts that the device writes, over all fields.
        max_row_length: most tokens per row, whose square attention takes.
        max_tokens: most tokens per mini-batch.
        max_steps: most mini-batches per round.
        torch_device: where torch runs here: cpu, cuda or mps, where it has it.
        only_masked: whether updates leave this device in masked sums alone; an edge without them is refused.
        edge_key: public key that the edge signs with, as known from elsewhere; left out, the first one counts.
        cost: of a round, as reported to an edge that pays, in nats per token that the loss should fall by for it, >= 0.

    Raises:
        ConfigError: the cost is no such number.
    """

    model: str = ABSTRACTS
    codec: str | None = None
    texts: Path | None = None
    max_clients: int = 1000
    max_texts: int = 100_000
    max_row_length: int = 2048
    max_tokens: int = 65_536
    max_steps: int = MAX_STEPS
    torch_device: str = "cpu"
    only_masked: bool = False
    edge_key: str | None = None
    cost: float = 0.0

    def __post_init__(self) -> None:
        check_range(0.0 <= self.cost <= MAX_COST, "cost", self.cost, f"0 to {MAX_COST:g} nats per token")

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
            label = read_text(words.get("model", ABSTRACTS), "model", LONGEST_TEXT, ConfigError)
            texts, codec = words.get("texts"), words.get("codec", LearnConfig.codec)
            if texts == OWN_TEXTS and self.texts is None:
                raise ConfigError("texts: every device of this run brings its own text; give --texts FILE")
            if texts not in (None, OWN_TEXTS):
                raise ConfigError(f"texts: the edge names {shorten(texts)}; devices read their own, give --texts FILE")
            if self.codec is not None and codec != self.codec:
                raise _differs("codec", codec, self.codec)
            for name in ("torch_device", "online", *OF_DRAWING):
                usual = getattr(LearnConfig, name)
                if (said := words.get(name, usual)) != usual:
                    raise ConfigError(f"{name}: the edge names {shorten(said)}; every device decides that itself")
            for name in ("hardware", "edge_hardware"):
                _check_known(name, words.get(name, getattr(LearnConfig, name)), profiles())
            for domain in read_list(
                words.get("domains", list(LearnConfig.domains)), "domains", len(DOMAINS), ConfigError
            ):
                _check_known("domains", domain, DOMAINS)
            own: dict[str, Any] = {"model": self.model, "torch_device": self.torch_device, "online": False}
            own |= {"texts": None if self.texts is None else str(self.texts)}
            config = config_of({**words, **own})
            self._check_sizes(config)  # before anything is made of them
            learning_of(config, self.read)
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
            ("random_seed", config.random_seed, MAX_SEED),
        ):
            if size > limit:
                raise ConfigError(f"{name}: the edge asks for {size:.6g}, and this device allows {limit:.6g} at most")

    def read(self, family: str, text: str) -> Any:
        """The object of a text of the edge: shipped, unless it is the codec that this device was started with."""
        own = family == "codec.activations" and self.codec is not None
        return parse(family, text) if own else parse_from_peer(family, text)

    def admit(self, words: object, name: str) -> Member:
        """This device's side of a run, from the settings that the edge sent, as `Admit`.

        Raises:
            ConfigError: the terms exclude it, the edge has another model, or this device is none of the run's.
            ModelError: the device's own model cannot be loaded.
        """
        words, guards = _without_guards(words)
        words, steps = _without_steps(words)
        if self.only_masked and not guards.masked:
            raise ConfigError("only_masked: the edge does not mask sums; ask it for --num-groups 1, or leave it out")
        config, label = self.accept(words)
        learning, (model, tokenizer) = learning_of(config, self.read), open_model(config.model)
        check_label(label, label_of(config.model, model))
        client = own_client(config, learning, tokenizer, name)
        check_rows_fit(model, client.rows)
        learning = replace(learning, method=guards.fitted(learning.method))
        algorithm, _ = learning.bound(model.to(torch_device_of(config.torch_device)), config.row_length)
        text = config.texts or f"its share of {config.num_texts} texts per field"
        run = f"{config.algorithm}, cut {config.cut}, codec {config.codec}, model {config.model}, text: {text}"
        if steps is not None:
            # The journal of what is sent keeps them, so that the steps need none of their own.
            algorithm = Safeguards(steps=steps).without_record(algorithm, None)
            run += f", noise {steps.noise_multiplier:.3g} on rows clipped to {steps.clip_norm:g}"
        run += ", updates leave masked alone" if guards.masked else ""
        return Member(algorithm, client, run, guards, self.edge_key, self.cost)


def offer(config: LearnConfig, model: nn.Module, safeguards: Safeguards | None = None) -> dict[str, Any]:
    """Settings as an edge sends them: no path of its machine, and a label in the place of the model's name.

    Args:
        config: of the run.
        model: that the edge has.
        safeguards: whose noise on rows devices draw themselves.
    """
    texts = None if config.texts is None else OWN_TEXTS
    usual = {name: getattr(LearnConfig, name) for name in ("torch_device", "online")}
    known = {name: x for name, x in asdict(config).items() if name not in OF_DRAWING}
    own = {**known, "texts": texts, "model": label_of(config.model, model), **usual}
    if safeguards is None:
        return own
    own |= {GUARDS: asdict(safeguards.guards)}
    if (steps := safeguards.steps) is None:
        return own
    if not steps.noise.private:
        raise ConfigError("noise: devices in other processes draw secret noise alone; leave it out")
    return own | {STEPS: {name: getattr(steps, name) for name in _OF_STEPS}}


def _without_guards(words: object) -> tuple[object, Guards]:
    """Settings of an edge without safeguards that need the device, and these; whether there are any, and no more."""
    if not isinstance(words, dict) or GUARDS not in words:
        return words, Guards()
    said, names = words[GUARDS], [field.name for field in fields(Guards)]
    if not isinstance(said, dict) or sorted(said) != sorted(names) or any(type(x) is not bool for x in said.values()):
        raise ConfigError(f"{GUARDS}: the edge sends {shorten(said)} in the place of {', '.join(names)}")
    return {name: x for name, x in words.items() if name != GUARDS}, Guards(**said)


def _without_steps(words: object) -> tuple[object, PrivateSteps | None]:
    """Settings of an edge without those of private steps, and these; numbers alone, within their ranges."""
    if not isinstance(words, dict) or STEPS not in words:
        return words, None
    said = words[STEPS]
    found = [said.get(name) if isinstance(said, dict) else None for name in _OF_STEPS]
    numbers = [float(x) for x in found if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(numbers) < len(_OF_STEPS):
        raise ConfigError(f"{STEPS}: the edge sends {shorten(said)} in the place of {', '.join(_OF_STEPS)}")
    return {name: x for name, x in words.items() if name != STEPS}, PrivateSteps(numbers[0], numbers[1], numbers[2])


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


def own_client(config: LearnConfig, learning: Learning, tokenizer: Any, name: str) -> Client:
    """A device with the text of its own file, else with its share of the synthetic abstracts.

    Raises:
        ConfigError: it is none of the run's devices.
    """
    texts, _ = texts_of(config)
    rows = rows_of(texts, tokenizer, config)
    if config.texts is not None:
        return Client(NodeId(name), rows[0])
    dealt = {client.name: client for client in learning.deal(rows)}
    if name not in dealt:
        raise ConfigError(f"name: {name!r} is none of the {config.clients} devices of this run; join as device_0")
    return dealt[NodeId(name)]


def _check_known(field: str, said: object, known: Mapping[str, Any]) -> None:
    if not isinstance(said, str) or said not in known:
        raise ConfigError(f"{field}: the edge names {shorten(said)}; an edge may name {', '.join(known)} alone")
