"""What may come in, with the messages that pages have always shown. No database, no decisions."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from marshmallow import (
    EXCLUDE,
    Schema,
    ValidationError,
    fields,
    pre_load,
    validate,
    validates,
    validates_schema,
)

from payments_service.domain.errors import InvalidInput
from payments_service.domain.money import INR, Money
from payments_service.flows.quotes import Quote
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import VerifyField

MAX_RETURN_URL = 180
KEY_HEADER = "Idempotency-Key"
MAX_METADATA_PAIRS = 15
MAX_METADATA_BYTES = 9 * 1024
"""Of all pairs as JSON: as many as the longest pairs of ASCII need. An event has them beside all else that it
tells, and stays below 20 kB."""
MAX_DETAILS = 30
"""Entries that one refusal names; a client that sends more wrong members learns of the first ones."""
MAX_UNKNOWN = 10
MAX_SHOWN_NAME = 64
ORDER_ID = "orderId"
"""The verify field that every gateway has."""
PRINTED_NOTHING = ("null", "undefined")
"""What JavaScript prints for a value that is missing, such as of a storage that was emptied."""
QUOTE_SECONDS = 3600
"""How long an order can be opened with a quote, unless its maker says otherwise."""
LEAST_QUOTE_SECONDS, MOST_QUOTE_SECONDS = 60, 30 * 24 * 3600
"""What the maker of a quote may say."""

PHONE = re.compile(r"(?i:tel:)?(?:\+910?|0091|091|91|0)?([6-9][0-9]{9})")
"""`+910` is what is left of `+91 (0)`."""
PASTED_CATEGORIES = frozenset({"Cf", "Pd", "Ps", "Pe", "Zl", "Zp", "Zs"})
"""Unicode categories that come along when a phone is pasted: invisible, dashes, brackets, spaces."""
PASTED = re.compile(
    r"[\s.\u00b7\u2022\u2024\u2027\u22c5\u30fb\uff0e"  # dots
    r"\u02d7\u2043\u207b\u208b\u2212\u2500\u2796"  # dashes that Unicode calls something else
    r"\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"  # variation selectors
)
SURROGATE = re.compile(r"[\ud800-\udfff]")
NOT_TEXT = "Contains characters that are not text"


class Text(fields.String):
    """A text; a finite number counts as its text, and one without a character to be seen as empty.

    Refuses what no database and no page can hold.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, Decimal):
            if not value.is_finite():
                raise self.make_error("invalid")
            value = int(value) if _is_whole(value) else value  # 1001.0 and 1001 are one number in JSON
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            value = str(value)
        text: str = super()._deserialize(value, attr, data, **kwargs).strip()
        if "\x00" in text or SURROGATE.search(text):
            raise ValidationError(NOT_TEXT)
        return "" if _is_blank(text) else text


class Whole(fields.Integer):
    """A whole number, or its text. One of a million digits, which `1e999999` writes, is not worked out."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, Decimal) and not _is_whole(value):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


class Reference(Text):
    """The merchant's order number. No fraction: 1.5 and 1.50 are one number, and would be two orders."""

    default_error_messages = {"invalid": "Reference must be text or a whole number"}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, Decimal) and not _is_whole(value):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


