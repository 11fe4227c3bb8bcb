"""PhonePe V2: Standard Checkout by REST with an OAuth token, webhooks that only wake.

Documents (developer.phonepe.com, read 2026-11): v2 authorization, create-payment, order-status, refund,
webhook, chargeback/fetch-dispute, uat-checklist, error-codes; the official SDKs for Python, Node, Java, PHP
and .NET, whose tests name errors that the pages leave out. That a webhook may be signed (HMAC) is on those
pages, how it is signed only in the code of integrators. `phonepe_reading` has what answers and events mean;
V1 (salt key) is `phonepe_v1`.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
from payments_service.domain.money import INR, Money
from payments_service.domain.news import (
    WIRE_PREFIX,
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
from payments_service.domain.states import AttemptStatus, RefundStatus
from payments_service.domain.variables import SHORTEST_SECRET, WrongVariables, variable
from payments_service.gateways.base import AnswerField, Gateway, VerifyField
from payments_service.gateways.http import (
    ErrorFacts,
    GatewaySession,
    decimal_json,
    edge_told_apart,
    reading_answer,
)
from payments_service.gateways.phonepe_reading import (
    DISPUTE_ID,
    PAYMENT_ID,
    order_status,
    read_event,
    says_paid,
)
from payments_service.gateways.reading import (
    UNREADABLE,
    deciding,
    each,
    text,
    text_or_none,
    whole,
    whole_or_none,
)
from payments_service.gateways.signatures import any_same, hmac_sha256_hex, password_headers, sha256_hex
from payments_service.gateways.tokens import SharedToken

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
DISPUTE_ENDS, DISPUTE_LOST = frozenset({"WON", "LOST"}), "LOST"
DISPUTE_ASKS = "ACTION_REQUIRED"
"""Only then it can be answered: it is created as UNDER_REVIEW, until PhonePe has found it valid."""
OUR_ID = "udf1"
"""The member of `metaInfo` with our id of the order: answers repeat it, also those to a payment's id."""
BANK_REFERENCES = (("rail", "utr"), ("instrument", "arn"), ("instrument", "brn"))

