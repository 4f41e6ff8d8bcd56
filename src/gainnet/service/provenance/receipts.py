"""Receipts: what an edge says of a payload that a device decodes, so that the edge never sees the picture.

    edge:    statement = source type, model, digest of the configuration, digest of the payload, key of the device
    device:  digest of the pixels, signed with a key that is made for this request alone

Others cannot put the receipt on other pixels, since they lack the device's key, which is forgotten with the request.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from PIL import Image

from gainnet.core.errors import MissingExtraError
from gainnet.core.outside import read_json, read_text, reading

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
except ImportError:
    raise MissingExtraError("cryptography", "serve") from None

KIND: Final = "gainnet receipt 1"
_MOST_TEXT: Final = 1 << 16


@final
@dataclass(frozen=True)
class Receipt:
    """A statement of an edge about what it sent, with the device's word on the pixels that it made of that.

    Args:
        statement: JSON text that the edge has signed.
        signature: of the statement, ECDSA with SHA-384.
        certificate: of the edge, DER.
        pixels: digest of the pixels as the device had them; empty until it has them.
        pixels_signature: of that digest, by the key that the statement names; empty where there is none.
    """

    statement: str
    signature: bytes
    certificate: bytes
    pixels: str = ""
    pixels_signature: bytes = b""

    def to_json(self) -> dict[str, str]:
        """Plain values of JSON."""
        return {
            "statement": self.statement, "signature": _text(self.signature), "certificate": _text(self.certificate),
            "pixels": self.pixels, "pixels_signature": _text(self.pixels_signature),
        }  # fmt: skip

    @staticmethod
    def of_json(found: object) -> Receipt:
        """The inverse of `to_json`.

        Raises:
            PayloadError: it is no receipt.
        """
        with reading("receipt"):
            if not isinstance(found, dict):
                raise TypeError
            texts = {name: read_text(found.get(name, ""), "receipt", _MOST_TEXT) for name in Receipt.__annotations__}
            octets = {
                name: base64.b64decode(texts.pop(name)) for name in ("signature", "certificate", "pixels_signature")
            }
            return Receipt(**texts, **octets)  # type: ignore[arg-type]

    def to_text(self) -> str:
        """Letters, digits and `+/=` alone, as it stands in XMP."""
        return _text(json.dumps(self.to_json()).encode())

    @staticmethod
    def of_text(text: str) -> Receipt:
        """The inverse of `to_text`; raises `PayloadError` where it is none."""
        with reading("receipt"):
            return Receipt.of_json(read_json(base64.b64decode(text), "receipt"))

    def stated(self) -> Mapping[str, Any]:
        """The values of the statement; raises `PayloadError` when it is none of ours."""
        with reading("receipt"):
            found = read_json(self.statement, "receipt")
            if found["kind"] != KIND:
                raise ValueError
            return dict(found)

    def has_signed_pixels(self) -> bool:
        """Whether the device that the edge has named signed the digest of the pixels."""
        key = self.stated().get("device_key")
        if not isinstance(key, str):
            return False
        try:
            with reading("receipt"):
                public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
            public.verify(self.pixels_signature, self.pixels.encode())
        except InvalidSignature:
            return False
        return True


@final
class DeviceKey:
    """The key of a device for one request."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public = _text(self._key.public_key().public_bytes_raw())

    def seal(self, receipt: Receipt, picture: bytes) -> Receipt:
        """The receipt with the digest of the pixels, signed where the edge has named this key.

        Args:
            receipt: of the edge.
            picture: a file.
        """
        digest = picture_digest(picture)
        # An earlier run of the same request had another key; what the journal kept names that one.
        is_mine = receipt.stated().get("device_key") == self.public
        signature = self._key.sign(digest.encode()) if is_mine else b""
        return Receipt(receipt.statement, receipt.signature, receipt.certificate, digest, signature)


def picture_digest(picture: bytes) -> str:
    """SHA-256 in hexadecimal over width and height, as in `128x128` and a line feed, and the RGB bytes row by row.

    Args:
        picture: a file; another file of the same pixels has the same digest.

    >>> def file_of(form: str) -> bytes:
    ...     file = io.BytesIO()
    ...     Image.new("RGB", (2, 2), "red").save(file, form)
    ...     return file.getvalue()
    >>> picture_digest(file_of("PNG")) == picture_digest(file_of("BMP"))  # of its pixels, not of its file
    True
    """
    with Image.open(io.BytesIO(picture)) as image:
        return hashlib.sha256(f"{image.width}x{image.height}\n".encode() + image.convert("RGB").tobytes()).hexdigest()


def configuration_digest(request_id: str, asked: Mapping[str, Any]) -> str:
    """SHA-256 in hexadecimal of what was asked for.

    The id of the request, which is drawn at random and not in the receipt, goes in first: short prompts could be
    guessed from a digest of them alone.

    Args:
        request_id: known to device and edge.
        asked: `Asked.to_json`.
    """
    return hashlib.sha256(f"{request_id}\n{json.dumps(asked, sort_keys=True)}".encode()).hexdigest()


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
