"""Origin that a picture states, and which of its statements hold."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, final

from gainnet.core.errors import ConfigError, MissingExtraError, import_extra
from gainnet.core.outside import read_json, reading
from gainnet.service.provenance.marking import read_marks
from gainnet.service.provenance.receipts import Receipt, picture_digest
from gainnet.service.provenance.signer import LABEL, OFFLINE

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificate
except ImportError:
    raise MissingExtraError("cryptography", "serve") from None

_MAGIC: Final = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}
_WORDS: Final = {
    "assertion.dataHash.mismatch": "the picture was changed after it was signed",
    "assertion.hashedURI.mismatch": "what it says of itself was changed after it was signed",
    "claimSignature.mismatch": "its signature is not that of its signer",
    "signingCredential.untrusted": "its signer is not vouched for by this root",
    "signingCredential.expired": "the certificate of its signer has run out",
    "claimSignature.outsideValidity": "it was signed when the certificate of its signer was not valid",
}
"""Codes of C2PA in plain words."""
_MADE: Final = {
    "trainedAlgorithmicMedia": "by a model",
    "compositeWithTrainedAlgorithmicMedia": "from another picture, by a model",
}
_PIXELS: Final = {
    "signed": "as they were signed",
    "changed": "not those that were signed",
    "unsigned": "signed by nobody",
}
_MOST_SPELT: Final = 200
_NO_ROOT: Final = "who signed it is not known; give the root of the edge with --root"


@final
@dataclass(frozen=True)
class Found:
    """Statements found in a picture.

    Args:
        evidence: a C2PA manifest, a receipt of an edge, an unsigned mark, or nothing.
        source_type: digital source type that it states, as an address of the IPTC's; `None` where it states none.
        signer: name in the certificate of the signer.
        pixels: `signed` when they are as they were signed, `changed`, or `unsigned` when nobody signed them.
        stated: what else the signer says: model, digests, time.
        problems: what does not hold, in plain words; empty when all holds.
    """

    evidence: Literal["c2pa", "receipt", "mark", "nothing"]
    source_type: str | None = None
    signer: str | None = None
    pixels: Literal["signed", "changed", "unsigned"] = "unsigned"
    stated: Mapping[str, Any] | None = None
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values of JSON, with `holds`."""
        return {"holds": not self.problems, **asdict(self)}


def verify(path: Path, root: Path | None) -> Found:
    """Checks the signatures in a picture.

    Args:
        path: of the picture.
        root: certificate of the edge's root, PEM; without it, no signer is known.

    Raises:
        GainnetError: a file cannot be read.
    """
    try:
        content, anchor = path.read_bytes(), None if root is None else root.read_bytes()
    except OSError as error:
        raise ConfigError(f"picture: {error.filename} cannot be read ({error.strerror}); give another") from None
    kind = _kind(content[:16])
    if kind is None:
        raise ConfigError(f"picture: {path} is no PNG, JPEG or WebP file; give one")
    if anchor is not None:
        _certificate(anchor)
    found = _of_manifest(content, kind, anchor)
    if found is not None:
        return found
    marks = read_marks(content)
    if (text := marks.get("receipt")) is not None:
        return _of_receipt(Receipt.of_text(text), content, anchor)
    if (source := marks.get("source")) is not None:
        return Found("mark", source, problems=("nobody has signed it: it only says so",))
    return Found("nothing", problems=("it does not say where it comes from",))


