"""Rounds one after the other in this process: deterministic, and the same when they are interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from torch import Tensor

from gainnet.core.files import hold, write_json
from gainnet.core.page import embed_picture, png_of
from gainnet.core.randomness import Random
from gainnet.core.report import Direction, Report
from gainnet.core.run.checkpoint import Checkpoint, fingerprint
from gainnet.core.run.loop import run_to_end, silent
from gainnet.learning.algorithms.algorithm import Algorithm, State
from gainnet.learning.clients import Client
from gainnet.learning.drawing import MEGABYTE, draw_curves
from gainnet.learning.shares import shares_of, spread_of
from gainnet.models.language import row_losses

CHECKPOINT, SUMMARY = "state.safetensors", "run.json"
LEFT_OUT = "left_out"

Progress = Callable[[int, int, float], None]
"""Receives (rounds finished, rounds in all, test loss)."""


@final
@dataclass(frozen=True)
class Run:
    """The result of rounds.

    Args:
        state: after the last round.
        rounds: one record per round: test loss, and what it cost.
        details: one per round: spread of the test loss, the share of every node, and who was left out where clients
            are elsewhere.
        start: test loss before the first round, with its spread; `None` where no folder keeps it.

    >>> first = {"round": 1, "test_loss": 1.5, "energy_j": 2.0}
    >>> run = Run({}, (first, {"round": 2, "test_loss": 1.2, "energy_j": 3.0}))
    >>> run.losses, run.report
    ((1.5, 1.2), {'energy_j': 5.0})
    """

    state: State
    rounds: tuple[dict[str, float], ...]
    details: tuple[dict[str, Any], ...] = ()
    start: dict[str, float] | None = None

    @property
    def losses(self) -> tuple[float, ...]:
        """Test loss after every round, in nats per token."""
        return tuple(record["test_loss"] for record in self.rounds)

    @property
    def curve(self) -> list[dict[str, float]]:
        """Test loss by round with the 10 % and 90 % quantiles of its rows; round 0 first where it is known."""
        start = [] if self.start is None else [{"round": 0, **self.start}]
        spreads = [{name: detail[name] for name in ("test_loss_p10", "test_loss_p90")} for detail in self.details]
        means = [{name: record[name] for name in ("round", "test_loss")} for record in self.rounds]
        return start + [mean | spread for mean, spread in zip(means, spreads, strict=True)]

    @property
    def report(self) -> dict[str, float]:
        """Total cost of all rounds, by the names of `cost_of`: seconds, joules, bits, channel uses."""
        names = [name for name in (self.rounds[-1] if self.rounds else ()) if name not in ("round", "test_loss")]
        return {name: float(sum(record[name] for record in self.rounds)) for name in names}

    # The state is what is long; who wants to see tensors asks for them.
    def __repr__(self) -> str:
        if not self.rounds:
            return "Run of 0 rounds"
        cost, num_values = self.report, sum(values.numel() for values in self.state.values())
        return (
            f"Run of {len(self.rounds)} round{'s' * (len(self.rounds) > 1)}, {num_values:,} values trained\n"
            f"  test loss: {' '.join(f'{loss:.4f}' for loss in self.losses)}\n"
            f"  cost: {cost['num_bits_up'] / MEGABYTE:,.3f} MB up, {cost['num_bits_down'] / MEGABYTE:,.3f} MB down, "
            f"{cost['duration_s']:.3g} s, {cost['energy_j']:.3g} J"
        )

    def _repr_html_(self) -> str:
        shown = f"<pre>{self!r}</pre>"
        # The spread of the loss, which curves show, stands in the details.
        if not self.details:
            return shown
        curves = png_of(draw_curves({"curve": self.curve, "rounds": self.rounds}))
        return embed_picture("test loss and bits by round", curves) + shown


def run_rounds(
    algorithm: Algorithm,
    clients: Sequence[Client],
    test_rows: Tensor,
    num_rounds: int,
    random_seed: int,
    folder: Path | None = None,
    settings: dict[str, Any] | None = None,
    progress: Progress = silent,
    left_out: Callable[[], Sequence[str]] | None = None,
) -> Run:
    """The state after all rounds; goes on from the folder's checkpoint where there is one.

    Every round draws from streams of its own, so that a run that was killed in any round ends with the same values.

    Args:
        algorithm: what a round is.
        clients: who learns.
        test_rows: [num_rows, length], text that nobody trains on.
        num_rounds: rounds in all.
        random_seed: of everything that is drawn.
        folder: where `state.safetensors` and `run.json` are written; nowhere when `None`.
        settings: what decides the run, as JSON; a checkpoint with others is refused, or with other weights or texts.
        progress: called after every round.
        left_out: names of those who were asked in the last round and are not in its state; `run.json` then holds
            them, too.

    Raises:
        ConfigError: the folder holds a run with other settings, or a damaged one, or another process writes it.
        TrainingError: the test loss or a value of the state is not finite.
    """
    # Streams per round, so that a run that goes on draws what an uninterrupted one would have drawn.
    random = Random.of(random_seed).child("learning")
    start = algorithm.init(random)
    rounds = _Rounds(algorithm, clients, test_rows, num_rounds, random, start, left_out, folder is not None)
    decides = {**(settings or {}), "random_seed": random_seed}

    def summarise() -> None:
        if folder is not None:
            found = {"rounds": rounds.records, "start": rounds.start, "details": rounds.details}
            write_json(folder / SUMMARY, {"settings": decides, **found})

    def after_round(num_finished: int, num_in_all: int, record: dict[str, float]) -> None:
        summarise()
        progress(num_finished, num_in_all, record["test_loss"])

    if folder is None:
        run_to_end(rounds, None, 1, after_round)
        return rounds.run()
    checkpoint = Checkpoint(folder / CHECKPOINT, {**decides, "sha256": rounds.sha256()})
    with hold(folder):
        run_to_end(rounds, checkpoint, 1, after_round)
        # A run that was killed between its checkpoint and its summary lacks a round in the latter.
        summarise()
    return rounds.run()


@final
@dataclass
class _Rounds:
    """A run between two rounds, see `gainnet.core.run.loop.Resumable`."""

    algorithm: Algorithm
    clients: Sequence[Client]
    test_rows: Tensor
    num_steps: int
    random: Random
    values: State
    left_out: Callable[[], Sequence[str]] | None = None
    begins_with_test: bool = False
    records: list[dict[str, float]] = field(default_factory=list)
    details: list[dict[str, Any]] = field(default_factory=list)
    start: dict[str, float] | None = None

    @property
    def step(self) -> int:
        return len(self.records)

    def advance(self) -> dict[str, float]:
        if self.begins_with_test and self.step == 0:
            losses = self._losses()
            self.start = {"test_loss": float(losses.mean()), **spread_of(losses)}
        self.values, report = self.algorithm.round(self.values, self.clients, self.random.child("round", self.step))
        losses = self._losses()
        detail = {"round": self.step + 1, **spread_of(losses), "nodes": shares_of(report)}
        self.details.append(detail | ({} if self.left_out is None else {LEFT_OUT: list(self.left_out())}))
        self.records.append({"round": self.step + 1, "test_loss": float(losses.mean()), **cost_of(report)})
        return self.records[-1]

    def _losses(self) -> Tensor:
        return row_losses(self.algorithm.model_of(self.values), self.test_rows)

    def run(self) -> Run:
        return Run(self.values, tuple(self.records), tuple(self.details), self.start)

    def state(self) -> tuple[dict[str, Any], State]:
        return {"rounds": self.records, "details": self.details, "start": self.start}, self.values

    def restore(self, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.records, self.values = list(numbers["rounds"]), tensors
        self.details, self.start = list(numbers["details"]), numbers["start"]

    def sha256(self) -> dict[str, str]:
        """Digests of the weights and of the texts that the run begins with."""
        weights = dict(self.algorithm.model_of(self.values).named_parameters())
        texts = {"test": self.test_rows} | {f"client.{client.name}": client.rows for client in self.clients}
        return {"weights": fingerprint(weights), "texts": fingerprint(texts)}


def cost_of(report: Report) -> dict[str, float]:
    """Totals of a round, by the names of its record."""
    ways: tuple[Direction, ...] = ("up", "down")
    cost = {"duration_s": report.duration_s, "energy_j": report.energy_j}
    cost |= {f"num_bits_{way}": report.num_bits_of(way) for way in ways}
    cost |= {f"num_channel_uses_{way}": report.num_channel_uses(way) for way in ways}
    num_lost = float(sum(not step.delivered for step in report.steps))
    return cost | {"num_retransmissions": report.num_retransmissions, "num_lost": num_lost}
