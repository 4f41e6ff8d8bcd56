"""Keys and certificates of a federation of one's own: an authority, a server's certificate, a key for every node."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gainnet.core.errors import MissingExtraError
from gainnet.core.files import write_whole

VALID_DAYS = 365

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    raise MissingExtraError("cryptography", "engines") from None


def write_certificates(folder: Path, hosts: Iterable[str] = ("localhost", "127.0.0.1")) -> None:
    """ca.pem, server.pem and server.key: a server's certificate for its hosts, signed by an authority made for it.

    The authority's own key is thrown away, so that nobody can sign a second server. P-384, SHA-384, valid for a year.

    Args:
        folder: where they are written; the key is readable by its owner alone.
        hosts: names and addresses under which the server is reached.
    """
    authority, server = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    root = _signed(_name("gainnet authority"), authority.public_key(), _name("gainnet authority"), authority, ())
    signed = _signed(_name("gainnet server"), server.public_key(), root.subject, authority, tuple(hosts))
    write_whole(folder / "ca.pem", root.public_bytes(serialization.Encoding.PEM))
    write_whole(folder / "server.pem", signed.public_bytes(serialization.Encoding.PEM))
    _write_secret(folder / "server.key", server, serialization.PrivateFormat.PKCS8)


def write_node_key(folder: Path, name: str) -> None:
    """`name`.key and `name`.pub: a P-384 key in OpenSSH's format, with which a node proves who it is."""
    key = ec.generate_private_key(ec.SECP384R1())
    _write_secret(folder / f"{name}.key", key, serialization.PrivateFormat.OpenSSH)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    write_whole(folder / f"{name}.pub", public + b"\n")


def _write_secret(path: Path, key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat) -> None:
    write_whole(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()), 0o600)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    by: ec.EllipticCurvePrivateKey,
    hosts: tuple[str, ...],
) -> x509.Certificate:
    """A certificate of a server for its hosts; without hosts, of an authority."""
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=VALID_DAYS))
    for extension, critical in _extensions(key, by.public_key(), hosts):
        builder = builder.add_extension(extension, critical)
    return builder.sign(by, hashes.SHA384())


def _extensions(
    key: ec.EllipticCurvePublicKey, by: ec.EllipticCurvePublicKey, hosts: tuple[str, ...]
) -> list[tuple[Any, bool]]:
    signs = not hosts
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    found: list[tuple[Any, bool]] = [
        (x509.BasicConstraints(signs, 0 if signs else None), True),
        (x509.KeyUsage(digital_signature=hosts != (), key_cert_sign=signs, crl_sign=signs, **usage), True),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(by), False),
    ]
    if hosts:
        found.append((x509.SubjectAlternativeName([_alternative(host) for host in hosts]), False))
        found.append((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False))
    return found


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
