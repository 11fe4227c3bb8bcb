"""A price that the merchant's server vouches for: signed, so that a browser can carry it and not change it.

Nothing of a quote is stored. What makes it pay once is its reference, which is trusted as one that comes with
an API key is. A quote can be read by the buyer: nothing secret belongs into it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.errors import Unauthorized
from payments_service.domain.money import Money

PURPOSE = "payments-service:quote:1:"
"""With the mode behind it, what the signing key is derived for: no other signature of ours, and no quote of
the other mode, passes for a quote."""


class QuoteRequired(Unauthorized):
    """A browser named an amount itself, where only the merchant may."""

    code = "quote_required"


class QuoteExpired(Unauthorized):
    code = "quote_expired"


class QuoteInvalid(Unauthorized):
    """Not a quote that we signed, for this mode."""

    code = "quote_invalid"


@dataclass(frozen=True)
class Quote:
    """What the merchant's server fixed. `metadata` and `user_id` come from it alone, too."""

    amount: Money
    reference: str
    description: str | None
    user_id: str | None
    metadata: Mapping[str, str]
    expires_at: datetime
    """Until then an order can be opened with it; an order that is open stays so."""


def sign(quote: Quote, keys: Sequence[str], mode: str) -> str:
    """The quote as text; the first key signs."""
    content = {
        "amountPaise": quote.amount.minor,
        "currency": quote.amount.currency,
        "reference": quote.reference,
        "description": quote.description,
        "userId": quote.user_id,
        "metadata": dict(quote.metadata),
        "expiresAt": int(quote.expires_at.timestamp()),
    }
    signed = _serializer(keys, mode).dumps({name: value for name, value in content.items() if value})
    return signed if isinstance(signed, str) else signed.decode()


def read(text: str, keys: Sequence[str], mode: str, clock: Clock = REAL_TIME) -> Quote:
    """The quote that one of the keys signed, for this mode. Raises QuoteInvalid and QuoteExpired."""
    try:
        content: dict[str, Any] = _serializer(keys, mode).loads(text)
        is_as_written = _is_as_written(text)
    except (BadData, ValueError) as error:
        raise QuoteInvalid("The quote is not one of this service") from error
    if not is_as_written:
        raise QuoteInvalid("The quote is not one of this service")
    quote = Quote(
        amount=Money(content["amountPaise"], content["currency"]),
        reference=content["reference"],
        description=content.get("description"),
        user_id=content.get("userId"),
        metadata=content.get("metadata", {}),
        expires_at=datetime.fromtimestamp(content["expiresAt"], UTC),
    )
    if quote.expires_at <= clock.now():
        raise QuoteExpired("The quote has expired; ask the shop for a new one")
    return quote


def _serializer(keys: Sequence[str], mode: str) -> URLSafeSerializer:
    # itsdangerous signs with the last of several keys, and believes all of them.
    return URLSafeSerializer(
        list(reversed(keys)),
        salt=PURPOSE + mode,
        signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
    )


def _is_as_written(text: str) -> bool:
    """Base64 has spare bits and skips characters: another spelling of the same signature is refused, too."""
    signature = text.rpartition(".")[2]
    return base64_encode(base64_decode(signature)).decode() == signature
