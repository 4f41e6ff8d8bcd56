"""The other end of a connection, whatever carries it."""

from __future__ import annotations

from typing import Protocol

from gainnet.service.node.frames import Frame


class Peer(Protocol):
    """Sends frames to one other process; called from the event loop alone."""

    def send(self, frame: Frame | bytes) -> None:
        """Queues a frame; the connection ends when the other side reads too slowly for it."""

    def close(self) -> None:
        """Ends the connection."""
