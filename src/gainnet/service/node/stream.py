"""Frames over a TLS stream between two edges, in an event loop."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, final

from gainnet.core.errors import PayloadError
from gainnet.service.node.frames import HEADER, MOST_BYTES, Frame, lengths_of

FRAME_S: Final = 30.0
"""How long a frame may take from its first byte to its last."""


@final
class StreamPeer:
    """Another edge behind a stream.

    Args:
        writer: of the stream.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, frame: Frame | bytes) -> None:
        """As `Peer.send`."""
        if self._writer.transport.get_write_buffer_size() > MOST_BYTES:
            self.close()
        elif not self._writer.is_closing():
            self._writer.write(frame.to_bytes() if isinstance(frame, Frame) else frame)

    def close(self) -> None:
        """As `Peer.close`; at once, since a peer that hangs would never agree to it."""
        self._writer.transport.abort()


async def read_frame(reader: asyncio.StreamReader) -> tuple[Frame, bytes] | None:
    """The next frame of a stream and its bytes; `None` when the stream has ended.

    Raises:
        PayloadError: something else came, or the frame takes too long.
    """
    try:
        header = await reader.readexactly(HEADER.size)
        _, num_head, num_body = lengths_of(header)
        # Who sends a byte now and then does not keep a frame open for ever.
        rest = await asyncio.wait_for(reader.readexactly(num_head + num_body), FRAME_S)
    except ssl.SSLError as error:
        # With TLS 1.3 a peer that refuses our certificate says so only after the handshake.
        raise PayloadError(f"frame: TLS has ended ({error.reason})") from None
    except TimeoutError:
        raise PayloadError("frame: it takes too long; send it faster") from None
    except (OSError, asyncio.IncompleteReadError):
        return None
    return Frame.of_bytes(header + rest), header + rest