class QuoteText(Text):
    """A quote. A number is none: counted as its text, it would open an order whose quote nothing has read."""

    default_error_messages = {"invalid": "Quote must be text"}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


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
    """Ten digits that begin with 6–9; what pasting brings along and one prefix of India are dropped."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = _without_what_was_pasted(super()._deserialize(value, attr, data, **kwargs))
        if not text:
            raise ValidationError("Phone is required")
        digits = PHONE.fullmatch(text)
        if digits is None:
            raise ValidationError("Invalid phone number (must be 10 digits starting with 6-9)")
        return digits[1]


def phone_in(text: str) -> str | None:
    """The ten digits of a phone as people write it; None where the text is none."""
    found = PHONE.fullmatch(_without_what_was_pasted(text))
    return found[1] if found else None


def _without_what_was_pasted(text: str) -> str:
    return "".join(c for c in PASTED.sub("", text) if unicodedata.category(c) not in PASTED_CATEGORIES)


class Metadata(fields.Dict):
    """Pairs of texts, counted before any of them is looked at or named, and measured together."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[Any, Any]:
        if isinstance(value, Mapping) and len(value) > MAX_METADATA_PAIRS:
            raise ValidationError(f"At most {MAX_METADATA_PAIRS} pairs")
        pairs: dict[Any, Any] = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        if len(json.dumps(pairs, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_METADATA_BYTES:
            raise ValidationError(f"At most {MAX_METADATA_BYTES} bytes in all, as JSON in UTF-8")
        return pairs


def _required(what: str) -> dict[str, Any]:
    message = f"{what} is required"
    return {"required": message, "null": message}


def _not_blank(what: str) -> validate.Validator:
    return validate.Length(min=1, error=f"{what} is required")


class BodySchema(Schema):
    """A JSON body. Clients with types send null for what they leave out, so a null member is absent."""

    @pre_load
    def _without_nulls(self, members: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in members.items() if value is not None}

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """The document says which members may be null."""
        field_obj.allow_none = not field_obj.required


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


@dataclass(frozen=True)
class Limits:
    """What this service takes."""

    minimums: Mapping[str, Money]
    """The least amount of each gateway that is on, by its name."""
    minimum: Money
    maximum: Money
    return_origins: frozenset[str]

    @cached_property
    def schema(self) -> "CreateOrderSchema":
        """Of bodies without a quote; a schema copies all its fields each time that one is made."""
        return CreateOrderSchema(self)


NO_LIMITS = Limits({}, Money(100), Money(10**12), frozenset())
"""For a schema that is only described."""


class CreateOrderSchema(BodySchema):
    """The body of create-order, for a service with these limits."""

    class Meta:
        unknown = EXCLUDE

    def __init__(self, limits: Limits, quote: Quote | None = None) -> None:
        super().__init__()
        self.limits = limits
        self.fixed_by = quote
        """What the merchant has fixed; `amount` may be absent then."""

    amount = Amount()
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
    description = Text(load_default=None, validate=validate.Length(max=255))
    currency = Text(load_default=INR, validate=validate.OneOf([INR], error="Only INR is supported"))
    reference = Reference(load_default=None, validate=validate.Length(max=64))
    userId = Text(load_default=None, validate=validate.Length(max=64))
    returnUrl = Text(load_default=None, validate=validate.Length(max=MAX_RETURN_URL))
    quote = QuoteText(load_default=None)
    metadata = Metadata(
        keys=Text(validate=validate.Length(min=1, max=64)),
        values=Text(validate=validate.Length(max=500)),
        load_default=dict,
    )

    @validates("gateway")
    def _is_on(self, gateway: str, data_key: str) -> None:
        if gateway and gateway.lower() not in self.limits.minimums:
            raise ValidationError(unknown_gateway(self.limits.minimums))

    @validates("returnUrl")
    def _is_the_merchants(self, url: str | None, data_key: str) -> None:
        if url and not is_on_origin(url, self.limits.return_origins):
            raise ValidationError("returnUrl must be on an origin of FRONTEND_URL or BACKEND_URL")

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _is_in_range(self, data: Mapping[str, Any], original: Mapping[str, Any], **_: Any) -> None:
        """Outside what this merchant, or the gateway where it is known, takes."""
        is_absent = original.get("amount") is None
        if is_absent and self.fixed_by is None:
            raise ValidationError("Amount is required", "amount")
        amount = self.fixed_by.amount if self.fixed_by and is_absent else data.get("amount")
        if amount is None:
            return
        minimum = self.limits.minimums.get(data.get("gateway", "").lower(), self.limits.minimum)
        if amount < minimum:
            raise ValidationError(f"Minimum amount is {minimum}", "amount")
        if self.limits.maximum < amount:
            raise ValidationError(f"Maximum amount is {self.limits.maximum}", "amount")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name[:MAX_SHOWN_NAME].lower())


def _verify_members() -> dict[str, fields.Field[Any]]:
    """Every gateway's fields, by all names that they go by; which one needs which, is told at each."""
    about: dict[str, list[str]] = {}
    for gateway in GATEWAYS:
        for one in gateway.verify_fields:
            need = "needed" if one.required else "optional"
            about.setdefault(one.name, []).append(f"{need} for {gateway.name}")
            for alias in one.aliases:
                about.setdefault(alias, []).append(f"{one.name} of {gateway.name}")
    return {
        name: Text(metadata={"description": "; ".join(dict.fromkeys(told))}) for name, told in about.items()
    }


class _VerifySchema(BodySchema):
    class Meta:
        unknown = EXCLUDE

    gateway = Text(required=True, validate=_not_blank("Gateway"), metadata={"description": "in any case"})


VerifySchema = _VerifySchema.from_dict(_verify_members(), name="Verify")
"""The body of verify-payment, to be described; `verify_fields` reads it by the gateway's own declaration."""

VERIFY_MEMBERS = tuple(VerifySchema._declared_fields)
"""What verify-payment reads; a payer who has paid is refused for nothing else that a page sends."""

EXAMPLE_VERIFY = {
    "gateway": GATEWAYS[0].name,
    **{one.name: f"{one.name} of the gateway" for one in GATEWAYS[0].verify_fields},
}

EXAMPLE_CUSTOMER = {"name": "Asha Rao", "email": "asha@example.com", "phone": "9876543210"}


class QuoteSchema(BodySchema):
    """The body of quote, for a service with these limits."""

    class Meta:
        unknown = EXCLUDE

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits

    amount = Amount(required=True)
    reference = Reference(
        required=True,
        error_messages=_required("Reference"),
        validate=[_not_blank("Reference"), validate.Length(max=64)],
    )
    description = Text(load_default=None, validate=validate.Length(max=255))
    userId = Text(load_default=None, validate=validate.Length(max=64))
    metadata = Metadata(
        keys=Text(validate=validate.Length(min=1, max=64)),
        values=Text(validate=validate.Length(max=500)),
        load_default=dict,
    )
    expiresIn = Whole(
        load_default=QUOTE_SECONDS, validate=validate.Range(LEAST_QUOTE_SECONDS, MOST_QUOTE_SECONDS)
    )

    @validates("amount")
    def _is_in_range(self, amount: Money, data_key: str) -> None:
        if amount < self.limits.minimum:
            raise ValidationError(f"Minimum amount is {self.limits.minimum}")
        if self.limits.maximum < amount:
            raise ValidationError(f"Maximum amount is {self.limits.maximum}")


MEMBERS = tuple(CreateOrderSchema._declared_fields)
CUSTOMER_MEMBERS = tuple(CustomerSchema._declared_fields)
SPELLINGS = {
    **{prefix + name: f"customer.{name}" for name in CUSTOMER_MEMBERS for prefix in ("", "customer")},
    **{_plain(name): name for name in MEMBERS},
}
"""Every known member, by the spellings that a misspelt one may be near to."""


def unknown_gateway(names: Iterable[str]) -> str:
    return f"Invalid gateway. Supported: {', '.join(names)}"


def is_on_origin(url: str, origins: frozenset[str]) -> bool:
    """Whether an address is on one of the merchant's own origins: there is no open redirect."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_plain = not re.search(r"[\s\\\x00-\x1f]", url) and "@" not in parts.netloc
    return is_plain and f"{parts.scheme}://{parts.netloc}".lower() in origins


def create_order(
    body: object, key_header: str | None, limits: Limits, *, knows_all: bool, quote: Quote | None = None
) -> tuple[dict[str, Any], str | None]:
    """The checked body and Idempotency-Key; InvalidInput names all that is wrong with them.

    Its sentence is the first message. `knows_all`: a member that we do not know is wrong as well, because
    the caller's own server sent it; old pages send some. So is a blank reference, under which every order
    could be paid again; a page's is as good as absent. What a quote fixes stands in the checked body, and a
    member that says otherwise is wrong.
    """
    members = json_object(body)
    unknown = unknown_members(members)
    wrong = dict(islice(_odd(unknown, knows_all), MAX_UNKNOWN))
    loaded: dict[str, Any] = {}
    key = None
    try:
        key = idempotency_key(key_header)
    except InvalidInput as error:
        wrong[KEY_HEADER] = [error.message]
    try:
        loaded = (CreateOrderSchema(limits, quote) if quote else limits.schema).load(members)
        loaded["reference"] = loaded["reference"] or None
        wrong |= _fix(loaded, quote)
    except ValidationError as error:
        wrong |= sorted(_flat(error.messages_dict), key=_place)
    if knows_all and _is_blank(members.get("reference")):
        wrong["reference"] = ["Reference is required"]
    if wrong:
        is_misspelt = knows_all and bool(unknown)
        raise refusal(wrong, "unknown_field" if is_misspelt else None)
    return loaded, key


def _fix(loaded: dict[str, Any], quote: Quote | None) -> dict[str, list[str]]:
    """Put what the quote fixes into a loaded body; what is wrong, by member, where that says otherwise."""
    del loaded["quote"]
    if quote is None:
        return {}
    fixed = {
        "amount": quote.amount,
        "reference": quote.reference,
        "description": quote.description,
        "userId": quote.user_id,
        "metadata": dict(quote.metadata),
    }
    said = {name: loaded[name] for name in fixed if loaded.get(name) not in (None, {}, "")}
    loaded |= fixed
    return {name: [f"{name} is not the quote's; leave it out"] for name in said if said[name] != fixed[name]}


def quote_order(body: object, limits: Limits) -> dict[str, Any]:
    """The checked body of quote; InvalidInput names all that is wrong, misspelt members too."""
    members = json_object(body)
    refuse_what_is_no_text(members)
    spellings = {_plain(name): name for name in QuoteSchema._declared_fields}
    unknown = [name for name in members if name not in spellings.values()][:MAX_UNKNOWN]
    wrong = {name: [_nearest_in(spellings, name)] for name in unknown}
    try:
        loaded: dict[str, Any] = QuoteSchema(limits).load(members)
    except ValidationError as error:
        raise refusal({**wrong, **dict(_flat(error.messages_dict))}) from error
    if wrong:
        raise refusal(wrong, "unknown_field")
    return loaded


def _odd(unknown: Mapping[str, Any], knows_all: bool) -> Iterator[tuple[str, list[str]]]:
    for name, value in unknown.items():
        if not is_text([name, value]):
            yield name, [NOT_TEXT]
        elif knows_all:
            yield name, [_nearest(name)]


def refusal(wrong: Mapping[str, list[str]], code: str | None = None) -> InvalidInput:
    """All wrong members in one answer, as long as it stays short; its sentence names the first."""
    details = {_shown(name): messages for name, messages in islice(wrong.items(), MAX_DETAILS)}
    name, [sentence, *_] = next(iter(details.items()))
    is_named = name.rpartition(".")[2].casefold() in sentence.casefold()
    return InvalidInput(sentence if is_named else f"{name}: {sentence}", code=code, details=details)


def json_object(body: object) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise InvalidInput("The body must be a JSON object", code="invalid_json")
    return body


def unknown_members(body: Mapping[str, Any]) -> dict[str, Any]:
    """The members that create-order does not read, those of the customer too, by their path."""
    found = {name: value for name, value in body.items() if name not in MEMBERS}
    customer = body.get("customer")
    if isinstance(customer, Mapping):
        more = {name: value for name, value in customer.items() if name not in CUSTOMER_MEMBERS}
        found |= {f"customer.{name}": value for name, value in more.items()}
    return found


def refuse_what_is_no_text(body: Mapping[str, Any]) -> None:
    """Half of a surrogate pair, at any depth, is held by no database and sent by no gateway."""
    if spoilt := {name: [NOT_TEXT] for name, value in body.items() if not is_text([name, value])}:
        raise refusal(spoilt)


def verify_fields(
    declared: Sequence[VerifyField],
    body: Mapping[str, Any],
    payment_of: Callable[[str], UUID | None] = lambda _: None,
) -> dict[str, str]:
    """The gateway's own fields of a verify-payment body, by any name they go by.

    What is no text is as good as absent: a paid order is not refused for a member that nothing needs. Two
    names of one field that contradict each other are refused: the payer of an order that is not paid would
    be told of another one. `payment_of` tells the payment that an order id names; see `_one_of`.
    """
    values: dict[str, str] = {}
    wrong: dict[str, list[str]] = {}
    for one in declared:
        said = {name: str(body[name]) for name in (one.name, *one.aliases) if _says_something(body.get(name))}
        value = _one_of(said, payment_of if one.name == ORDER_ID else None)
        if value is not None:
            values[one.name] = value
        elif said and one.required:
            wrong |= {name: [f"{' and '.join(said)} contradict each other"] for name in said}
    if wrong:
        raise refusal(wrong)
    needed = [one.name for one in declared if one.required]
    if missing := [name for name in needed if name not in values]:
        raise InvalidInput(
            f"Missing required fields: {', '.join(needed)}",
            code="missing_fields",
            details={name: [f"{name} is required, as text"] for name in missing},
        )
    return values


def _one_of(said: Mapping[str, str], payment_of: Callable[[str], UUID | None] | None) -> str | None:
    """What the names of one field say; None where they say nothing, or contradict each other.

    A page of several gateways keeps one `orderId` for them all, and sends what an order of another gateway
    left there beside the `transactionId` of the order that its payer comes back from. So order ids contradict
    each other only when they name two payments of this gateway: one that names none turns away no payer.
    """
    values = list(dict.fromkeys(said.values()))
    values = [value for value in values if value.strip() not in PRINTED_NOTHING] or values[:1]
    if len(values) > 1 and payment_of:
        named = {payment: value for value in reversed(values) if (payment := payment_of(value))}
        values = list(named.values()) or values[:1]
    return values[0] if len(values) == 1 else None


def _says_something(value: object) -> bool:
    """A text, or a whole number, which counts as its text."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def idempotency_key(header: str | None) -> str | None:
    """The key, quoted as the draft standard has it or bare: 16 to 255 visible characters."""
    if header is None:
        return None
    key = header.strip()
    key = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
    if not re.fullmatch(r"[!-~]{16,255}", key):
        message = f"{KEY_HEADER} must have 16 to 255 visible characters"
        raise InvalidInput(message, details={KEY_HEADER: [message]})
    return key


def fingerprint(body: Mapping[str, Any]) -> str:
    """SHA-256 of what a checked body of create-order asks for, however it is spaced, ordered and spelt."""
    said = {name: value for name, value in body.items() if value not in (None, {})}
    said |= {"amount": body["amount"].minor, "gateway": body["gateway"].lower()}
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _is_blank(value: object) -> bool:
    """White space and invisible characters (category Cf): a name of U+200B alone names no customer."""
    return isinstance(value, str) and all(c.isspace() or unicodedata.category(c) == "Cf" for c in value)


def _is_whole(number: Decimal) -> bool:
    """Below 10^15. Some languages write every number as 1001.0; one of a million digits is not worked out."""
    return number.is_finite() and number.adjusted() < 15 and number % 1 == 0


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]{1,30}(\.[0-9]{1,30})?\s*", value):
        return None  # Decimal itself would also take "1_0", "Infinity" and digits of other scripts
    return Decimal(value)


