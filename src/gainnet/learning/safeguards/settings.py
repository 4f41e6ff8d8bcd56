"""Safeguards of rounds: how the edge merges, private steps, what was let out, and a signed record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from gainnet.core.errors import ConfigError
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Aggregation, Algorithm, Open, WeightedMean
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.flora import Flora, as_averaging
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.algorithms.methods import Lora, Method
from gainnet.learning.safeguards.accounting import Guarantee
from gainnet.learning.safeguards.incentives import PAYMENTS, Incentives, Valued
from gainnet.learning.safeguards.privacy import PoissonChoice, PrivateMean, PrivateSteps
from gainnet.learning.safeguards.record import RECORD, HostedClients, Recorded
from gainnet.learning.safeguards.releases import Releases
from gainnet.learning.safeguards.secure_aggregation import MaskedMean, MaskedPrivateMean
from gainnet.learning.safeguards.signing import Keyring, nodes_folder
from gainnet.network import EDGE

RELEASES = "releases"


@final
@dataclass(frozen=True)
class Guards:
    """Agreement of members and edge at joining.

    Args:
        masked: updates leave a member masked alone.
        recorded: members sign what they send, and have receipts.
        linear: what is averaged is masked or noised, so that it has to be linear in what was trained.
    """

    masked: bool = False
    recorded: bool = False
    linear: bool = False

    def fitted(self, method: Method) -> Method:
        """As `Safeguards.fitted`."""
        if self.linear and isinstance(method, Lora) and method.merging is None:
            return replace(method, merging="frozen")
        return method


@final
@dataclass(frozen=True)
class Safeguards:
    """Safeguards of rounds in which an edge averages what clients send.

    Args:
        aggregation: how the edge merges: by a robust rule, of masked sums, or with noise.
        steps: of a client, where rows of its text are hidden; those of its optimizer when `None`.
        guarantee: what privacy promises after all rounds; `None` without privacy.
        choice: who is asked in a round; as the algorithm chooses when `None`.
        num_rounds: that the guarantee is for.
        incentives: how contributions are valued and paid; not at all when `None`.
    """

    aggregation: Aggregation = Open(WeightedMean())
    steps: PrivateSteps | None = None
    guarantee: Guarantee | None = None
    choice: PoissonChoice | None = None
    num_rounds: int = 1
    incentives: Incentives | None = None

    def fitted(self, method: Method) -> Method:
        """The method; LoRA that leaves open what is averaged, where what is averaged is noised or masked, locks A.

        >>> from gainnet.learning.safeguards.secure_aggregation import MaskedMean
        >>> Safeguards().fitted(Lora()), Safeguards(MaskedMean()).fitted(Lora())
        (Lora(rank=2, merging=None), Lora(rank=2, merging='frozen'))
        """
        return self.guards.fitted(method)

    def around(self, algorithm: Algorithm, names: Sequence[NodeId], out: Path | None) -> FedAvg | Fpl | Flora:
        """The algorithm with these safeguards.

        Args:
            algorithm: that averages.
            names: of the clients.
            out: folder of the signed record, with the nodes' keys and receipts in `OUT.nodes` beside it; there is
                none when `None`.

        Raises:
            ConfigError: the algorithm does not average, or has no steps of single rows.
        """
        guarded = self.without_record(algorithm, out)
        if out is None:
            return guarded
        # Outermost: it signs what the edge merges, whatever the rule.
        nodes = nodes_folder(out)
        keys = Keyring.of(nodes, (EDGE, *names))
        clients = HostedClients(keys, tuple(names), nodes)
        return replace(guarded, aggregation=Recorded(guarded.aggregation, out / RECORD, keys, clients))

    @property
    def guards(self) -> Guards:
        """Safeguards that clients in other processes have to take part in."""
        private = self.steps is not None or self.guarantee is not None
        masked = isinstance(self.aggregation, MaskedMean | MaskedPrivateMean)
        # A rule that compares updates in the open merges factors as it finds them.
        noisy = isinstance(self.aggregation, Open) and isinstance(self.aggregation.rule, PrivateMean)
        return Guards(masked, recorded=True, linear=private or masked or noisy)

    def without_record(self, algorithm: Algorithm, out: Path | None) -> FedAvg | Fpl | Flora:
        """The algorithm with these safeguards, but for the record; arguments and errors as of `around`."""
        guarded, kept = as_averaging(algorithm), Releases(None if out is None else out / RELEASES)
        if self.choice is not None:
            path = None if kept.folder is None else kept.folder / "clients.json"
            asked = replace(guarded.participation, choice=replace(self.choice, path=path))
            guarded = replace(guarded, participation=asked)
        if self.steps is not None:
            if isinstance(guarded, FedAvg):
                raise ConfigError(
                    "privacy: rows are hidden where few values train; choose lora, adapter or soft_prompt"
                )
            training = guarded.training
            if (training.num_parts, training.precision, training.dropout) != (1, "float32", "off"):
                raise ConfigError("privacy: rows are clipped in one part, in float32, without dropout; leave these out")
            guarded = replace(guarded, steps=replace(self.steps, releases=kept))
        plain, own = Open(WeightedMean()), guarded.aggregation
        if plain not in (own, self.aggregation):
            raise ConfigError("merging: products are merged by their mean alone; choose frozen, or the rule mean")
        aggregation = _releasing(own if self.aggregation == plain else self.aggregation, kept)
        if self.incentives is not None:
            if not isinstance(aggregation, Open) or isinstance(aggregation.rule, PrivateMean):
                raise ConfigError(
                    "contributions: who adds what is hidden by masks and by noise on sums; leave one of the two out"
                )
            if out is not None:
                valued = Valued(aggregation.rule, self.incentives, guarded.model_of, out / PAYMENTS)
                aggregation = Open(valued)
        return replace(guarded, aggregation=aggregation)

    def spent(self, out: Path | None) -> Guarantee | None:
        """The guarantee after everything that was let out; `None` without privacy.

        Args:
            out: folder of the run; as promised when `None`.
        """
        if self.guarantee is None or out is None:
            return self.guarantee
        return self.spent_after(Releases(out / RELEASES).num_events())

    def spent_elsewhere(self, out: Path | None, num_events: int) -> Guarantee | None:
        """As `spent`, of clients in other processes, who draw the noise of their rows themselves.

        Args:
            out: folder of the run, of whose noise the edge has drawn.
            num_events: how often the client that drew most often says that it has.
        """
        return self.spent(out) if self.steps is None else self.spent_after(num_events)

    def spent_after(self, num_events: int) -> Guarantee | None:
        """The guarantee after so many draws of whoever drew most often, and not less than was promised."""
        if self.guarantee is None:
            return None
        # A client lets out all its steps of a round at once, and each of them drew noise.
        promised = self.guarantee.num_releases
        drawn = promised // max(1, self.num_rounds) * num_events
        return self.guarantee.after(max(promised, drawn))


def _releasing(aggregation: Aggregation, releases: Releases) -> Aggregation:
    """The aggregation, with what noise it lets out kept; others let none out."""
    if isinstance(aggregation, MaskedPrivateMean):
        return replace(aggregation, mean=replace(aggregation.mean, releases=releases))
    if isinstance(aggregation, Open) and isinstance(rule := aggregation.rule, PrivateMean):
        return Open(PrivateMean(replace(rule.mean, releases=releases)))
    return aggregation
