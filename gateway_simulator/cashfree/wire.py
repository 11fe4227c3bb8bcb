"""How Cashfree writes numbers, ids and times: in answers, in webhooks, and in older versions of both.

Sources: OpenAPI 2025-01-01; docs payment-webhooks and refunds-webhook in their versions.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

VERSIONS = ("2022-09-01", "2023-08-01", "2025-01-01", "2026-01-01")
OLD = "2022-09-01"
NEWEST_WEBHOOKS = "2025-01-01"
WEBHOOK_VERSIONS = (OLD, "2023-08-01", NEWEST_WEBHOOKS)
IST = timezone(timedelta(hours=5, minutes=30))
MARK = "\ue000"
_MARKED = re.compile(f'"{MARK}(-?[0-9.]+)"')


@dataclass(frozen=True)
class Rupees:
    """A JSON number: 22 or 10.5 in answers, 22.00 and 10.50 in webhooks."""

    paise: int

    @property
    def text(self) -> str:
        rupees, paise = divmod(abs(self.paise), 100)
        sign = "-" if self.paise < 0 else ""
        return f"{sign}{rupees}.{paise:02d}"


@dataclass(frozen=True)
class CfId:
    """A text of digits since 2023-08-01, before that a number, or for refunds a text with a prefix."""

    digits: str
    old_prefix: str = ""


def ist(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), IST).isoformat()


def ist_without_zone(seconds: float, between: str = " ") -> str:
    """Indian time that does not say so: in settlements with a blank, in disputes with a T."""
    return datetime.fromtimestamp(int(seconds), IST).strftime(f"%Y-%m-%d{between}%H:%M:%S")


def answer_text(value: Any, version: str) -> bytes:
    def written(one: object) -> int | float | str:
        if isinstance(one, Rupees):
            return one.paise // 100 if one.paise % 100 == 0 else one.paise / 100
        if isinstance(one, CfId):
            return _cf_id(one, version)
        raise TypeError(type(one).__name__)

    return json.dumps(value, default=written, ensure_ascii=False, separators=(",", ":")).encode()


def webhook_text(value: Any, version: str) -> bytes:
    def written(one: object) -> int | str:
        if isinstance(one, Rupees):
            return MARK + one.text
        if isinstance(one, CfId):
            return _cf_id(one, version)
        raise TypeError(type(one).__name__)

    text = json.dumps(value, default=written, ensure_ascii=False, separators=(",", ":"))
    return _MARKED.sub(r"\1", text).encode()


def _cf_id(one: CfId, version: str) -> int | str:
    if version == OLD:
        return one.old_prefix + one.digits if one.old_prefix else int(one.digits)
    return one.digits
