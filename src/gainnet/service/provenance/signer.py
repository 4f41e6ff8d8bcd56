"""The edge's signature: C2PA manifests in pictures, and receipts for payloads."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, final

from gainnet.core.errors import ConfigError, MissingExtraError, import_extra
from gainnet.core.files import write_folder, write_json, write_whole
from gainnet.core.weights import user_folder
from gainnet.service.provenance.marking import source_type
from gainnet.service.provenance.receipts import KIND, Receipt

try:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import load_pem_x509_certificate
except ImportError:
    raise MissingExtraError("cryptography", "serve") from None

ROOT, CERTIFICATE, KEY = "root.pem", "signer.pem", "signer.key"
LABEL: Final = "org.gainnet.generation"
"""Of our assertion in a manifest."""
OFFLINE: Final[Mapping[str, Any]] = {
    "version": 1,
    "core": {"allowed_network_hosts": []},
    "verify": {
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
        "verify_after_sign": False,
        "verify_after_reading": True,
        "verify_trust": True,
    },
    # Small pictures of the picture made 98 % of the bytes and of the time.
    "builder": {"thumbnail": {"enabled": False}},
}
"""Settings of c2pa: it would fetch manifests and states of certificates from addresses that stand in a file."""


@final
@dataclass(frozen=True)
class Cost:
    """Cost of signing.

    Args:
        cpu_ms: processor time in ms.
        num_bytes: by which the files grew.
    """

    cpu_ms: float = 0.0
    num_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        """The cost of both."""
        return Cost(self.cpu_ms + other.cpu_ms, self.num_bytes + other.num_bytes)

    @staticmethod
    def since(begin_s: float, before: bytes, after: bytes) -> Cost:
        """The cost of a file that became another one in this thread.

        Args:
            begin_s: `time.thread_time()` when it began.
            before: the file at first.
            after: the file now.
        """
        return Cost((time.thread_time() - begin_s) * 1e3, len(after) - len(before))

    def to_json(self) -> dict[str, float]:
        """Plain values of JSON."""
        return {"cpu_ms": round(self.cpu_ms, 3), "num_bytes": self.num_bytes}


@final
class Signer:
    """Signs with the keys of a folder; any thread may call it.

    Args:
        folder: with root.pem, signer.pem and signer.key, as `gainnet trust keys` writes it.

    Raises:
        ConfigError: a key is missing or damaged.
        MissingExtraError: c2pa or cryptography is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._c2pa = import_extra("c2pa", "c2pa-python", "serve")
        try:
            files = [(folder / name).read_bytes() for name in (ROOT, CERTIFICATE, KEY)]
            self.root, certificate, key = files
            leaf = load_pem_x509_certificate(certificate)
            self._certificate: bytes = leaf.public_bytes(serialization.Encoding.DER)
            loaded = serialization.load_pem_private_key(key, None)
            if not isinstance(loaded, ec.EllipticCurvePrivateKey):
                raise ValueError("another kind of key")
            self._key = loaded
            info = self._c2pa.C2paSignerInfo("es384", certificate + self.root, key, None)
            self._signer = self._c2pa.Signer.from_info(info)
        except OSError as error:
            reason = f"{error.filename} cannot be read ({error.strerror})"
            raise ConfigError(f"signer: {reason}; make keys with gainnet trust keys FOLDER") from None
        except (ValueError, TypeError, self._c2pa.C2paError):
            raise ConfigError(
                f"signer: the keys in {folder} are damaged; make others with gainnet trust keys"
            ) from None
        # One signature at a time: the library lends its signer to one builder.
        self._lock = threading.Lock()

    @staticmethod
    def of_user(folder: Path | None = None) -> Signer:
        """The signer of a folder; of the user's own when `None`, whose keys are made when they are missing."""
        if folder is not None:
            return Signer(folder)
        own = user_folder() / "signer"
        if not own.exists():
            from gainnet.wire.keys import write_signing_keys

            write_folder(own, write_signing_keys)
        return Signer(own)

    def sign(
        self, content: bytes, kind: str, model: Mapping[str, str], is_changed: bool = False, prompt: str | None = None
    ) -> tuple[bytes, Cost]:
        """A picture with a signed C2PA manifest, and what that cost.

        Args:
            content: of the file.
            kind: of the file: png, jpeg or webp.
            model: its name and the digest of its weights.
            is_changed: whether the model has changed a picture rather than made one.
            prompt: written into the manifest; left out when `None`.
        """
        begin_s = time.thread_time()
        stated = {**model} if prompt is None else {**model, "prompt": prompt}
        signed = io.BytesIO()
        c2pa = self._c2pa
        manifest = _manifest(stated, source_type(is_changed))
        with self._lock, c2pa.Context.from_dict(OFFLINE) as context, c2pa.Builder(manifest, context) as builder:
            builder.sign(self._signer, f"image/{kind}", io.BytesIO(content), signed)
        return signed.getvalue(), Cost.since(begin_s, content, signed.getvalue())

    def receipt(self, **stated: str | None) -> Receipt:
        """A signed statement about a payload.

        Args:
            stated: what is said: model, configuration, payload, device_key, source_type.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        statement = json.dumps({"kind": KIND, **stated, "signed_at": now}, sort_keys=True)
        signature = self._key.sign(statement.encode(), ec.ECDSA(hashes.SHA384()))
        return Receipt(statement, signature, self._certificate)


def sign_saved(signer: Signer, summary: dict[str, Any], folder: Path, sha256: str, is_changed: bool) -> dict[str, Any]:
    """Signs the pictures of a generation that was saved; its summary with `provenance`, as it is then in the folder.

    Args:
        signer: of the pictures.
        summary: of `generation.save`.
        folder: of the generation.
        sha256: digest of the model.
        is_changed: whether a picture was changed rather than made.
    """
    cost = Cost()
    for image in summary["images"]:
        path = Path(image["image_path"])
        model = {"model": str(summary["model"]), "sha256": sha256}
        signed, one = signer.sign(path.read_bytes(), "png", model, is_changed)
        write_whole(path, signed)
        cost += one
    summary = {**summary, "provenance": cost.to_json()}
    write_json(folder / "report.json", summary)
    return summary


def _manifest(stated: Mapping[str, str], source: str) -> dict[str, Any]:
    generator = {"name": "gainnet", "version": version("gainnet")}
    action = {"action": "c2pa.created", "digitalSourceType": source, "softwareAgent": generator}
    return {
        "claim_generator_info": [generator],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": LABEL, "data": dict(stated)},
        ],
    }
