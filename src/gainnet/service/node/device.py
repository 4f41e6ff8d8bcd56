"""A device: it asks an edge, walks its own node of the plan, and puts the report together."""

from __future__ import annotations

import contextlib
import hashlib
import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from queue import Empty, Queue
from typing import Any, Final, final

from torch import Tensor

from gainnet.core.errors import ConfigError, GainnetError, ModelError, NodeFailedError
from gainnet.core.outside import read_list, read_text
from gainnet.core.report import Report
from gainnet.core.types import NodeId, Place, Usage
from gainnet.generation.original import Original
from gainnet.generation.planning import inputs
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import shipped_models
from gainnet.network import DEVICE
from gainnet.protocols.drafting import drafts_that_differ
from gainnet.protocols.plan import Transfer
from gainnet.protocols.transmit import Sent
from gainnet.service.node.content import MOST_ITEMS, content_frame, read_failures, read_index, sent_of, usage_of_json
from gainnet.service.node.course import Course, Failures, agreed, course_of, report_of
from gainnet.service.node.frames import Frame
from gainnet.service.node.line import Line, LostError, Tap, connected
from gainnet.service.node.mailbox import Mailbox
from gainnet.service.node.order import Asked, Order, order_of
from gainnet.service.node.release import Lateness, Releaser
from gainnet.service.node.walker import Walker
from gainnet.service.provenance import DeviceKey, Receipt, configuration_digest

RECONNECT_S: Final = 10.0
"""How long a device that was cut off tries to come back before it goes on alone."""
ENDING_S: Final = 10.0
"""How long a device that has its picture waits for the edge's last words."""
MOST_PACE: Final = 1000.0
COUNTS: Final = ("released", "late", "num_denoiser_passes")
"""Numbers that an edge reports in the end."""
_AGAIN_S: Final = 0.2


@final
@dataclass(frozen=True, eq=False)
class Answer:
    """A picture as a device has it.

    Args:
        request_id: of the request.
        order: what was run.
        values: [*batch, 3, H, W], in [0, 1].
        report: what it cost, put together here.
        failures: nodes that died, and the step from which on.
        received: payloads that came over the air, by index of the step.
        sent: payloads that went out, one per target.
        edge: what the edge said of itself.
        ending: what the edge reported in the end; nothing where it was gone.
        wall_s: time from the request to the picture.
        receipt: that the edge signed for what it sent; `None` where it signed nothing, or for something else.
        key: of this device, which the receipt names.
        original: the picture that was changed; `None` without one, or where this device lacks the autoencoder.
    """

    request_id: str
    order: Order
    values: Tensor
    report: Report
    failures: Failures
    received: Mapping[int, Sent]
    sent: Mapping[int, Sequence[Sent]]
    edge: Mapping[str, Any]
    ending: Mapping[str, Any]
    wall_s: float
    receipt: Receipt | None
    key: DeviceKey
    original: Original | None = None


@final
@dataclass(eq=False)
class Device:
    """One request of a device.

    Args:
        url: of the edge, `http://host:port` or `ws://host:port`.
        asked: what is asked for.
        model: of this device; networks that it does not run may be without weights.
        picture: [3, H, W] in [0, 1], to be changed; text-to-image when `None`.
        token: that the edge asks for.
        request_id: of its own choice; drawn when empty.
        reconnect_s: how long to try again when the edge is gone.
        watch: called with the label of each step that the edge reports.
        tap: called with each frame, and whether it goes "out" or comes "in".
        key: with which it signs the pixels that it makes.
    """

    url: str
    asked: Asked
    model: DiffusionModel
    picture: Tensor | None = None
    token: str | None = None
    request_id: str = ""
    reconnect_s: float = RECONNECT_S
    watch: Callable[[str], None] = lambda label: None
    tap: Tap = lambda way, frame: None
    key: DeviceKey = field(default_factory=DeviceKey)

    def ask(self) -> Answer:
        """The picture, when it is there.

        A device that is cut off comes back with the same request id; when the edge stays away, it goes on alone from
        what has arrived, as the plan's fallback says.

        Raises:
            GainnetError: the edge refuses, or is gone and this device cannot go on alone.
        """
        self.request_id = self.request_id or uuid.uuid4().hex
        order = order_of(self.asked, self.model)
        begin_s, attempt, lost_s = time.monotonic(), None, math.inf
        while True:
            try:
                with connected(self.url, self.tap) as line:
                    attempt = self._begin(line, order)
                    lost_s = math.inf
                    return attempt.finish(begin_s)
            except LostError:
                # The first connection of all has to succeed: a wrong address is said at once.
                if attempt is None:
                    raise
                lost_s = min(lost_s, time.monotonic())
                if time.monotonic() - lost_s > self.reconnect_s:
                    return attempt.alone(begin_s)
                time.sleep(_AGAIN_S)

    def _begin(self, line: Line, order: Order) -> Attempt:
        """Hello, request, accepted."""
        edge = _hello(line, self.token, {}, self.model.name)
        head = {"request": self.request_id, **self.asked.to_json(), "air": "device", "key": self.key.public}
        line.send(Frame.of("request", head, self.asked.tensors()))
        line.expect("accepted")
        given = dict(inputs(order.prompts, self.picture))
        stated = {
            "sha256": edge.get("sha256"),
            "configuration": configuration_digest(self.request_id, self.asked.to_json()),
        }
        return Attempt(self.request_id, order, edge, line, given, self.watch, self.key, stated)