ALREADY_THERE = frozenset(
    {"INVALID_TRANSACTION_ID", "INVALID_MERCHANT_ORDER_ID", "ORDER_ALREADY_EXISTS", "REFUND_ID_DUPLICATED"}
)
"""What an id that was used before is answered with: documents and SDKs disagree, also about its spelling."""
UNKNOWN_ORDERS = frozenset(
    {"INVALID_MERCHANT_ORDER_ID", "MERCHANT_ORDER_MAPPING_NOT_FOUND", "ORDER_NOT_FOUND"}
)
WRONG_CLIENT = frozenset({"INVALID_CLIENT", "OIM000"})
"""The token's endpoint says so of a wrong id or secret, with HTTP 400."""
UNKNOWN_IDS = UNKNOWN_ORDERS | {
    *("INVALID_TRANSACTION_ID", "MAPPING_NOT_FOUND", "TRANSACTION_NOT_FOUND"),
    *("INVALID_MERCHANT_REFUND_ID", "REFUND_NOT_FOUND", "DISPUTE_NOT_FOUND"),
}
"""With 400 or 404, as pages and SDKs disagree: the code decides."""
USED_BEFORE_STATUS = 417
"""With this status the codes that two of these lists share mean that the id was used."""
OTHER_ADDRESS = frozenset({"404", "NOT_FOUND", "KEY_NOT_CONFIGURED"})
"""What a wrong base address or the keys of V1 are answered with: it says nothing of an order."""
NO_SUCH_CALL = "api mapping not found"

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
"""The least and the most that PhonePe takes for `expireAfter`."""
SHORTEST_PASSWORD = 8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class PhonePeConfig:
    client_id: str = variable("PHONEPE_CLIENT_ID", credential=True)
    client_secret: str = variable("PHONEPE_CLIENT_SECRET", secret=True, credential=True)
    client_version: str = variable("PHONEPE_CLIENT_VERSION")
    webhook_users: tuple[str, ...] = variable("PHONEPE_WEBHOOK_USER", default="", is_list=True)
    webhook_passwords: tuple[str, ...] = variable(
        "PHONEPE_WEBHOOK_PASS", default="", secret=True, is_list=True, least_characters=SHORTEST_PASSWORD
    )
    environment: str = variable(
        "PHONEPE_ENV", default="sandbox", choices=tuple(API_HOSTS), live_when="production"
    )
    other_url: str = variable("PHONEPE_API_URL", default="", is_url=True)
    webhook_hmac_secrets: tuple[str, ...] = variable(
        "PHONEPE_WEBHOOK_HMAC_SECRET", default="", secret=True, is_list=True
    )
    """Each is `secret` or `keyid:secret`, as the dashboard showed them."""

    def __post_init__(self) -> None:
        wrong = {}
        users, passwords = len(self.webhook_users), len(self.webhook_passwords)
        if not self.webhook_hmac_secrets and not passwords:
            sentence = (
                "is missing; set it, or PHONEPE_WEBHOOK_USER and PHONEPE_WEBHOOK_PASS, as the webhook has"
            )
            wrong["PHONEPE_WEBHOOK_HMAC_SECRET"] = sentence
        elif users not in (min(1, passwords), passwords):
            wrong["PHONEPE_WEBHOOK_USER"] = "must be one, or one for each PHONEPE_WEBHOOK_PASS"
        if any(len(secret) < SHORTEST_SECRET for _, secret in self.hmac_keys):
            sentence = (
                f"must be `secret` or `keyid:secret`, each secret of {SHORTEST_SECRET} characters or more"
            )
            wrong["PHONEPE_WEBHOOK_HMAC_SECRET"] = sentence
        if wrong:
            raise WrongVariables(wrong)

    @property
    def hmac_keys(self) -> tuple[tuple[str, str], ...]:
        """Key id, "" where it is not known, and secret."""
        return tuple(
            (text.partition(":")[0], text.partition(":")[2]) if ":" in text else ("", text)
            for text in self.webhook_hmac_secrets
        )

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
    answer_fields: ClassVar[tuple[AnswerField, ...]] = (
        AnswerField(
            "redirectUrl",
            "the page of PhonePe on which it is paid",
            "https://mercury-uat.phonepe.com/transact/uat_v2?token=abc",
        ),
        AnswerField("expireAt", "until when it can be paid there", "2026-01-31T13:00:00+00:00"),
    )
    webhook_headers: ClassVar[tuple[str, ...]] = ("X-PhonePe-Checksum-Signature", "Authorization")
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
    our_clock_expires: ClassVar[bool] = False
    reads_per_second: ClassVar[float] = 20.0  # no limits are published
    webhook_secret_names: ClassVar[tuple[str, ...]] = (
        "PHONEPE_WEBHOOK_HMAC_SECRET",
        "PHONEPE_WEBHOOK_USER",
        "PHONEPE_WEBHOOK_PASS",
    )
    credential_names: ClassVar[tuple[str, ...]] = (
        "PHONEPE_CLIENT_ID",
        "PHONEPE_CLIENT_SECRET",
        "PHONEPE_CLIENT_VERSION",
        "PHONEPE_ENV",
    )

    def __init__(self, config: PhonePeConfig) -> None:
        self.config = config
        self.session = GatewaySession(self.provider, _read_error, self.reads_per_second)
        self.health = self.session.health
        self.session.headers["Accept"] = "application/json"
        self._token = SharedToken(self._new_token)

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
                gateway_order_id=text(answer["orderId"]),
                gateway_status=text(answer["state"]),
                amount=order.amount,  # the answer does not repeat it
                fields={
                    "redirectUrl": _address(answer["redirectUrl"]),
                    "expireAt": _ends_at(answer, order).isoformat(),
                },
            )

    def check_return(self, order: OrderRef, fields: Mapping[str, str]) -> None:
        """Nothing of a return is signed by PhonePe, so nothing can be forged: only a fetch tells."""

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        """PhonePe repeats neither our id nor the address: the snapshot never has a checkout.

        The root decides, not the attempts: one that cannot be read is left out, unless it alone says paid.
        """
        observed_at = utc_now()
        path = f"/checkout/v2/order/{order.wire_id}/status"
        answer = self._send("GET", path, deadline, params={"details": "true"})
        with reading_answer(self.provider, of_write=False), deciding(is_paid := says_paid(answer)):
            may_decide = _never if is_paid else _is_completed
            return PaymentSnapshot(
                order=OrderRef(order.wire_id, text_or_none(answer.get("orderId"))),
                status=order_status(answer),
                gateway_status=text(answer["state"]),
                amount=_money(answer, "amount"),
                observed_at=observed_at,
                attempts=tuple(each(self.provider, _details(answer), _attempt, decides=may_decide)),
                fetched=True,
            )

    def capture(self, order: OrderRef, transaction_id: str, amount: Money, deadline: Deadline) -> None:
        raise Rejected(f"{self.provider} holds no money that could be captured")

    def void(self, order: OrderRef, transaction_id: str, deadline: Deadline) -> None:
        raise Rejected(f"{self.provider} holds no money that could be let go")

    def recognises_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> bool:
        return "x-verify" not in headers or b'"response"' not in raw_body  # those are V1's

    def read_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> WebhookEvent:
        """Either kind only wakes: a password proves nothing of the body, an HMAC nothing of its age.

        A signature decides where it is there and could be checked, also beside a password that is right.
        """
        signature = _checksum_header(headers, "signature") if self.config.hmac_keys else None
        given = headers.get("authorization") if self.config.webhook_passwords else None
        if signature:
            is_genuine = any_same(signature, self._signatures(_checksum_header(headers, "key-id"), raw_body))
        elif given:
            is_genuine = any_same(
                given, password_headers(self.config.webhook_users, self.config.webhook_passwords)
            )
        else:
            raise MissingCredentials("The webhook shows no credentials of a kind that is configured")
        if not is_genuine:
            raise SignatureInvalid("The webhook credentials are wrong")
        return self.reread_webhook(sha256_hex(raw_body), raw_body)

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        return read_event(event_id, raw_body)

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
            return self._refund_in_spite_of(error, refund, deadline)
        with reading_answer(self.provider, of_write=True):
            return _refund(answer, refund.refund_id, refund.transaction_id)

    def fetch_refund(self, refund: RefundRef, deadline: Deadline) -> RefundSnapshot:
        answer = self._send("GET", f"/payments/v2/refund/{refund.refund_id}/status", deadline)
        with reading_answer(self.provider, of_write=False):
            return _refund(answer, refund.refund_id, refund.transaction_id)

    def fetch_dispute(self, dispute_id: str, deadline: Deadline) -> DisputeSnapshot:
        """Rejected with 403 where the account lacks the permission, which is one of its own."""
        if not DISPUTE_ID.fullmatch(dispute_id):
            raise UnknownAtGateway(f"{self.provider} has no dispute of such an id")
        observed_at = utc_now()
        answer = self._send("GET", f"/v1/disputes/{dispute_id}", deadline)
        with reading_answer(self.provider, of_write=False):
            return _dispute(answer, dispute_id, observed_at)

    def find_by_payment_id(self, payment_id: str, deadline: Deadline) -> OrderRef | None:
        if not PAYMENT_ID.fullmatch(payment_id):
            return None
        answer = self._send("GET", f"/checkout/v2/transaction/{payment_id}/status", deadline)
        with reading_answer(self.provider, of_write=False):
            return OrderRef(_wire_id(answer), text(answer["orderId"]))

    def _signatures(self, key_id: str | None, raw_body: bytes) -> list[str]:
        """What the body may be signed with: by the key that is named, by any where none is."""
        keys = self.config.hmac_keys
        return [
            hmac_sha256_hex(secret, raw_body) for own, secret in keys if not key_id or own in ("", key_id)
        ]

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
        with edge_told_apart(of_write=method != "GET", other_codes=OTHER_ADDRESS):
            response = self.session.request(method, url, timeout=deadline, headers=headers, **options)
        return decimal_json(response)

    def _new_token(self, deadline: Deadline) -> tuple[str, float]:
        """The token, and the seconds for which it is good. Only `expires_at` is filled in reliably."""
        form = {
            "client_id": self.config.client_id,
            "client_version": self.config.client_version,
            "client_secret": self.config.client_secret,
            "grant_type": "client_credentials",
        }
        url = self.config.token_url
        with edge_told_apart(of_write=False):
            response = self.session.request("POST", url, timeout=deadline, harmless=True, data=form)
        answer = decimal_json(response)
        with reading_answer(self.provider, of_write=False):
            return _header_text(answer["access_token"]), int(answer["expires_at"]) - time.time()

    def _refund_in_spite_of(self, refusal: Rejected, refund: NewRefund, deadline: Deadline) -> RefundSnapshot:
        """The refund that is there although it was refused, else the refusal.

        A repeat is refused because the first one came through: under codes that differ from SDK to SDK, or as
        too large. A "no" that was taken for such a refund's would invite a second one.
        """
        if isinstance(refusal, UnknownAtGateway) and refusal.gateway_code in UNKNOWN_ORDERS:
            raise refusal  # of an unknown order there is no refund
        try:
            return self.fetch_refund(
                RefundRef(refund.refund_id, refund.order, refund.transaction_id), deadline
            )
        except GatewayError as error:
            is_absent = isinstance(error, UnknownAtGateway) or error.gateway_code == refusal.gateway_code
            if is_absent and refusal.gateway_code not in ALREADY_THERE:
                raise refusal from error
            raise OutcomeUnknown("A refund with our id may be there, but could not be read") from error


