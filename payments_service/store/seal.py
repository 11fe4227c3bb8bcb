"""The history's seal: each row's HMAC covers the row and the one before it, so no row can be changed unseen.

Keys are derived from SECRET_KEY for this purpose alone, newest first; each row names the one that sealed it,
so a key may be replaced as long as the old one stays in the list.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID


class Sealable(Protocol):
    """A row of the history, stored or about to be."""

    @property
    def payment_id(self) -> UUID: ...
    @property
    def sequence(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def from_status(self) -> str | None: ...
    @property
    def to_status(self) -> str | None: ...
    @property
    def source(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def evidence(self) -> dict[str, Any]: ...
    @property
    def created_at(self) -> datetime: ...


PURPOSE = b"payments-service history"
SHOWN = 8
"""Characters of a key's own digest, by which a row names it."""
SAYING = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
"""One row, one text: other spaces or another order would be another seal."""


@dataclass(frozen=True)
class ChainKey:
    name: str
    secret: bytes


ChainKeys = tuple[ChainKey, ...]


def keys_of(secrets: Sequence[str]) -> ChainKeys:
    """One key for each secret, in the same order."""
    derived = [hmac.digest(secret.encode(), PURPOSE, "sha256") for secret in secrets]
    return tuple(ChainKey(hashlib.sha256(key).hexdigest()[:SHOWN], key) for key in derived)


def link(keys: ChainKeys, head: str | None, entry: Sealable) -> tuple[str | None, str | None]:
    """The row's seal and the name of its key; none of both without a key."""
    if not keys:
        return None, None
    return seal(keys[0], head, entry), keys[0].name


def seal(key: ChainKey, head: str | None, row: Sealable) -> str:
    said: list[Any] = [
        head,
        row.payment_id.hex,
        row.sequence,
        row.kind,
        row.from_status,
        row.to_status,
        row.source,
        row.actor,
        row.reason,
        row.evidence,
        row.created_at.isoformat(timespec="microseconds"),
    ]
    return hmac.digest(key.secret, SAYING.encode(said).encode(), "sha256").hex()
