"""Tell what the outbox holds: claim rows, send each outside any transaction, write down what came back.

Each destination has its own line, so that one which is slow or dead holds up no other. At least once: a
sender that dies between sending and writing leaves a row whose lease ends, and it is sent again under the
same id. Order is not promised; `sequence` in the body tells it.
"""

import json
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from threading import Event
from typing import Any

from payments_service import logs, notify
from payments_service.domain.alarms import ALARMS
from payments_service.domain.clock import Clock, in_words
from payments_service.domain.errors import StoreUnavailable
from payments_service.domain.facts import ALERT
from payments_service.domain.states import AlertCode
from payments_service.flows.alerts import raise_alert
from payments_service.flows.lines import Line, place
from payments_service.notify import Answer, Letter, Verdict
from payments_service.store import outbox, payments
from payments_service.store.db import Database
from payments_service.store.tables import Outbox, Payment
from payments_service.store.transaction import Transaction

log = logging.getLogger(__name__)

WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
"""After the first try, the second, …: about 75 hours in all (Standard Webhooks 1.0, retry schedule)."""
TRIES = len(WAITS) + 1
JITTER = 0.1
LEASE = timedelta(seconds=90)
"""Longer than any try takes, so that no other sender takes over one that is still running."""
POSTS_AT_ONCE, LETTERS_AT_ONCE = 40, 4
"""The most that a quick receiver gets beside each other. Mail servers refuse a crowd."""
CONFIRMED = "payment.completed"
GONE = 410


@dataclass(frozen=True)
class Confirmation:
    """What the payer's letter says, in one language."""

    received: str
    order: str
    our_id: str
    gateways_id: str
    test: str


CONFIRMATIONS = (
    Confirmation(
        received="{merchant} has received your payment of {amount}.",
        order="Your order",
        our_id="Our id of the payment",
        gateways_id="The gateway's",
        test="This was a test payment. No money has moved.",
    ),
    Confirmation(
        received="{merchant} को आपका {amount} का भुगतान मिल गया है।",
        order="आपका ऑर्डर",
        our_id="भुगतान की हमारी आईडी",
        gateways_id="गेटवे की आईडी",
        test="यह एक टेस्ट भुगतान था। कोई पैसा नहीं कटा।",
    ),
)
"""One letter holds both: which language its reader prefers is not known."""


