"""Building blocks of secure aggregation: fixed-point numbers in a ring, masks from agreed keys, shared secrets."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.core.errors import ConfigError, PayloadError, check_range, import_extra

RING_BITS = 32
"""Vectors are of integers modulo 2^32: sums wrap around, and nothing is ever rounded."""

FIELD = (1 << 521) - 1
"""The prime field of the shares: a Mersenne prime beyond any key of 32 bytes."""

SHARE_BYTES = 66
KEY_BYTES = 32

Ring = NDArray[np.uint32]


def require_cryptography() -> Any:
    """The library cryptography; raises `MissingExtraError` when it is not installed."""
    root = "cryptography.hazmat.primitives"
    for part in ("asymmetric.x25519", "ciphers.aead", "kdf.hkdf"):
        import_extra(f"{root}.{part}", "cryptography", "privacy")
    return import_extra(root, "cryptography", "privacy")


def to_ring(values: Tensor, num_fraction_bits: int, num_summands: int) -> Ring:
    r"""[num_values], $\lfloor 2^f |x| \rfloor \operatorname{sign} x$ modulo $2^{32}$: towards zero, so no norm grows.

    Args:
        values: [num_values], finite.
        num_fraction_bits: $f$, so that a value is off by less than $2^{-f}$.
        num_summands: how many vectors are added up; their sum has to fit.

    Raises:
        ConfigError: a value is not finite, or so large that the sum could wrap around.

    >>> to_ring(torch.tensor([1.0, -0.5]), 1, 2).tolist()
    [2, 4294967295]
    """
    # The sum has to stay below half the ring: the other half stands for negative numbers.
    limit = 2.0 ** (RING_BITS - 1 - num_fraction_bits) / num_summands
    if not bool((values.abs() < limit).all()):
        raise ConfigError(
            f"update: a value is not finite or not below {limit:g}, as {num_summands} need; lower the rate"
        )
    scaled = (values.double() * 2.0**num_fraction_bits).trunc().to(torch.int64).numpy()
    return scaled.astype(np.uint32)  # two's complement is arithmetic modulo 2^32


def from_ring(ring: Ring, num_fraction_bits: int) -> Tensor:
    """[num_values] float64, what a sum in the ring stands for.

    >>> from_ring(to_ring(torch.tensor([1.0, -0.5]), 1, 2), 1).tolist()
    [1.0, -0.5]
    """
    return torch.from_numpy(ring.view(np.int32).astype(np.float64) / 2.0**num_fraction_bits)


def mask_of(seed: bytes, num_values: int) -> Ring:
    """[num_values], the ring elements that a seed of 32 bytes stands for: the key stream of ChaCha20 (RFC 8439).

    >>> mask_of(bytes(32), 2).tolist()
    [2917185654, 2419978656]
    """
    ciphers = require_cryptography().ciphers
    # Both ends have to expand a seed into the same bits on every machine, which no generator of NumPy promises.
    stream = ciphers.Cipher(ciphers.algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor()
    return np.frombuffer(stream.update(bytes(4 * num_values)), "<u4").astype(np.uint32)


def new_key() -> Any:
    """A private key on Curve25519, from the system's randomness."""
    return require_cryptography().asymmetric.x25519.X25519PrivateKey.generate()


def key_of(content: bytes) -> Any:
    """The private key on Curve25519 that 32 random bytes are (RFC 7748).

    >>> public_of(key_of(bytes(32))).hex()[:16]
    '2fe57da347cd6243'
    """
    return require_cryptography().asymmetric.x25519.X25519PrivateKey.from_private_bytes(content)


def public_of(key: Any) -> bytes:
    """The 32 bytes that others may know of a private key."""
    return bytes(key.public_key().public_bytes_raw())


def agree_secret(key: Any, public: bytes, purpose: str) -> bytes:
    """32 bytes that only the owners of the two keys know: X25519 (RFC 7748), then HKDF with SHA-256 (RFC 5869).

    Args:
        key: private key of one side, or its 32 bytes.
        public: what the other side has published.
        purpose: other purposes give other bytes.

    Raises:
        PayloadError: what the other side has published is no key, or one with which everybody agrees on the same bytes.

    >>> one, other = new_key(), new_key()
    >>> agree_secret(one, public_of(other), "mask") == agree_secret(other, public_of(one), "mask")
    True
    """
    primitives = require_cryptography()
    x25519 = primitives.asymmetric.x25519
    private = x25519.X25519PrivateKey.from_private_bytes(key) if isinstance(key, bytes) else key
    try:
        # The library refuses points of low order, whose product with any private key is zero (RFC 7748, section 6.1).
        secret = private.exchange(x25519.X25519PublicKey.from_public_bytes(public))
    except (ValueError, TypeError):
        raise PayloadError("keys: a public key is not 32 bytes of a point of high order") from None
    # The shared point is not uniform as a string of bits, and one key serves two purposes: both are why it is hashed.
    hashes = primitives.hashes.SHA256()
    return bytes(primitives.kdf.hkdf.HKDF(hashes, KEY_BYTES, None, purpose.encode()).derive(secret))