def is_text(value: object) -> bool:
    """Whether all names and texts within are text, however deep: without recursion, which depth could end."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, str) and SURROGATE.search(one):
            return False
        if isinstance(one, Mapping):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            todo += one
    return True


def _nearest(name: str) -> str:
    return _nearest_in(SPELLINGS, name)


def _nearest_in(spellings: Mapping[str, str], name: str) -> str:
    [spelling] = get_close_matches(_plain(name), spellings, n=1, cutoff=0.0)
    return f"Unknown field {_shown(name)}; the nearest known one is {spellings[spelling]}"


def nearest_of(name: str, known: Mapping[str, Any]) -> str:
    """The same, of a schema's own members."""
    if not known:
        return f"Unknown field {_shown(name)}; there is none"
    spellings = {_plain(each): each for each in known}
    [spelling] = get_close_matches(_plain(name), spellings, n=1, cutoff=0.0)
    return f"Unknown field {_shown(name)}; the nearest known one is {spellings[spelling]}"


def _shown(name: str) -> str:
    """A name as an answer may repeat it: short, and text."""
    short = name if len(name) <= MAX_SHOWN_NAME else f"{name[:MAX_SHOWN_NAME]}…"
    return short.encode("utf-8", "backslashreplace").decode()


def _place(named: tuple[str, list[str]]) -> int:
    """Where a member stands in the schema, so that the first message is about the first one."""
    return MEMBERS.index(named[0].partition(".")[0])


def _flat(messages: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """`{"customer": {"name": ["…"]}}` as `customer.name`."""
    for name, value in messages.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        else:
            yield path.removesuffix("._schema"), list(value)
