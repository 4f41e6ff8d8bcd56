"""A split step: the half of the device and the half of the edge, which wait for each other and share nothing else.

device                        edge
front(tokens) --activations-->  body          (labels, too, where the edge has the head)
tail, loss    <--activations--    |           (U-shape)
    |          --gradients--->  backward
backward      <--gradients---
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from gainnet.learning.split.anatomy import Port
from gainnet.learning.split.model import SplitModel, by_name, name_of, run_segment
from gainnet.models.language import inputs_of, loss_of
from gainnet.models.language_families import IGNORED


@final
@dataclass(frozen=True)
class Give:
    """A half sends tensors of [batch, *shape] by name."""

    kind: str
    tensors: Mapping[str, Tensor]


@final
@dataclass(frozen=True)
class Take:
    """A half waits for tensors of these names; it is sent (tensors, [batch] bool, which items have arrived so far)."""

    kind: str
    names: tuple[str, ...]


@final
@dataclass(frozen=True)
class Computed:
    """A half has run a segment: front, body, tail, body_backward or front_backward."""

    segment: str


Half = Generator[Give | Take | Computed, Any, Tensor | None]
"""One side of a step as a coroutine: what crosses is decided by whoever drives it, in this process or between two.

It returns the mean loss where it computes it, else `None`.
"""


class Crossing(Protocol):
    """A carrier of tensors across the cut."""

    def up(self, kind: str, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Tensors as the edge receives them, and [batch] bool, which items arrived."""

    def down(self, kind: str, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Tensors as the device receives them, and [batch] bool, which items arrived."""

    def computed(self, segment: str) -> None:
        """Called when a segment has run: front, body, tail, body_backward, front_backward."""


def device_half(split: SplitModel, tokens: Tensor, labels: Tensor) -> Half:
    """Gradients of one mini-batch in the device's part, added to `.grad`; the edge's part is not read.

    Args:
        split: the model.
        tokens: [batch, length].
        labels: [batch, length], -100 where nothing is predicted.
    """
    given, loss, before = inputs_of(split.whole, tokens, labels), None, _slopes_of_tied(split, "device")
    sent = run_segment(split.front, given, {}, split.to_body)[0]
    yield Computed("front")
    yield Give("activations", by_name(sent))
    if split.tail is None:
        yield Give("labels", {"labels": labels})
    else:
        received, arrived = yield Take("activations", _names(split.to_tail))
        ends = _leaves(split, received, split.to_tail)
        logits = run_segment(split.tail, _blank(given), ends, ())[1]
        loss = loss_of(split.whole, logits, _kept(labels, arrived))
        loss.backward()
        yield Computed("tail")
        yield Give("gradients", _slopes(ends))
    returned, _ = yield Take("gradients", _names(split.to_body))
    # Locked embeddings ask for no gradient; what comes back for them is dropped.
    _backward({port: x for port, x in sent.items() if x.requires_grad}, returned)
    yield Computed("front_backward")
    if split.tied:
        yield from _sum_tied(_tied_of(split, "device"), before, gives_first=True)
    return None if loss is None else loss.detach()


def edge_half(split: SplitModel, tokens: Tensor, labels: Tensor) -> Half:
    """Gradients of one mini-batch in the edge's part, added to `.grad`; the device's part is not read.

    Args:
        split: the model.
        tokens: [batch, length]; only the shape counts, the edge knows nothing of the text.
        labels: [batch, length], likewise.
    """
    blank, loss, before = _blank(inputs_of(split.whole, tokens, labels)), None, _slopes_of_tied(split, "edge")
    received, arrived = yield Take("activations", _names(split.to_body))
    leaves = _leaves(split, received, split.to_body)
    if split.tail is None:
        known, arrived = yield Take("labels", ("labels",))
        logits = run_segment(split.body, blank, leaves, ())[1]
        yield Computed("body")
        loss = loss_of(split.whole, logits, _kept(known["labels"].to(labels), arrived))
        loss.backward()
    else:
        hidden = run_segment(split.body, blank, leaves, split.to_tail)[0]
        yield Computed("body")
        yield Give("activations", by_name(hidden))
        returned, _ = yield Take("gradients", _names(split.to_tail))
        _backward(hidden, returned)
    yield Computed("body_backward")
    yield Give("gradients", _slopes(leaves))
    if split.tied:
        yield from _sum_tied(_tied_of(split, "edge"), before, gives_first=False)
    return None if loss is None else loss.detach()


def split_step(split: SplitModel, tokens: Tensor, labels: Tensor, crossing: Crossing) -> Tensor:
    """Both halves in one process; the mean loss, whichever side computes it.

    Items that the air has lost count for nothing. Gradients of tied weights are summed over both sides.

    Args:
        split: the model.
        tokens: [batch, length].
        labels: [batch, length], -100 where nothing is predicted.
        crossing: carries what crosses.
    """
    device = _Side(device_half(split, tokens, labels), crossing.up)
    edge = _Side(edge_half(split, torch.zeros_like(tokens), torch.zeros_like(labels)), crossing.down)
    sides, arrived = deque([device, edge]), torch.tensor(True)
    while sides:
        side, other, event, answer = sides[0], sides[-1], sides[0].event, None
        if isinstance(event, Take):
            if not side.inbox:
                sides.rotate()
                continue
            # An item lost once stays lost: both sides leave it out of the loss, however late that was.
            answer = side.inbox.popleft(), arrived
        elif isinstance(event, Give):
            received, came = side.carry(event.kind, event.tensors)
            arrived = arrived & came
            other.inbox.append(received)
        else:
            crossing.computed(event.segment)
        if not side.advance(answer):
            sides.popleft()
    return next(side.loss for side in (device, edge) if side.loss is not None)


@final
@dataclass(eq=False)
class _Side:
    """A half and what has come for it; `event` is what it does next."""

    half: Half
    carry: Callable[[str, Mapping[str, Tensor]], tuple[dict[str, Tensor], Tensor]]
    inbox: deque[dict[str, Tensor]] = field(default_factory=deque)
    loss: Tensor | None = None

    def __post_init__(self) -> None:
        self.event = next(self.half)

    def advance(self, answer: Any) -> bool:
        """Whether the half goes on."""
        try:
            self.event = self.half.send(answer)
        except StopIteration as end:
            self.loss = end.value
            return False
        return True


def crossing_shapes(split: SplitModel, tokens: Tensor, labels: Tensor) -> dict[str, tuple[int, ...]]:
    """[batch, *shape] of every tensor that crosses in a step, by name; arguments as `edge_half`.

    Both sides know them before anything is sent, so that a frame is compared with them before memory is taken for it.
    """
    given = inputs_of(split.whole, torch.zeros_like(tokens), torch.zeros_like(labels))
    with torch.no_grad():
        sent = run_segment(split.front, given, {}, split.to_body)[0]
        hidden = run_segment(split.body, _blank(given), sent, split.to_tail)[0]
    return {name_of(port): tuple(x.shape) for port, x in (*sent.items(), *hidden.items())}


def _names(ports: tuple[Port, ...]) -> tuple[str, ...]:
    return tuple(name_of(port) for port in ports)


def _leaves(split: SplitModel, received: Mapping[str, Tensor], ports: tuple[Port, ...]) -> dict[Port, Tensor]:
    """Where a segment starts: the graph behind it is on the other side, so gradients end here and are sent back."""
    like = next(split.whole.parameters())
    # What comes off the air is on the processor, and the segment may be elsewhere.
    return {port: received[name_of(port)].to(like.device, like.dtype).requires_grad_() for port in ports}


def _slopes(leaves: Mapping[Port, Tensor]) -> dict[str, Tensor]:
    return by_name({port: torch.zeros_like(x) if x.grad is None else x.grad for port, x in leaves.items()})


def _backward(outputs: Mapping[Port, Tensor], slopes: Mapping[str, Tensor]) -> None:
    """The chain rule goes on from gradients that the other side has computed."""
    torch.autograd.backward(list(outputs.values()), [slopes[name_of(p)].to(x) for p, x in outputs.items()])


def _tied_of(split: SplitModel, side: str) -> dict[str, nn.Parameter]:
    """A side's own copies of what both hold, by their names on the device."""
    if side == "device":
        return {device: split.whole.get_parameter(device) for device, _ in split.tied}
    return {device: split.body.get_parameter(edge) for device, edge in split.tied}


def _slopes_of_tied(split: SplitModel, side: str) -> dict[str, Tensor]:
    """Gradients of what both sides hold, as earlier parts of a mini-batch have left them; none before the first."""
    held = _tied_of(split, side)
    return {name: p.grad.detach().clone() for name, p in held.items() if p.grad is not None}


def _sum_tied(held: Mapping[str, nn.Parameter], before: Mapping[str, Tensor], gives_first: bool) -> Half:
    """A weight that both sides hold gets the sum of both gradients on both sides, so that its copies stay equal."""
    # Earlier parts of a mini-batch are in the gradient already, summed over both sides: they do not cross again.
    slopes = {n: torch.zeros_like(p) if p.grad is None else p.grad.detach() for n, p in held.items()}
    ours = {n: x - before[n] if n in before else x for n, x in slopes.items()}
    # One side gives first: two that both wrote a large frame would wait for each other.
    if gives_first:
        yield Give("tied_gradients", ours)
    theirs, _ = yield Take("tied_gradients", tuple(ours))
    if not gives_first:
        yield Give("tied_gradients", ours)
    for name, parameter in held.items():
        # Not in place: what was given may still be on its way.
        parameter.grad = slopes[name] + theirs[name].to(ours[name])
    return None


def _kept(labels: Tensor, arrived: Tensor) -> Tensor:
    """Labels of the items that arrived; the others are ignored by the loss, whose mean is over what is left."""
    return torch.where(arrived.reshape(-1, *[1] * (labels.dim() - 1)).to(labels.device), labels, IGNORED)


def _blank(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Arguments of the right shapes for a segment that reads no text."""
    return {name: torch.zeros_like(x) for name, x in given.items()}
