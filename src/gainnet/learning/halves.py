"""The two halves of a split step, each for a process of its own; together they are `split_step`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gainnet.codecs.activations import Octets
from gainnet.codecs.codec import AnyCodec
from gainnet.core.errors import PayloadError
from gainnet.learning.anatomy import Port
from gainnet.learning.fsl import integers_of, octets_of
from gainnet.learning.split import Crossing, SplitModel, by_name, name_of, run_segment, slope_of
from gainnet.learning.wire import Wire
from gainnet.models.language import inputs_of, loss_of


def device_step(split: SplitModel, tokens: Tensor, labels: Tensor, wire: Wire, codec: AnyCodec) -> None:
    """Gradients of one mini-batch in the device's part, added to `.grad`; arguments as `split_step`.

    front ==activations==> | (labels ==>) | or <==activations== tail, loss ==gradients==> | <==gradients== front

    Args:
        split: the model; only its device's part is read.
        tokens: [batch, length].
        labels: [batch, length], -100 where nothing is predicted.
        wire: to the edge.
        codec: of activations and gradients.
    """
    given = inputs_of(split.whole, tokens, labels)
    sent = run_segment(split.front, given, {}, split.to_body)[0]
    wire.send("activations", _floats(by_name(sent)), codec)
    if split.tail is None:
        wire.send("labels", {"labels": octets_of(labels)}, Octets())
    else:
        _run_tail(split, _blank(given), labels, wire, codec)
    returned = _at_ports(wire.receive("gradients", codec), split.to_body, sent)
    ports = [port for port in sent if sent[port].requires_grad]
    torch.autograd.backward([sent[port] for port in ports], [returned[port] for port in ports])
    if split.tied:
        ours = {device: slope_of(split.whole.get_parameter(device)) for device, _ in split.tied}
        wire.send_file("tied_gradients", ours)
        theirs = wire.receive_file("tied_gradients", ours)
        for device in ours:
            split.whole.get_parameter(device).grad = ours[device] + theirs[device].to(ours[device].dtype)


def edge_step(split: SplitModel, tokens: Tensor, labels: Tensor, wire: Wire, codec: AnyCodec, booked: Crossing) -> None:
    """Gradients of one mini-batch in the edge's part, added to `.grad`.

    Args:
        split: the model; only its edge's part is read.
        tokens: [batch, length], blank: the edge knows the shape of the text and nothing of it.
        labels: [batch, length of the labels], blank, too.
        wire: to the device.
        codec: of activations and gradients.
        booked: told what crosses and what is computed, on both sides, so that it is priced.
    """
    blank = _blank(inputs_of(split.whole, tokens, labels))
    booked.computed("front")
    received = _took("activations", wire, codec, booked)
    leaves = _leaves(split, received, split.to_body)
    if split.tail is None:
        known = integers_of(wire.receive("labels", Octets())["labels"], labels.dtype)
        booked.up("labels", {"labels": known})
        logits = run_segment(split.body, blank, leaves, ())[1]
        booked.computed("body")
        loss_of(split.whole, logits, known).backward()
    else:
        hidden = run_segment(split.body, blank, leaves, split.to_tail)[0]
        booked.computed("body")
        _gave("activations", _floats(by_name(hidden)), wire, codec, booked)
        booked.computed("tail")
        returned = _at_ports(_took("gradients", wire, codec, booked), split.to_tail, hidden)
        torch.autograd.backward([hidden[port] for port in hidden], [returned[port] for port in hidden])
    booked.computed("body_backward")
    slopes = {port: x.grad if x.grad is not None else torch.zeros_like(x) for port, x in leaves.items()}
    _gave("gradients", _floats(by_name(slopes)), wire, codec, booked)
    booked.computed("front_backward")
    if split.tied:
        _sum_tied_at_edge(split, wire, booked)


def _run_tail(split: SplitModel, blank: dict[str, Tensor], labels: Tensor, wire: Wire, codec: AnyCodec) -> None:
    assert split.tail is not None
    ends = _leaves(split, wire.receive("activations", codec), split.to_tail)
    logits = run_segment(split.tail, blank, ends, ())[1]
    loss_of(split.whole, logits, labels).backward()
    slopes = {port: x.grad if x.grad is not None else torch.zeros_like(x) for port, x in ends.items()}
    wire.send("gradients", _floats(by_name(slopes)), codec)


def _sum_tied_at_edge(split: SplitModel, wire: Wire, booked: Crossing) -> None:
    ours = {device: slope_of(split.body.get_parameter(edge)) for device, edge in split.tied}
    theirs = wire.receive_file("tied_gradients", ours)
    booked.up("tied_gradients", theirs)
    wire.send_file("tied_gradients", ours)
    booked.down("tied_gradients", ours)
    for device, edge in split.tied:
        split.body.get_parameter(edge).grad = ours[device] + theirs[device].to(ours[device].dtype)


def _took(kind: str, wire: Wire, codec: AnyCodec, booked: Crossing) -> dict[str, Tensor]:
    received = wire.receive(kind, codec)
    booked.up(kind, received)
    return received


def _gave(kind: str, tensors: Mapping[str, Tensor], wire: Wire, codec: AnyCodec, booked: Crossing) -> None:
    wire.send(kind, tensors, codec)
    booked.down(kind, tensors)


def _leaves(split: SplitModel, received: Mapping[str, Tensor], ports: Sequence[Port]) -> dict[Port, Tensor]:
    """What a segment starts from, in the type of the model."""
    _check_names(received, ports)
    dtype = next(split.whole.parameters()).dtype
    return {port: received[name_of(port)].to(dtype).requires_grad_() for port in ports}


def _at_ports(received: Mapping[str, Tensor], ports: Sequence[Port], like: Mapping[Port, Tensor]) -> dict[Port, Tensor]:
    """What has come back, by port, in the shapes and types of what it answers."""
    _check_names(received, ports)
    for port in ports:
        x, wanted = received[name_of(port)], like[port]
        if x.shape != wanted.shape:
            raise PayloadError(f"stream: a tensor of shape {tuple(x.shape)} in the place of {tuple(wanted.shape)}")
    return {port: received[name_of(port)].to(like[port].dtype) for port in ports}


def _check_names(received: Mapping[str, Tensor], ports: Sequence[Port]) -> None:
    if set(received) != {name_of(port) for port in ports}:
        raise PayloadError(f"stream: tensors of {', '.join(sorted(received))} came, and other ones were waited for")


def _floats(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.float() for name, x in tensors.items()}


def _blank(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.zeros_like(x) for name, x in given.items()}
