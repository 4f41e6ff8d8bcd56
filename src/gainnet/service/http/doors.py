"""Doors of the edge: who may come in, from where, how often, and with how much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


@final
@dataclass(frozen=True)
class Doors:
    """What is let in.

    Args:
        hosts: names and addresses under which the edge is reached; any other `Host` is refused, and any other `Origin`.
        tokens: file of hashed tokens; anybody may come in when `None`.
        most_bytes: of a request's body.
        rate_per_s: requests per second and token, in the long run.
        burst: requests at once.
    """

    hosts: tuple[str, ...] = LOOPBACK
    tokens: Path | None = None
    most_bytes: int = 16 << 20
    rate_per_s: float = 20.0
    burst: int = 200
