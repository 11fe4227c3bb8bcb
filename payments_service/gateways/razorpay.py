"""Razorpay: Orders API, Standard Checkout, webhooks, through the official SDK. See also razorpay_reading.py.

Documents (razorpay.com/docs): api/orders/create, api/orders/fetch-payments, api/payments/capture,
payments/capture-settings/api, api/refunds/create-normal, webhooks/payments, webhooks/validate-test,
payment-gateway/web-integration/standard/integration-steps; SDK razorpay 2.0.1.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import razorpay

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
from payments_service.domain.money import Money
from payments_service.domain.news import (
    AttemptSnapshot,
    Checkout,
    DisputeSnapshot,
    NewOrder,
    NewRefund,
    OrderRef,
    PaymentSnapshot,
    RefundRef,
    RefundSnapshot,
    WebhookEvent,
)
from payments_service.domain.schedule import Polling, polling
from payments_service.domain.variables import variable
from payments_service.gateways import razorpay_reading as reading
from payments_service.gateways.base import AnswerField, Gateway, VerifyField
from payments_service.gateways.http import ErrorFacts, GatewaySession, reading_answer
from payments_service.gateways.razorpay_reading import Entity
from payments_service.gateways.reading import UNREADABLE, deciding, each, event_id, text_or_none
from payments_service.gateways.signatures import any_same, hmac_sha256_hex, same

OFFICIAL_API = "https://api.razorpay.com"
PAYMENT_ID = re.compile(r"pay_[A-Za-z0-9]{6,40}")
UNKNOWN_ID = "The id provided does not exist"
WRONG_KEYS = frozenset({"authentication failed", "the api key provided is invalid"})
"""All that a refusal of our keys says, with 401 or 400; longer words are about a payer's OTP."""
POLLING = polling((60, 20), (300, 30), (1200, 60))
"""No schedule is published: a few questions with growing gaps."""


ASK_AGAIN = (Urgency.PAYER, Urgency.POLLING)
"""Callers that ask again later: for them an order is believed that says it has no attempts."""
LIVE_KEYS = "rzp_live_"


@dataclass(frozen=True)
class RazorpayConfig:
    key_id: str = variable("RAZORPAY_KEY_ID", credential=True, live_when=LIVE_KEYS)
    key_secret: str = variable("RAZORPAY_KEY_SECRET", secret=True, credential=True)
    webhook_secrets: tuple[str, ...] = variable(
        "RAZORPAY_WEBHOOK_SECRET", secret=True, is_list=True, credential=True
    )
    api_url: str = variable("RAZORPAY_API_URL", default=OFFICIAL_API, is_url=True)
    capture: str = variable("RAZORPAY_CAPTURE", default="automatic", choices=("automatic", "manual"))


class _Client(razorpay.Client):  # type: ignore[misc]
    """The SDK reads the files of its own package at every call, to tell its version."""

    @cached_property
    def _version(self) -> str:
        return str(super()._get_version())

    def _get_version(self) -> str:
        return self._version