def introduce(
    url: str, token: str | None = None, weights: Mapping[str, str] | None = None, model: str | None = None
) -> Mapping[str, Any]:
    """An edge's hello: its model, runtime, protocols and codecs; see the device protocol.

    Args:
        url: of the edge.
        token: that it asks for.
        weights: digests of the parts that this device has.
        model: name of its model; the edge speaks of its first one when `None`.

    Raises:
        LostError: there is no edge.
        ModelError: a part of this device has other weights than the edge's; the error says which to fetch.
    """
    with connected(url) as line:
        edge = _hello(line, token, weights or {}, model)
        line.send(Frame("bye"))
    fetch = edge.get("fetch")
    if isinstance(fetch, list) and fetch:
        named = [f"{each.get('part')} ({each.get('path')})" for each in fetch if isinstance(each, dict)]
        raise ModelError(f"model: other weights than the edge's; fetch {', '.join(named)} from {url}")
    return edge


def _hello(line: Line, token: str | None, weights: Mapping[str, str], model: str | None) -> Mapping[str, Any]:
    # A folder of this machine is no name that an edge knows, and nothing that it should learn.
    named = {"model": model} if model in shipped_models() else {}
    line.send(Frame("hello", {"role": "device", "token": token, "weights": dict(weights), **named}))
    return line.expect("hello").head


def _pace_of(edge: Mapping[str, Any]) -> float:
    pace: Any = edge.get("pace", 0.0)
    return float(pace) if type(pace) in (int, float) and 0.0 <= pace <= MOST_PACE else 0.0


