"""Rounds with training elsewhere are the rounds of the algorithm, in what they lead to and in what they cost."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.catalog.flower import AppSettings, write_app
from gainnet.catalog.learning import config_of
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Open, State
from gainnet.learning.algorithms.costs import whole_step_cost
from gainnet.learning.algorithms.fedavg import FedAvg, Trained, weighing
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.engines.attending import OwnText
from gainnet.learning.engines.remote import elsewhere
from gainnet.learning.safeguards.robust import Median
from gainnet.models.language import small_decoder
from gainnet.network import Network
from gainnet.radio import AWGN, Air, Arq, Tabulated
from gainnet.wire.frames import file_of, tensors_of, to_bytes

Make = Callable[..., Network]


def algorithm(name: str, model: Any, network: Network, **changes: Any) -> Any:
    training, cost = LocalTraining("adamw", 1e-3, 3, 4), whole_step_cost(model, torch.zeros(4, 24, dtype=torch.long))
    if name == "fedavg":
        return FedAvg(model, network, training, cost, **changes)
    return Fpl(model, network, training, cost, name, 2, **changes)  # type: ignore[arg-type]


def equal(a: State, b: State) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


@dataclass(frozen=True)
class Elsewhere:
    """Clients with a model of their own; some are dead."""

    algorithm: Any
    clients: tuple[Client, ...]
    dead: tuple[str, ...] = ()

    def __call__(self, names: Sequence[NodeId], values: State, random: Random) -> Mapping[NodeId, Trained]:
        alive = [client for client in self.clients if client.name in names and client.name not in self.dead]
        given = tensors_of(file_of(values), values)
        files = {c: file_of(OwnText(self.algorithm, c).answer(given, random).values) for c in alive}
        return {
            c.name: Trained(tensors_of(content, values), weighing(c.name, len(c.rows))) for c, content in files.items()
        }


def strangers(clients: Sequence[Client]) -> list[Client]:
    return [replace(client, rows=torch.empty(0, 0, dtype=torch.long)) for client in clients]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fedavg", pytest.param("lora", marks=pytest.mark.slow)])
def test_training_elsewhere_changes_neither_state_nor_report(
    name: str, model: Any, clients: Any, network: Make, random: Random
) -> None:
    air = (Tabulated(Air(AWGN(), 6.0, bandwidth_hz=20e6, medium="air"), arq=Arq(max_attempts=2)),)
    who = Participation(share=0.9, drop_out=0.3)
    here = algorithm(name, model, network(air, air), participation=who, aggregation=Open(Median()))
    there = algorithm(name, small_decoder(16, 3, 2), network(air, air))
    start = here.init(random)
    wanted, cost = here.round(start, clients, random)
    state, report = elsewhere(here, Elsewhere(there, clients)).round(start, strangers(clients), random)
    assert equal(state, wanted)
    assert report == cost
    assert not equal(state, start)


def test_a_dead_client_changes_nothing_but_its_own_weight(
    model: Any, clients: Any, network: Make, random: Random
) -> None:
    fedavg = algorithm("fedavg", model, network())
    rounds = elsewhere(fedavg, Elsewhere(fedavg, clients, dead=("device_1",)))
    start = fedavg.init(random)
    state, _ = rounds.round(start, strangers(clients), random)
    wanted, _ = fedavg.round(start, (clients[0], clients[2]), random)
    assert equal(state, wanted)


def test_what_does_not_travel_as_messages_is_refused() -> None:
    with pytest.raises(ConfigError, match="algorithm: the steps of fsl do not travel"):
        AppSettings(LearnConfig("fsl"), "out")


@pytest.mark.parametrize(
    "content",
    [to_bytes({"other": torch.zeros(3)}), to_bytes({"values": torch.zeros(4)}), to_bytes({"values": torch.arange(3)})],
)
def test_a_file_with_other_values_is_refused(content: torch.Tensor) -> None:
    with pytest.raises(PayloadError, match="in the place of 3"):
        tensors_of(content, {"a": torch.zeros(3)})


def test_settings_survive_the_table_of_flower(tmp_path: Path) -> None:
    settings = AppSettings(LearnConfig("lora", rank=4, skew=math.inf, domains=("oncology",)), str(tmp_path), 5.0)
    write_app(tmp_path, settings)
    written = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert AppSettings.of_table(written) == settings
    guarded = replace(settings, safeguards=SafeguardsConfig("median", num_groups=3))
    assert AppSettings.of_table(guarded.to_table()) == guarded
    with pytest.raises(ConfigError, match="colour: unknown field"):
        config_of({"colour": 1})
    with pytest.raises(ConfigError, match=r"rounds: 'many' is not a whole number"):
        config_of({"rounds": "many"})