def _of_manifest(content: bytes, kind: str, anchor: bytes | None) -> Found | None:
    """Statements of a C2PA manifest; `None` where there is none."""
    c2pa = import_extra("c2pa", "c2pa-python", "serve")
    trust = {} if anchor is None else {"trust": {"user_anchors": anchor.decode()}}
    try:
        with c2pa.Context.from_dict({**OFFLINE, **trust}) as context:
            reader = c2pa.Reader.try_create(f"image/{kind}", io.BytesIO(content), context=context)
            if reader is None:
                return None
            with reader:
                store = read_json(reader.json(), "picture")
    except c2pa.C2paError:
        return Found("c2pa", pixels="changed", problems=("its manifest is damaged",))
    with reading("picture"):
        manifest = store["manifests"][store["active_manifest"]]
        data = {each["label"]: each["data"] for each in manifest["assertions"]}
        failures = store["validation_results"]["activeManifest"]["failure"]
        codes = {each["code"]: each.get("explanation", each["code"]) for each in failures}
        actions = data.get("c2pa.actions.v2", {}).get("actions", [{}])
        problems = tuple(
            _NO_ROOT if anchor is None and code == "signingCredential.untrusted" else _WORDS.get(code, text)
            for code, text in codes.items()
        )
        # The state is the library's own sum over all manifests: no list of codes can overrule it.
        if not problems and store.get("validation_state") != "Trusted":
            problems = ("its manifest does not hold",)
        intact = "assertion.dataHash.mismatch" not in codes
        return Found(
            "c2pa", actions[0].get("digitalSourceType"), manifest["signature_info"].get("common_name"),
            "signed" if intact else "changed", data.get(LABEL), problems,
        )  # fmt: skip


def _of_receipt(receipt: Receipt, content: bytes, anchor: bytes | None) -> Found:
    """Statements of a receipt, and whether the pixels are those of the device that it was given to."""
    stated = dict(receipt.stated())
    with reading("receipt"):
        leaf = load_der_x509_certificate(receipt.certificate)
    problems = [] if _has_signed(leaf, receipt) else [_WORDS["claimSignature.mismatch"]]
    problems += [_NO_ROOT] if anchor is None else _trust_problems(leaf, _certificate(anchor))
    pixels: Literal["signed", "changed", "unsigned"] = "signed"
    if not receipt.has_signed_pixels():
        pixels = "unsigned"
        problems.append("the receipt is for a payload; no device has signed these pixels")
    if picture_digest(content) != receipt.pixels:
        pixels = "changed"
        problems.append("the picture was changed after its device had made it")
    name = leaf.subject.rfc4514_string().removeprefix("CN=")
    return Found("receipt", stated.get("source_type"), name, pixels, stated, tuple(problems))


def _certificate(content: bytes) -> Certificate:
    try:
        return load_pem_x509_certificate(content)
    except ValueError:
        raise ConfigError("root: it is no certificate in PEM; give the root.pem of the edge") from None


def _has_signed(leaf: Certificate, receipt: Receipt) -> bool:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(receipt.signature, receipt.statement.encode(), ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        return False
    return True


def _trust_problems(leaf: Certificate, root: Certificate) -> list[str]:
    """Problems of a signer's certificate below a root."""
    try:
        leaf.verify_directly_issued_by(root)
    except (InvalidSignature, ValueError, TypeError):
        return [_WORDS["signingCredential.untrusted"]]
    if not leaf.not_valid_before_utc <= datetime.now(UTC) <= leaf.not_valid_after_utc:
        return [_WORDS["signingCredential.expired"]]
    return []


def _kind(start: bytes) -> str | None:
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)


def spelled(found: Found) -> list[str]:
    """Lines for people."""
    term = "" if found.source_type is None else found.source_type.rpartition("/")[2]
    lines = {"made": _MADE.get(term, term or "it does not say how"), "pixels": _PIXELS[found.pixels]}
    if found.signer is not None:
        lines["signer"] = found.signer
    lines |= {name: str(value) for name, value in (found.stated or {}).items() if name not in ("kind", "source_type")}
    width = max(map(len, lines))
    # A file's words are a stranger's: they must not steer the terminal.
    spelt = [f"{_printable(name):{width}}  {_printable(text)}" for name, text in lines.items()]
    return spelt + ([f"does not hold: {text}" for text in found.problems] or ["all of it holds"])


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:_MOST_SPELT])
