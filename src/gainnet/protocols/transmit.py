"""One transmission: the only place that observes the air, encodes, sends, decodes and checks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from gainnet.codecs import AnyCodec, Content, bind
from gainnet.core.errors import ConfigError, GainnetError, PayloadError
from gainnet.core.plugins import reason_of
from gainnet.core.randomness import Name, Random
from gainnet.core.room import pieces
from gainnet.core.types import Bits, NodeId, Payload, Spec, Symbols, Usage
from gainnet.protocols.deadline import Sender, send_in_time
from gainnet.radio import Air, Analog, Digital
from gainnet.radio.links.link import AnyLink


@final
@dataclass(frozen=True)
class Sent:
    """A payload as one receiver gets it, before it is decoded; plain values, so that it fits into a frame.

    Args:
        payload: byte strings, or symbols with gain and noise variance.
        usage: of the link; delivered when every item was sent and arrived in time.
    """

    payload: Payload
    usage: Usage

    @property
    def arrived(self) -> Tensor:
        """[*batch], bool; symbols always arrive, with noise."""
        if not isinstance(self.payload, Bits):
            return torch.ones(self.payload.batch, dtype=torch.bool)
        return torch.tensor([s is not None for s in self.payload.strings]).reshape(self.payload.batch)


@final
@dataclass(frozen=True)
class Transmission:
    """A tensor as it was received.

    Args:
        values: [*batch, *shape]; items that did not arrive are concealed by the codec.
        arrived: [*batch], bool.
        usage: of the link, all items together.

    >>> from gainnet.codecs import Float32
    >>> from gainnet.radio import Ideal
    >>> received = transmit(torch.ones(2, 8), Float32(), Ideal())
    >>> torch.equal(received.values, torch.ones(2, 8)), received.arrived.tolist()
    (True, [True, True])
    >>> received.usage.num_bits  # 2 items of 8 values of 32 bits
    512
    """

    values: Tensor
    arrived: Tensor
    usage: Usage

    # Values are what is long, and what one looks at by other means.
    def __repr__(self) -> str:
        return (
            f"Transmission of {list(self.values.shape)}: {int(self.arrived.sum())} of {self.arrived.numel()} arrived, "
            f"{self.usage.num_channel_uses:,.0f} channel uses, {1e3 * self.usage.duration_s:.3g} ms"
        )


def transmit(
    x: Tensor,
    codec: AnyCodec,
    over: Air | AnyLink | Sequence[AnyLink],
    random: Random | int = 0,
    deadline_s: float = math.inf,
) -> Transmission:
    """A tensor sent through a codec over a link.

    x --encode--> payload --link--> payload as received --decode--> values

    A codec that lacks a basis or weights takes those of the shipped model, if the shape fits.

    Args:
        x: [*batch, *shape] with the batch of `random`; [num_items, *shape] for an integer.
        codec: between tensor and payload.
        over: an air, for codewords or symbols as the codec emits them; a link; or links, of which the first that
            carries the codec's payload is used.
        random: streams of the items; item k of an integer has the random seed `random + k`.
        deadline_s: time on the medium after which the transfer is given up.

    Raises:
        ConfigError: the codec does not fit the shape, or no link carries its payload.
        PayloadError: the codec failed.

    >>> from gainnet.codecs import RawAnalog
    >>> transmit(torch.ones(2, 8), RawAnalog(), Air(snr_db=20.0))
    Transmission of [2, 8]: 2 of 2 arrived, 8 channel uses, 0.008 ms
    """
    streams = random if isinstance(random, Random) else Random.of(range(random, random + len(x)))
    spec = Spec(tuple(x.shape[len(streams.batch) :]))
    bound = bind(codec, Content(spec))
    link = bearer(over, bound)
    (sent,) = emit(x, bound, (link,), (streams,), deadline_s)
    return accept(sent, bound, spec)


def bearer(over: Air | AnyLink | Sequence[AnyLink], codec: AnyCodec) -> AnyLink:
    """The link that carries what a codec emits; raises `ConfigError` when there is none."""
    if isinstance(over, Air):
        return Analog(over) if codec.emits is Symbols else Digital(over)
    links = over if isinstance(over, Sequence) else (over,)
    for link in links:
        if issubclass(codec.emits, link.carries):
            return link
    named = ", ".join(type(link).__name__ for link in links)
    raise ConfigError(f"over: {type(codec).__name__} emits {codec.emits.__name__}, which {named} does not carry")


def emit(
    x: Tensor,
    codec: AnyCodec,
    links: Sequence[Sender],
    streams: Sequence[Random],
    deadline_s: float = math.inf,
    label: str = "transmit",
) -> tuple[Sent, ...]:
    """The sender's half: a tensor as it arrives at each of several receivers of one transmission.

    Args:
        x: [*batch, *shape].
        codec: bound.
        links: one per receiver.
        streams: one per receiver, all of the batch of `x`.
        deadline_s: time on the medium after which the transfer is given up.
        label: of the transfer, for errors.

    Raises:
        PayloadError: the codec failed or made another payload than it promised.
    """
    states = [link.observe(stream) for link, stream in zip(links, streams, strict=True)]
    # One payload serves all receivers, so it must suit the one with the worst reported SNR.
    worst = torch.stack([state.reported_snr for state in states]).amin(dim=0)
    payload: Payload = _guarded(label, codec, codec.encode, x, worst)
    if not isinstance(payload, codec.emits) or tuple(payload.batch) != streams[0].batch:
        promised = f"{codec.emits.__name__} of {streams[0].num_items} items"
        raise PayloadError(f"{label}: {type(codec).__name__} must emit {promised} and made something else")
    # A codec whose budget is too small for an item sends nothing of it, which no link can see.
    is_whole = not isinstance(payload, Bits) or None not in payload.strings
    sent = []
    for link, state, stream in zip(links, states, streams, strict=True):
        received, usage = send_in_time(link, payload, state, stream, deadline_s)
        sent.append(Sent(received, replace(usage, delivered=usage.delivered and is_whole)))
    return tuple(sent)


def accept(sent: Sent, codec: AnyCodec, spec: Spec, label: str = "transmit") -> Transmission:
    """The receiver's half: decodes and checks.

    An item of bits that the codec finds corrupt, after an error that no check sum saw, is lost and concealed like one
    that did not arrive.

    Args:
        sent: as it arrived, whether from this process or from a peer.
        codec: equal to the sender's.
        spec: shape of one item.
        label: of the transfer, for errors.

    Raises:
        PayloadError: the payload is of another type, the codec failed, or values are not finite or of another shape.
    """
    if not isinstance(sent.payload, codec.emits):
        raise PayloadError(f"{label}: received {type(sent.payload).__name__}, must be {codec.emits.__name__}")
    try:
        values = _guarded(label, codec, codec.decode, sent.payload, spec)
    except PayloadError as error:
        # A cause means that the codec broke; one that finds a string corrupt says so itself.
        if not isinstance(sent.payload, Bits) or error.__cause__ is not None:
            raise
        sent = _without_corrupt(sent, codec, sent.payload, spec)
        values = _guarded(label, codec, codec.decode, sent.payload, spec)
    expected = (*sent.payload.batch, *spec.shape)
    if not isinstance(values, Tensor) or tuple(values.shape) != expected:
        raise PayloadError(f"{label}: {type(codec).__name__} decoded another shape than {expected}")
    if values.is_floating_point() and not _is_finite(values):
        raise PayloadError(f"{label}: {type(codec).__name__} decoded values that are not finite")
    return Transmission(values, sent.arrived, sent.usage)


def _is_finite(values: Tensor) -> bool:
    # A few at a time, since values may lie in a file, and what is computed of all at once would not.
    return all(bool(torch.isfinite(some).all()) for (some,) in pieces(torch.atleast_1d(values)))


def _without_corrupt(sent: Sent, codec: AnyCodec, payload: Bits, spec: Spec) -> Sent:
    """The payload without the items that the codec calls corrupt."""

    def reads(item: int) -> bool:
        # Alone in a batch of the same length, since a codec may know the prompt of every item.
        alone = tuple(s if k == item else None for k, s in enumerate(payload.strings))
        try:
            codec.decode(Bits(alone, payload.batch), spec)
        except PayloadError:
            return False
        return True

    kept = tuple(s if reads(item) else None for item, s in enumerate(payload.strings))
    return Sent(Bits(kept, payload.batch), replace(sent.usage, delivered=False))


def _guarded(label: str, codec: AnyCodec, call: Callable[..., Any], *arguments: Any) -> Any:
    """Result of a codec's method; a codec of the user's may raise anything, and the transfer that it broke is named."""
    try:
        return call(*arguments)
    except GainnetError:
        raise
    except Exception as error:
        raise PayloadError(f"{label}: {type(codec).__name__} failed ({reason_of(error)})") from error


@final
class SendCount:
    """Names of the random streams of transmissions: source, target, tensor, and the how-manieth of these it is."""

    def __init__(self) -> None:
        self._num_sent: Counter[tuple[NodeId, NodeId, str]] = Counter()

    def stream(self, source: NodeId, target: NodeId, tensor: str) -> tuple[Name, ...]:
        """Names below those of the items; different for each call.

        >>> count = SendCount()
        >>> [count.stream(NodeId("edge"), NodeId("device"), "latent")[-1] for _ in range(2)]
        [1, 2]
        """
        key = (source, target, tensor)
        self._num_sent[key] += 1
        return ("air", *key, self._num_sent[key])