@dataclass(frozen=True)
class Channels:
    """Who is told, and by which way: what the settings name."""

    merchant_name: str
    webhook_url: str | None = field(default=None, repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str = ""
    ops_email: str | None = None

    @property
    def destinations(self) -> tuple[str, ...]:
        told = {
            outbox.MERCHANT: self.webhook_url,
            outbox.CUSTOMER: self.smtp_url,
            outbox.OPERATOR: self.smtp_url and self.ops_email,
        }
        return tuple(destination for destination, way in told.items() if way)


def lines(
    db: Database, channels: Channels, clock: Clock, stop: Event | None = None
) -> Iterator[Line[Outbox]]:
    """A line for each destination. Rows of one that the settings no longer name wait until they do again."""
    for destination in channels.destinations:
        yield _line(db, channels, clock, destination, stop or Event())


def _line(db: Database, channels: Channels, clock: Clock, destination: str, stop: Event) -> Line[Outbox]:
    def claiming(*, longest_due_first: bool) -> Callable[[int], list[Outbox]]:
        def claim(limit: int) -> list[Outbox]:
            with db.begin() as session:
                now = clock.now()
                lease_ends, first = now + LEASE, longest_due_first
                return outbox.claim(session, destination, now, lease_ends, limit, longest_due_first=first)

        return claim

    claim, longest = claiming(longest_due_first=False), claiming(longest_due_first=True)
    receiver = place(db, POSTS_AT_ONCE if destination == outbox.MERCHANT else LETTERS_AT_ONCE)
    name = f"outbox {destination}"
    tell = partial(_tell, db, channels, clock)
    return Line(name, receiver, claim, tell, stop, claim_longest_due=longest)


def deliver_fact(db: Database, channels: Channels, clock: Clock, fact: str) -> None:
    """Send one fact without a worker, where it is due: each of its rows once."""
    for destination in channels.destinations:
        with db.begin() as session:
            rows = outbox.claim(session, destination, clock.now(), clock.now() + LEASE, fact=fact)
        for row in rows:
            _tell(db, channels, clock, row)


def _tell(db: Database, channels: Channels, clock: Clock, row: Outbox) -> bool:
    """Whether its receiver is well."""
    answer = _send(db, channels, row)
    with db.begin() as session:
        _write_down(session, row, answer, clock)
    return answer.verdict is not Verdict.NOT_NOW


def _send(db: Database, channels: Channels, row: Outbox) -> Answer:
    with logs.unit("Event sent") as unit:
        unit.note(
            **_about(row), id=row.payment_id, bytesOut=len(row.body), waitedSince=row.created_at.isoformat()
        )
        answer = _try(db, channels, row)
        unit.note(outcome=answer.verdict, answer=answer.reason, status=answer.status)
        unit.facts["try"] = row.attempts
        if answer.verdict is not Verdict.DELIVERED:
            unit.level = logging.WARNING
        return answer


def _try(db: Database, channels: Channels, row: Outbox) -> Answer:
    try:
        return _post(channels, row) if row.destination == outbox.MERCHANT else _mail(db, channels, row)
    except StoreUnavailable:
        raise
    except Exception as error:  # one poisonous row must not stop those behind it
        log.exception("Event could not be sent", extra={"data": {"eventId": row.event_id}})
        return Answer(Verdict.NOT_NOW, type(error).__name__)


def _post(channels: Channels, row: Outbox) -> Answer:
    return notify.post(channels.webhook_url or "", channels.webhook_secrets, row.event_id, row.body)


def _write_down(session: Transaction, row: Outbox, answer: Answer, clock: Clock) -> None:
    error = f"{answer.reason}: {answer.words}" if answer.words else answer.reason
    is_last = answer.verdict is Verdict.NEVER or row.attempts >= TRIES
    if answer.verdict is Verdict.DELIVERED:
        values = {"state": outbox.DELIVERED, "delivered_at": clock.now(), "error": None}
    elif is_last:
        values = {"state": outbox.DEAD, "error": error}
    else:
        values = {"next_try_at": clock.after(_wait(row.attempts, answer)), "error": error}
    if not outbox.write_back(session, row, **values):
        log.warning("Event was taken over while it was sent", extra={"data": _about(row)})
        return
    detail = {**_about(row), "answer": answer.reason, "tries": row.attempts}
    if answer.status == GONE:
        raise_alert(session, AlertCode.DESTINATION_GONE, row.destination, detail, clock)
    if values.get("state") == outbox.DEAD:
        raise_alert(session, AlertCode.EVENT_UNDELIVERED, row.destination, detail, clock)


def _wait(tries: int, answer: Answer) -> timedelta:
    jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (spreads load, guards nothing)
    return max(WAITS[tries - 1] * jitter, answer.retry_after or timedelta(0))


def _about(row: Outbox) -> dict[str, str]:
    return {"eventId": row.event_id, "type": row.type, "destination": row.destination}


# ── letters ─────────────────────────────────────────────────────────────────────────────────────────


def _mail(db: Database, channels: Channels, row: Outbox) -> Answer:
    if row.destination == outbox.OPERATOR:
        return notify.mail(channels.smtp_url or "", _to_operator(channels, row))
    if row.type != CONFIRMED or row.payment_id is None:
        return Answer(Verdict.NEVER, "not for the payer")
    with db.read() as session:
        payment = payments.by_id(session, row.payment_id)
    return notify.mail(channels.smtp_url or "", _to_payer(channels, row, payment))


def _to_payer(channels: Channels, row: Outbox, payment: Payment) -> Letter:
    told = [_confirmation(words, channels.merchant_name, payment) for words in CONFIRMATIONS]
    subject = f"{channels.merchant_name}: payment of {payment.money} received"
    if payment.mode == "test":
        subject = f"Test: {subject}"
    return _letter(channels, row, payment.customer_email, subject, [*told[0], "", "", *told[1]])


def _confirmation(words: Confirmation, merchant: str, payment: Payment) -> list[str]:
    """The letter in one language. A reference that only a browser has named is no order of the merchant's."""
    ids = {
        words.order: payment.reference if payment.price_verified else None,
        words.our_id: payment.id,
        words.gateways_id: payment.transaction_id,
    }
    lines = [words.received.format(merchant=merchant, amount=payment.money), ""]
    lines += [f"{label}: {value}" for label, value in ids.items() if value]
    return [*lines, "", words.test] if payment.mode == "test" else lines


def _to_operator(channels: Channels, row: Outbox) -> Letter:
    body = json.loads(row.body)
    data = body["data"]
    review = data.get("review") or {}
    dispute = data.get("dispute") or {}
    words = data.get("code"), review.get("reason"), data.get("subject"), data["id"]
    about = " ".join(str(word) for word in words if word)
    lines = [
        f"{row.type}, {body['timestamp']}, event {row.event_id}",
        *([review["whatToDo"]] if review else []),
        *([f"Answer it in the gateway's dashboard until {dispute['respondBy'] or '…'}"] if dispute else []),
        *([f"flask --app wsgi show {data['id']}"] if review or dispute else []),
        *(_about_alert(data) if row.type == ALERT else []),
        "",
        json.dumps(data, indent=2, ensure_ascii=False),
    ]
    subject = f"{channels.merchant_name}: {row.type} {about}"
    return _letter(channels, row, channels.ops_email or "", subject, lines)


def _about_alert(data: dict[str, Any]) -> Iterator[str]:
    """What is wrong, in words, and where to go on reading; the numbers follow."""
    code, detail = data["code"], data["detail"]
    yield from (alarm.summary for alarm in ALARMS if alarm.code == code)
    if str(detail.get("measure", "")).endswith("_seconds"):
        yield f"Now {in_words(detail['value'])}, limit {in_words(detail['limit'])}"
    yield from (f"flask --app wsgi show {payment_id}" for payment_id in detail.get("paymentIds", ()))
    yield f"flask --app wsgi doctor, flask --app wsgi reviews; docs/handbook.md#{code}"


def _letter(channels: Channels, row: Outbox, recipient: str, subject: str, lines: list[str]) -> Letter:
    return Letter(
        message_id=f"{row.event_id}.{row.destination}",
        sender=channels.mail_from,
        recipient=recipient,
        subject=subject,
        text="\n".join([*lines, ""]),
    )
