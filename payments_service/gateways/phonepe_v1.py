"""PhonePe V1: the pay page by REST with a salt key, callbacks with a signed body.

Documents (developer.phonepe.com/v1/reference): pay-api-1, check-status-api-1, refund-8,
server-to-server-callback-5, ui-callback-1; v1/docs: pg-standard-checklist, uat-testing, late-authorization.
For merchants who still have their keys; new ones get V2, `phonepe`.
"""

import base64
import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from payments_service.domain.clock import utc_now
from payments_service.domain.deadline import Deadline
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
    REFUND_PREFIX,
    AttemptSnapshot,
    Checkout,
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
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.domain.variables import WrongVariables, variable
from payments_service.gateways.base import AnswerField, Gateway, VerifyField
from payments_service.gateways.health import READS, WRITES
from payments_service.gateways.http import (
    ErrorFacts,
    GatewaySession,
    decimal_json,
    edge_told_apart,
    reading_answer,
)
from payments_service.gateways.reading import UNREADABLE, deciding, each, text, text_or_none, whole
from payments_service.gateways.signatures import any_same, password_headers, same, sha256_hex

RESPONSE = re.compile(rb'"response"\s*:\s*("(?:[^"\\]++|\\.)*+")', re.DOTALL)
"""The one member of a callback, its text still as JSON writes it."""

# The member `code` decides; `success` only says that the request was understood.
ORDER_STATUS = {
    "PAYMENT_INITIATED": PaymentStatus.PENDING,
    "PAYMENT_PENDING": PaymentStatus.PENDING,
    "INTERNAL_SERVER_ERROR": PaymentStatus.PENDING,  # "does not indicate a failed payment"
    "PAYMENT_SUCCESS": PaymentStatus.COMPLETED,  # together with the state COMPLETED only
    "PAYMENT_ERROR": PaymentStatus.FAILED,
    "PAYMENT_DECLINED": PaymentStatus.FAILED,
    "TIMED_OUT": PaymentStatus.FAILED,
}
ATTEMPT_STATUS = {
    "PENDING": AttemptStatus.PENDING,
    "COMPLETED": AttemptStatus.SUCCEEDED,
    "FAILED": AttemptStatus.FAILED,
}
REFUND_STATUS = {
    "PAYMENT_PENDING": RefundStatus.PENDING,
    "INTERNAL_SERVER_ERROR": RefundStatus.PENDING,
    "TIMED_OUT": RefundStatus.PENDING,  # a payment's is its end; a refund's leaves it open
    "PAYMENT_SUCCESS": RefundStatus.COMPLETED,
    "PAYMENT_ERROR": RefundStatus.FAILED,
    "PAYMENT_DECLINED": RefundStatus.FAILED,
}
INITIATED = "PAYMENT_INITIATED"
COMPLETED_STATE = "COMPLETED"
UNKNOWN_ID = "TRANSACTION_NOT_FOUND"
ALREADY_THERE = "INVALID_TRANSACTION_ID"
"""What an id that was used before is answered with (a malformed one too, which ours never are)."""
REFUSALS = frozenset({"BAD_REQUEST", "AUTHORIZATION_FAILED", "KEY_NOT_CONFIGURED", ALREADY_THERE, UNKNOWN_ID})
"""Codes that say something of the request and nothing of the money, with any HTTP status."""
WRONG_CREDENTIALS = frozenset({"AUTHORIZATION_FAILED", "KEY_NOT_CONFIGURED"})

HOSTS = {
    "sandbox": "https://api-preprod.phonepe.com/apis/pg-sandbox",
    "production": "https://api.phonepe.com/apis/hermes",
}
MODES = {"sandbox": "test", "production": "live"}

