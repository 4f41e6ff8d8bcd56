"""Clients with text of their own, their training, and who takes part in a round."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from gainnet.core.errors import ConfigError, check_name, check_range
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.split.model import Cut
from gainnet.network import EDGE, Hardware, Network, Node
from gainnet.radio import AnyLink


@final
@dataclass(frozen=True, eq=False)
class Client:
    """A device with text of its own, which never leaves it.

    Args:
        name: also that of its node; its draws are keyed by it, so that nobody else changes them.
        rows: [num_rows, length], tokens of its text.
        cut: its own cut of the model, `None` for that of the algorithm.
        rank: its own rank of adapters, `None` for that of the algorithm.
    """

    name: NodeId
    rows: Tensor
    cut: Cut | None = None
    rank: int | None = None

    @property
    def weight(self) -> float:
        """Weight in an average: the number of its rows."""
        return float(len(self.rows))


@final
@dataclass(frozen=True)
class LocalTraining:
    """Training of a client in one round; optimizers start anew with every round.

    Args:
        optimizer: sgd (no momentum) or adamw (no weight decay).
        rate: learning rate > 0.
        num_steps: mini-batches per round >= 1.
        batch_size: rows per mini-batch >= 1.

    Raises:
        ConfigError: a field is out of range.
    """

    optimizer: Literal["sgd", "adamw"] = "adamw"
    rate: float = 1e-3
    num_steps: int = 4
    batch_size: int = 8

    def __post_init__(self) -> None:
        check_name("optimizer", self.optimizer, ("sgd", "adamw"))
        check_range(0.0 < self.rate < math.inf, "rate", self.rate, "positive, for example 0.001")
        check_range(self.num_steps >= 1, "num_steps", self.num_steps, "1 or more")
        check_range(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")

    @property
    def states_per_value(self) -> int:
        """Numbers that the optimizer keeps per parameter."""
        return {"sgd": 0, "adamw": 2}[self.optimizer]

    def start(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """An optimizer without a past."""
        if self.optimizer == "sgd":
            return SGD(parameters, self.rate)
        # Decay would pull rows of the embedding that a client never uses towards zero, round after round.
        return AdamW(parameters, self.rate, weight_decay=0.0)

    def batch(self, client: Client, random: Random, step: int) -> Tensor:
        """[batch_size, length], rows that a client draws for a step, with replacement."""
        # Keyed by client and step: a client draws the same rows whoever else takes part, in this process or another.
        generator = random.generators("batch", client.name, step)[0]
        return client.rows[torch.from_numpy(generator.integers(len(client.rows), size=self.batch_size))]


class Choice(Protocol):
    """Who is asked in a round."""

    def __call__(self, clients: Sequence[Client], share: float, random: Random) -> tuple[Client, ...]:
        """The clients of a round, in the order in which they are served.

        Args:
            clients: all; their order changes nothing.
            share: of them, in (0, 1].
            random: streams of the round.
        """


def fixed_number(clients: Sequence[Client], share: float, random: Random) -> tuple[Client, ...]:
    """As `Choice`: equally many in every round, at least one."""
    # A place in the order per client rather than one permutation: adding a client moves nobody else.
    places = {client.name: float(random.uniform((), "order", client.name)[()]) for client in clients}
    order = sorted(clients, key=lambda client: (places[client.name], client.name))
    return tuple(order[: max(1, math.ceil(share * len(clients)))])


@final
@dataclass(frozen=True)
class Participation:
    """Who takes part in a round, who falls away during it, and how long the edge waits.

    Args:
        share: of the clients that take part, in (0, 1].
        drop_out: probability that a client falls away, at a step drawn uniformly, in [0, 1).
        deadline_s: priced time after which a client no longer counts; `inf` to wait for all.
        choice: draws that share.

    Raises:
        ConfigError: a field is out of range.
    """

    share: float = 1.0
    drop_out: float = 0.0
    deadline_s: float = math.inf
    choice: Choice = fixed_number

    def __post_init__(self) -> None:
        check_range(0.0 < self.share <= 1.0, "share", self.share, "in (0, 1], the share of clients per round")
        check_range(0.0 <= self.drop_out < 1.0, "drop_out", self.drop_out, "in [0, 1), a probability")
        check_range(self.deadline_s > 0.0, "deadline_s", self.deadline_s, "positive seconds, or inf to wait for all")

    def select(self, clients: Sequence[Client], random: Random) -> tuple[Client, ...]:
        """The clients of a round, in the order in which they are served; that of `clients` changes nothing."""
        return self.choice(clients, self.share, random)

    def steps_before_loss(self, client: Client, num_steps: int, random: Random) -> int | None:
        """How many steps a client takes before it falls away; `None` for one that stays."""
        # The coin comes first: with a higher probability the same clients fall away at the same steps, and more do.
        generator = random.generators("drop-out", client.name)[0]
        return int(generator.integers(num_steps)) if generator.random() < self.drop_out else None


def devices_of(num_clients: int) -> tuple[NodeId, ...]:
    """Names of the devices of a cell.

    >>> devices_of(2)
    ('device_0', 'device_1')
    """
    return tuple(NodeId(f"device_{index}") for index in range(num_clients))


def cell_of(
    devices: Iterable[NodeId], edge: Hardware, device: Hardware, up: tuple[AnyLink, ...], down: tuple[AnyLink, ...]
) -> Network:
    """One edge and its devices; links of equal medium share the spectrum.

    >>> from gainnet.network.hardware import profile
    >>> from gainnet.radio import Ideal
    >>> net = cell_of(devices_of(3), profile("edge_l4"), profile("phone"), (Ideal(),), (Ideal(),))
    >>> len(net.nodes), len(net.links)
    (4, 6)
    """
    names = tuple(devices)
    nodes = {EDGE: Node("edge", edge)} | {name: Node("device", device) for name in names}
    return Network(nodes, {(n, EDGE): up for n in names} | {(EDGE, n): down for n in names})


def dirichlet_shares(num_clients: int, num_kinds: int, skew: float, random: Random) -> Tensor:
    r"""[num_clients, num_kinds] float64, shares of kinds of text per client; every row sums to 1.

    $p_i \sim \mathrm{Dir}(\alpha \mathbf 1)$   (Hsu, Qi and Brown 2019)

    Args:
        num_clients: rows.
        num_kinds: columns.
        skew: concentration $\alpha > 0$; small is skewed, `inf` gives everybody the same.
        random: one item.

    Raises:
        ConfigError: the skew is not positive.

    >>> dirichlet_shares(2, 4, float("inf"), Random.of(0))[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    check_range(skew > 0.0, "skew", skew, "positive, for example 0.3, or inf for equal shares")
    if math.isinf(skew):
        return torch.full((num_clients, num_kinds), 1 / num_kinds, dtype=torch.float64)
    drawn = random.generators("dirichlet")[0].dirichlet(np.full(num_kinds, skew), size=num_clients)
    return torch.from_numpy(drawn)


def partition(rows_of_kind: Sequence[Tensor], num_clients: int, skew: float, random: Random) -> list[Tensor]:
    """Rows of text by client: each draws as many, of kinds in shares of its own, without replacement within a kind.

    Args:
        rows_of_kind: [num_rows, length] per kind of text.
        num_clients: how many, at least 1.
        skew: see `dirichlet_shares`.
        random: one item.

    Raises:
        ConfigError: there is less than a row per client.
    """
    total = sum(len(rows) for rows in rows_of_kind)
    if not 1 <= num_clients <= total:
        raise ConfigError(f"clients: {num_clients} cannot share {total} rows; give 1 to {total}")
    shares = dirichlet_shares(num_clients, len(rows_of_kind), skew, random)
    dealt: list[list[Tensor]] = [[] for _ in range(num_clients)]
    for kind, rows in enumerate(rows_of_kind):
        order = torch.from_numpy(random.generators("rows", kind)[0].permutation(len(rows)))
        # Rounded ends of cumulated shares: no row is lost or given twice.
        ends = (shares[:, kind].cumsum(0) / shares[:, kind].sum() * len(rows)).round().long().tolist()
        for index, (start, stop) in enumerate(itertools.pairwise([0, *ends])):
            dealt[index].append(rows[order[start:stop]])
    parts = [torch.cat(some) for some in dealt]
    # A share of a skewed draw can be empty; a client without any text could not train.
    longest = max(parts, key=len)
    return [part if len(part) else longest[:1] for part in parts]
