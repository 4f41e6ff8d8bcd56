"""Keys and certificates of a federation of one's own: an authority, a server's certificate, a key for every node."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gainnet.core.errors import ConfigError, MissingExtraError
from gainnet.core.files import write_whole

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    raise MissingExtraError("cryptography", "engines") from None

VALID_DAYS, AUTHORITY = 365, "gainnet authority"
SIGNING_DAYS = 3650
"""Of keys that sign pictures: without a foreign clock, a signature holds as long as its certificate alone."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
Extension = tuple[x509.ExtensionType, bool]
"""An extension of a certificate, and whether a reader that does not understand it has to refuse it."""


def write_certificates(
    folder: Path, hosts: Iterable[str] = ("localhost", "127.0.0.1"), devices: Iterable[str] = ()
) -> None:
    """Certificates of a server and of devices, signed by an authority that is made for them and trusted by them alone.

    ca.pem is the authority's; server.pem and `device`.pem come with a key each, which its owner alone may read. The
    authority's own key is thrown away, so that nobody can sign another one. P-384, SHA-384, valid for a year.

    Args:
        folder: where they are written.
        hosts: names and addresses under which the server is reached.
        devices: names of those who prove to the server who they are.

    Raises:
        ConfigError: a device has the name of another file or none that a file can have, or a host is no address.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_certificates(Path(folder), devices=["device_0"])
    ...     names = sorted(path.name for path in Path(folder).iterdir())
    >>> names
    ['ca.pem', 'device_0.key', 'device_0.pem', 'server.key', 'server.pem']
    """
    devices = tuple(devices)
    check_names("device", devices)
    # All names are looked at before any file is written.
    server = [_alternative(host) for host in hosts]
    # The authority's key lives in this call alone: nobody can sign a further device later.
    authority = ec.generate_private_key(ec.SECP384R1())
    root = _signed(AUTHORITY, authority.public_key(), authority, _of_authority(authority.public_key()))
    write_whole(folder / "ca.pem", root)
    holders = {"server": (server, ExtendedKeyUsageOID.SERVER_AUTH)}
    holders |= {name: ([x509.DNSName(name)], ExtendedKeyUsageOID.CLIENT_AUTH) for name in devices}
    for name, (alternatives, purpose) in holders.items():
        key = ec.generate_private_key(ec.SECP384R1())
        extensions: list[Extension] = [
            (x509.BasicConstraints(False, None), True),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False),
            (x509.SubjectAlternativeName(alternatives), False),
            (x509.ExtendedKeyUsage([purpose]), False),
        ]
        write_whole(folder / f"{name}.pem", _signed(name, key.public_key(), authority, extensions))
        _write_secret(folder / f"{name}.key", key, serialization.PrivateFormat.PKCS8)


def write_signing_keys(folder: Path, name: str = "gainnet edge") -> None:
    """Keys with which an edge signs pictures: root.pem, which readers pin, and signer.pem with signer.key below it.

    The root's own key is thrown away. P-384, SHA-384, valid for ten years, as C2PA asks of certificates of signers.

    Args:
        folder: where they are written.
        name: of the signer, which readers are shown.
    """
    root, signer = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    content = _signed(AUTHORITY, root.public_key(), root, _of_authority(root.public_key()), SIGNING_DAYS)
    extensions: list[Extension] = [
        (x509.BasicConstraints(False, None), True),
        (_usage(digital_signature=True), True),
        # C2PA asks for a purpose; that of mail is the one that its readers know of old.
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
        (x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False),
    ]
    write_whole(folder / "root.pem", content)
    write_whole(folder / "signer.pem", _signed(name, signer.public_key(), root, extensions, SIGNING_DAYS))
    _write_secret(folder / "signer.key", signer, serialization.PrivateFormat.PKCS8)


def check_names(field: str, names: Iterable[str]) -> None:
    """Raises `ConfigError` unless every name can be that of a file in a folder of keys, and is of no other file there.

    >>> check_names("device", ["device_0"])
    >>> check_names("device", ["../device_0"])
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: device: '../device_0' is not a name; give 1 to 64 letters, digits, '_', '-' or '.'
    """
    for name in names:
        if name in ("ca", "server"):
            raise ConfigError(f"{field}: {name!r} is the name of another file; give another name")
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{field}: {name!r} is not a name; give 1 to 64 letters, digits, '_', '-' or '.'")


def write_node_key(folder: Path, name: str) -> None:
    """`name`.key and `name`.pub: a P-384 key in OpenSSH's format, with which a node proves who it is.

    Raises:
        ConfigError: as `check_names`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_node_key(Path(folder), "edge_1")
    ...     public = (Path(folder) / "edge_1.pub").read_text()
    >>> public.split()[0]
    'ecdsa-sha2-nistp384'
    """
    check_names("node", (name,))
    key = ec.generate_private_key(ec.SECP384R1())
    _write_secret(folder / f"{name}.key", key, serialization.PrivateFormat.OpenSSH)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    write_whole(folder / f"{name}.pub", public + b"\n")


def _write_secret(path: Path, key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat) -> None:
    write_whole(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()), 0o600)


def _signed(
    name: str,
    key: ec.EllipticCurvePublicKey,
    by: ec.EllipticCurvePrivateKey,
    extensions: Iterable[Extension],
    valid_days: int = VALID_DAYS,
) -> bytes:
    """A certificate of a key, in PEM."""
    issuer, subject = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (AUTHORITY, name))
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    # Clocks of two machines differ by minutes.
    builder = builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=valid_days))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(by, hashes.SHA384()).public_bytes(serialization.Encoding.PEM)


def _of_authority(key: ec.EllipticCurvePublicKey) -> list[Extension]:
    usage = _usage(key_cert_sign=True, crl_sign=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    # Length 0: no certificate below may sign another one.
    return [(x509.BasicConstraints(True, 0), True), (usage, True), (identifier, False)]


def _usage(digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    others = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    return x509.KeyUsage(
        digital_signature, **others, key_cert_sign=key_cert_sign, crl_sign=crl_sign, decipher_only=False
    )


def _alternative(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    if not _HOST.fullmatch(host):
        raise ConfigError(f"host: {host!r} is neither a name nor an address; give for example edge.example.org")
    return x509.DNSName(host)
