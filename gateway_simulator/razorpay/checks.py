"""What Razorpay accepts in request bodies, checked the strict way."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Request

from gateway_simulator.base import Json
from gateway_simulator.razorpay.records import Capture, Notes
from gateway_simulator.razorpay.refunds import Asked
from gateway_simulator.razorpay.refusals import plain_refusal, refusal

MINIMUM_AMOUNT_PAISE = 100
MAX_NOTES = 15
MAX_NOTE_CHARACTERS = 256
MAX_RECEIPT_CHARACTERS = 40
MIN_EXPIRY_MINUTES = 12
MAX_EXPIRY_MINUTES = 7200
ORDER_FIELDS = (
    "amount",
    "currency",
    "receipt",
    "notes",
    "partial_payment",
    "first_payment_min_amount",
    "payment",
    "payment_capture",
    "offer_id",
)
CAPTURE_OPTIONS = ("automatic_expiry_period", "manual_expiry_period", "refund_speed")
REFUND_SPEEDS = ("normal", "optimum")
IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9_-]{10,}")


def body_of(request: Request) -> Json:
    """The request body, JSON or form-encoded with PHP's brackets."""
    if request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return nested(request.form)
    if not request.get_data():
        return {}
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict) or not _is_text(body):
        raise plain_refusal(400, "The request body is not a JSON object")
    return body


def _is_text(body: Json) -> bool:
    """JSON can name halves of characters, which cannot be sent on in a webhook."""
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def nested(form: Mapping[str, str]) -> Json:
    """`notes[k]=v` → {"notes": {"k": "v"}}."""
    tree: Json = {}
    for name, value in form.items():
        first, *rest = re.findall(r"[^\[\]]+", name) or [name]
        branch, leaf = tree, first
        for key in rest:
            below = branch.setdefault(leaf, {})
            if not isinstance(below, dict):
                raise refusal(f"The {first} field is invalid.", field=first)
            branch, leaf = below, key
        branch[leaf] = value
    return tree


def only(data: Mapping[str, Any], allowed: Collection[str]) -> None:
    unknown = [name for name in data if name not in allowed]
    if unknown:
        raise refusal(f"{', '.join(unknown)} is/are not required and should not be sent")