def _order_body(order: NewOrder) -> dict[str, Any]:
    message = {"message": order.description} if order.description else {}
    return {
        "merchantOrderId": order.wire_id,
        "amount": order.amount.minor,
        "expireAfter": _expire_after(order),
        "metaInfo": {OUR_ID: order.wire_id},
        "paymentFlow": {
            "type": "PG_CHECKOUT",
            **message,
            "merchantUrls": {"redirectUrl": order.return_url},
        },
    }


def _wire_id(answer: Mapping[str, Any]) -> str:
    """Our id of the order, which few answers repeat; "" where it was made before `metaInfo` had it."""
    if told := text_or_none(answer.get("merchantOrderId")):
        return told
    meta = answer.get("metaInfo")
    sent_along = text_or_none(meta.get(OUR_ID)) if isinstance(meta, Mapping) else None
    return sent_along if sent_along and sent_along.startswith(WIRE_PREFIX) else ""


def _expire_after(order: NewOrder) -> int:
    least, most = EXPIRE_AFTER_SECONDS
    return min(max(round((order.expires_at - utc_now()).total_seconds()), least), most)


def _ends_at(answer: Mapping[str, Any], order: NewOrder) -> datetime:
    """As told, else as asked for."""
    try:
        return _time(answer["expireAt"])
    except UNREADABLE:
        return utc_now() + timedelta(seconds=_expire_after(order))


