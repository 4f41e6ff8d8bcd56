"""Bearer tokens: a file of their digests, never of the tokens."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from gainnet.core.errors import ConfigError
from gainnet.core.files import write_whole
from gainnet.core.outside import read_json, reading
from gainnet.core.weights import user_folder

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@final
@dataclass(frozen=True)
class Tokens:
    """Digests of tokens by the name of who has them.

    A token is 256 random bits, so that one round of SHA-256 keeps it: there is nothing to guess and nothing to salt.

    Args:
        digests: SHA-256 in hexadecimal, by name.
        added_at: Unix time, by name.

    >>> tokens, secret = Tokens().add("phone")
    >>> tokens.name_of(secret), tokens.name_of("guess")
    ('phone', None)
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    added_at: Mapping[str, float] = field(default_factory=dict)

    def add(self, name: str) -> tuple[Tokens, str]:
        """With one more token, and the token, which is shown this once.

        Args:
            name: of who will have it, 1 to 64 letters, digits, dots, dashes.

        Raises:
            ConfigError: the name is taken or is none.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError("name: give 1 to 64 letters, digits, '.', '-' or '_', a letter or digit first")
        if name in self.digests:
            raise ConfigError(f"name: {name} has a token; revoke it first or give another name")
        token = secrets.token_urlsafe(32)
        added = Tokens({**self.digests, name: _digest(token)}, {**self.added_at, name: time.time()})
        return added, token

    def without(self, name: str) -> Tokens:
        """Without the token of a name.

        Raises:
            ConfigError: there is none.
        """
        if name not in self.digests:
            raise ConfigError(f"name: {name!r} has no token; gainnet serve token list shows who has")
        left = [key for key in self.digests if key != name]
        return Tokens({key: self.digests[key] for key in left}, {key: self.added_at[key] for key in left})

    def name_of(self, token: str) -> str | None:
        """Who has a token; `None` for nobody."""
        digest, found = _digest(token), None
        # All are compared, in constant time each, so that the time tells neither whether nor where one fits.
        for name, known in self.digests.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found


@final
@dataclass
class TokenFile:
    """Tokens of a file as it is now: who is added or revoked while an edge serves counts from the next request on.

    Args:
        path: of the hashed tokens.
        own: tokens of this run alone, which no file has.
    """

    path: Path
    own: Tokens = field(default_factory=Tokens)
    _seen: tuple[int, ...] = ()
    _known: Tokens = field(default_factory=Tokens)

    def name_of(self, token: str) -> str | None:
        """Who has a token; `None` for nobody. Raises `ConfigError` when the file is damaged: then nobody comes in."""
        return self.own.name_of(token) or self._current().name_of(token)

    def _current(self) -> Tokens:
        try:
            state = self.path.stat()
            # A file that is written whole is another file each time, even within the clock's resolution.
            seen: tuple[int, ...] = (state.st_mtime_ns, state.st_size, state.st_ino)
        except FileNotFoundError:
            seen = (0,)
        if seen != self._seen:
            self._known = read_tokens(self.path)
            self._seen = seen
        return self._known


def tokens_file(path: Path | None) -> Path:
    """The file of hashed tokens: the one that is named, or the user's."""
    return user_folder() / "tokens.json" if path is None else path


def read_tokens(path: Path) -> Tokens:
    """The tokens of a file; none where there is no file.

    Raises:
        ConfigError: it is damaged.
    """
    if not path.is_file():
        return Tokens()
    with reading(str(path), ConfigError):
        entries = read_json(path.read_bytes(), str(path), ConfigError)["tokens"]
        return Tokens(
            {str(e["name"]): str(e["sha256"]) for e in entries}, {str(e["name"]): float(e["added_at"]) for e in entries}
        )


def write_tokens(path: Path, tokens: Tokens) -> None:
    """Writes a file that its owner alone may read."""
    entries = [
        {"name": name, "sha256": digest, "added_at": tokens.added_at[name]} for name, digest in tokens.digests.items()
    ]
    write_whole(path, (json.dumps({"tokens": entries}, indent=2) + "\n").encode(), mode=0o600)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