POLLING = polling((25, 25), (55, 3), (115, 6), (175, 10), (235, 30), (1200, 60))
"""PhonePe's own schedule (check-status-api, UAT checklist): it insists on being asked."""
SHORTEST_PASSWORD = 8
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""A callback says nothing of its age, and an old one can be sent again: it never counts as newer."""


@dataclass(frozen=True)
class PhonePeV1Config:
    merchant_id: str = variable("PHONEPE_MERCHANT_ID", credential=True)
    salt_keys: tuple[str, ...] = variable("PHONEPE_SALT_KEY", secret=True, is_list=True, credential=True)
    """The newest first: that one signs our calls, all of them callbacks while a change is under way."""
    salt_indexes: tuple[str, ...] = variable("PHONEPE_SALT_INDEX", is_list=True)
    require_basic: str = variable("PHONEPE_V1_REQUIRE_BASIC", default="false", choices=("true", "false"))
    webhook_users: tuple[str, ...] = variable("PHONEPE_WEBHOOK_USER", default="", is_list=True)
    webhook_passwords: tuple[str, ...] = variable(
        "PHONEPE_WEBHOOK_PASS", default="", secret=True, is_list=True, least_characters=SHORTEST_PASSWORD
    )
    environment: str = variable(
        "PHONEPE_ENV", default="sandbox", choices=tuple(HOSTS), live_when="production"
    )
    other_url: str = variable("PHONEPE_API_URL", default="", is_url=True)

    def __post_init__(self) -> None:
        wrong = {}
        if self.salt_keys and not len(self.salts) == len(self.salt_indexes) == len(self.salt_keys):
            wrong["PHONEPE_SALT_INDEX"] = "must be one for each PHONEPE_SALT_KEY, all different"
        if len(self.webhook_users) not in (min(1, len(self.webhook_passwords)), len(self.webhook_passwords)):
            wrong["PHONEPE_WEBHOOK_USER"] = "must be one, or one for each PHONEPE_WEBHOOK_PASS"
        if self.require_basic == "true" and not self.webhook_users:
            wrong["PHONEPE_V1_REQUIRE_BASIC"] = "needs PHONEPE_WEBHOOK_USER and _PASS"
        if wrong:
            raise WrongVariables(wrong)

    @property
    def salts(self) -> Mapping[str, str]:
        """Salt keys by their index."""
        return dict(zip(self.salt_indexes, self.salt_keys, strict=False))

    @property
    def api_url(self) -> str:
        return (self.other_url or HOSTS[self.environment]).rstrip("/")


class PhonePeV1Gateway(Gateway):
    name: ClassVar[str] = "phonepe"
    provider: ClassVar[str] = "phonepe_v1"
    config_type: ClassVar[type] = PhonePeV1Config
    verify_fields: ClassVar[tuple[VerifyField, ...]] = (VerifyField("orderId", aliases=("transactionId",)),)
    answer_fields: ClassVar[tuple[AnswerField, ...]] = (
        AnswerField(
            "redirectUrl",
            "the page of PhonePe on which it is paid",
            "https://mercury-uat.phonepe.com/transact/uat_v1?token=abc",
        ),
    )
    webhook_headers: ClassVar[tuple[str, ...]] = ("X-VERIFY",)
    minimum_amount: ClassVar[Money] = Money(100)
    browser_knows_wire_id: ClassVar[bool] = True
    order_id_names: ClassVar[tuple[str, ...]] = ("orderId", "transactionId")
    payment_url_names: ClassVar[tuple[str, ...]] = ("paymentUrl",)
    polling: ClassVar[Polling] = POLLING
    lists_refunds: ClassVar[bool] = False
    one_refund_at_a_time: ClassVar[bool] = True
    refunds_name_the_attempt: ClassVar[bool] = False
    refunds_up_to_the_order: ClassVar[bool] = True
    returns_are_signed: ClassVar[bool] = False
    our_clock_expires: ClassVar[bool] = True
    reads_per_second: ClassVar[float] = 20.0  # no limits are published
    webhook_secret_names: ClassVar[tuple[str, ...]] = (
        "PHONEPE_SALT_KEY",
        "PHONEPE_SALT_INDEX",
        "PHONEPE_WEBHOOK_USER",
        "PHONEPE_WEBHOOK_PASS",
    )
    credential_names: ClassVar[tuple[str, ...]] = (
        "PHONEPE_MERCHANT_ID",
        "PHONEPE_SALT_KEY",
        "PHONEPE_SALT_INDEX",
        "PHONEPE_ENV",
    )

    def __init__(self, config: PhonePeV1Config) -> None:
        self.config = config
        self.session = GatewaySession(self.provider, _read_error, self.reads_per_second)
        self.health = self.session.health
        self.session.headers["Accept"] = "application/json"

    @property
    def mode(self) -> str:
        return MODES[self.config.environment]

    @property
    def captures_automatically(self) -> bool:
        return False

    def create_order(self, order: NewOrder, deadline: Deadline) -> Checkout:
        try:
            answer = self._post("/pg/v1/pay", _order_body(order, self.config.merchant_id), deadline)
        except Rejected as error:
            if error.gateway_code == ALREADY_THERE:  # our wire id is used once, so that order is ours
                raise OutcomeUnknown("An order with our id is there, and its address lost") from error
            raise
        with reading_answer(self.provider, of_write=True):
            if answer["code"] != INITIATED:
                raise ValueError("not initiated")
            data = _named(answer["data"], order.wire_id)
            return Checkout(
                gateway_order_id=order.wire_id,  # PhonePe knows it by no other id
                gateway_status=answer["code"],
                amount=order.amount,  # the answer does not repeat it
                fields={"redirectUrl": _address(data["instrumentResponse"]["redirectInfo"]["url"])},
            )

    def check_return(self, order: OrderRef, fields: Mapping[str, str]) -> None:
        """The form of redirectMode POST is signed and can be replayed, that of REDIRECT is not signed at all:
        nothing is believed, only a fetch tells."""

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        observed_at = utc_now()
        answer = self._get_status(order.wire_id, deadline)
        with reading_answer(self.provider, of_write=False):
            _named(answer["data"], order.wire_id)
            with deciding(ORDER_STATUS.get(answer["code"]) is PaymentStatus.COMPLETED):
                return _snapshot(answer, observed_at, fetched=True)

    def capture(self, order: OrderRef, transaction_id: str, amount: Money, deadline: Deadline) -> None:
        raise Rejected(f"{self.provider} holds no money that could be captured")

    def void(self, order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        raise Rejected(f"{self.provider} holds no money that could be let go")

    def recognises_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> bool:
        return "x-verify" in headers and b'"response"' in raw_body

    def read_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
        """SHA-256 over the base64 text and the salt that the index names; Basic beside it, if wanted."""
        given = headers.get("x-verify")
        if not given:
            raise MissingCredentials("The header X-VERIFY is missing")
        self._check_basic(headers.get("authorization"))
        index = given.rpartition("###")[2]
        salt, response = self.config.salts.get(index), _response(raw_body)
        if salt is None or response is None or not same(given, _x_verify(response, "", salt, index)):
            raise SignatureInvalid("The webhook signature is wrong")
        if not _holds(raw_body, response):
            raise SignatureInvalid("The webhook is not what was signed")
        return self.reread_webhook(sha256_hex(raw_body), raw_body)

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        try:
            answer = json.loads(base64.b64decode(_response(raw_body) or "", validate=True))
            return _event(event_id, answer, self.config.merchant_id)
        except UNREADABLE:
            return WebhookEvent(event_id, "unreadable", EventKind.UNREADABLE)

    def close(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot | None:
        return None  # PhonePe has no call that ends an order

    def create_refund(self, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        try:
            answer = self._post("/pg/v1/refund", _refund_body(refund, self.config.merchant_id), deadline)
        except Rejected as error:
            return self._refund_in_spite_of(error, refund, deadline)
        with reading_answer(self.provider, of_write=True):
            made = _refund(answer, refund.refund_id, refund.transaction_id)
        if made.status is not RefundStatus.FAILED:
            return made
        refusal = Rejected(f"{self.provider} says that the refund failed", gateway_code=answer["code"])
        with contextlib.suppress(Rejected):  # a repeat fails, too, because the first one took the money
            return self._refund_in_spite_of(refusal, refund, deadline)
        return made

    def fetch_refund(self, refund: RefundRef, deadline: Deadline) -> RefundSnapshot:
        answer = self._get_status(refund.refund_id, deadline)
        with reading_answer(self.provider, of_write=False):
            return _refund(answer, refund.refund_id, refund.transaction_id)

    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        raise UnknownAtGateway(f"{self.provider} cannot be asked for it yet")

    def find_by_payment_id(self, payment_id: str, deadline: Deadline) -> OrderRef | None:
        return None  # PhonePe V1 has no call that leads from its own id to ours

    def _post(self, path: str, body: Mapping[str, Any], deadline: Deadline) -> Any:
        """What is signed is the base64 text as it is sent, and the path without the part of the host."""
        request = base64.b64encode(json.dumps(body, separators=(",", ":")).encode()).decode()
        headers = {"X-VERIFY": self._signature(request, path)}
        return self._send("POST", path, deadline, headers=headers, json={"request": request})

    def _get_status(self, our_id: str, deadline: Deadline) -> Any:
        path = f"/pg/v1/status/{self.config.merchant_id}/{our_id}"
        headers = {"X-VERIFY": self._signature("", path), "X-MERCHANT-ID": self.config.merchant_id}
        return self._send("GET", path, deadline, headers=headers)

    def _send(self, method: str, path: str, deadline: Deadline, **options: Any) -> Any:
        url = self.config.api_url + path
        with edge_told_apart(of_write=method != "GET"):
            response = self.session.request(method, url, timeout=deadline, **options)
        answer = decimal_json(response)
        with reading_answer(self.provider, of_write=method != "GET"):
            code = answer["code"]
            if not isinstance(code, str):
                raise TypeError("code must be text")
        if code in REFUSALS:
            raise self._refusal(method, code)
        return answer

    def _refusal(self, method: str, code: str) -> Rejected:
        """By its code alone: HTTP said 200."""
        kind = UnknownAtGateway if code == UNKNOWN_ID else Rejected
        said, is_ours = f"{self.provider} answered {code}", code in WRONG_CREDENTIALS
        error = kind(said, gateway_code=code, gateway_status=200, refuses_credentials=is_ours)
        self.health.learn(READS if method == "GET" else WRITES, error)
        return error

    def _signature(self, payload: str, path: str) -> str:
        return _x_verify(payload, path, self.config.salt_keys[0], self.config.salt_indexes[0])

    def _check_basic(self, given: str | None) -> None:
        """Never instead of X-VERIFY, always beside it: what is there must be right."""
        if not self.config.webhook_users:
            return
        if not given:
            if self.config.require_basic == "true":
                raise MissingCredentials("The header Authorization is missing")
            return
        if not any_same(given, password_headers(self.config.webhook_users, self.config.webhook_passwords)):
            raise SignatureInvalid("The webhook credentials are wrong")

    def _refund_in_spite_of(self, refusal: Rejected, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        """The refund that is there although it was refused, else the refusal.

        A repeat is refused because the first one came through: a "no" that was taken for such a refund's
        would invite a second one.
        """
        if isinstance(refusal, UnknownAtGateway):
            raise refusal  # of an unknown order there is no refund
        try:
            return self.fetch_refund(
                RefundRef(refund.refund_id, refund.order, refund.transaction_id), deadline
            )
        except GatewayError as error:
            is_absent = isinstance(error, UnknownAtGateway) or error.gateway_code == refusal.gateway_code
            if is_absent and refusal.gateway_code != ALREADY_THERE:
                raise refusal from error
            raise OutcomeUnknown("A refund with our id may be there, but could not be read") from error


def _x_verify(payload: str, path: str, salt: str, index: str) -> str:
    signed = (payload + path + salt).encode("utf-8", "surrogatepass")
    return f"{sha256_hex(signed)}###{index}"


def _holds(raw_body: bytes, response: str) -> bool:
    """Whether the body, parsed only now that its text is authentic, is that text's envelope."""
    try:
        return bool(json.loads(raw_body)["response"] == response)
    except UNREADABLE:
        return False


