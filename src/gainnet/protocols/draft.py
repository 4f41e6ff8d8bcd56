"""Draft and correction: the device drafts the picture alone, and the edge sends only what the draft lacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, final

from gainnet.codecs import Codecs, Kind
from gainnet.core.errors import ConfigError, check_name, check_range
from gainnet.core.types import NodeId
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.drafts import FORMS, Foresight, Form, coarser, draft_part, fitted_draft
from gainnet.models.part import Part
from gainnet.models.renamed import rename
from gainnet.network.scenario import DEVICE
from gainnet.protocols.annealing import check_annealing, correction_search
from gainnet.protocols.drafting import CORRECTION, corrected, residual
from gainnet.protocols.plan import Arrived, Compute, Edges, Plan, Transfer
from gainnet.protocols.rescue import resilient
from gainnet.protocols.shares import edges_begin, only_edge
from gainnet.protocols.task import IMAGE, Task

DRAFT, _BEGUN = "draft", "draft[0]"


@final
@dataclass(frozen=True)
class Draft:
    """Draft and correction: both ends draft the same latent from the same noise, the edge sends what the draft lacks.

    device: prompt ==up==> edge: all steps, draft, residual ==correction down==> device: draft + correction, decoder

    The device drafts while the edge works, so that it waits for the later of draft and correction. Where no correction
    arrives, the draft goes on alone. The correction carries a digest of the edge's draft, and the device reports
    whether its own is another.

    Args:
        form: `coarse`, a run of its own with few steps of DPM++ 2M; `fitted`, such a run with coefficients that were
            fitted to the whole run, and guidance in the first steps alone; `prefix`, the first steps of the whole run
            and the finished latent that the last of them predicts, which costs the edge nothing; or `fast`, a run of
            the fast model that was distilled from the edge's, where it is installed. By default `fitted` where the
            model has it for these steps, else `coarse`.
        cut: steps of the device, at least 1; half of the whole run by default, one of a fast model. A fitted draft has
            more steps, and spends as many passes; a step of a fast model is one pass.
        annealing: steps of a search of the edge for the correction to send, the one that makes the picture for the
            least bits, for the code `residual`. 0 sends what the draft lacks of the finished latent.
    """

    form: Form | None = None
    cut: int | None = None
    annealing: int = 0
    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed", "correction")
    max_edges: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.form is not None:
            check_name("form", self.form, FORMS)
        check_range(self.cut is None or self.cut >= 1, "cut", self.cut, "1 or more steps for a draft")
        check_annealing(self.annealing)

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task, edge = Task.of(model, strength), only_edge(edges)
        form = self._form(task, strength)
        cut = self._cut(task, form)
        drafted = _drafted(form, task, cut, strength)
        steps = (
            *edges_begin(task, edges, codecs),
            *(Compute(DEVICE, part) for part in drafted),
            *_finished(task, edge, drafted),
            *((Compute(edge, correction_search(model, codecs.correction, self.annealing)),) if self.annealing else ()),
            Compute(edge, residual(model.latent, codecs.correction)),
            Transfer(edge, (DEVICE,), CORRECTION, codecs.correction),
            Compute(DEVICE, corrected(model.latent, codecs.correction)),
            Compute(DEVICE, model.decoder),
        )
        if form == "prefix":
            # Its latent has a place in the whole run, from which the device goes on.
            return resilient(Plan(steps, IMAGE), task, edges)
        return resilient(Plan(steps, IMAGE), task, edges, partial(_alone, task, drafted))

    def name_of_draft(self, model: DiffusionModel, strength: float | None = None) -> str:
        task = Task.of(model, strength)
        form = self._form(task, strength)
        return f"{form}-{self._cut(task, form)}"

    def _cut(self, task: Task, form: Form) -> int:
        return task.cut(self.cut, default=1 if form == "fast" else max(1, task.num_steps // 2))

    def _form(self, task: Task, strength: float | None) -> Form:
        if self.form is not None:
            return self.form
        # Steps are fitted from noise to the end.
        is_fitted = strength is None and fitted_draft(task.model, f"fitted-{self._cut(task, 'fitted')}") is not None
        return "fitted" if is_fitted else "coarse"


def _drafted(form: Form, task: Task, cut: int, strength: float | None) -> tuple[Part, ...]:
    """Beginning, text encoder, and steps that make a draft."""
    match form:
        case "prefix":
            # The last of the whole run's first steps predicts the end.
            first = Foresight(task.denoiser[:cut])
            steps: Part = rename(first, {"latent": task.latent(0)}, {"latent": task.latent(cut)})
            return task.begin(), task.model.text_encoder, steps
        case "coarse":
            # Of a picture only the share `strength` of the steps runs.
            num_asked = cut if strength is None else math.ceil(cut / strength)
            own = Task.of(replace(task.model, denoiser=coarser(task.model.denoiser, num_asked)), strength)
            begun, steps = own.beginning, rename(own.denoiser, {"latent": _BEGUN}, {"latent": DRAFT})
        case "fitted" | "fast":
            if strength is not None:
                raise ConfigError(
                    f"form: a {form} draft begins with noise, not with a picture; choose coarse or prefix"
                )
            begun, steps = task.beginning, rename(draft_part(task.model, f"{form}-{cut}"), {"latent": _BEGUN})
    return rename(begun, {}, {"latent": _BEGUN}), task.model.text_encoder, steps


def _finished(task: Task, edge: NodeId, drafted: Sequence[Part]) -> tuple[Compute, ...]:
    """Draft and finished latent on the edge, which goes on from the draft where that is the beginning of its run."""
    made = {name for part in drafted for name in part.writes}
    done = max((step for step in range(task.num_steps + 1) if task.latent(step) in made), default=0)
    # The edge has the beginning of its run already, and the condition after the draft.
    own = [part for part in drafted if task.latent(0) not in part.writes]
    return *(Compute(edge, part) for part in own), *task.infer(edge, done, task.num_steps)[1:]


def _alone(task: Task, drafted: Sequence[Part], alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
    """The draft is decoded as it is, which takes less than the whole run."""
    decoder = rename(task.model.decoder, {"latent": DRAFT})
    return [Plan((*(Compute(DEVICE, part) for part in drafted), Compute(DEVICE, decoder)), IMAGE)]