@final
class Attempt:
    """One connection's course of a request.

    Args:
        request_id: of the request.
        order: whose plan is walked.
        edge: what the edge said of itself.
        line: to the edge.
        at: tensors that the device has, [*batch, ...].
        watch: called with labels.
        key: of this device.
        stated: what a receipt has to say beside the digest of the payload.
    """

    def __init__(
        self,
        request_id: str,
        order: Order,
        edge: Mapping[str, Any],
        line: Line,
        at: dict[Place, Tensor],
        watch: Callable[[str], None],
        key: DeviceKey,
        stated: Mapping[str, Any],
    ) -> None:
        self._key, self._stated, self._payload = key, stated, hashlib.sha256()
        self._receipt: Receipt | None = None
        self._request_id, self._order, self._edge, self._line, self._watch = request_id, order, edge, line, watch
        self._mailbox, self._lateness = Mailbox(), Lateness()
        self._releaser = Releaser(_pace_of(edge))
        self._walker = Walker(
            DEVICE, order, self._mailbox, self._post, lambda index, step: watch(step.label), self._doubted, at=at
        )
        self._legs: list[tuple[Failures, Course]] = []
        self._usages: dict[tuple[Failures, int], list[Usage]] = {}
        self._received: dict[int, Sent] = {}
        self._sent: dict[int, Sequence[Sent]] = {}
        self._ending: Queue[Mapping[str, Any]] = Queue()
        self._is_lost = False
        self._failures: Failures = ()
        threading.Thread(target=self._read, name="device", daemon=True).start()

    def finish(self, begin_s: float) -> Answer:
        """Walks to the result; raises `LostError` when the connection ends before."""
        under: Failures = ()
        while True:
            result = self._leg(under)
            if self._is_lost and result is None:
                raise LostError("url: the edge is gone")
            if result is not None and (report := self._report()) is not None:
                break
            under = self._next(under)
            course = course_of(self._order, under)
            head = {"request": self._request_id, "failures": [list(each) for each in under]}
            self._line.send(Frame("failure", head | {"resume": course.leg.start}))
        ending = self._await_ending(under)
        with contextlib.suppress(LostError):
            self._line.send(Frame("bye", {"request": self._request_id}))
        return self._answer(result, report, under, ending, begin_s)

    def alone(self, begin_s: float) -> Answer:
        """Goes on without any edge: each is dead from its first transfer on that the device does not know of."""
        under, course = self._legs[-1]
        known = {index for said, index in self._usages if said == under}
        dead = dict(self._failures)
        for edge in self._order.planned.network.edges:
            if edge not in dead:
                missing = [index for index in course.sends(edge) if index not in known]
                dead[edge] = missing[0] if missing else course.leg.stop
        under = tuple(dead.items())
        result = self._leg(under)
        report = self._report()
        if result is None or report is None:
            raise NodeFailedError("the edges are gone, and this device cannot go on from what arrived")
        return self._answer(result, report, under, {}, begin_s)

    def _leg(self, under: Failures) -> Tensor | None:
        """The picture, [*batch, 3, H, W], where this leg reaches it."""
        course = course_of(self._order, under)
        self._legs.append((under, course))
        self._walker.go(course, under)
        return self._walker.at.get(course.leg.plan.result)

    def _next(self, under: Failures) -> Failures:
        """All deaths that are known; raises `NodeFailedError` when there is no new one, since nothing would change."""
        known = self._failures
        if set(known) <= set(under):
            raise NodeFailedError("a tensor never came, and nobody is known to have died; ask again")
        return known

    def _report(self) -> Report | None:
        """The report under the failures that were decided last; `None` when it lacks the usage of a transfer."""
        try:
            return report_of(self._order, self._legs[-1][0], agreed(self._legs, self._usages))
        except KeyError:
            return None

    def _await_ending(self, under: Failures) -> Mapping[str, Any]:
        """The edge's last report; nothing when it is too slow, since the picture is there."""
        with contextlib.suppress(Empty):
            while not self._is_lost:
                ending = self._ending.get(timeout=ENDING_S)
                if read_failures(ending.get("under", [])) == under:
                    own = {"released": self._lateness.released, "late": self._lateness.late}
                    return {name: ending.get(name, 0) + own.get(name, 0) for name in COUNTS}
        return {}

    def _answer(
        self, result: Tensor, report: Report, under: Failures, ending: Mapping[str, Any], begin_s: float
    ) -> Answer:
        self._releaser.close()
        # Only the device has both drafts in sight: its own, and the digest of the edge's.
        report = replace(report, drafts_differ=drafts_that_differ(self._walker.at))
        return Answer(
            self._request_id, self._order, result, report, under, self._received, self._sent, self._edge, ending,
            time.monotonic() - begin_s, self._receipt, self._key,
        )  # fmt: skip

    def _post(self, under: Failures, index: int, step: Transfer, sent: Sequence[Sent] | None) -> None:
        payloads = sent or (None,) * len(step.targets)
        if sent is not None:
            self._sent[index] = sent
            self._usages[under, index] = [one.usage for one in sent]
        frames = [
            content_frame(self._request_id, index, DEVICE, target, step.tensor, one, under)
            for target, one in zip(step.targets, payloads, strict=True)
        ]

        def release(due_s: float) -> None:
            for frame in frames:
                # The reader finds out that the edge is gone; nothing is sent to it any more.
                with contextlib.suppress(LostError):
                    self._line.send(frame)
            self._lateness.note(due_s)

        self._releaser.after(
            max((one.usage.duration_s + one.usage.feedback_s for one in sent or ()), default=0.0), release
        )

    def _doubted(self, node: NodeId, index: int) -> None:
        self._bury(((node, index),))
        with contextlib.suppress(LostError):
            self._line.send(Frame("failure", {"request": self._request_id, "failures": [[node, index]]}))

    def _bury(self, failures: Failures) -> None:
        self._failures += tuple(each for each in failures if each not in self._failures)
        self._mailbox.bury(failures)

    def _fitting(self, found: object) -> Receipt | None:
        """The edge's receipt, where it is for what has arrived here and for what was asked."""
        if found is None:
            return None
        receipt = Receipt.of_json(found)
        stated, own = receipt.stated(), {**self._stated, "payload": self._payload.hexdigest()}
        return receipt if {name: stated.get(name) for name in own} == own else None

    def _read(self) -> None:
        """Reads what the edge sends, in a thread, until the connection ends."""
        try:
            while True:
                frame = self._line.receive()
                if frame.head.get("request") == self._request_id:
                    self._sort(frame)
        except LostError:
            self._is_lost = True
            # Whoever waits for a tensor waits no longer; whether the edge is dead is decided above.
            self._mailbox.bury(tuple((edge, 0) for edge in self._order.planned.network.edges))
        except GainnetError as error:
            self._mailbox.end(error)

    def _sort(self, frame: Frame) -> None:
        under = read_failures(frame.head.get("under", []))
        match frame.kind:
            case "content":
                index, sent = read_index(frame.head.get("index")), sent_of(frame)
                self._payload.update(frame.body)
                if sent is not None:
                    self._received[index] = sent
                    self._usages.setdefault((under, index), [sent.usage])
                self._mailbox.put(under, index, sent)
            case "progress":
                self._watch(read_text(frame.head.get("label", ""), "label", 200))
                if (used := frame.head.get("usages")) is not None:
                    items = self._order.random.num_items
                    found = [usage_of_json(each, items) for each in read_list(used, "usages", MOST_ITEMS)]
                    self._usages[under, read_index(frame.head.get("index"))] = found
            case "failure":
                self._bury(read_failures(frame.head.get("failures")))
            case "report":
                self._receipt = self._fitting(frame.head.get("receipt"))
                self._ending.put(frame.head)
            case "error":
                message = frame.head.get("message")
                raise ConfigError(read_text(message, "message", 2000))
