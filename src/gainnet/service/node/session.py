"""A request at the edge that its device is connected to: what its nodes send each other goes through here.

    device <--> [ session: own node ] <--> edges that have joined

Everything passes one place, so that it knows which transfers took place when a node dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

from torch import Tensor

from gainnet.core.errors import GainnetError, NodeFailedError, PayloadError
from gainnet.core.report import Report
from gainnet.core.types import NodeId, Place, Usage
from gainnet.network import DEVICE
from gainnet.protocols.plan import Transfer
from gainnet.protocols.transmit import Sent
from gainnet.service.engine import Engine, Request
from gainnet.service.node.content import content_frame, read_failures, read_index, sent_of, usage_to_json
from gainnet.service.node.course import Course, Failures, agreed, course_of, report_of
from gainnet.service.node.frames import Frame, body_of, error_frame
from gainnet.service.node.member import Member
from gainnet.service.node.order import Order
from gainnet.service.node.peer import Peer
from gainnet.service.node.release import Lateness, Releaser

MOST_NOTED: Final = 64
"""Steps whose beginning is kept for the operator."""
Contents = Mapping[NodeId, tuple[bytes | None, Sent | None]]
"""What each target of a transfer gets: the frame, where it goes on to another process, and the payload."""


@final
class Session:
    """One request while its device is connected. All methods run in the event loop, but those of the own walk.

    `begun` has the label of every step, and when it began on the clock `time.monotonic`; `device` stands for all that a
    device makes of what has come.

    Args:
        request_id: of the device's choice.
        order: whose plan is walked.
        me: node of this process.
        peers: the device, and the other edges by the node that they are.
        engine: runs the parts of the own node.
        releaser: holds frames back until their time on the air is over.
        finished: called with the frames that the device was sent, when it has all of them.
        plays: the device, where this edge runs its uplink.
        at: tensors that are there at the start, [*batch, ...].
        receipt: what this edge signs for the digest of all bodies of content that the device was sent.
    """

    def __init__(
        self,
        request_id: str,
        order: Order,
        me: NodeId,
        peers: Mapping[NodeId, Peer],
        engine: Engine,
        releaser: Releaser,
        finished: Callable[[Sequence[bytes]], None] = lambda frames: None,
        plays: Sequence[NodeId] = (),
        at: Mapping[Place, Tensor] | None = None,
        receipt: Callable[[str], Mapping[str, Any]] | None = None,
    ) -> None:
        self.request_id, self.order, self.me = request_id, order, me
        self._receipt, self._payload = receipt, hashlib.sha256()
        self.peers, self.failures, self.is_over = dict(peers), Failures(), False
        self.report: Report | None = None
        self.begun: list[tuple[float, str]] = []
        self._loop, self._releaser, self._finished, self._plays = asyncio.get_running_loop(), releaser, finished, plays
        self._under: Failures = ()
        self._courses: dict[Failures, Course] = {(): course_of(order)}
        self._happened: dict[tuple[Failures, int], list[Usage]] = {}
        self._gathered: dict[tuple[Failures, int], dict[NodeId, tuple[bytes | None, Sent | None]]] = {}
        self._reports: dict[tuple[NodeId, Failures], Mapping[str, Any]] = {}
        self._sent: list[bytes] = []
        self._lateness = Lateness()
        self._posted, self._delivered = 0, 0
        self._member = Member(
            me, order, engine, self._post, self._watched, self._doubted, self._walked, self._stopped, plays, at
        )

    def start(self) -> None:
        """Begins the walk of the own node."""
        self._member.start()

    @property
    def num_late(self) -> int:
        """Frames that were released too late."""
        return self._lateness.late

    @property
    def request(self) -> Request | None:
        """The request that the engine runs for it; `None` before it begins."""
        return self._member.request

    @property
    def course(self) -> Course:
        """Under the failures that were decided last."""
        return self._courses[self._under]

    def receive(self, node: NodeId, frame: Frame, octets: bytes) -> None:
        """A frame of one of the nodes.

        Args:
            node: that the peer is.
            frame: from it.
            octets: of the frame, to pass on.

        Raises:
            PayloadError: a node cannot have sent this.
        """
        match frame.kind:
            case "content":
                self._gather(node, frame, octets)
            case "progress" if node != DEVICE:
                self._tell(self._progress(read_index(frame.head.get("index")), node))
            case "failure" if node == DEVICE and "resume" in frame.head:
                self._decide(read_failures(frame.head.get("failures")))
            case "failure":
                for lost, index in read_failures(frame.head.get("failures")):
                    self._bury(lost, index)
            case "report" if node != DEVICE:
                self._reports[node, read_failures(frame.head.get("under", []))] = frame.head
                self._complete()
            case "error" if node != DEVICE:
                self.lose(node)
            case _:
                raise PayloadError(f"frame: {frame.kind} was not expected of {node}")

    def lose(self, node: NodeId) -> None:
        """A node is gone: it is dead from its first transfer on that has not taken place."""
        if node == DEVICE:
            self.end(NodeFailedError("the device is gone"))
            return
        open_ = [index for index in self.course.sends(node) if (self._under, index) not in self._happened]
        self._bury(node, open_[0] if open_ else self.course.leg.stop)

    def end(self, error: GainnetError | None = None) -> None:
        """The request is over, here and at the other edges."""
        if self.is_over:
            return
        self.is_over = True
        self._member.end(error)
        for node, peer in self.peers.items():
            if node != DEVICE:
                peer.send(Frame("bye", {"request": self.request_id}))

    def _gather(self, node: NodeId, frame: Frame, octets: bytes) -> None:
        """Passes a transfer on when all its receivers can have it: a broadcast happens for all or for nobody."""
        under, index = read_failures(frame.head.get("under", [])), read_index(frame.head.get("index"))
        course = self._courses.get(under)
        step = None if course is None else course.transfer(index)
        if step is None or (node, step.tensor) != (frame.head.get("source"), frame.head.get("tensor")):
            raise PayloadError(f"content: {node} has nothing to send here")
        gathered = self._gathered.setdefault((under, index), {})
        target = next((each for each in step.targets if each == frame.head.get("target")), None)
        if step.source != node or target is None or target in gathered:
            raise PayloadError(f"content: {node} has nothing to send here")
        sent = sent_of(frame)
        if sent is not None and (
            sent.payload.batch != self.order.random.batch or not isinstance(sent.payload, step.codec.emits)
        ):
            raise PayloadError(f"content: a payload of {node} does not fit its step")
        gathered[target] = octets, sent
        if len(gathered) == len(step.targets):
            self._deliver(under, index, step, gathered)

    def _post(self, under: Failures, index: int, step: Transfer, sent: Sequence[Sent] | None) -> None:
        """Sends a transfer of the own node, or of one that it plays, when it has been on the air; from its thread."""
        self._posted += 1
        payloads = sent or (None,) * len(step.targets)
        air_s = max((each.usage.duration_s + each.usage.feedback_s for each in sent or ()), default=0.0)
        contents = {
            target: (self._encoded(under, index, step, target, one), one)
            for target, one in zip(step.targets, payloads, strict=True)
        }
        self._releaser.after(air_s, lambda due_s: self._later(self._deliver, under, index, step, contents, due_s))

    def _encoded(self, under: Failures, index: int, step: Transfer, target: NodeId, sent: Sent | None) -> bytes | None:
        if target == self.me:
            return None
        return content_frame(self.request_id, index, step.source, target, step.tensor, sent, under).to_bytes()

    def _deliver(
        self, under: Failures, index: int, step: Transfer, contents: Contents, due_s: float = float("inf")
    ) -> None:
        is_own = step.source in (self.me, *self._plays)
        self._delivered += is_own
        # What a dead node still had on its way is held back: everybody has agreed that it never came.
        if self.is_over or any(node == step.source and dies_at <= index for node, dies_at in self.failures):
            return
        usages = [sent.usage for _, sent in contents.values() if sent is not None]
        self._happened[under, index] = usages
        for target, (octets, sent) in contents.items():
            if target == self.me:
                self._member.mailbox.put(under, index, sent)
            elif target == DEVICE:
                self._note("device")
                self._payload.update(body_of(octets or b""))
                self._tell(octets or b"")
            elif target in self.peers:
                self.peers[target].send(octets or b"")
        # The device puts the report together, so it hears of every transfer that it does not see.
        if usages and step.targets != (DEVICE,) and (step.source != DEVICE or self._plays):
            self._tell(self._progress(index, step.source, usages, under))
        if is_own:
            self._lateness.note(due_s)
            self._complete()

    def _progress(
        self, index: int, node: NodeId, usages: Sequence[Usage] | None = None, under: Failures | None = None
    ) -> Frame:
        # A transfer of one leg may take place when the next one has been decided: its usage is of its own leg, or the
        # device could never put the report together.
        under = self._under if under is None else under
        leg = self._courses[under].leg
        steps, start = leg.plan.steps, leg.start
        # The label is that of the own plan: a peer's text goes nowhere.
        label = steps[index - start].label if 0 <= index - start < len(steps) else ""
        used = None if usages is None else [usage_to_json(each) for each in usages]
        head = {"request": self.request_id, "index": index, "label": label, "node": node, "usages": used}
        if usages is None:
            self._note(label)
        return Frame("progress", head | _said(under))

    def _note(self, label: str) -> None:
        """Keeps when a step began, for the operator."""
        if len(self.begun) < MOST_NOTED:
            self.begun.append((time.monotonic(), label))

    def _tell(self, frame: Frame | bytes) -> None:
        octets = frame.to_bytes() if isinstance(frame, Frame) else frame
        self._sent.append(octets)
        if DEVICE in self.peers:
            self.peers[DEVICE].send(octets)

    def _bury(self, node: NodeId, index: int) -> None:
        if node not in self.order.planned.network.edges or node in dict(self.failures):
            return
        self.failures += ((node, index),)
        self.peers.pop(node, None)
        self._member.mailbox.bury(self.failures)
        news = Frame("failure", {"request": self.request_id, "failures": [[node, index]]})
        self._tell(news)
        for other, peer in self.peers.items():
            if other != DEVICE:
                peer.send(news)
        self._complete()

    def _decide(self, failures: Failures) -> None:
        try:
            course = course_of(self.order, failures)
        except NodeFailedError as error:
            self._stopped_here(error)
            return
        for node, index in failures:
            self._bury(node, index)
        self._under, self._courses[failures] = failures, course
        self._member.mailbox.decide(failures)
        head = {"request": self.request_id, "failures": [list(each) for each in failures], "resume": course.leg.start}
        for node, peer in self.peers.items():
            if node != DEVICE:
                peer.send(Frame("failure", head))

    def _complete(self) -> None:
        """Tells the device the end of a leg, once every node that is alive has walked it."""
        own = self._reports.get((self.me, self._under))
        others = [self._reports.get((node, self._under)) for node in self.peers if node != DEVICE]
        reports = [report for report in (own, *others) if report is not None]
        # Frames that are still on the air are waited for: the journal keeps all that the device gets.
        if own is None or len(reports) <= len(others) or self._delivered < self._posted:
            return
        reports.append({"released": self._lateness.released, "late": self._lateness.late})
        names = "released", "late", "num_denoiser_passes"
        sums = {name: sum(_count(report, name) for report in reports) for name in names}
        head: dict[str, Any] = {"request": self.request_id} | sums | _said(self._under)
        # A device puts its report together itself, from more than this edge sees when it goes on alone.
        with contextlib.suppress(KeyError):
            usages = agreed(list(self._courses.items()), self._happened)
            self.report = report_of(self.order, self._under, usages)
        if self._plays and self.report is not None:
            head["report"] = self.report.to_json()
        if self._receipt is not None:
            head["receipt"] = self._receipt(self._payload.hexdigest())
        self._tell(Frame("report", head))
        del self._reports[self.me, self._under]  # once for every leg
        if set(self.failures) == set(self._under):
            self._finished(self._sent)

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        """Runs a call in the event loop, from another thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _watched(self, index: int, label: str) -> None:
        self._later(lambda: self._tell(self._progress(index, self.me)))

    def _doubted(self, node: NodeId, index: int) -> None:
        self._later(self._bury, node, index)

    def _walked(self, under: Failures) -> None:
        self._later(self._walked_here, under)

    def _walked_here(self, under: Failures) -> None:
        self._reports[self.me, under] = {"num_denoiser_passes": self._member.num_denoiser_passes}
        self._complete()

    def _stopped(self, error: GainnetError) -> None:
        self._later(self._stopped_here, error)

    def _stopped_here(self, error: GainnetError) -> None:
        if not self.is_over and DEVICE in self.peers:
            self.peers[DEVICE].send(error_frame(error, self.request_id))
        self.end(error)


def _said(under: Failures) -> dict[str, Any]:
    """The failures under which a frame is sent, as its head says them."""
    return {"under": [list(each) for each in under]} if under else {}


def _count(report: Mapping[str, Any], name: str) -> float:
    value = report.get(name, 0)
    return value if type(value) in (int, float) else 0
