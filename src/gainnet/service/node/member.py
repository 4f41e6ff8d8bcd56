"""The part of this process in one order: a walker in a thread of its own, from the first leg to the last."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from typing import final

from torch import Tensor

from gainnet.core.errors import GainnetError, NodeFailedError
from gainnet.core.types import NodeId, Place
from gainnet.protocols.plan import Compute, Step
from gainnet.service.engine import Engine, Request
from gainnet.service.node.course import Failures, course_of
from gainnet.service.node.mailbox import Mailbox
from gainnet.service.node.order import Order
from gainnet.service.node.walker import Post, Walker


@final
class Member:
    """An edge's node of one order.

    Args:
        me: the node.
        order: whose plan is walked.
        engine: runs its parts.
        post: sends a transfer.
        watch: called with the index and label of a step before it runs.
        doubt: called with (source, index) of a tensor that cannot be.
        walked: called with the failures under which a leg has been walked to its end.
        failed: called with the error that ended it.
        plays: the device, where the edge runs its uplink.
        at: tensors that are there at the start, [*batch, ...].
    """

    def __init__(
        self,
        me: NodeId,
        order: Order,
        engine: Engine,
        post: Post,
        watch: Callable[[int, str], None],
        doubt: Callable[[NodeId, int], None],
        walked: Callable[[Failures], None],
        failed: Callable[[GainnetError], None],
        plays: Collection[NodeId] = (),
        at: Mapping[Place, Tensor] | None = None,
    ) -> None:
        self.me, self.order, self.mailbox = me, order, Mailbox()
        self.num_denoiser_passes = 0.0
        self._engine, self._watch, self._walked, self._failed = engine, watch, walked, failed
        self._walker = Walker(me, order, self.mailbox, post, self._begins, doubt, plays, dict(at or {}))
        self.request: Request | None = None
        self._is_ended = False
        self._thread = threading.Thread(target=self._run, name=f"walk {me}", daemon=True)

    def start(self) -> None:
        """Begins the walk."""
        self._thread.start()

    def end(self, error: GainnetError | None = None) -> None:
        """Ends it, whatever it waits for; an error ends what it computes, too."""
        self._is_ended = True
        self.mailbox.end(error)
        if error is not None and self.request is not None:
            self.request.cancel()

    def _run(self) -> None:
        try:
            with self._engine.request() as self.request:
                under: Failures | None = ()
                while under is not None:
                    self._walker.go(course_of(self.order, under), under)
                    self._walked(under)
                    under = self.mailbox.decision()
        except GainnetError as error:
            self._fail(error)
        except CancelledError:
            self._fail(NodeFailedError("the request was cancelled; ask again"))
        except Exception:
            # A fault of ours ends one request, not the edge.
            logging.getLogger(__name__).exception("a request failed")
            self._fail(NodeFailedError(f"{self.me}: it failed; ask again"))

    def _fail(self, error: GainnetError) -> None:
        # Whoever ended it knows, and nobody else is left to tell.
        if not self._is_ended:
            self._failed(error)

    def _begins(self, index: int, step: Step) -> None:
        if isinstance(step, Compute) and step.part.role == "denoiser":
            self.num_denoiser_passes += step.part.num_passes * self.order.random.num_items
        self._watch(index, step.label)
