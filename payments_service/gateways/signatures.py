"""Digests as the gateways use them, compared in constant time only."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from itertools import zip_longest


def hmac_sha256_hex(secret: str, message: bytes) -> str:
    return hmac.digest(secret.encode(), message, "sha256").hex()


def hmac_sha256_base64(secret: str, message: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), message, "sha256")).decode()


def sha256_hex(message: bytes) -> str:
    return hashlib.sha256(message).hexdigest()


def password_headers(users: Sequence[str], passwords: Sequence[str]) -> list[str]:
    """Every Authorization header that proves one of these pairs: the bare SHA-256 of it, or HTTP Basic.

    Pairs by position; a single user goes with every password.
    """
    pairs = [f"{u}:{p}".encode() for u, p in zip_longest(users, passwords, fillvalue=users[0])]
    return [sha256_hex(pair) for pair in pairs] + [f"Basic {base64.b64encode(p).decode()}" for p in pairs]


def same(given: str, expected: str) -> bool:
    """Constant-time equality of two texts; any text is fine, also one that is not ASCII."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


def any_same(given: str, expected: Iterable[str]) -> bool:
    """Whether one of several is equal, trying them all so that time tells nothing."""
    return any([same(given, candidate) for candidate in expected])
