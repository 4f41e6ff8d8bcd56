"""A tokenizer that many threads may call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, final


@final
class SharedTokenizer:
    """A tokenizer of transformers, one call at a time.

    Fast tokenizers keep padding and truncation as a state that every call sets anew, so that of two calls at once one
    may come out padded as the other one.

    Args:
        tokenizer: that is called.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.RLock()

    def __call__(self, *texts: Any, **options: Any) -> Any:
        return self._locked(self._tokenizer)(*texts, **options)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._tokenizer, name)
        # Also methods, as diffusers calls `tokenize`, which sets the state, too.
        return self._locked(found) if callable(found) else found

    def _locked(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def alone(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                return call(*arguments, **options)

        return alone
