"""Signing keys of the nodes of a run, each in a file of its own, and what a node keeps beside its key."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError, PayloadError, import_extra
from gainnet.core.files import write_whole
from gainnet.core.types import NodeId

Entry = dict[str, Any]

_KEY, _SIGNATURE = re.compile("[0-9a-f]{64}"), re.compile("[0-9a-f]{128}")


def require_ed25519() -> Any:
    """Ed25519 of the library cryptography; raises `MissingExtraError` when it is not installed."""
    return import_extra("cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography", "privacy")


def nodes_folder(out: Path) -> Path:
    """The folder of the nodes' own files, beside that of a run: who is handed the run gets no key with it.

    >>> nodes_folder(Path("out/trust")).name
    'trust.nodes'
    """
    return out.with_name(f"{out.name}.nodes")


@final
@dataclass(frozen=True)
class Keyring:
    """The signing keys of edge and clients where all run in one process; where they are apart, each has its own.

    Args:
        seeds: 32 bytes by node, which nobody else knows.
    """

    seeds: Mapping[NodeId, bytes]

    @staticmethod
    def of(folder: Path, names: Iterable[NodeId]) -> Keyring:
        """The keys of a folder, `NAME.key` for each node; missing ones are drawn by the system.

        Args:
            folder: for its owner alone.
            names: of the nodes.

        Raises:
            ConfigError: a file is damaged, or cannot be read or written.
        """
        return Keyring({name: _seed_in(folder / f"{name}.key") for name in names})

    def public(self, name: NodeId) -> str:
        """The public key of a node, 64 hexadecimal digits."""
        return str(self._key(name).public_key().public_bytes_raw().hex())

    def sign(self, name: NodeId, content: Entry) -> str:
        """A node's signature (Ed25519, RFC 8032) of an entry, 128 hexadecimal digits."""
        return str(self._key(name).sign(canonical(content).encode()).hex())

    def committed(self, name: NodeId, model: str, update: str) -> str:
        """A commitment to an update, 64 hexadecimal digits: nobody who guesses the update can check the guess.

        The digest of the update is keyed by a secret of the node (HMAC with SHA-256, RFC 2104), so that the same update
        gives the same commitment when a round runs again.

        Args:
            name: of the node.
            model: digest of what the update starts from.
            update: digest of the update.
        """
        blind = hmac.digest(self.seeds[name], b"update", "sha256")
        return hmac.digest(blind, canonical({"model": model, "update": update}).encode(), "sha256").hex()

    def _key(self, name: NodeId) -> Any:
        return require_ed25519().Ed25519PrivateKey.from_private_bytes(self.seeds[name])


def check_keys(keys: Mapping[str, Any], field: str) -> None:
    """Raises `PayloadError` where a value is no public key: 64 hexadecimal digits in lower case."""
    for name, key in keys.items():
        if not isinstance(name, str) or not isinstance(key, str) or not _KEY.fullmatch(key):
            raise PayloadError(f"{field}: a key is not 64 hexadecimal digits in lower case")


def is_signed(key: str, signature: object, content: Entry) -> bool:
    """Whether a signature is that of a key; keys and signatures have one spelling each.

    >>> ring = Keyring({NodeId("a"): bytes(32)})
    >>> signature = ring.sign(NodeId("a"), {"n": 1})
    >>> [is_signed(ring.public(NodeId("a")), signature, {"n": n}) for n in (1, 2)]
    [True, False]
    """
    from cryptography.exceptions import InvalidSignature

    # Hexadecimal digits have two cases, and `fromhex` skips spaces: another spelling would be another record.
    if not _KEY.fullmatch(key) or not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
        return False
    try:
        public = require_ed25519().Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(bytes.fromhex(signature), canonical(content).encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def canonical(entry: Entry) -> str:
    """The one spelling of an entry as a line of JSON."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def sha256_of(line: str) -> str:
    """SHA-256 of a line, 64 hexadecimal digits."""
    return hashlib.sha256(line.encode()).hexdigest()


def _seed_in(path: Path) -> bytes:
    try:
        if not path.is_file():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, secrets.token_hex(32).encode(), 0o600)
        seed = bytes.fromhex(path.read_text(encoding="ascii"))
    except OSError as error:
        raise ConfigError(f"out: {path} cannot be read ({error.strerror}); give another folder") from None
    except ValueError:
        seed = b""
    if len(seed) != 32:
        raise ConfigError(f"out: {path} is damaged; give another folder, or delete it with the record")
    return seed
