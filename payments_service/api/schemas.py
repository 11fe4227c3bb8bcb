"""What may come in, with the messages that pages have always shown. No database, no decisions."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from payments_service.errors import InvalidInput
from payments_service.gateways.base import VerifyField
from payments_service.money import INR, Money

MAX_RETURN_URL = 180
PHONE = re.compile(r"[6-9][0-9]{9}")
SEPARATORS = re.compile(r"[\s().-]+")


class Text(fields.String):
    """A text; a number counts as its text. Refuses what no database and no page can hold."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            value = str(value)
        text: str = super()._deserialize(value, attr, data, **kwargs).strip()
        if "\x00" in text or any(unicodedata.category(c) == "Cs" for c in text):
            raise ValidationError("Contains characters that are not text")
        return text


class EmailText(Text):
    """An e-mail address by marshmallow's own rule; spaces around it are dropped."""

    default_error_messages = {"invalid": "Invalid email format"}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text:
            raise ValidationError("Email is required")
        if len(text) > 254 or not text.isprintable():
            raise self.make_error("invalid")
        validate.Email(error="Invalid email format")(text)
        return text


class Amount(fields.Field[Money]):
    """Rupees, a number or its text, with at most two decimals."""

    default_error_messages = {  # noqa: RUF012
        "required": "Amount is required",
        "null": "Amount is required",
        "invalid": "Amount must be a positive number",
        "decimals": "Amount can have at most two decimals",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Money:
        if value == "":
            raise self.make_error("required")
        number = _decimal(value)
        if number is None or not number.is_finite() or number <= 0:
            raise self.make_error("invalid")
        if number < 1:
            raise ValidationError("Minimum amount is ₹1")
        if number.adjusted() > 15:  # more than any limit: let the range speak, in numbers of a sane size
            return Money(10**18)
        try:
            return Money.from_major(number)
        except ValueError as error:
            raise self.make_error("decimals") from error


class Phone(Text):
    """Ten digits that begin with 6–9; separators and a leading +91, 91 or 0 are dropped."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = SEPARATORS.sub("", super()._deserialize(value, attr, data, **kwargs))
        if not text:
            raise ValidationError("Phone is required")
        text = re.sub(r"^(\+91|91(?=[0-9]{10}$)|0(?=[0-9]{10}$))", "", text)
        if not PHONE.fullmatch(text):
            raise ValidationError("Invalid phone number (must be 10 digits starting with 6-9)")
        return text


def _required(what: str) -> dict[str, Any]:
    message = f"{what} is required"
    return {"required": message, "null": message}


def _not_blank(what: str) -> validate.Validator:
    return validate.Length(min=1, error=f"{what} is required")


class CustomerSchema(Schema):
    class Meta:
        unknown = EXCLUDE

    error_messages = {"type": "Customer object is required"}  # noqa: RUF012 (marshmallow's own name)

    name = Text(
        required=True,
        error_messages={**_required("Customer name"), "invalid": "Customer name must be text"},
        validate=[
            _not_blank("Customer name"),
            validate.Length(max=200, error="Customer name can have at most 200 characters"),
        ],
    )
    email = EmailText(required=True, error_messages=_required("Email"))
    phone = Phone(
        required=True,
        error_messages={
            **_required("Phone"),
            "invalid": "Invalid phone number (must be 10 digits starting with 6-9)",
        },
    )


class CreateOrderSchema(Schema):
    """The body of create-order, for a service with these limits."""

    class Meta:
        unknown = EXCLUDE

    amount = Amount(required=True)
    gateway = Text(
        required=True,
        error_messages={**_required("Gateway"), "invalid": "Gateway must be text"},
        validate=_not_blank("Gateway"),
    )
    customer = fields.Nested(
        CustomerSchema,
        required=True,
        error_messages=_required("Customer object"),
    )
    description = Text(load_default=None, allow_none=True, validate=validate.Length(max=255))
    currency = Text(load_default=INR, validate=validate.OneOf([INR], error="Only INR is supported"))
    reference = Text(load_default=None, allow_none=True, validate=validate.Length(max=64))
    userId = Text(load_default=None, allow_none=True, validate=validate.Length(max=64))
    returnUrl = Text(load_default=None, allow_none=True, validate=validate.Length(max=MAX_RETURN_URL))
    metadata = fields.Dict(
        keys=Text(validate=validate.Length(min=1, max=64)),
        values=Text(validate=validate.Length(max=500)),
        load_default=dict,
        validate=validate.Length(max=15, error="At most 15 pairs"),
    )


def check_range(amount: Money, minimum: Money, maximum: Money) -> None:
    """Raise InvalidInput outside what this merchant, or this gateway, takes."""
    if amount < minimum:
        raise _invalid("amount", f"Minimum amount is {minimum}")
    if maximum < amount:
        raise _invalid("amount", f"Maximum amount is {maximum}")


def check_return_url(url: str, origins: frozenset[str]) -> None:
    """Raise InvalidInput for any address but one on the merchant's own origins (no open redirect)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_plain = not re.search(r"[\s\\\x00-\x1f]", url) and "@" not in parts.netloc
    if not is_plain or f"{parts.scheme}://{parts.netloc}".lower() not in origins:
        raise _invalid("returnUrl", "returnUrl must be on an origin of FRONTEND_URL or BACKEND_URL")


def load(schema: Schema, body: object) -> Any:
    """The checked body; InvalidInput with the first message as its sentence, all of them by field."""
    if not isinstance(body, Mapping):
        raise InvalidInput("The body must be a JSON object", code="invalid_json")
    try:
        return schema.load(body)
    except ValidationError as error:
        details = dict(_flat(error.messages_dict))
        raise InvalidInput(next(iter(details.values()))[0], details=details) from error


def verify_fields(declared: Sequence[VerifyField], body: Mapping[str, Any]) -> dict[str, str]:
    """The gateway's own fields of a verify-payment body, by any name they go by."""
    values: dict[str, str] = {}
    missing = []
    for one in declared:
        value = next((body[n] for n in (one.name, *one.aliases) if body.get(n) not in (None, "")), None)
        if isinstance(value, str | int) and not isinstance(value, bool):
            values[one.name] = str(value)
        elif one.required or value is not None:
            missing.append(one.name)
    if missing:
        names = ", ".join(one.name for one in declared if one.required)
        raise InvalidInput(
            f"Missing required fields: {names}",
            code="missing_fields",
            details={name: [f"{name} is required, as text"] for name in missing},
        )
    return values


def idempotency_key(header: str | None) -> str | None:
    """The key, quoted as the draft standard has it or bare: 16 to 255 visible characters."""
    if header is None:
        return None
    key = header.strip()
    key = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
    if not re.fullmatch(r"[!-~]{16,255}", key):
        raise _invalid("Idempotency-Key", "Idempotency-Key must have 16 to 255 visible characters")
    return key


def fingerprint(body: Mapping[str, Any]) -> str:
    """SHA-256 of what a checked body of create-order asks for, however it is spaced, ordered and spelt."""
    said = {name: value for name, value in body.items() if value not in (None, {})}
    said |= {"amount": body["amount"].minor, "gateway": body["gateway"].lower()}
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]{1,30}(\.[0-9]{1,30})?\s*", value):
        return None  # Decimal itself would also take "1_0", "Infinity" and digits of other scripts
    return Decimal(value)


def _invalid(name: str, message: str) -> InvalidInput:
    return InvalidInput(message, details={name: [message]})


def _flat(messages: Mapping[Any, Any], prefix: str = "") -> Any:
    """`{"customer": {"name": ["…"]}}` as `customer.name`, in the order of the schema."""
    for name, value in messages.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        else:
            yield path.removesuffix("._schema"), list(value)