class RazorpayGateway(Gateway):
    name: ClassVar[str] = "razorpay"
    provider: ClassVar[str] = "razorpay"
    config_type: ClassVar[type] = RazorpayConfig
    verify_fields: ClassVar[tuple[VerifyField, ...]] = (
        VerifyField("orderId", aliases=("razorpay_order_id",)),
        VerifyField("paymentId", aliases=("razorpay_payment_id",)),
        VerifyField("signature", aliases=("razorpay_signature",)),
    )
    answer_fields: ClassVar[tuple[AnswerField, ...]] = (
        AnswerField("razorpayKey", "the key that checkout.js opens with", "rzp_test_simulator"),
        AnswerField("createdAt", "when Razorpay made the order", "2026-01-31T12:30:00+00:00", required=False),
    )
    webhook_headers: ClassVar[tuple[str, ...]] = ("X-Razorpay-Signature",)
    minimum_amount: ClassVar[Money] = Money(100)
    browser_knows_wire_id: ClassVar[bool] = False
    order_id_names: ClassVar[tuple[str, ...]] = ("orderId",)
    payment_url_names: ClassVar[tuple[str, ...]] = ("paymentUrl",)
    polling: ClassVar[Polling] = POLLING
    lists_refunds: ClassVar[bool] = True
    one_refund_at_a_time: ClassVar[bool] = False
    refunds_name_the_attempt: ClassVar[bool] = True
    refunds_up_to_the_order: ClassVar[bool] = False
    returns_are_signed: ClassVar[bool] = True
    our_clock_expires: ClassVar[bool] = True
    reads_per_second: ClassVar[float] = 20.0  # none are published (api/pagination: back off after a 429)
    webhook_secret_names: ClassVar[tuple[str, ...]] = ("RAZORPAY_WEBHOOK_SECRET",)
    credential_names: ClassVar[tuple[str, ...]] = ("RAZORPAY_KEY_ID", "RAZORPAY_KEY_SECRET")

    def __init__(self, config: RazorpayConfig) -> None:
        self.config = config
        session = GatewaySession(self.provider, _read_error, self.reads_per_second)
        self.health = session.health
        self.client = _Client(
            session=session,
            auth=(config.key_id, config.key_secret),
            base_url=config.api_url.rstrip("/"),
        )

    @property
    def mode(self) -> str:
        return "live" if self.config.key_id.startswith(LIVE_KEYS) else "test"

    @property
    def captures_automatically(self) -> bool:
        return bool(self.config.capture == "automatic")

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        body = {
            "amount": order.amount.minor,
            "currency": order.amount.currency,
            "receipt": order.wire_id,
            "payment": {
                "capture": self.config.capture,
                "capture_options": {
                    "automatic_expiry_period": reading.CAPTURE_WINDOW_MINUTES,
                    "manual_expiry_period": reading.CAPTURE_WINDOW_MINUTES,
                    "refund_speed": "normal",
                },
            },
        }
        try:
            answer = self.client.order.create(body, timeout=deadline)
        except Rejected as error:
            answer = self._order_with_our_receipt(order, error, deadline)
        with reading_answer(self.provider, of_write=True):
            return self._checkout(reading.identifier(answer["id"]), answer)

    def check_return(self, order: OrderRef, fields: Mapping[str, str]) -> None:
        """HMAC over our stored order id and the payment id; amount and status are not signed."""
        message = f"{order.gateway_order_id}|{fields['paymentId']}".encode("utf-8", "surrogatepass")
        if not same(fields["signature"], hmac_sha256_hex(self.config.key_secret, message)):
            raise SignatureInvalid("Payment signature verification failed")

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        observed_at = utc_now()
        entity = self._fetch_order(order, deadline)
        with reading_answer(self.provider, of_write=False), deciding(reading.says_paid(entity)):
            order_id = _order_id(order, entity)
            is_enough = deadline.urgency in ASK_AGAIN and reading.is_untouched(entity, observed_at)
            listed = [] if is_enough else self._list_payments(order_id, deadline)
            attempts = self._attempts(entity, listed)
            status = reading.order_status(entity, attempts)
            return PaymentSnapshot(
                order=OrderRef(order.wire_id or text_or_none(entity.get("receipt")) or "", order_id),
                status=status,
                gateway_status=reading.order_word(entity, status, attempts),
                amount=reading.order_amount(entity),
                observed_at=observed_at,
                attempts=attempts,
                refunds=tuple(self._refunds(listed, attempts, deadline)),
                fetched=True,
                checkout=self._checkout(order_id, entity),
                misses_money=reading.misses_money(entity, attempts),
            )

    def capture(self, order: OrderRef, transaction_id: str, amount: Money, deadline: Deadline) -> None:
        # A fresh dict: the SDK writes the amount into a default shared by all threads.
        answer = self.client.payment.capture(
            transaction_id, amount.minor, {"currency": amount.currency}, timeout=deadline
        )
        with reading_answer(self.provider, of_write=True):
            reading.attempt(answer)

    def void(self, order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        raise Rejected(f"{self.provider} lets held money go by itself only")

    def recognises_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> bool:
        return True

    def read_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
        signature = headers.get("x-razorpay-signature")
        if not signature:
            raise MissingCredentials("The header X-Razorpay-Signature is missing")
        if not any_same(signature, [hmac_sha256_hex(s, raw_body) for s in self.config.webhook_secrets]):
            raise SignatureInvalid("The webhook signature is wrong")
        return self.reread_webhook(event_id(headers.get("x-razorpay-event-id"), raw_body), raw_body)

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        try:
            body = json.loads(raw_body)
        except UNREADABLE:
            body = None
        return reading.event(event_id, body)

    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot | None:
        return None  # Razorpay has no call that ends an order

    def create_refund(self, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        # The SDK defines this method twice; the second, (payment, data), is the one that counts.
        answer = self.client.payment.refund(
            refund.transaction_id,
            {"amount": refund.amount.minor, "speed": refund.speed, "receipt": refund.refund_id},
            headers={"X-Refund-Idempotency": refund.refund_id},
            timeout=deadline,
        )
        with reading_answer(self.provider, of_write=True):
            return reading.refund(answer)

    def fetch_refund(self, refund: RefundRef, deadline: Deadline) -> RefundSnapshot:
        with reading_answer(self.provider, of_write=False):
            if refund.gateway_refund_id:
                return reading.refund(self.client.refund.fetch(refund.gateway_refund_id, timeout=deadline))
            for entity in self._list_refunds(refund.transaction_id, deadline):
                if entity.get("receipt") == refund.refund_id:
                    return reading.refund(entity)
        raise UnknownAtGateway(f"{self.provider} lists no such refund")

    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        observed_at = utc_now()
        with reading_answer(self.provider, of_write=False):
            answer = self.client.dispute.fetch(dispute_id, timeout=deadline)
            if "id" not in answer:  # one documented sample is wrapped
                answer = answer["data"]
            return reading.dispute(answer, observed_at)

    def find_by_payment_id(self, payment_id: str, deadline: Deadline) -> OrderRef | None:
        if not PAYMENT_ID.fullmatch(payment_id):
            return None
        with reading_answer(self.provider, of_write=False):
            order_id = self.client.payment.fetch(payment_id, timeout=deadline)["order_id"]
            return None if order_id is None else OrderRef("", reading.identifier(order_id))

    def _order_with_our_receipt(self, order: NewOrder, refusal: Rejected, deadline: Deadline) -> Entity:
        """After "Order receipt should be unique": our receipt is used once, so that order is ours."""
        if refusal.existing_order_id is None:
            raise refusal
        try:
            found = self._fetch_order(OrderRef(order.wire_id, refusal.existing_order_id), deadline)
        except GatewayError as error:
            raise OutcomeUnknown("An order with our receipt is there, but could not be read") from error
        with reading_answer(self.provider, of_write=True):
            if found["receipt"] == order.wire_id:
                return found
        raise refusal

    def _fetch_order(self, order: OrderRef, deadline: Deadline) -> Entity:
        with reading_answer(self.provider, of_write=False):
            if order.gateway_order_id:
                answer: Entity = self.client.order.fetch(order.gateway_order_id, timeout=deadline)
                return answer
            query = {"receipt": order.wire_id, "count": 10}
            for entity in _items(self.client.order.all(query, timeout=deadline)):
                if entity.get("receipt") == order.wire_id:
                    return entity
        raise UnknownAtGateway(f"{self.provider} lists no order with our receipt")

    def _attempts(self, order: Entity, listed: Iterable[Entity]) -> tuple[AttemptSnapshot, ...]:
        """Those that can be read. One that cannot counts for nothing where the others pay the order."""
        read = partial(each, self.provider, listed, reading.attempt)
        attempts = tuple(read(decides=lambda _: False))
        return attempts if reading.is_covered(order, attempts) else tuple(read(decides=reading.moved_money))

    def _refunds(
        self, listed: Iterable[Entity], attempts: Iterable[AttemptSnapshot], deadline: Deadline
    ) -> Iterator[RefundSnapshot]:
        """Of every payment that says that some of it went back."""
        known = {attempt.transaction_id for attempt in attempts}
        for payment in listed:
            if reading.gave_back(payment) and payment.get("id") in known:
                items = _none_if_unknown(partial(self._list_refunds, payment["id"], deadline))
                yield from each(self.provider, items, reading.refund, decides=lambda _: False)

    def _list_payments(self, order_id: str, deadline: Deadline) -> list[Entity]:
        return _none_if_unknown(lambda: _items(self.client.order.payments(order_id, timeout=deadline)))

    def _list_refunds(self, payment_id: str, deadline: Deadline) -> list[Entity]:
        return _items(self.client.payment.fetch_multiple_refund(payment_id, {"count": 100}, timeout=deadline))

    def _checkout(self, order_id: str, entity: Entity) -> Checkout:
        created_at = reading.time_or_none(entity.get("created_at"))
        return Checkout(
            gateway_order_id=order_id,
            gateway_status=entity["status"],
            amount=reading.order_amount(entity),
            fields={
                "razorpayKey": self.config.key_id,
                **({"createdAt": created_at.isoformat()} if created_at else {}),
            },
        )


def _order_id(order: OrderRef, entity: Entity) -> str:
    """Its own id; where it is left out, the one that was asked for. ValueError for another order's answer."""
    order_id = reading.identifier(entity.get("id") or order.gateway_order_id)
    if order.gateway_order_id not in (None, "", order_id):
        raise ValueError("the answer is about another order")
    return order_id


def _none_if_unknown(ask: Callable[[], list[Entity]]) -> list[Entity]:
    """A list below something that was just found: one that is not there is empty."""
    try:
        return ask()
    except Rejected as error:
        if isinstance(error, UnknownAtGateway) or error.gateway_status == 404:
            return []
        raise


def _items(collection: Mapping[str, Any]) -> list[Entity]:
    items = collection["items"]
    if not isinstance(items, list):
        raise TypeError("items must be a list")
    return [item for item in items if isinstance(item, Mapping)]


def _read_error(status: int, body: Mapping[str, Any]) -> ErrorFacts:
    error = body.get("error")
    if not isinstance(error, Mapping):  # the edge proxy's own answers: {"message": "…"}
        return ErrorFacts(code=None, description=str(body.get("message", "")))
    metadata = error.get("metadata")
    existing = metadata.get("order_id") if isinstance(metadata, Mapping) else None
    description = str(error.get("description", ""))
    is_receipt = status == 400 and "receipt" in description
    return ErrorFacts(
        code=str(error["code"]) if error.get("code") else None,
        description=description,
        unknown_id=description == UNKNOWN_ID,  # a 404 is a wrong address, not a wrong id
        in_progress=status == 409,
        existing_order_id=str(existing) if existing and is_receipt else None,
        refuses_credentials=description.strip(" .").lower() in WRONG_KEYS,
    )
