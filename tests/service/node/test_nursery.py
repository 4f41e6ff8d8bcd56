"""Children end with their nursery, whatever ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from multiprocessing.connection import Connection

from gainnet.service.node.nursery import Nursery


def waiting(said: Connection) -> None:
    said.send(os.getppid())
    time.sleep(60.0)


def test_children_end_with_a_nursery_that_is_killed() -> None:
    nursery = Nursery({"waiting": waiting})
    children = [nursery.start("waiting") for _ in range(2)]
    parents = {child.hear() for child in children}
    assert len(parents) == 1
    os.kill(parents.pop(), signal.SIGKILL)
    for child in children:
        with contextlib.suppress(EOFError):
            # The end of what it says is its own end.
            assert child.said.poll(20.0)
            child.said.recv()
    nursery.close()
