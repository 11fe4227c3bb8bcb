"""PhonePe V2: Standard Checkout by REST with an OAuth token, webhooks that only wake.

Documents (developer.phonepe.com, read 2026-06): v2 authorization, create-payment, order-status, refund,
webhook, uat-checklist, error-codes; the official SDKs phonepe-pg-sdk-python 3.0.1 and -node 2.0.6, whose
tests name errors and events that the pages leave out. V1 (salt key) is `phonepe_v1`.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from payments_service.errors import (
    GatewayError,
    MissingCredentials,
    OutcomeUnknown,
    Rejected,
    SignatureInvalid,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.gateways.base import (
    AttemptSnapshot,
    Checkout,
    Deadline,
    DisputeSnapshot,
    EventKind,
    Gateway,
    NewOrder,
    NewRefund,
    OrderRef,
    PaymentSnapshot,
    Polling,
    RefundRef,
    RefundSnapshot,
    VerifyField,
    WebhookEvent,
    WrongVariable,
    polling,
    variable,
)
from payments_service.gateways.http import ErrorFacts, GatewaySession, decimal_json, reading_answer
from payments_service.gateways.signatures import any_same, password_headers, sha256_hex
from payments_service.money import Money
from payments_service.states import AttemptStatus, PaymentStatus, RefundStatus

ORDER_STATUS = {
    "PENDING": PaymentStatus.PENDING,  # also after a failed attempt
    "COMPLETED": PaymentStatus.COMPLETED,
    "FAILED": PaymentStatus.FAILED,  # or EXPIRED, see _order_status
    "EXPIRED": PaymentStatus.EXPIRED,  # in one sample of a webhook
}
ATTEMPT_STATUS = {
    "PENDING": AttemptStatus.PENDING,
    "COMPLETED": AttemptStatus.SUCCEEDED,
    "FAILED": AttemptStatus.FAILED,
}
REFUND_STATUS = {
    "PENDING": RefundStatus.PENDING,
    "CONFIRMED": RefundStatus.PENDING,  # accepted, and may still fail
    "COMPLETED": RefundStatus.COMPLETED,
    "FAILED": RefundStatus.FAILED,
}
EVENTS = {
    "checkout.order.completed": EventKind.PAYMENT,
    "checkout.order.failed": EventKind.PAYMENT,
    "checkout.transaction.attempt.failed": EventKind.PAYMENT,  # the order stays payable
    "pg.order.completed": EventKind.PAYMENT,
    "pg.order.failed": EventKind.PAYMENT,
    "pg.transaction.attempt.failed": EventKind.PAYMENT,
    "pg.refund.accepted": EventKind.REFUND,
    "pg.refund.completed": EventKind.REFUND,
    "pg.refund.failed": EventKind.REFUND,
    "settlement.initiated": EventKind.SETTLEMENT,
    "settlement.processed": EventKind.SETTLEMENT,
    "settlement.attempt.failed": EventKind.SETTLEMENT,
}
IGNORED_FAMILIES = ("paylink.", "subscription.")
"""Products of the same account that are not ours."""
BARE_REFUND = "pg.refund"
"""Our word for the refund events of which the documents show no envelope."""

FINAL = frozenset({PaymentStatus.COMPLETED, PaymentStatus.FAILED, PaymentStatus.EXPIRED})
"""What an event may claim. Anything else is no claim."""
ORDER_EXPIRED = "ORDER_EXPIRED"

ALREADY_THERE = frozenset({"INVALID_TRANSACTION_ID", "INVALID_MERCHANT_ORDER_ID", "ORDER_ALREADY_EXISTS"})
"""What an id that was used before is answered with: the documents disagree."""
UNKNOWN_IDS = frozenset({"INVALID_MERCHANT_ORDER_ID", "INVALID_MERCHANT_REFUND_ID", "INVALID_TRANSACTION_ID"})
UNKNOWN_ID_STATUSES = (400, 404)

API_HOSTS = {
    "sandbox": "https://api-preprod.phonepe.com/apis/pg-sandbox",
    "production": "https://api.phonepe.com/apis/pg",
}
TOKEN_HOSTS = {
    "sandbox": "https://api-preprod.phonepe.com/apis/pg-sandbox",
    "production": "https://api.phonepe.com/apis/identity-manager",
}
MODES = {"sandbox": "test", "production": "live"}

POLLING = polling((25, 25), (55, 3), (115, 6), (175, 10), (235, 30), (1200, 60))
"""PhonePe's own schedule (check-status-api, UAT checklist): it insists on being asked."""
EXPIRE_AFTER_SECONDS = (300, 3600)
RENEW_EARLY_SECONDS = 240
"""Three to five minutes before the end, says the checklist."""
SHORTEST_USE_SECONDS = 30
"""A token is used at least so long, that a clock of ours that runs ahead does not ask for one each time."""
PAYMENT_ID = re.compile(r"OM[A-Za-z0-9]{6,60}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class PhonePeConfig:
    client_id: str = variable("PHONEPE_CLIENT_ID")
    client_secret: str = variable("PHONEPE_CLIENT_SECRET", secret=True)
    client_version: str = variable("PHONEPE_CLIENT_VERSION")
    webhook_users: tuple[str, ...] = variable("PHONEPE_WEBHOOK_USER", is_list=True, shared=True)
    webhook_passwords: tuple[str, ...] = variable(
        "PHONEPE_WEBHOOK_PASS", secret=True, is_list=True, shared=True
    )
    environment: str = variable("PHONEPE_ENV", default="sandbox", choices=tuple(API_HOSTS), shared=True)
    other_url: str = variable("PHONEPE_API_URL", default="", is_url=True, shared=True)

    def __post_init__(self) -> None:
        if len(self.webhook_users) not in (1, len(self.webhook_passwords)):
            raise WrongVariable("PHONEPE_WEBHOOK_USER", "must be one, or one for each PHONEPE_WEBHOOK_PASS")

    @property
    def api_url(self) -> str:
        return (self.other_url or API_HOSTS[self.environment]).rstrip("/")

    @property
    def token_url(self) -> str:
        return (self.other_url or TOKEN_HOSTS[self.environment]).rstrip("/") + "/v1/oauth/token"


class PhonePeGateway(Gateway):
    name: ClassVar[str] = "phonepe"
    provider: ClassVar[str] = "phonepe"
    config_type: ClassVar[type] = PhonePeConfig
    verify_fields: ClassVar[tuple[VerifyField, ...]] = (VerifyField("orderId", aliases=("transactionId",)),)
    minimum_amount: ClassVar[Money] = Money(100)
    browser_knows_wire_id: ClassVar[bool] = True
    order_id_names: ClassVar[tuple[str, ...]] = ("orderId", "transactionId")
    payment_url_names: ClassVar[tuple[str, ...]] = ("paymentUrl",)
    polling: ClassVar[Polling] = POLLING
    one_refund_at_a_time: ClassVar[bool] = True
    refunds_name_the_attempt: ClassVar[bool] = False
    refunds_up_to_the_order: ClassVar[bool] = True
    returns_are_signed: ClassVar[bool] = False
    our_clock_expires: ClassVar[bool] = False
    reads_per_second: ClassVar[float] = 20.0  # no limits are published

    def __init__(self, config: PhonePeConfig) -> None:
        self.config = config
        self.session = GatewaySession(self.provider, _read_error, self.reads_per_second)
        self.session.headers["Accept"] = "application/json"
        self._token = _SharedToken(self._new_token)

    @property
    def mode(self) -> str:
        return MODES[self.config.environment]

    @property
    def captures_automatically(self) -> bool:
        return False

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        try:
            answer = self._send("POST", "/checkout/v2/pay", deadline, json=_order_body(order))
        except Rejected as error:
            if error.gateway_code in ALREADY_THERE:  # our wire id is used once, so that order is ours
                raise OutcomeUnknown("An order with our id is there, and its address lost") from error
            raise
        with reading_answer(self.provider, of_write=True):
            return Checkout(
                gateway_order_id=answer["orderId"],
                gateway_status=answer["state"],
                amount=order.amount,  # the answer does not repeat it
                fields={
                    "redirectUrl": _address(answer["redirectUrl"]),
                    "expireAt": _time(answer["expireAt"]).isoformat(),
                },
            )

    def check_return(self, order: OrderRef, fields: Mapping[str, str]) -> None:
        """Nothing of a return is signed by PhonePe, so nothing can be forged: only a fetch tells."""

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        """PhonePe repeats neither our id nor the address: the snapshot never has a checkout."""
        observed_at = datetime.now(UTC)
        path = f"/checkout/v2/order/{order.wire_id}/status"
        answer = self._send("GET", path, deadline, params={"details": "true"})
        with reading_answer(self.provider, of_write=False):
            return PaymentSnapshot(
                order=OrderRef(order.wire_id, answer["orderId"]),
                status=_order_status(answer),
                gateway_status=answer["state"],
                amount=Money(answer["amount"]),
                observed_at=observed_at,
                attempts=tuple(_attempt(detail) for detail in _items(answer["paymentDetails"])),
                fetched=True,
            )

    def capture(self, order: OrderRef, transaction_id: str, amount: Money, deadline: Deadline) -> None:
        raise Rejected(f"{self.provider} holds no money that could be captured")

    def void(self, order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        raise Rejected(f"{self.provider} holds no money that could be let go")

    def recognises_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> bool:
        return "x-verify" not in headers or b'"response"' not in raw_body  # those are V1's

    def read_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
        """The header proves who knows the password and nothing of the body: the event only wakes."""
        given = headers.get("authorization")
        if not given:
            raise MissingCredentials("The header Authorization is missing")
        if not any_same(given, password_headers(self.config.webhook_users, self.config.webhook_passwords)):
            raise SignatureInvalid("The webhook credentials are wrong")
        return self.reread_webhook(sha256_hex(raw_body), raw_body)

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        try:
            return _event(event_id, json.loads(raw_body))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
            return WebhookEvent(event_id, "unreadable", EventKind.UNREADABLE)

    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot | None:
        return None  # PhonePe has no call that ends an order; it ends by itself after expireAfter

    def create_refund(self, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        body = {
            "merchantRefundId": refund.refund_id,
            "originalMerchantOrderId": refund.order.wire_id,
            "amount": refund.amount.minor,
        }
        try:
            answer = self._send("POST", "/payments/v2/refund", deadline, json=body)
        except Rejected as error:
            return self._refund_with_our_id(refund, error, deadline)
        with reading_answer(self.provider, of_write=True):
            return _refund(answer, refund.refund_id, refund.transaction_id)

    def fetch_refund(self, refund: RefundRef, deadline: Deadline) -> RefundSnapshot:
        answer = self._send("GET", f"/payments/v2/refund/{refund.refund_id}/status", deadline)
        with reading_answer(self.provider, of_write=False):
            return _refund(answer, refund.refund_id, refund.transaction_id)

    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        raise UnknownAtGateway(f"{self.provider} cannot be asked for it yet")

    def find_by_payment_id(self, payment_id: str, deadline: Deadline) -> OrderRef | None:
        if not PAYMENT_ID.fullmatch(payment_id):
            return None
        answer = self._send("GET", f"/checkout/v2/transaction/{payment_id}/status", deadline)
        with reading_answer(self.provider, of_write=False):
            return OrderRef("", answer["orderId"])

    def _send(self, method: str, path: str, deadline: Deadline, **options: Any) -> Any:
        """One call; a second one when the token was refused, for a 401 says that nothing was carried out."""
        token = self._token.get(deadline)
        try:
            return self._send_with(token, method, path, deadline, **options)
        except Rejected as error:
            if error.gateway_status != 401:
                raise
        return self._send_with(self._token.get(deadline, refused=token), method, path, deadline, **options)

    def _send_with(self, token: str, method: str, path: str, deadline: Deadline, **options: Any) -> Any:
        headers = {"Authorization": f"O-Bearer {token}"}
        url = self.config.api_url + path
        return decimal_json(self.session.request(method, url, timeout=deadline, headers=headers, **options))

    def _new_token(self, deadline: Deadline) -> tuple[str, float]:
        """The token, and the seconds for which it is good. Only `expires_at` is filled in reliably."""
        form = {
            "client_id": self.config.client_id,
            "client_version": self.config.client_version,
            "client_secret": self.config.client_secret,
            "grant_type": "client_credentials",
        }
        answer = decimal_json(
            self.session.request("POST", self.config.token_url, timeout=deadline, harmless=True, data=form)
        )
        with reading_answer(self.provider, of_write=False):
            return _header_text(answer["access_token"]), int(answer["expires_at"]) - time.time()

    def _refund_with_our_id(self, refund: NewRefund, refusal: Rejected, deadline: Deadline) -> RefundSnapshot:
        """After "already used": our refund id is used once, so that refund is ours."""
        if refusal.gateway_code not in ALREADY_THERE or isinstance(refusal, UnknownAtGateway):
            raise refusal  # of an unknown order there is no refund
        try:
            return self.fetch_refund(
                RefundRef(refund.refund_id, refund.order, refund.transaction_id), deadline
            )
        except GatewayError as error:
            raise OutcomeUnknown("A refund with our id is there, but could not be read") from error


class _SharedToken:
    """One token for all threads: whoever finds it old renews it, the others wait for that one."""

    def __init__(self, renew: Callable[[Deadline], tuple[str, float]]) -> None:
        self._renew = renew
        self._lock = threading.Lock()
        self._current: tuple[str, float] | None = None
        """The token, and until when (monotonic) it is used."""

    def get(self, deadline: Deadline, refused: str | None = None) -> str:
        """A token other than the one that was `refused`."""
        if (text := self._usable(refused)) is not None:
            return text
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise Unavailable("No token came in time")
        try:
            if (text := self._usable(refused)) is not None:
                return text
            text, seconds = self._renew(deadline)
            use_seconds = max(seconds - RENEW_EARLY_SECONDS, SHORTEST_USE_SECONDS)
            self._current = text, time.monotonic() + use_seconds
            return text
        finally:
            self._lock.release()

    def _usable(self, refused: str | None) -> str | None:
        text, until = self._current or (None, 0.0)
        return text if text != refused and time.monotonic() < until else None


def _order_body(order: NewOrder) -> dict[str, Any]:
    least, most = EXPIRE_AFTER_SECONDS
    seconds = round((order.expires_at - datetime.now(UTC)).total_seconds())
    message = {"message": order.description} if order.description else {}
    return {
        "merchantOrderId": order.wire_id,
        "amount": order.amount.minor,
        "expireAfter": min(max(seconds, least), most),
        "paymentFlow": {
            "type": "PG_CHECKOUT",
            **message,
            "merchantUrls": {"redirectUrl": order.return_url},
        },
    }


def _order_status(entity: Mapping[str, Any]) -> PaymentStatus | None:
    """The root state decides; the attempts below it may say otherwise."""
    status = ORDER_STATUS.get(entity["state"])
    if status is PaymentStatus.FAILED and ORDER_EXPIRED in (
        entity.get("errorCode"),
        entity.get("detailedErrorCode"),
    ):
        return PaymentStatus.EXPIRED
    return status


def _attempt(detail: Mapping[str, Any]) -> AttemptSnapshot:
    return AttemptSnapshot(
        transaction_id=detail["transactionId"],
        status=ATTEMPT_STATUS.get(detail["state"]),
        gateway_status=detail["state"],
        amount=Money(detail["amount"]),
        method=detail.get("paymentMode"),
        error_code=detail.get("detailedErrorCode") or detail.get("errorCode") or None,
    )


def _refund(entity: Mapping[str, Any], refund_id: str, transaction_id: str) -> RefundSnapshot:
    return RefundSnapshot(
        # One official sample has PhonePe's id only in its details.
        gateway_refund_id=entity.get("refundId") or entity["paymentDetails"][0]["transactionId"],
        refund_id=refund_id,
        transaction_id=transaction_id,
        status=REFUND_STATUS.get(entity["state"]),
        gateway_status=entity["state"],
        amount=Money(entity["amount"]),
    )


def _event(event_id: str, body: Mapping[str, Any]) -> WebhookEvent:
    if "refundId" in body:
        return _refund_event(event_id, BARE_REFUND, body)
    # `type` is the older name of `event`, in capitals.
    name = body["event"] if body.get("event") else body["type"].lower().replace("_", ".")
    kind = EVENTS.get(name, EventKind.UNKNOWN)
    if kind is EventKind.UNKNOWN and name.startswith(IGNORED_FAMILIES):
        kind = EventKind.IGNORED
    if kind is EventKind.REFUND:
        return _refund_event(event_id, name, body["payload"])
    if kind is not EventKind.PAYMENT:
        return WebhookEvent(event_id, name, kind)
    payload = body["payload"]
    status = _order_status(payload)
    return WebhookEvent(
        event_id,
        name,
        kind,
        _order_named(payload.get("merchantOrderId"), payload.get("orderId")),
        wake_up=True,
        claims=status if status in FINAL else None,
    )


def _order_named(wire_id: str | None, gateway_order_id: str | None) -> OrderRef | None:
    """By our own id where it is told: PhonePe's beside it would be one more thing that nobody has signed."""
    if wire_id:
        return OrderRef(wire_id)
    return OrderRef("", gateway_order_id) if gateway_order_id else None


def _refund_event(event_id: str, name: str, payload: Mapping[str, Any]) -> WebhookEvent:
    """Kept, not believed: nothing of it is signed, and asking for the order would say nothing of it."""
    order = _order_named(payload.get("originalMerchantOrderId"), None)
    return WebhookEvent(event_id, name, EventKind.REFUND, order)


def _items(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise TypeError("must be a list")
    return value


def _time(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def _header_text(token: str) -> str:
    """What can stand in a header; ValueError for anything else."""
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ValueError("not a token")
    return token


def _address(url: str) -> str:
    """Exactly as received, as long as it is one to which a browser can be sent."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("not a web address")
    return url


def _read_error(status: int, body: Mapping[str, Any]) -> ErrorFacts:
    code = body.get("code") or body.get("errorCode")
    return ErrorFacts(
        code=str(code) if code else None,
        description=str(body.get("message", "")),
        unknown_id=status in UNKNOWN_ID_STATUSES and code in UNKNOWN_IDS,
    )