def _response(raw_body: bytes) -> str | None:
    """The base64 text exactly as received; None for a body that has none.

    It is the only thing that is signed: nothing else of the body is parsed, as its sender is not proven.
    """
    found = RESPONSE.search(raw_body)
    try:
        return str(json.loads(found[1])) if found else None
    except ValueError:
        return None


def _order_body(order: NewOrder, merchant_id: str) -> dict[str, Any]:
    return {
        "merchantId": merchant_id,
        "merchantTransactionId": order.wire_id,
        "merchantUserId": order.customer.id,
        "amount": order.amount.minor,
        "redirectUrl": order.return_url,
        "redirectMode": "REDIRECT",
        "callbackUrl": order.webhook_url,
        "paymentInstrument": {"type": "PAY_PAGE"},
    }


def _refund_body(refund: NewRefund, merchant_id: str) -> dict[str, Any]:
    callback = {"callbackUrl": refund.webhook_url} if refund.webhook_url else {}
    return {
        "merchantId": merchant_id,
        "originalTransactionId": refund.order.wire_id,  # ours, not PhonePe's T…
        "merchantTransactionId": refund.refund_id,
        "amount": refund.amount.minor,
        **callback,
    }


def _named(data: Mapping[str, Any], our_id: str) -> Mapping[str, Any]:
    if data["merchantTransactionId"] != our_id:
        raise ValueError("the answer is about something else")
    return data


