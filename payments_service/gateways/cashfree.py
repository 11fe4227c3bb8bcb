"""Cashfree Payments: Orders API by REST, checkout by payment session, webhooks.

Documents: the OpenAPI contract 2025-01-01 (github.com/cashfree/cashfree-pg at d02bb80, api/openapi.yaml);
www.cashfree.com/docs: api-reference/payments/errors, payments/online/webhooks/signature-verification,
payments/online/webhooks/overview, payments/online/refunds. The official SDK never checks certificates.
What answers and events mean stands in cashfree_reading.py.
"""

import json
import logging
import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

from payments_service.domain.clock import utc_now
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import (
    GatewayError,
    MissingCredentials,
    OutcomeUnknown,
    Rejected,
    SignatureInvalid,
    UnknownAtGateway,
)
from payments_service.domain.money import Money, exact_number, json_number
from payments_service.domain.news import (
    Checkout,
    Customer,
    DisputeSnapshot,
    EventKind,
    NewOrder,
    NewRefund,
    OrderRef,
    PaymentSnapshot,
    RefundRef,
    RefundSnapshot,
    WebhookEvent,
)
from payments_service.domain.schedule import Polling, polling
from payments_service.domain.states import AttemptStatus, PaymentStatus
from payments_service.domain.variables import WrongVariables, variable
from payments_service.gateways import cashfree_reading as reading
from payments_service.gateways.base import AnswerField, Gateway, VerifyField
from payments_service.gateways.bounds import ReadBudget
from payments_service.gateways.http import ErrorFacts, GatewaySession, decimal_json, reading_answer
from payments_service.gateways.reading import UNREADABLE, deciding, event_id
from payments_service.gateways.signatures import any_same, hmac_sha256_base64, sha256_hex

log = logging.getLogger(__name__)

HOSTS = {"sandbox": "https://sandbox.cashfree.com/pg", "production": "https://api.cashfree.com/pg"}
MODES = {"sandbox": "test", "production": "live"}
STANDARD, SHA256_FIELDS = "standard", "sha256-fields"
MAX_UNSIGNED_BYTES = 64 * 1024
FIELDS_ONLY = "fields:"
"""How the event ids of webhooks in the sha256-fields scheme begin: what else they say is not signed."""

IDEMPOTENCY = "idempotency_error"
"""A type of error that says more than the code that comes with it."""
ALREADY_THERE = frozenset(
    {"order_already_exists", "refund_id_already_exists", "idempotency_key_mismatch", IDEMPOTENCY}
)
"""What an id or a key that was used before is answered with."""
PERHAPS_THERE = frozenset({400, 409, 422})
"""How a refund is refused, by HTTP status, that may have been made before: the documents disagree."""

SPEEDS = {"normal": "STANDARD", "optimum": "INSTANT"}
KEY_NAMESPACE = uuid.UUID("6f0b8c0e-3b52-4f3e-9d7a-0c6c1a2d7c55")
POLLING = polling((60, 20), (300, 30), (1200, 60))
"""No schedule is published: a few questions with growing gaps."""
LAST_MINUTE = timedelta(minutes=1)
"""A payer who began in time may finish; and 15 minutes, the least, are still that when they arrive."""
ASK_AGAIN = (Urgency.PAYER, Urgency.POLLING)
"""Callers that ask again later: for them an order that can still be paid is read without its attempts."""
WANTS_REFUNDS = (Urgency.REFUND, Urgency.WAKE_UP)
"""A refund is not sent before it is known what went back; and a webhook may have told of one."""
BROUGHT_MONEY = (AttemptStatus.SUCCEEDED, AttemptStatus.VOIDED)
"""The latter too late: Cashfree gives it back, in a refund of its own."""
NAME_CATEGORIES = ("L", "M", "N", "Zs")
NAME_MARKS = "-'.,&"


