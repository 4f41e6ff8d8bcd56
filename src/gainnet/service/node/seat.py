"""A node of a request at an edge that has joined: everything it sends goes to the first edge, which passes it on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, final

from gainnet.core.errors import GainnetError, NodeFailedError
from gainnet.core.types import NodeId
from gainnet.protocols.plan import Transfer
from gainnet.protocols.transmit import Sent
from gainnet.service.engine import Engine
from gainnet.service.node.content import content_frame, read_failures, read_index, sent_of
from gainnet.service.node.course import Failures
from gainnet.service.node.frames import Frame
from gainnet.service.node.member import Member
from gainnet.service.node.order import Order
from gainnet.service.node.peer import Peer
from gainnet.service.node.release import Lateness, Releaser


@final
class Seat:
    """A node of one request. All methods run in the event loop, but those of its walk.

    Args:
        request_id: of the device's choice.
        order: whose plan is walked.
        me: the node.
        peer: the first edge.
        engine: runs the parts.
        releaser: holds frames back until their time on the air is over.
    """

    def __init__(
        self, request_id: str, order: Order, me: NodeId, peer: Peer, engine: Engine, releaser: Releaser
    ) -> None:
        self.request_id, self._me, self._peer, self._releaser = request_id, me, peer, releaser
        self._loop, self._lateness = asyncio.get_running_loop(), Lateness()
        self._posted = 0
        self._walked_under: Failures | None = None
        self._member = Member(me, order, engine, self._post, self._watched, self._doubted, self._walked, self._failed)

    def start(self) -> None:
        """Begins the walk."""
        self._member.start()

    def receive(self, frame: Frame) -> None:
        """A frame of the first edge; raises `PayloadError` when it is none."""
        mailbox, head = self._member.mailbox, frame.head
        match frame.kind:
            case "content":
                under = read_failures(head.get("under", []))
                mailbox.put(under, read_index(head.get("index")), sent_of(frame))
            case "failure" if "resume" in head:
                mailbox.decide(read_failures(head.get("failures")))
            case "failure":
                mailbox.bury(read_failures(head.get("failures")))
            case "bye":
                self.end()

    def end(self) -> None:
        """The request is over."""
        self._member.end(NodeFailedError("the request is over"))

    def _post(self, under: Failures, index: int, step: Transfer, sent: Sequence[Sent] | None) -> None:
        self._posted += 1
        payloads = sent or (None,) * len(step.targets)
        frames = [
            content_frame(self.request_id, index, self._me, target, step.tensor, one, under).to_bytes()
            for target, one in zip(step.targets, payloads, strict=True)
        ]
        air_s = max((each.usage.duration_s + each.usage.feedback_s for each in sent or ()), default=0.0)
        self._releaser.after(air_s, lambda due_s: self._later(self._release, frames, due_s))

    def _release(self, frames: Sequence[bytes], due_s: float) -> None:
        for octets in frames:
            self._peer.send(octets)
        self._lateness.note(due_s)
        self._report()

    def _report(self) -> None:
        """The end of a leg, once it is walked and all its frames are released."""
        if self._walked_under is not None and self._lateness.released == self._posted:
            counts = {"released": self._lateness.released, "late": self._lateness.late}
            passes = {"num_denoiser_passes": self._member.num_denoiser_passes}
            self._say("report", counts | passes, self._walked_under)
            self._walked_under = None

    def _say(self, kind: Any, head: dict[str, Any], under: Failures = ()) -> None:
        said = {"under": [list(each) for each in under]} if under else {}
        self._peer.send(Frame(kind, {"request": self.request_id} | head | said))

    def _later(self, call: Any, *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _watched(self, index: int, label: str) -> None:
        self._later(self._say, "progress", {"index": index})

    def _doubted(self, node: NodeId, index: int) -> None:
        self._later(self._say, "failure", {"failures": [[node, index]]})

    def _walked(self, under: Failures) -> None:
        self._later(self._ended, under)

    def _ended(self, under: Failures) -> None:
        self._walked_under = under
        self._report()

    def _failed(self, error: GainnetError) -> None:
        self._later(self._say, "error", {"message": str(error)})