def _snapshot(answer: Mapping[str, Any], observed_at: datetime, *, fetched: bool) -> PaymentSnapshot:
    """PhonePe never tells the address again: the snapshot never has a checkout."""
    data, code, state = answer["data"], answer["code"], text_or_none(answer["data"].get("state"))
    tried = (data,) if data.get("transactionId") else ()
    return PaymentSnapshot(
        order=OrderRef(data["merchantTransactionId"], data["merchantTransactionId"]),
        status=_order_status(code, state),
        gateway_status=state if state and code in ORDER_STATUS else code,
        amount=Money(whole(data["amount"])),
        observed_at=observed_at,
        attempts=tuple(each("phonepe_v1", tried, _attempt, decides=lambda _: False)),
        fetched=fetched,
    )


def _order_status(code: str, state: str | None) -> PaymentStatus | None:
    """A success that is not completed contradicts itself: that is a word of no known meaning."""
    status = ORDER_STATUS.get(code)
    return None if status is PaymentStatus.COMPLETED and state != COMPLETED_STATE else status


def _attempt(data: Mapping[str, Any]) -> AttemptSnapshot:
    """One transaction is one attempt; its response codes are never an enumeration.

    While it is pending there may be neither a response code nor an instrument.
    """
    status = ATTEMPT_STATUS.get(data["state"])
    told = data.get("paymentInstrument")
    instrument = told if isinstance(told, Mapping) else {}
    return AttemptSnapshot(
        transaction_id=data["transactionId"],
        status=status,
        gateway_status=text(data["state"]),
        amount=Money(whole(data["amount"])),
        method=text_or_none(instrument.get("type")),
        error_code=text_or_none(data.get("responseCode")) if status is AttemptStatus.FAILED else None,
        bank_reference=_bank_reference(instrument),
    )