def integer(value: Any, field: str) -> int:
    """An integer, or its digits as text: form bodies know nothing else, and the docs' samples send text."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise refusal(f"The {field} must be an integer.", field=field)
    return value


def amount(data: Json) -> int:
    if data.get("amount") is None:
        raise refusal("The amount field is required.", field="amount")
    paise = integer(data["amount"], "amount")
    if paise < MINIMUM_AMOUNT_PAISE:
        raise refusal("The amount must be at least INR 1.00", field="amount")
    return paise


def currency(data: Json) -> str:
    if data.get("currency") is None:
        raise refusal("The currency field is required.", field="currency")
    if data["currency"] != "INR":
        raise refusal("Currency is not supported", field="currency")
    return "INR"


def receipt(data: Json) -> str | None:
    value = data.get("receipt")
    if value is None:
        return None
    if not isinstance(value, str):
        raise refusal("The receipt must be a string.", field="receipt")
    if len(value) > MAX_RECEIPT_CHARACTERS:
        raise refusal(
            f"The receipt may not be greater than {MAX_RECEIPT_CHARACTERS} characters.", field="receipt"
        )
    return value


def notes(data: Json) -> Notes:
    value = data.get("notes")
    if value in (None, [], {}, ""):
        return {}
    if not isinstance(value, dict):
        raise refusal("The notes must be an array.", field="notes")
    if len(value) > MAX_NOTES:
        raise refusal(f"Number of fields in notes should be less than or equal to {MAX_NOTES}", field="notes")
    return {key: _note(key, text) for key, text in value.items()}


def _note(key: str, value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise refusal("The notes values themselves should not be an array", field="notes")
    text = "" if value is None else str(value)
    if max(len(key), len(text)) > MAX_NOTE_CHARACTERS:
        raise refusal(f"The notes may not be greater than {MAX_NOTE_CHARACTERS} characters.", field="notes")
    return text


def flag(data: Json, field: str) -> bool | None:
    value = data.get(field)
    if value is None:
        return None
    if value in (True, 1, "1", "true"):
        return True
    if value in (False, 0, "0", "false"):
        return False
    raise refusal(f"The {field} field must be true or false.", field=field)


@dataclass(frozen=True)
class NewOrder:
    amount: int
    currency: str
    receipt: str | None
    notes: Notes
    offer_id: str | None
    capture: Capture


def new_order(data: Json) -> NewOrder:
    """Razorpay docs, api/orders/create; payments/payments/capture-settings/api for `payment`."""
    only(data, ORDER_FIELDS)
    order = NewOrder(
        amount=amount(data),
        currency=currency(data),
        receipt=receipt(data),
        notes=notes(data),
        offer_id=data.get("offer_id"),
        capture=_capture(data),
    )
    if data.get("first_payment_min_amount") is not None and not flag(data, "partial_payment"):
        raise refusal(
            "first_payment_min_amount is/are not required and should not be sent",
            field="first_payment_min_amount",
        )
    flag(data, "partial_payment")
    return order


def _capture(data: Json) -> Capture:
    """The `payment` object decides, then the old `payment_capture`, then the account: automatic."""
    old = flag(data, "payment_capture")
    settings = data.get("payment")
    if settings is None:
        return Capture(automatic=old is not False)
    if not isinstance(settings, dict):
        raise refusal("The payment must be an array.", field="payment")
    only(settings, ("capture", "capture_options"))
    if settings.get("capture") not in ("automatic", "manual"):
        raise refusal("The selected payment.capture is invalid.", field="capture")
    return _capture_options(settings.get("capture_options"), automatic=settings["capture"] == "automatic")


def _capture_options(options: Any, *, automatic: bool) -> Capture:
    if not isinstance(options, dict):
        if automatic or options not in (None, []):
            raise refusal("The automatic_expiry_period field is required.", field="automatic_expiry_period")
        return Capture(automatic=False, window_minutes=MAX_EXPIRY_MINUTES)
    only(options, CAPTURE_OPTIONS)
    if automatic and options.get("automatic_expiry_period") is None:
        raise refusal("The automatic_expiry_period field is required.", field="automatic_expiry_period")
    if options.get("refund_speed", "normal") not in REFUND_SPEEDS:
        raise refusal("The selected refund_speed is invalid.", field="refund_speed")
    least, most = _expiry_minutes(options)
    return Capture(automatic, least if automatic else None, most, options.get("refund_speed"))


def _expiry_minutes(options: Json) -> tuple[int, int]:
    """Until when it is captured by itself, and by hand."""
    automatic_minutes = integer(
        options.get("automatic_expiry_period", MIN_EXPIRY_MINUTES), "automatic_expiry_period"
    )
    if automatic_minutes < MIN_EXPIRY_MINUTES:
        raise refusal(
            f"The automatic_expiry_period must be at least {MIN_EXPIRY_MINUTES}.",
            field="automatic_expiry_period",
        )
    manual_minutes = integer(options.get("manual_expiry_period", MAX_EXPIRY_MINUTES), "manual_expiry_period")
    if not automatic_minutes <= manual_minutes <= MAX_EXPIRY_MINUTES:
        raise refusal(
            "The manual_expiry_period must be between automatic_expiry_period and 7200.",
            field="manual_expiry_period",
        )
    return automatic_minutes, manual_minutes


@dataclass(frozen=True)
class NewRefund:
    amount: int | None
    asked: Asked


def new_refund(data: Json) -> NewRefund:
    """Razorpay docs, api/refunds/create-normal and create-instant: every field is optional."""
    only(data, ("amount", "speed", "notes", "receipt"))
    speed = data.get("speed")
    if speed is not None and speed not in REFUND_SPEEDS:
        raise refusal("The selected speed is invalid.", field="speed")
    paise = amount(data) if data.get("amount") is not None else None
    return NewRefund(paise, Asked(speed, receipt(data), notes(data)))


def idempotency_key(request: Request) -> str | None:
    """Razorpay docs, api/refunds/normal-refunds-idempotent."""
    key = request.headers.get("X-Refund-Idempotency")
    if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
        raise plain_refusal(
            400,
            "The idempotency key must have at least 10 characters: letters, digits, hyphens and underscores.",
        )
    return key
