"""Clients with text of their own, their training, and who takes part in a round."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Literal, Protocol, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from gainnet.core.errors import ConfigError, check_name, check_range
from gainnet.core.randomness import Name, Random
from gainnet.core.types import NodeId
from gainnet.learning.split.model import Cut
from gainnet.models.dropout import keyed_dropout
from gainnet.network import EDGE, Hardware, Network, Node
from gainnet.radio import AnyLink


@final
@dataclass(frozen=True, eq=False)
class Client:
    """A device with text of its own, which never leaves it.

    Args:
        name: also that of its node; its draws are keyed by it, so that nobody else changes them.
        rows: [num_rows, length], tokens of its text; of a vision transformer [num_rows, 1 + values], class and picture.
        cut: its own cut of the model, `None` for that of the algorithm.
        rank: its own rank of adapters, `None` for that of the algorithm.
        fresh: (rows, streams of a step) -> rows, what every step draws anew, as the noise of a denoiser; nothing when
            `None`.

    >>> Client(NodeId("device_0"), torch.zeros(12, 8, dtype=torch.long)).weight
    12.0
    """

    name: NodeId
    rows: Tensor
    cut: Cut | None = None
    rank: int | None = None
    fresh: Callable[[Tensor, Random], Tensor] | None = None

    @property
    def weight(self) -> float:
        """Weight in an average: the number of its rows."""
        return float(len(self.rows))

    def taken(self, chosen: Tensor, random: Random) -> Tensor:
        """[num_chosen, length], rows as a step takes them.

        Args:
            chosen: [num_chosen] indices, or [num_rows] bool.
            random: of the client's step.
        """
        rows = self.rows[chosen]
        return rows if self.fresh is None else self.fresh(rows, random)


@final
@dataclass(frozen=True)
class LocalTraining:
    """Training of a client in one round; optimizers start anew with every round.

    Args:
        optimizer: sgd (no momentum) or adamw (no weight decay).
        rate: learning rate > 0.
        num_steps: mini-batches per round >= 1.
        batch_size: rows per mini-batch >= 1.
        num_parts: equal parts of a mini-batch whose gradients are added up; one part is in memory at a time.
        precision: float32; or bf16, where forward passes compute in bfloat16 and weights stay in float32.
        dropout: off; or keyed, by masks that both sides of a cut draw alike, at the rates of the model.

    Raises:
        ConfigError: a field is out of range.

    >>> LocalTraining(optimizer="sgd", rate=0.1).num_steps
    4
    >>> LocalTraining(rate=-1.0)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: rate: -1.0 is out of range; must be positive, for example 0.001
    """

    optimizer: Literal["sgd", "adamw"] = "adamw"
    rate: float = 1e-3
    num_steps: int = 4
    batch_size: int = 8
    num_parts: int = 1
    precision: Literal["float32", "bf16"] = "float32"
    dropout: Literal["off", "keyed"] = "off"

    def __post_init__(self) -> None:
        check_name("optimizer", self.optimizer, ("sgd", "adamw"))
        check_range(0.0 < self.rate < math.inf, "rate", self.rate, "positive, for example 0.001")
        check_range(self.num_steps >= 1, "num_steps", self.num_steps, "1 or more")
        check_range(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        check_name("precision", self.precision, ("float32", "bf16"))
        check_name("dropout", self.dropout, ("off", "keyed"))
        if self.num_parts < 1 or self.batch_size % self.num_parts:
            raise ConfigError(
                f"num_parts: {self.num_parts} parts of {self.batch_size} rows are not equal; give a divisor"
            )

    @property
    def part_size(self) -> int:
        """Rows of a part of a mini-batch."""
        return self.batch_size // self.num_parts

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
        chosen = torch.from_numpy(generator.integers(len(client.rows), size=self.batch_size))
        return client.taken(chosen, random.child("fresh", client.name, step))

    def parts(self, client: Client, random: Random, step: int) -> tuple[Tensor, ...]:
        """[part_size, length] each, the rows of a step in the order in which they are computed."""
        return tuple(torch.split(self.batch(client, random, step), self.part_size))

    @contextmanager
    def computing(self, roots: Sequence[nn.Module], random: Random, *place: Name) -> Iterator[None]:
        """While it lasts, models or segments compute as this training says: in its precision, with its dropout.

        Args:
            roots: models or segments.
            random: of the round.
            place: client, step and part, which masks depend on.
        """
        with ExitStack() as context:
            if self.precision == "bf16":
                device = next((p.device.type for root in roots for p in root.parameters()), "cpu")
                context.enter_context(torch.autocast(device, torch.bfloat16))
            if self.dropout == "keyed":
                # Everything else stays as in evaluation, whatever the model was before.
                for root in roots:
                    context.callback(root.train, root.training)
                    root.train()
                context.enter_context(keyed_dropout(roots, random.child("dropout", *place)))
            yield

    def move(self, optimizer: Optimizer) -> None:
        """Takes a step with the mean of the gradients of all parts, and clears them."""
        if self.num_parts > 1:
            for p in (p for group in optimizer.param_groups for p in group["params"] if p.grad is not None):
                p.grad /= self.num_parts
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


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

    >>> clients = [Client(name, torch.zeros(4, 8, dtype=torch.long)) for name in devices_of(8)]
    >>> half = Participation(share=0.5)
    >>> chosen = half.select(clients, Random.of(1))
    >>> len(chosen), half.select(clients[::-1], Random.of(1)) == chosen  # their order changes nothing
    (4, True)
    >>> half.steps_before_loss(clients[0], 4, Random.of(1)) is None  # nobody falls away
    True
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


SkewOf = Literal["kind", "quantity", "feature"]
"""Whether clients differ in the kinds of their text, in how much they have, or in a feature of it."""
NUM_STRATA: Final = 8
"""Strata of equal size that rows are sorted into by their feature."""


def quantity_shares(num_clients: int, num_kinds: int, skew: float, random: Random) -> Tensor:
    r"""[num_clients, num_kinds] float64, shares of all rows per client, the same of every kind.

    $q \sim \mathrm{Dir}(\alpha \mathbf 1)$ over clients (Li et al. 2022); arguments as `dirichlet_shares`.
    """
    check_range(skew > 0.0, "skew", skew, "positive, for example 0.3, or inf for equal shares")
    drawn = np.full(num_clients, 1 / num_clients)
    if not math.isinf(skew):
        drawn = random.generators("quantity")[0].dirichlet(np.full(num_clients, skew))
    return torch.from_numpy(drawn)[:, None].expand(-1, num_kinds)


def strata_of(rows_of_kind: Sequence[Tensor]) -> list[Tensor]:
    """Rows [num_rows, length] of all kinds in strata by a feature: how usual the words of a row are.

    The feature is the mean logarithm of how often its tokens occur; of pictures, with values that are no whole numbers,
    it is their mean value.
    """
    rows = torch.cat(list(rows_of_kind))
    if rows.is_floating_point():
        feature = rows[:, 1:].double().mean(1)
    else:
        counts = torch.bincount(rows.flatten().clamp_min(0))
        feature = counts.double().clamp_min(1).log()[rows.clamp_min(0)].flatten(1).mean(1)
    order = feature.argsort(stable=True)
    return [rows[some] for some in order.tensor_split(min(NUM_STRATA, len(rows)))]


def partition(
    rows_of_kind: Sequence[Tensor], num_clients: int, skew: float, random: Random, skew_of: SkewOf = "kind"
) -> list[Tensor]:
    """Rows of text by client, without replacement.

    Args:
        rows_of_kind: [num_rows, length] per kind of text.
        num_clients: how many, at least 1.
        skew: concentration of Dirichlet's distribution, see `dirichlet_shares`.
        random: one item.
        skew_of: `kind`: every client has kinds in shares of its own; `quantity`: some have more of everything;
            `feature`: every client has strata of a feature in shares of its own, whatever the kinds.

    Raises:
        ConfigError: there is less than a row per client.

    >>> kinds = [torch.full((30, 2), kind) for kind in range(3)]
    >>> even = partition(kinds, 3, skew=math.inf, random=Random.of(1))
    >>> [rows[:, 0].bincount(minlength=3).tolist() for rows in even]
    [[10, 10, 10], [10, 10, 10], [10, 10, 10]]
    >>> skewed = partition(kinds, 3, skew=0.1, random=Random.of(1))
    >>> sum(len(rows) for rows in skewed)  # no row is lost or given twice
    90
    >>> partition(kinds, 91, skew=1.0, random=Random.of(1))
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: clients: 91 cannot share 90 rows; give 1 to 90
    """
    check_name("skew_of", skew_of, ("kind", "quantity", "feature"))
    total = sum(len(rows) for rows in rows_of_kind)
    if not 1 <= num_clients <= total:
        raise ConfigError(f"clients: {num_clients} cannot share {total} rows; give 1 to {total}")
    if skew_of == "feature":
        rows_of_kind = strata_of(rows_of_kind)
    draw = quantity_shares if skew_of == "quantity" else dirichlet_shares
    shares = draw(num_clients, len(rows_of_kind), skew, random)
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
