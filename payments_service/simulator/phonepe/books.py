"""What pretend PhonePe remembers, and how orders and refunds move; each final move tells its webhook.

Sources: docs v2 webhook, order-status, authorization; v1 server-to-server-callback-5, ui-callback-1.
"""

import base64
import hashlib
import json
from dataclasses import dataclass

from payments_service.simulator.base import Json
from payments_service.simulator.deliveries import Deliveries, Message
from payments_service.simulator.phonepe.checks import NewOrder, NewRefund
from payments_service.simulator.phonepe.records import Attempt, Failure, Instrument, Order, Refund
from payments_service.simulator.world import DIGITS, World

CLIENT_ID = "SIMULATORUAT"
CLIENT_SECRET = "simulator_phonepe_client_secret"  # noqa: S105  (well-known on purpose)
CLIENT_VERSION = "1"
WEBHOOK_USER = "simulator_hook"
WEBHOOK_PASSWORD = "simulator_Passw0rd1"  # noqa: S105
OLD_WEBHOOK_PASSWORD = "simulator_OldPassw0rd1"  # noqa: S105
MERCHANT_ID = "SIMULATORV1"
SALT_KEY, SALT_INDEX = "simulator_phonepe_salt_key", "1"
OLD_SALT_KEY, OLD_SALT_INDEX = "simulator_phonepe_old_salt_key", "2"
SALTS = {SALT_INDEX: SALT_KEY, OLD_SALT_INDEX: OLD_SALT_KEY}

UPI = {"utr": "206378866112", "upiTransactionId": "YBL369f6d962de74c2680789bff8c11aec9"}
INSTRUMENTS = {
    "upi": Instrument(
        "UPI_INTENT",
        {"type": "UPI", **UPI, "vpa": "12****78@ybl"},
        {"type": "ACCOUNT", "maskedAccountNumber": "******1234", "accountType": "SAVINGS"},
        {"type": "UPI", **UPI, "accountType": "SAVINGS"},
    ),
    "card": Instrument(
        "CARD",
        {"type": "PG", "authorizationCode": "088005"},
        {"type": "CREDIT_CARD", "bankId": "HDFC", "maskedCardNumber": "******1234", "cardNetwork": "VISA"},
        {"type": "CARD", "cardType": "CREDIT_CARD", "pgTransactionId": "1995464773", "arn": "520506406845"},
    ),
    "netbanking": Instrument(
        "NET_BANKING",
        {"type": "PG"},
        {"type": "NET_BANKING", "bankId": "SBIN"},
        {"type": "NETBANKING", "pgTransactionId": "1995464773", "bankTransactionId": None, "bankId": ""},
    ),
}
DECLINED = Failure("PAYMENT_ERROR", "ZM")
CANCELLED = Failure("TXN_CANCELLED", "ORDER_CANCELLED_BY_USER")
EXPIRED = Failure("TXN_NOT_COMPLETED", "ORDER_EXPIRED", v1_code="TIMED_OUT")
NOT_ENOUGH_BALANCE = Failure("REFUND_ERROR", "BF_034")
REFUND_EVENTS = {"CONFIRMED": "accepted", "COMPLETED": "completed", "FAILED": "failed"}


@dataclass(frozen=True)
class Settings:
    refund_outcome: str = "COMPLETED"
    duplicate_code: str = "INVALID_TRANSACTION_ID"
    token_seconds: int = 24 * 3600


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def x_verify(payload: str, path: str, index: str = SALT_INDEX) -> str:
    return f"{sha256(payload + path + SALTS[index])}###{index}"


