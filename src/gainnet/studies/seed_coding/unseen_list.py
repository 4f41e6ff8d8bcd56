"""The captions that no training has drawn, in a file of their own, and how they were drawn."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from gainnet.core.errors import ConfigError

CAPTIONS_PATH: Final = Path(__file__).parent / "unseen.json"


@lru_cache(maxsize=1)
def unseen_captions() -> tuple[str, ...]:
    """The shipped list, in order.

    Raises:
        ConfigError: the file is damaged.

    >>> len(unseen_captions()) >= 200
    True
    """
    found = json.loads(CAPTIONS_PATH.read_text(encoding="utf-8"))
    if found["sha256"] != digest_of(found["captions"]):
        raise ConfigError(f"captions: {CAPTIONS_PATH} is damaged; make it anew with draw_unseen_captions")
    return tuple(found["captions"])


def digest_of(texts: Sequence[str]) -> str:
    """SHA-256 of captions, one a line.

    >>> digest_of(("a red star",))[:8]
    '81c1e6d3'
    """
    return hashlib.sha256("".join(f"{text}\n" for text in texts).encode()).hexdigest()