@dataclass(frozen=True)
class CashfreeConfig:
    app_id: str = variable("CASHFREE_APP_ID", credential=True)
    app_secrets: tuple[str, ...] = variable("CASHFREE_APP_SECRET", secret=True, is_list=True, credential=True)
    """The newest first: that one speaks to the API, all of them sign webhooks while a change is under way."""
    environment: str = variable(
        "CASHFREE_ENV", default="sandbox", choices=tuple(HOSTS), live_when="production"
    )
    other_url: str = variable("CASHFREE_API_URL", default="", is_url=True)
    api_version: str = variable("CASHFREE_API_VERSION", default="2025-01-01")
    webhook_scheme: str = variable(
        "CASHFREE_WEBHOOK_SCHEME", default=STANDARD, choices=(STANDARD, SHA256_FIELDS)
    )

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", self.api_version):
            sentence = "must be a version as Cashfree names them: 2025-01-01"
            raise WrongVariables({"CASHFREE_API_VERSION": sentence})

    @property
    def api_url(self) -> str:
        return (self.other_url or HOSTS[self.environment]).rstrip("/")


class CashfreeGateway(Gateway):
    name: ClassVar[str] = "cashfree"
    provider: ClassVar[str] = "cashfree"
    config_type: ClassVar[type] = CashfreeConfig
    verify_fields: ClassVar[tuple[VerifyField, ...]] = (
        VerifyField("orderId", aliases=("order_id",)),
        VerifyField("paymentId", aliases=("cf_payment_id",), required=False),
    )
    answer_fields: ClassVar[tuple[AnswerField, ...]] = (
        AnswerField("paymentSessionId", "what cashfree.js opens with", "session_abc"),
        AnswerField("cfOrderId", "the number that Cashfree gave the order", "2149460581", required=False),
    )
    webhook_headers: ClassVar[tuple[str, ...]] = ("x-webhook-signature",)
    minimum_amount: ClassVar[Money] = Money(100)
    browser_knows_wire_id: ClassVar[bool] = True
    order_id_names: ClassVar[tuple[str, ...]] = ("orderId",)
    payment_url_names: ClassVar[tuple[str, ...]] = ("paymentUrl", "paymentLink")
    polling: ClassVar[Polling] = POLLING
    lists_refunds: ClassVar[bool] = True
    one_refund_at_a_time: ClassVar[bool] = False
    refunds_name_the_attempt: ClassVar[bool] = False
    refunds_up_to_the_order: ClassVar[bool] = False
    returns_are_signed: ClassVar[bool] = False
    our_clock_expires: ClassVar[bool] = False
    # api-reference/payments/rate-limits: 100 reads of payments a minute, and each needs its order read too.
    reads_per_second: ClassVar[float] = 200 / 60
    # The same page: 30 reads of refunds. No payer waits for them, so they must use up nothing of the above.
    refund_reads_per_second: ClassVar[float] = 30 / 60
    webhook_secret_names: ClassVar[tuple[str, ...]] = ("CASHFREE_APP_SECRET", "CASHFREE_WEBHOOK_SCHEME")
    credential_names: ClassVar[tuple[str, ...]] = ("CASHFREE_APP_ID", "CASHFREE_APP_SECRET", "CASHFREE_ENV")

    def __init__(self, config: CashfreeConfig) -> None:
        self.config = config
        self.session = GatewaySession(
            self.provider, _read_error, self.reads_per_second, wait_header="x-ratelimit-retry"
        )
        self.refund_reads = ReadBudget(f"{self.provider} refunds", self.refund_reads_per_second)
        self.health = self.session.health
        self.session.headers.update(
            {
                "x-client-id": config.app_id,
                "x-client-secret": config.app_secrets[0],
                "x-api-version": config.api_version,
            }
        )

    @property
    def mode(self) -> str:
        return MODES[self.config.environment]

    @property
    def captures_automatically(self) -> bool:
        return False

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        key = {"x-idempotency-key": str(uuid.uuid5(KEY_NAMESPACE, order.wire_id))}
        try:
            answer = self._send("POST", "/orders", deadline, json=_order_body(order), headers=key)
        except Rejected as error:
            return self._order_with_our_id(order, error, deadline)
        with reading_answer(self.provider, of_write=True):
            return reading.checkout(reading.named(answer, order.wire_id))

    def check_return(self, order: OrderRef, fields: Mapping[str, str]) -> None:
        """Nothing of a return is signed by Cashfree, so nothing can be forged: only a fetch tells."""

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        """The order, its attempts unless it is open and asked for again, refunds where money came in."""
        observed_at = utc_now()
        path = f"/orders/{order.wire_id}"
        answer = self._send("GET", path, deadline)
        with reading_answer(self.provider, of_write=False), deciding(reading.says_paid(answer)):
            entity = reading.named(answer, order.wire_id)
            word, amount = reading.order_word(entity), reading.order_amount(entity)
            is_enough = deadline.urgency in ASK_AGAIN and reading.is_open(entity, observed_at)
            listed = [] if is_enough else self._list(f"{path}/payments", deadline)
            attempts = reading.attempts(self.provider, listed, word, amount)
            status, gateway_status = reading.order_claim(word, attempts, amount)
            snapshot = PaymentSnapshot(
                order=OrderRef(order.wire_id, order.wire_id),
                status=status,
                gateway_status=gateway_status,
                amount=amount,
                observed_at=observed_at,
                attempts=attempts,
                refunds=(),
                fetched=True,
                checkout=reading.checkout_or_none(entity),
            )
        is_paid = status is PaymentStatus.COMPLETED
        if not is_paid and not any(one.status in BROUGHT_MONEY for one in attempts):
            return snapshot
        return replace(snapshot, refunds=self._refunds(path, deadline))

    def capture(self, order: OrderRef, transaction_id: str, amount: Money, deadline: Deadline) -> None:
        """Take a pre-authorisation. The call names the order alone, which holds one at a time."""
        body = {"action": "CAPTURE", "amount": json_number(amount)}
        self._authorize(order, transaction_id, body, deadline)

    def void(self, order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        self._authorize(order, transaction_id, {"action": "VOID"}, deadline)

    def recognises_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> bool:
        return True

    def read_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
        """HMAC over timestamp and body; where the settings allow it, a digest of three fields only wakes."""
        signature, timestamp = headers.get("x-webhook-signature"), headers.get("x-webhook-timestamp")
        if not signature:
            raise MissingCredentials("The header x-webhook-signature is missing")
        if self.config.webhook_scheme == SHA256_FIELDS and self._signs_fields(signature, raw_body):
            return self.reread_webhook(FIELDS_ONLY + sha256_hex(raw_body), raw_body)
        if not timestamp:
            raise MissingCredentials("The header x-webhook-timestamp is missing")
        message = timestamp.encode("utf-8", "surrogatepass") + raw_body
        if not any_same(signature, [hmac_sha256_base64(s, message) for s in self.config.app_secrets]):
            raise SignatureInvalid("The webhook signature is wrong")
        return self.reread_webhook(event_id(headers.get("x-idempotency-key"), raw_body), raw_body)

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        try:
            body = json.loads(raw_body, parse_float=exact_number)
            if event_id.startswith(FIELDS_ONLY):
                order_id, _, _ = _three_fields(body)
                order = OrderRef(order_id)
                return WebhookEvent(event_id, "sha256-fields", EventKind.PAYMENT, order, wake_up=True)
            return reading.event(event_id, body)
        except UNREADABLE:
            return WebhookEvent(event_id, "unreadable", EventKind.UNREADABLE)

    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot | None:
        """Terminated at once, or after the attempt that is under way, which may still pay the order."""
        path, wanted = f"/orders/{order.wire_id}", {"order_status": "TERMINATED"}
        answer = self._send("PATCH", path, deadline, json=wanted)
        with reading_answer(self.provider, of_write=True):
            reading.named(answer, order.wire_id)
        try:
            return self.fetch_payment(order, deadline)
        except GatewayError as error:
            raise OutcomeUnknown("The order was closed, but could not be read") from error

    def create_refund(self, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        # No idempotency key: under one, Cashfree would repeat even a 500. Our refund id keeps it single.
        path = f"/orders/{refund.order.wire_id}/refunds"
        try:
            answer = self._send("POST", path, deadline, json=_refund_body(refund))
        except Rejected as error:
            return self._refund_with_our_id(refund, error, deadline)
        with reading_answer(self.provider, of_write=True):
            return reading.refund(answer)

    def fetch_refund(self, refund: RefundRef, deadline: Deadline) -> RefundSnapshot:
        path = f"/orders/{refund.order.wire_id}/refunds"
        if not refund.refund_id:
            return self._refund_with_their_id(refund, path, deadline)
        answer = self._send("GET", f"{path}/{refund.refund_id}", deadline, budget=self.refund_reads)
        with reading_answer(self.provider, of_write=False):
            return reading.refund(answer)

    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", dispute_id):
            raise UnknownAtGateway(f"{self.provider} has no such dispute")
        observed_at = utc_now()
        answer = self._send("GET", f"/disputes/{dispute_id}", deadline)
        with reading_answer(self.provider, of_write=False):
            if reading.id_text(answer["dispute_id"]) != dispute_id:
                raise ValueError("an answer about another dispute")
            return reading.dispute(answer, answer["order_details"], observed_at)

    def find_by_payment_id(self, payment_id: str, deadline: Deadline) -> OrderRef | None:
        return None  # Cashfree has no call that leads from a payment to its order

    def _send(self, method: str, path: str, deadline: Deadline, **options: Any) -> Any:
        url = self.config.api_url + path
        return decimal_json(self.session.request(method, url, timeout=deadline, **options))

    def _refunds(self, path: str, deadline: Deadline) -> tuple[RefundSnapshot, ...] | None:
        """Those of an order; None where they cannot be read now, which hides no payment.

        Who can do without them leaves most of their budget to others, and does not wait for a turn.
        """
        if deadline.urgency not in WANTS_REFUNDS:
            deadline = Deadline(deadline.remaining(), Urgency.LOOKUP)
        try:
            with reading_answer(self.provider, of_write=False):
                listed = self._list(f"{path}/refunds", deadline, budget=self.refund_reads)
                return reading.refunds(self.provider, listed)
        except GatewayError as error:
            about = {"gateway": self.provider, "error": error.code}
            log.warning("Refunds of an order not read", extra={"data": about})
            return None

    def _list(self, path: str, deadline: Deadline, **options: Any) -> Any:
        """What an order that is known has of something; whether none is [] or a 404 is not documented."""
        try:
            return self._send("GET", path, deadline, **options)
        except UnknownAtGateway:
            return []

    def _authorize(
        self, order: OrderRef, transaction_id: str, body: Mapping[str, Any], deadline: Deadline
    ) -> None:
        # No idempotency key: under one, Cashfree would repeat even a 500. A hold ends only once anyway.
        answer = self._send("POST", f"/orders/{order.wire_id}/authorization", deadline, json=body)
        with reading_answer(self.provider, of_write=True):
            if reading.id_text(answer["cf_payment_id"]) != transaction_id:
                raise ValueError("an answer about another payment")

    def _order_with_our_id(self, order: NewOrder, refusal: Rejected, deadline: Deadline) -> Checkout:
        """After "order_already_exists": our wire id is used once, so that order is ours."""
        if refusal.gateway_code not in ALREADY_THERE:
            raise refusal
        try:
            found = self.fetch_payment(OrderRef(order.wire_id), deadline)
        except GatewayError as error:
            raise OutcomeUnknown("An order with our id is there, but could not be read") from error
        if found.checkout is None or found.amount != order.amount:
            raise refusal
        return found.checkout

    def _refund_with_our_id(self, refund: NewRefund, refusal: Rejected, deadline: Deadline) -> RefundSnapshot:
        """A refusal may mean that the refund is there already: look before believing it."""
        if refusal.gateway_status not in PERHAPS_THERE:
            raise refusal
        patient = Deadline(deadline.remaining(), Urgency.REFUND)
        try:
            return self.fetch_refund(
                RefundRef(refund.refund_id, refund.order, refund.transaction_id), patient
            )
        except GatewayError as error:
            if isinstance(error, Rejected) and refusal.gateway_code not in ALREADY_THERE:
                raise refusal from error
            raise OutcomeUnknown("A refund with our id may be there, but could not be read") from error

    def _refund_with_their_id(self, refund: RefundRef, path: str, deadline: Deadline) -> RefundSnapshot:
        """Cashfree's own id leads nowhere, so look for it among all of the order."""
        answer = self._send("GET", path, deadline, budget=self.refund_reads)
        with reading_answer(self.provider, of_write=False):
            for found in reading.refunds(self.provider, answer):
                if found.gateway_refund_id == refund.gateway_refund_id:
                    return found
        raise UnknownAtGateway(f"{self.provider} lists no such refund")

    def _signs_fields(self, signature: str, raw_body: bytes) -> bool:
        """The scheme of this service's first design: hex SHA-256 of order id, amount, currency and secret.

        What it signs must be parsed first, so no more is read of an unproven body than an event can be long.
        """
        if len(raw_body) > MAX_UNSIGNED_BYTES:
            return False
        try:
            fields = "".join(_three_fields(json.loads(raw_body, parse_float=exact_number))).encode()
        except UNREADABLE:
            return False
        return any_same(signature, [sha256_hex(fields + s.encode()) for s in self.config.app_secrets])


def _order_body(order: NewOrder) -> dict[str, Any]:
    meta = {"return_url": order.return_url}
    if order.webhook_url.startswith("https://"):
        meta["notify_url"] = order.webhook_url
    note = _fitting(order.description, 200)
    ends_at = (order.expires_at + LAST_MINUTE).astimezone(reading.IST)
    return {
        "order_id": order.wire_id,
        "order_amount": json_number(order.amount),
        "order_currency": order.amount.currency,
        "customer_details": _customer_body(order.customer),
        "order_meta": meta,
        "order_expiry_time": ends_at.isoformat(timespec="seconds"),
        **({"order_note": note} if note else {}),
    }


def _customer_body(customer: Customer) -> dict[str, str]:
    """What is too short, too long or too strange is left out: an empty text would be refused."""
    name = _fitting(customer.name, 100)
    has_email = customer.email.isascii() and 3 <= len(customer.email) <= 100
    return {
        "customer_id": customer.id,
        "customer_phone": customer.phone,
        **({"customer_name": name} if name else {}),
        **({"customer_email": customer.email} if has_email else {}),
    }


def _refund_body(refund: NewRefund) -> dict[str, Any]:
    note = _fitting(refund.reason, 100)
    return {
        "refund_id": refund.refund_id,
        "refund_amount": json_number(refund.amount),
        "refund_speed": SPEEDS[refund.speed],
        **({"refund_note": note} if note else {}),
    }


def _fitting(text: str, most: int) -> str | None:
    """Letters of every script, digits and a few marks, cut to size; None for less than three characters."""
    kept = (
        c if unicodedata.category(c).startswith(NAME_CATEGORIES) or c in NAME_MARKS else " "
        for c in unicodedata.normalize("NFC", text)
    )
    words = " ".join("".join(kept).split())[:most].strip()
    return words if len(words) >= 3 else None


def _three_fields(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """Order id, amount and currency, the amount as JavaScript prints the number: 170, 1499.5."""
    order = body["data"]["order"]
    amount = order["order_amount"]
    if isinstance(amount, Decimal):
        amount = f"{amount:f}".rstrip("0").rstrip(".") if amount.is_finite() else None
    order_id, printed, currency = map(reading.id_text, (order["order_id"], amount, order["order_currency"]))
    return order_id, printed, currency


def _read_error(status: int, body: Mapping[str, Any]) -> ErrorFacts:
    code = IDEMPOTENCY if body.get("type") == IDEMPOTENCY else str(body.get("code") or "")
    is_missing = code.endswith("_not_found")
    return ErrorFacts(
        code=code or None,
        description=str(body.get("message", "")),
        unknown_id=status in (400, 404) and is_missing,  # a wrong address is request_failed
    )
