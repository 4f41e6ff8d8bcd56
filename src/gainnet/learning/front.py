"""Learning with objects alone, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.run.loop import silent
from gainnet.learning.algorithms.methods import Method
from gainnet.learning.clients import Client, LocalTraining, Participation, cell_of
from gainnet.learning.runner import Progress, Run
from gainnet.learning.safeguards.settings import Safeguards
from gainnet.learning.session import Learning, Session
from gainnet.models.language import ABSTRACTS_FOLDER, check_rows_fit, load_language_model
from gainnet.network import Hardware, Network, profile
from gainnet.radio import Air, Arq, Radios, Tabulated


def learn(
    method: Method,
    clients: Sequence[Client],
    model: Any = None,
    air: Air | Network | None = None,
    rounds: int = 5,
    training: LocalTraining | None = None,
    participation: Participation | None = None,
    test_rows: Tensor | None = None,
    random_seed: int = 0,
    device: Hardware | None = None,
    edge: Hardware | None = None,
    safeguards: Safeguards | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> Run:
    """Rounds of learning between an edge and its clients; everything that crosses is counted and priced.

    edge <==5G codewords over `air`, at table speed==> clients with text of their own

    Args:
        method: who trains what, for example `Lora(rank=1)`.
        clients: with rows of text, all of one length.
        model: of transformers; the shipped one when `None`.
        air: of both directions, which share no spectrum; `Air()` when `None`. A network, with links of one's own
            between its edge and the clients, takes its place and that of the hardware.
        rounds: how many, at least 1.
        training: of a client in a round; `LocalTraining()` when `None`.
        participation: who takes part; everybody when `None`.
        test_rows: [num_rows, length], text that nobody trains on; the text of the clients when `None`.
        random_seed: of everything that is drawn.
        device: hardware of the clients; a phone when `None`.
        edge: hardware of the edge; one with an L4 when `None`.
        safeguards: robust or private rounds, or masked updates; none when `None`.
        out: folder for checkpoint and records, from which a stopped run goes on; nowhere when `None`.
        progress: called after every round.

    Raises:
        ConfigError: there is no client, rows differ in length, or a setting does not fit another one.
        ModelError: the model cannot be cut, or what is trained does not fit it.

    >>> from gainnet.learning import Client, Lora
    >>> text = torch.arange(48).reshape(4, 12)
    >>> run = learn(Lora(rank=1), [Client("alice", text)], air=Air(snr_db=10.0), rounds=1)
    >>> len(run.losses), run.report["num_bits_up"] > 0
    (1, True)
    """
    given = training or LocalTraining()
    method = method if safeguards is None else safeguards.fitted(method)
    learning = Learning(method, _network(clients, air, device, edge), given, participation or Participation())
    model = load_language_model(str(ABSTRACTS_FOLDER))[0] if model is None else model
    algorithm, cost = learning.bound(model, _row_length(clients, model))
    rows = torch.cat([client.rows for client in clients]) if test_rows is None else test_rows
    check_rows_fit(model, rows)
    session = Session(
        model, algorithm, tuple(clients), rows, cost, given.states_per_value, rounds, random_seed,
        _settings(method, air, training, safeguards), safeguards,
    )  # fmt: skip
    return session.run(out, progress)


def _settings(
    method: Method, air: Air | Network | None, training: LocalTraining | None, safeguards: Safeguards | None
) -> dict[str, str]:
    """Texts that identify the run, so that a folder of another method is refused."""
    settings = {"method": repr(method), "air": repr(air), "training": repr(training)}
    return settings | ({"safeguards": repr(safeguards)} if safeguards else {})


def _row_length(clients: Sequence[Client], model: Any) -> int:
    """Of all clients, whose rows fit the model."""
    lengths = {client.rows.shape[1] for client in clients}
    if len(lengths) != 1:
        raise ConfigError(f"clients: rows of {len(lengths)} lengths; give clients with rows of one length")
    for client in clients:
        check_rows_fit(model, client.rows)
    return lengths.pop()


def _network(
    clients: Sequence[Client], air: Air | Network | None, device: Hardware | None, edge: Hardware | None
) -> Network:
    if isinstance(air, Network):
        if device or edge:
            raise ConfigError("device: the network has the hardware of its nodes; leave device and edge out")
        return air
    here, there = device or profile("phone"), edge or profile("edge_l4")
    up, down = (
        Tabulated(
            replace(air or Air(), medium=medium), Radios(sender.tx_power_w, receiver.rx_power_w), Arq(harq="none")
        )
        for medium, sender, receiver in (("up", here, there), ("down", there, here))
    )
    return cell_of([client.name for client in clients], there, here, (up,), (down,))
