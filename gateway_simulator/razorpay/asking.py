"""What every part of Razorpay's API does first: who asks, and is it there?

Sources: Razorpay docs api/authentication, errors.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Protocol, TypeVar

from flask import request
from flask.typing import ResponseReturnValue

from gateway_simulator.base import Json
from gateway_simulator.razorpay import checks
from gateway_simulator.razorpay.books import KEY_ID, KEY_SECRET
from gateway_simulator.razorpay.lists import Dated, page
from gateway_simulator.razorpay.records import Notes, collection
from gateway_simulator.razorpay.refusals import plain_refusal, refusal, unknown_id

AUTHENTICATION_FAILED = "Authentication failed"


class Noted(Protocol):
    notes: Notes

    def entity(self) -> Json: ...


Record = TypeVar("Record")
# method, path below /v1, view, the operation that faults know it by
Row = tuple[str, str, Callable[..., ResponseReturnValue], str | None]


def private(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Requires HTTP Basic with key id and key secret."""

    @wraps(view)
    def checked(**ids: str) -> ResponseReturnValue:
        _authenticate(request.headers.get("Authorization", ""))
        return view(**ids)

    return checked


def _authenticate(header: str) -> None:
    scheme, _, encoded = header.partition(" ")
    try:
        key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise plain_refusal(401, AUTHENTICATION_FAILED) from None
    if scheme.lower() != "basic" or not key_id:
        raise plain_refusal(401, AUTHENTICATION_FAILED)
    if key_id != KEY_ID:
        raise plain_refusal(401, "The api key provided is invalid")
    if not hmac.compare_digest(secret.encode(), KEY_SECRET.encode()):
        raise plain_refusal(401, AUTHENTICATION_FAILED)


def found(records: Mapping[str, Record], record_id: str) -> Record:
    if record_id not in records:
        raise unknown_id()
    return records[record_id]


def asked() -> Json:
    return checks.body_of(request)


def listed(records: Iterable[Dated]) -> Json:
    return collection([record.entity() for record in page(request.args).cut(records)])


def edit_notes(record: Noted) -> Json:
    """Notes are the only thing that can be changed."""
    data = asked()
    checks.only(data, ("notes",))
    if "notes" not in data:
        raise refusal("The notes field is required.", field="notes")
    record.notes = checks.notes(data)
    return record.entity()