class Books:
    """Everything here runs under the world's lock."""

    def __init__(self, world: World, deliveries: Deliveries) -> None:
        self.world = world
        self._deliveries = deliveries
        self.reset()

    def reset(self) -> None:
        self.settings = Settings()
        self.tokens: dict[str, int] = {}
        """Until when each is good, in seconds."""
        self._orders: dict[str, Order] = {}
        self._by_token: dict[str, Order] = {}
        self.refunds: dict[str, Refund] = {}

    def now_ms(self) -> int:
        return int(self.world.now() * 1000)

    def new_number(self, prefix: str) -> str:
        return f"{prefix}{self.world.random_text(22, DIGITS)}"

    # Tokens of the API

    def new_token(self) -> tuple[str, int, int]:
        """The token, since when and until when it is good, in seconds."""
        issued_at = int(self.world.now())
        text, expires_at = self.world.random_text(120), issued_at + self.settings.token_seconds
        self.tokens[text] = expires_at
        return text, issued_at, expires_at

    def is_good_token(self, text: str) -> bool:
        return self.world.now() < self.tokens.get(text, 0)

    # Orders

    def add(self, new: NewOrder, *, is_v1: bool) -> Order:
        now = self.now_ms()
        order = Order(
            id=new.id,
            number=self.new_number("T" if is_v1 else "OMO"),
            token=self.world.random_text(40),
            amount=new.amount,
            created_at=now,
            redirect_url=new.redirect_url,
            is_v1=is_v1,
            expire_at=now + new.expire_after * 1000,
            meta_info=new.meta_info,
            message=new.message,
            may_retry=new.may_retry and not is_v1,
            callback_url=new.callback_url,
            redirect_mode=new.redirect_mode,
        )
        self._orders[order.id] = self._by_token[order.token] = order
        return order

    def order(self, order_id: str) -> Order | None:
        order = self._orders.get(order_id)
        if order:
            self._end_if_due(order)
        return order

    def order_of_token(self, token: str) -> Order | None:
        order = self._by_token.get(token)
        return self.order(order.id) if order else None

    def order_of_transaction(self, transaction_id: str) -> Order | None:
        return next((o for o in self.orders() if transaction_id in [a.id for a in o.attempts]), None)

    def orders(self) -> list[Order]:
        return [order for order_id in list(self._orders) if (order := self.order(order_id))]

    def _end_if_due(self, order: Order) -> None:
        if not order.is_v1 and order.state == "PENDING" and self.now_ms() > order.expire_at:
            self.end(order, EXPIRED)

    # Attempts

    def attempt(self, order: Order, method: str, amount: int | None = None) -> Attempt:
        """A new try of which the bank has said nothing yet. V1 knows only one, under its own number."""
        if order.is_v1 and order.attempts:
            return order.attempts[0]
        attempt = Attempt(
            id=order.number if order.is_v1 else self.new_number("OM"),
            method=method,
            instrument=INSTRUMENTS[method],
            amount=order.amount if amount is None else amount,
            created_at=self.now_ms(),
        )
        order.attempts.append(attempt)
        return attempt

    def succeed(self, order: Order, attempt: Attempt) -> None:
        """Too small a sum leaves a V2 order open; V1 tells it as the amount of the transaction."""
        attempt.state, attempt.failure = "COMPLETED", None
        if order.is_v1 or attempt.amount >= order.amount:
            order.state, order.failure = "COMPLETED", None
            self._tell_order(order, "checkout.order.completed")

    def fail(self, order: Order, attempt: Attempt, failure: Failure) -> None:
        """V2 offers another try, unless the order forbids it."""
        attempt.state, attempt.failure = "FAILED", failure
        if not order.is_v1:
            self._tell_order(order, "checkout.transaction.attempt.failed", attempt)
        if not order.may_retry:
            self.end(order, failure)

    def end(self, order: Order, failure: Failure) -> None:
        """The order can no longer be paid, unless the bank says otherwise later."""
        order.state, order.failure = "FAILED", failure
        for attempt in order.attempts:
            if attempt.state == "PENDING":
                attempt.state, attempt.failure = "FAILED", failure
        self._tell_order(order, "checkout.order.failed")

    # Refunds

    def refunds_of(self, order: Order) -> list[Refund]:
        return [refund for refund in self.refunds.values() if refund.order is order]

    def left_to_refund(self, order: Order) -> int:
        paid = sum(attempt.amount for attempt in order.attempts if attempt.state == "COMPLETED")
        return paid - sum(r.amount for r in self.refunds_of(order) if r.state != "FAILED")

    def refund(self, order: Order, new: NewRefund) -> Refund:
        """PENDING, as the answer to whoever asked for it says; `move_on` is what happens then."""
        number = self.new_number("TR" if order.is_v1 else "OMR")
        refund = Refund(new.id, number, order, new.amount, self.now_ms(), callback_url=new.callback_url)
        self.refunds[refund.id] = refund
        return refund

    def move_on(self, refund: Refund) -> None:
        if self.settings.refund_outcome == "CONFIRMED":
            refund.state = "CONFIRMED"
            self._tell_refund(refund)
        elif self.settings.refund_outcome == "COMPLETED":
            self.finish_refund(refund, is_paid=True)

    def finish_refund(self, refund: Refund, *, is_paid: bool) -> None:
        refund.state = "COMPLETED" if is_paid else "FAILED"
        refund.failure = None if is_paid else NOT_ENOUGH_BALANCE
        self._tell_refund(refund)

    # Webhooks

    def _tell_order(self, order: Order, event: str, attempt: Attempt | None = None) -> None:
        if order.is_v1:
            self._call_back(order.v1_status(MERCHANT_ID), order, order.callback_url)
            return
        payload = {"merchantId": MERCHANT_ID, "merchantOrderId": order.id, **order.entity(all_attempts=False)}
        if attempt and attempt.failure:
            payload |= {**attempt.failure.members(), "paymentDetails": [attempt.entity()]}
        self._tell(event, order, payload)

    def _tell_refund(self, refund: Refund) -> None:
        if not refund.order.is_v1:
            payload = {"merchantId": MERCHANT_ID, "merchantRefundId": refund.id, **refund.entity()}
            self._tell(f"pg.refund.{REFUND_EVENTS[refund.state]}", refund.order, payload)
        elif refund.callback_url and refund.state != "CONFIRMED":
            self._call_back(refund.v1_status(MERCHANT_ID), refund.order, refund.callback_url)

    def _tell(self, event: str, order: Order, payload: Json) -> None:
        """V2: nothing of the body is signed; the header is the same on every delivery."""
        genuine = sha256(f"{WEBHOOK_USER}:{WEBHOOK_PASSWORD}")
        old = sha256(f"{WEBHOOK_USER}:{OLD_WEBHOOK_PASSWORD}")
        body = _compact({"event": event, "type": event.upper().replace(".", "_"), "payload": payload})
        self._deliveries.send(
            Message(
                gateway="phonepe",
                event_id=self.world.random_text(14),
                event=event,
                order_id=order.id,
                body=body,
                headers=_headers("Authorization", genuine),
                corrupt_headers=_headers("Authorization", genuine[::-1]),
                old_secret_headers=_headers("Authorization", old),
            )
        )

    def _call_back(self, status: Json, order: Order, url: str) -> None:
        """V1: signed over the base64 text, without a path, and sent to where the request said."""
        response = base64.b64encode(_compact(status)).decode()
        genuine = x_verify(response, "")
        self._deliveries.send(
            Message(
                gateway="phonepe",
                event_id=self.world.random_text(14),
                event=str(status["code"]),
                order_id=order.id,
                body=_compact({"response": response}),
                headers=_headers("X-VERIFY", genuine),
                corrupt_headers=_headers("X-VERIFY", genuine[63::-1] + genuine[64:]),
                old_secret_headers=_headers("X-VERIFY", x_verify(response, "", OLD_SALT_INDEX)),
                url=url,
            )
        )

    # The way back

    def return_form(self, order: Order) -> Json:
        """What V1 posts to redirectUrl with redirectMode POST; a failure names no reference."""
        fields = {
            "code": order.v1_code,
            "merchantId": MERCHANT_ID,
            "transactionId": order.id,
            "amount": str(order.amount),
            **({"providerReferenceId": order.number} if order.state == "COMPLETED" else {}),
            **{f"param{number}": "na" for number in range(1, 21)},
        }
        return {**fields, "checksum": x_verify("".join(fields.values()), "")}


def _compact(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _headers(name: str, value: str) -> dict[str, str]:
    return {"Content-Type": "application/json", name: value}