def _refund(answer: Mapping[str, Any], refund_id: str, transaction_id: str) -> RefundSnapshot:
    data = _named(answer["data"], refund_id)
    told = data.get("paymentInstrument")
    return RefundSnapshot(
        gateway_refund_id=data["transactionId"],
        refund_id=refund_id,
        transaction_id=transaction_id,
        status=REFUND_STATUS.get(answer["code"]),
        gateway_status=text(answer["code"]),
        amount=Money(whole(data["amount"])),
        bank_reference=_bank_reference(told if isinstance(told, Mapping) else {}),
    )


def _bank_reference(instrument: Mapping[str, Any]) -> str | None:
    """UPI's UTR, a card's ARN or BRN, or what net banking calls its transaction."""
    told = (text_or_none(instrument.get(name)) for name in ("utr", "arn", "brn", "bankTransactionId"))
    return next((reference for reference in told if reference), None)


def _event(event_id: str, answer: Mapping[str, Any], merchant_id: str) -> WebhookEvent:
    """A refund's callback has the same codes as a payment's: only the id tells them apart.

    One that lacks or spoils a member wakes instead of being believed.
    """
    code = text_or_none(answer.get("code"))
    data = answer.get("data")
    data = data if isinstance(data, Mapping) else {}
    our_id = text_or_none(data.get("merchantTransactionId"))
    if our_id and our_id.startswith(REFUND_PREFIX):
        return WebhookEvent(event_id, code or "unreadable", EventKind.REFUND, refund_id=our_id)
    order = OrderRef(our_id, our_id) if our_id else None
    if code is None:
        return WebhookEvent(event_id, "unreadable", EventKind.UNREADABLE, order)
    if code not in ORDER_STATUS or data.get("merchantId", merchant_id) != merchant_id:
        return WebhookEvent(event_id, code, EventKind.UNKNOWN, order)
    try:
        if data["merchantId"] == merchant_id and our_id == data["merchantTransactionId"]:
            snapshot = _snapshot(answer, UNDATED, fetched=False)
            return WebhookEvent(event_id, code, EventKind.PAYMENT, snapshot.order, snapshot)
    except UNREADABLE:
        pass
    return WebhookEvent(event_id, code, EventKind.PAYMENT, order, wake_up=True)


def _address(url: str) -> str:
    """Exactly as received, as long as it is one to which a browser can be sent."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("not a web address")
    return url


def _read_error(_status: int, body: Mapping[str, Any]) -> ErrorFacts:
    code = body.get("code")
    return ErrorFacts(
        code=str(code) if code else None,
        description=str(body.get("message", "")),
        unknown_id=code == UNKNOWN_ID,
        refuses_credentials=code in WRONG_CREDENTIALS,
    )