def is_public(public: bytes) -> bool:
    """Whether others can agree on a secret with the owner of these bytes.

    >>> is_public(public_of(new_key())), is_public(bytes(32)), is_public(b"short")
    (True, False, False)
    """
    try:
        agree_secret(new_key(), public, "trial")
    except PayloadError:
        return False
    return True


def seal(content: bytes, secret: bytes) -> bytes:
    """Content that only the owners of a secret can read or change: ChaCha20-Poly1305; a secret seals once."""
    aead = require_cryptography().ciphers.aead.ChaCha20Poly1305(secret)
    # A nonce of zeros is safe because every secret is agreed on anew and seals one content in its life.
    return bytes(aead.encrypt(bytes(12), content, None))


def unseal(content: bytes, secret: bytes) -> bytes:
    """The content that was sealed.

    Raises:
        PayloadError: it was changed on the way, or sealed with another secret.

    >>> unseal(seal(b"share", bytes(32)), bytes(32))
    b'share'
    """
    from cryptography.exceptions import InvalidTag

    try:
        aead = require_cryptography().ciphers.aead.ChaCha20Poly1305(secret)
        return bytes(aead.decrypt(bytes(12), content, None))
    except (InvalidTag, ValueError, TypeError):
        raise PayloadError("shares: a sealed share was changed on the way") from None


def split_secret(secret: bytes, num_shares: int, threshold: int) -> tuple[bytes, ...]:
    r"""Shares of a secret, any `threshold` of which give it back and fewer of which say nothing about it.

    $y_i = s + \sum_{k=1}^{t-1} a_k i^k \bmod p$ with $a_k$ drawn by the system   (Shamir 1979)

    Args:
        secret: at most 65 bytes.
        num_shares: how many, $i = 1, 2, \ldots$
        threshold: $t$, in [1, num_shares].

    Raises:
        ConfigError: the threshold is out of range.

    >>> shares = split_secret(b"a key of thirty-two bytes, or so", 3, 2)
    >>> len(shares), len(set(shares))
    (3, 3)
    >>> join_secret({1: shares[0], 3: shares[2]})
    b'a key of thirty-two bytes, or so'
    >>> split_secret(b"key", 3, 4)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: threshold: 4 is out of range; must be 1 to the 3 shares
    """
    check_range(1 <= threshold <= num_shares, "threshold", threshold, f"1 to the {num_shares} shares")
    coefficients = [int.from_bytes(secret, "big"), *(secrets.randbelow(FIELD) for _ in range(threshold - 1))]
    return tuple(_at(coefficients, i).to_bytes(SHARE_BYTES, "big") for i in range(1, num_shares + 1))


def join_secret(shares: Mapping[int, bytes]) -> bytes:
    """The secret of 32 bytes that shares stand for, by Lagrange's polynomial at 0.

    Args:
        shares: by their number, from 1; as many as the threshold or more.

    Raises:
        PayloadError: the shares do not belong together, or are too few.

    >>> shares = split_secret(bytes(range(32)), 5, 3)
    >>> join_secret({i: shares[i - 1] for i in (5, 2, 3)}) == bytes(range(32))
    True
    """
    if not shares or min(shares) < 1 or any(len(share) != SHARE_BYTES for share in shares.values()):
        raise PayloadError(f"shares: must be {SHARE_BYTES} bytes each, with numbers from 1")
    total = 0
    for i, share in shares.items():
        others = [j for j in shares if j != i]
        above = below = 1
        for j in others:
            # The i-th basis polynomial at 0 is the product of -j / (i - j); numerators and denominators apart take
            # one inversion per share in the place of one per pair.
            above, below = above * -j % FIELD, below * (i - j) % FIELD
        total += int.from_bytes(share, "big") * above * pow(below, -1, FIELD)
    secret = total % FIELD
    # Too few shares, or mixed ones, give a random element of the field: 521 bits, of which a key has 256.
    if secret >> (8 * KEY_BYTES):
        raise PayloadError("shares: they are too few or do not belong together")
    return secret.to_bytes(KEY_BYTES, "big")


def _at(coefficients: list[int], place: int) -> int:
    value = 0  # Horner's rule
    for coefficient in reversed(coefficients):
        value = (value * place + coefficient) % FIELD
    return value