def _details(answer: Mapping[str, Any]) -> list[Any]:
    """An order that was never tried may have no list of attempts."""
    details = answer.get("paymentDetails")
    if details is not None and not isinstance(details, list):
        raise TypeError("must be a list")
    return details or []


def _never(_: Mapping[str, Any]) -> bool:
    return False


def _is_completed(detail: Mapping[str, Any]) -> bool:
    return detail.get("state") == "COMPLETED"


def _attempt(detail: Mapping[str, Any]) -> AttemptSnapshot:
    """`amount` may be above the order's: RuPay credit cards on UPI told 505 for an order of 500."""
    return AttemptSnapshot(
        transaction_id=detail["transactionId"],
        status=ATTEMPT_STATUS.get(detail["state"]),
        gateway_status=text(detail["state"]),
        amount=_money(detail, "amount"),
        method=text_or_none(detail.get("paymentMode")),
        error_code=text_or_none(detail.get("detailedErrorCode")) or text_or_none(detail.get("errorCode")),
        bank_reference=_bank_reference(detail),
    )


def _refund(entity: Mapping[str, Any], refund_id: str, transaction_id: str) -> RefundSnapshot:
    return RefundSnapshot(
        # One official sample has PhonePe's id only in its details.
        gateway_refund_id=entity.get("refundId") or entity["paymentDetails"][0]["transactionId"],
        refund_id=refund_id,
        transaction_id=transaction_id,
        status=REFUND_STATUS.get(entity["state"]),
        gateway_status=text(entity["state"]),
        amount=_money(entity, "amount"),
        bank_reference=_bank_reference(entity),
    )


