"""Bytes between processes: frames, TLS 1.3 on both sides, keys and certificates.

A frame carries tensors and plain values; nothing in it is ever a name to import, a path or a model. What is sent and
why is decided above, in `learning`; certificates are made by `gainnet.wire.keys`, which needs the library cryptography.
"""

from gainnet.wire.connection import Connection
from gainnet.wire.frames import bounded, check_kind, file_of, from_bytes, tensors_of, to_bytes
from gainnet.wire.tls import Reception, accept, client_context, connect, listening, name_in, server_context

__all__ = [
    "Connection",
    "Reception",
    "accept",
    "bounded",
    "check_kind",
    "client_context",
    "connect",
    "file_of",
    "from_bytes",
    "listening",
    "name_in",
    "server_context",
    "tensors_of",
    "to_bytes",
]