def _dispute(answer: Mapping[str, Any], dispute_id: str, observed_at: datetime) -> DisputeSnapshot:
    if answer["disputeId"] != dispute_id:
        raise ValueError("the answer is about something else")
    amount = _money(answer, "disputeAmount")
    went_back = whole_or_none(answer.get("refundAmount"))  # to the payer, told once it is over
    return DisputeSnapshot(
        dispute_id=dispute_id,
        transaction_id=text(answer["transactionId"]),
        gateway_status=text(answer["status"]),
        amount=amount,
        is_closed=answer["status"] in DISPUTE_ENDS,
        is_lost=answer["status"] == DISPUTE_LOST,
        needs_answer=answer["status"] == DISPUTE_ASKS,
        deducted=None if went_back is None else Money(went_back, amount.currency),
        observed_at=observed_at,
        phase=text_or_none(answer.get("stage")),
        respond_by=_time_or_none(answer.get("dueDate")),
    )


def _money(entity: Mapping[str, Any], name: str) -> Money:
    """Paise; the newer answers name the currency, too."""
    return Money(whole(entity[name]), text_or_none(entity.get("currency")) or INR)


def _bank_reference(entity: Mapping[str, Any]) -> str | None:
    """UPI's UTR, a card's ARN or BRN: of the whole or, where that has none, of its first part with one."""
    parts = [entity]
    for name in ("splitInstruments", "paymentDetails"):
        told = entity.get(name)
        parts += told if isinstance(told, list) else []
    for part in parts:
        for place, name in BANK_REFERENCES:
            holder = part.get(place) if isinstance(part, Mapping) else None
            if isinstance(holder, Mapping) and (reference := text_or_none(holder.get(name))):
                return reference
    return None


def _time(milliseconds: Any) -> datetime:
    return EPOCH + timedelta(milliseconds=whole(milliseconds))


def _time_or_none(milliseconds: Any) -> datetime | None:
    try:
        return _time(milliseconds)
    except UNREADABLE:
        return None


def _checksum_header(headers: Mapping[str, str], name: str) -> str | None:
    """Integrators saw it with and without the X-."""
    return headers.get(f"x-phonepe-checksum-{name}") or headers.get(f"phonepe-checksum-{name}")


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
    message = str(body.get("message", ""))
    code = body.get("code") or body.get("errorCode")
    code = str(code).strip().upper().replace(" ", "_") if code else None
    if NO_SUCH_CALL in message.lower():
        code = "404"
    return ErrorFacts(
        code=code,
        description=message,
        unknown_id=code in UNKNOWN_IDS and status != USED_BEFORE_STATUS,
        refuses_credentials=not WRONG_CLIENT.isdisjoint((code, str(body.get("errorCode")))),
    )
