"""The judge: compares the simulator's truth, our database and the merchant's log.

It shares no code with the package: it knows tables by their SQL, gateways by the simulator's words, and the
rules by the documents. Each rule is a function that yields what breaks it.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any

from tests.chaos.payers import phone
from tests.chaos.storm import Outcome

Row = dict[str, Any]
PREFIX = "psv_"
PAID = {"paid", "COMPLETED", "PAYMENT_SUCCESS", "PAID"}
ATTEMPTS = {
    "razorpay": {
        "created": {"pending"},
        "authorized": {"authorized"},
        "captured": {"succeeded"},
        "refunded": {"refunded", "voided"},
        "failed": {"failed"},
    },
    "phonepe": {"PENDING": {"pending"}, "COMPLETED": {"succeeded"}, "FAILED": {"failed"}},
    "cashfree": {
        "SUCCESS": {"succeeded"},
        "FAILED": {"failed"},
        "USER_DROPPED": {"failed"},
        "PENDING": {"pending"},
        "NOT_ATTEMPTED": {"pending"},
        "CANCELLED": {"voided"},
        "VOID": {"voided"},
    },
}
CAPTURED = {"captured", "refunded", "COMPLETED", "SUCCESS"}
REFUNDS = {
    "processed": "completed",
    "COMPLETED": "completed",
    "SUCCESS": "completed",
    "failed": "failed",
    "FAILED": "failed",
    "CANCELLED": "failed",
}
MOVES = {
    None: {"initiated"},
    "initiated": {"pending", "authorized", "completed", "failed", "expired"},
    "pending": {"authorized", "completed", "failed", "expired"},
    "authorized": {"completed", "failed"},
    "failed": {"authorized", "completed"},
    "expired": {"authorized", "completed"},
    "completed": set(),
}
ATTEMPT_MOVES = {
    "pending": {"failed", "authorized", "voided", "succeeded", "refunded"},
    "failed": {"authorized", "voided", "succeeded", "refunded"},
    "authorized": {"voided", "succeeded", "refunded"},
    "voided": {"succeeded", "refunded"},
    "succeeded": {"refunded"},
    "refunded": set(),
}
REFUND_MOVES = {
    "initiated": {"pending", "completed", "failed"},
    "pending": {"completed", "failed"},
    "failed": {"pending", "completed"},
    "completed": set(),
}
GATEWAY_CALL = re.compile(r"^\[(\S+)\] \[\w+\] Gateway call (\{.*\})$", re.M)
"""A line of the service's log: the moment when the answer came, and what was asked."""
INBOX_OPEN = {"received", "waiting", "unmatched", "failed"}
CAPTURE = re.compile(r"/payments/([^/]+)/capture$")
SKEW = timedelta(seconds=1)
"""Between the date of a row and the commit of its transaction."""
CALL_BUDGET = timedelta(seconds=10)
"""How much later than its decision a call may be sent."""
UNDER_WAY = timedelta(seconds=30)
"""An alarm so young may still be on its way to the merchant."""
TOLD_STATUS = {"authorized", "completed", "failed", "expired"}
PHONE = re.compile(r"(?<![0-9A-Za-z])98[0-9]{8}(?![0-9A-Za-z])")
"""Gateways' own numbers may look like this too, so it is compared with the payers' (Facts.phones)."""
EMAIL = re.compile(r"(?<![*A-Za-z0-9])payer[0-9]+@chaos")


@dataclass(frozen=True)
class Broken:
    rule: str
    subject: str
    """A payment's id where there is one."""
    what: str


def judge(outcome: Outcome) -> list[Broken]:
    facts = Facts(outcome)
    return [
        Broken(rule.__name__.replace("_", " "), subject, what)
        for rule in RULES
        for subject, what in rule(facts)
    ]


Found = Iterator[tuple[str, str]]


class Facts:
    """The three sides, indexed."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.books = outcome.books
        self.diary = outcome.diary
        self.payments: dict[str, Row] = {row["id"]: row for row in self.books["payments"]}
        self.rows: dict[str, Row] = {row["wire_id"]: row for row in self.books["payment_orders"]}
        self.orders = [order for order in outcome.orders if (order["wireId"] or "").startswith(PREFIX)]
        self.events: dict[str, list[Row]] = grouped(self.books["payment_events"], "payment_id")
        for events in self.events.values():
            events.sort(key=lambda event: event["sequence"])
        self.refunds: dict[str, list[Row]] = grouped(self.books["refunds"], "payment_id")
        self.attempts: dict[str, Row] = {row["transaction_id"]: row for row in self.books["payment_attempts"]}
        self.references: dict[str, Row] = {row["reference"]: row for row in self.books["payment_references"]}

    @cached_property
    def wrong_amounts(self) -> set[str]:
        """Orders of which the gateway claims another amount than was ordered."""
        return {
            e["order"] for e in self.diary.of("happened") if "orderAmountPaise" in e and e["status"] < 300
        }

    @cached_property
    def orders_of(self) -> dict[str, list[Row]]:
        """What the gateways have, by payment."""
        found: dict[str, list[Row]] = defaultdict(list)
        for order in self.orders:
            if order["wireId"] in self.rows:
                found[self.rows[order["wireId"]]["payment_id"]].append(order)
        return found

    @cached_property
    def outbox_data(self) -> list[tuple[Row, Row]]:
        return [(row, json.loads(row["body"])["data"]) for row in self.books["outbox"]]

    @cached_property
    def phones(self) -> set[str]:
        return {phone(number) for number in range(self.outcome.options.payments)}

    def is_private(self, text: str) -> bool:
        return "@chaos" in text or bool(self.phones.intersection(PHONE.findall(text)))

    def reviews(self, payment_id: str) -> list[str]:
        return [event["reason"] for event in self.moves(payment_id, "review")]

    def paid_instead(self, payment: Row) -> str | None:
        """The other payment that has paid the trusted reference of this one."""
        is_trusted = payment["price_verified"] and payment["reference"]
        paid_by: str | None = self.references[payment["reference"]]["paid_by"] if is_trusted else None
        return None if paid_by == payment["id"] else paid_by

    def is_held_on_purpose(self, payment: Row) -> bool:
        """Its money must not be captured: another payment has paid its reference, and a person is asked."""
        asked = {
            row["reason"]
            for row in self.books["payment_reviews"]
            if row["payment_id"] == payment["id"] and row["closed_at"] is None
        }
        is_held = payment["status"] == "authorized"
        return is_held and "reference_paid_twice" in asked and self.paid_instead(payment) is not None

    @cached_property
    def captures(self) -> list[tuple[str, datetime]]:
        """The service's calls that take held money: the gateway's payment id, and when it was sent."""
        found = []
        for at, data in GATEWAY_CALL.findall(self.outcome.log):
            try:
                call = json.loads(data)
            except ValueError:  # the process died over this line
                continue
            if call["method"] == "POST" and (named := CAPTURE.search(call["path"])):
                answered = datetime.fromisoformat(at).astimezone(UTC)
                found.append((named[1], answered - timedelta(milliseconds=call["milliseconds"])))
        return found

    def is_wrong(self, payment_id: str) -> bool:
        return any(order["orderId"] in self.wrong_amounts for order in self.orders_of[payment_id])

    def moves(self, payment_id: str, kind: str = "status") -> list[Row]:
        return [event for event in self.events.get(payment_id, []) if event["kind"] == kind]


def grouped(rows: list[Row], name: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found


# ── orders and payments ─────────────────────────────────────────────────────────────────────────────


def every_order_of_ours_belongs_to_one_payment(facts: Facts) -> Found:
    seen: Counter[str] = Counter(order["wireId"] for order in facts.orders)
    for order in facts.orders:
        row = facts.rows.get(order["wireId"])
        if row is None:
            yield order["orderId"], f"{order['gateway']} has {order['wireId']}, which nobody here knows"
        elif not row["gateway_order_id"]:
            yield (
                row["payment_id"],
                f"{order['orderId']} is at {order['gateway']}, and nobody here has noticed",
            )
        elif seen[order["wireId"]] > 1:
            yield row["payment_id"], f"{order['wireId']} is {seen[order['wireId']]} orders at the gateway"
    known = {order["wireId"] for order in facts.orders}
    for wire_id, row in facts.rows.items():
        if row["gateway_order_id"] and wire_id not in known:
            yield row["payment_id"], f"{wire_id} is not at the gateway"


def amounts_are_those_that_were_ordered(facts: Facts) -> Found:
    for payment_id, orders in facts.orders_of.items():
        for order in orders:
            ours = facts.payments[payment_id]["amount"]
            if order["amountPaise"] != ours and order["orderId"] not in facts.wrong_amounts:
                yield payment_id, f"{order['orderId']} is for {order['amountPaise']}, ours for {ours}"
    for entry in facts.diary.of("created"):
        payment = facts.payments.get(entry["payment"].replace("-", ""))
        if payment is None or not payment["amount"] == entry["paise"] == entry["amount"]:
            yield entry["payment"], f"{entry['paise']} were asked for, {entry['amount']} was answered"
    for row, data in facts.outbox_data:
        if row["payment_id"] and data["amountPaise"] != facts.payments[row["payment_id"]]["amount"]:
            yield row["payment_id"], f"{row['type']} was told with {data['amountPaise']}"


def every_payment_ends_as_its_gateway_says(facts: Facts) -> Found:
    for payment_id, payment in facts.payments.items():
        orders = facts.orders_of[payment_id]
        paid = [order for order in orders if order["status"] in PAID]
        status = payment["status"]
        if facts.is_wrong(payment_id):
            # The amount may have become wrong after it was paid in the right one.
            if status == "completed" or "amount_mismatch" not in facts.reviews(payment_id):
                yield payment_id, f"wrong amount, and it is {status}, reviews {facts.reviews(payment_id)}"
        elif paid and status != "completed":
            yield payment_id, f"paid at the gateway ({paid[0]['orderId']}), and here {status}"
        elif not paid and status == "completed":
            yield payment_id, f"completed, and at the gateway {[o['status'] for o in orders]}"
        elif status not in ("completed", "failed", "expired") and not facts.is_held_on_purpose(payment):
            yield payment_id, f"still {status}"
        if paid and status == "completed":
            captured = [a["paymentId"] for o in paid for a in o["attempts"] if a["status"] in CAPTURED]
            if payment["transaction_id"] not in captured:
                yield payment_id, f"paid by {captured}, here by {payment['transaction_id']}"
            if len(captured) > 1 and "second_success" not in facts.reviews(payment_id):
                yield payment_id, f"paid twice ({captured}), and nobody was told"


def attempts_are_equal(facts: Facts) -> Found:
    seen = set()
    for payment_id, orders in facts.orders_of.items():
        for order in orders:
            for attempt in order["attempts"]:
                seen.add(attempt["paymentId"])
                row = facts.attempts.get(attempt["paymentId"])
                known = ATTEMPTS[order["gateway"]].get(attempt["status"], set())
                what = f"attempt {attempt['paymentId']} is {attempt['status']}"
                if row is None:
                    if not is_hidden(facts, order, attempt):
                        yield payment_id, f"{what}, and unknown here"
                elif row["status"] not in known and not is_hidden(facts, order, attempt):
                    yield payment_id, f"{what}, here {row['status']}"
                elif row["amount"] != attempt["amountPaise"] and not facts.is_wrong(payment_id):
                    yield payment_id, f"{what} of {attempt['amountPaise']}, here {row['amount']}"
    providers = {row["id"]: row["provider"] for row in facts.rows.values()}
    for transaction_id in facts.attempts.keys() - seen:
        row = facts.attempts[transaction_id]
        # PhonePe V1 numbers an order that ran out without any attempt as if it had been one.
        if providers[row["order_id"]] != "phonepe_v1" or row["status"] != "failed":
            yield transaction_id, f"an attempt ({row['status']}) that the gateway does not know"


def is_hidden(facts: Facts, order: Row, attempt: Row) -> bool:
    """PhonePe V1 tells of the last attempt only."""
    is_v1: bool = facts.rows[order["wireId"]]["provider"] == "phonepe_v1"
    return is_v1 and attempt["paymentId"] != order["attempts"][-1]["paymentId"]


def money_held_for_a_paid_reference_is_not_captured(facts: Facts) -> Found:
    """Both may be held before one of them pays; what is decided after that must not take the other."""
    orders = {row["id"]: row for row in facts.rows.values()}
    for paid_with, sent_at in facts.captures:
        attempt = facts.attempts.get(paid_with)
        payment = attempt and facts.payments[orders[attempt["order_id"]]["payment_id"]]
        other = payment and facts.paid_instead(payment)
        if not payment or not other:
            continue
        [paid_at] = [e["created_at"] for e in facts.moves(other) if e["to_status"] == "completed"]
        held_at = [e["created_at"] for e in facts.moves(payment["id"]) if e["to_status"] == "authorized"]
        if sent_at > paid_at + CALL_BUDGET or min(held_at, default=paid_at) > paid_at + SKEW:
            yield payment["id"], f"{paid_with} was captured after {other} had paid {payment['reference']}"


# ── nothing is doubled ──────────────────────────────────────────────────────────────────────────────


def a_payment_has_one_order_beyond_those_that_were_lost(facts: Facts) -> Found:
    for payment_id, orders in facts.orders_of.items():
        if len(orders) < 2:
            continue
        live = [o["wireId"] for o in orders if facts.rows[o["wireId"]]["status"] != "lost"]
        if len(live) != 1:
            yield payment_id, f"{len(orders)} orders at the gateway, of which {live} are not lost"
        notes = [e for e in facts.moves(payment_id, "note") if "lostWireId" in e["evidence"]]
        if len(notes) < len(orders) - 1:
            yield (
                payment_id,
                f"{len(orders)} orders at the gateway, and the trail tells of {len(notes)} losses",
            )


def an_order_is_lost_only_by_a_fault(facts: Facts) -> Found:
    """A take-over of a call that is alive would lose orders where nothing went wrong."""
    lost = [row for row in facts.rows.values() if row["status"] == "lost"]
    unknown = sum(
        '"method":"POST"' in line and '"outcome":"outcome_unknown"' in line
        for line in facts.outcome.log.splitlines()
    )
    dead = facts.outcome.kills.total() + facts.outcome.crashes.total()
    at_work = 8 * facts.outcome.options.processes
    if len(lost) > unknown + dead * at_work:
        yield lost[0]["payment_id"], f"{len(lost)} lost orders, with {unknown} lost answers and {dead} deaths"


def a_key_or_a_trusted_reference_opens_one_order(facts: Facts) -> Found:
    """Of those that were handed out; another payment may follow when the first one has ended."""
    handed: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for entry in facts.diary.of("created"):
        for name in ("key", "reference"):
            if entry[name]:
                handed[f"{name} {entry[name]}", entry["gateway"]][entry["orderId"]] = entry["payment"]
    for (what, _gateway), orders in handed.items():
        payments = {payment.replace("-", "") for payment in orders.values()}
        if len(orders) > len(payments):
            yield (
                next(iter(payments)),
                f"{what}: several orders of one payment were handed out: {list(orders)}",
            )
        born = sorted(payments, key=lambda id_: facts.payments[id_]["created_at"])
        for earlier, later in pairwise(born):
            ended = [e["created_at"] for e in facts.moves(earlier) if e["to_status"] in ("expired", "failed")]
            if what.startswith("key") or not ended or min(ended) > facts.payments[later]["created_at"]:
                yield later, f"{what}: opened again while {earlier} could be paid"


def refunds_equal_the_gateways(facts: Facts) -> Found:
    rows = {row["gateway_refund_id"]: row for row in facts.books["refunds"] if row["gateway_refund_id"]}
    ours = {row["refund_id"]: row for row in facts.books["refunds"] if row["refund_id"]}
    used: Counter[str] = Counter()
    for payment_id, orders in facts.orders_of.items():
        for order in orders:
            for refund in order["refunds"]:
                theirs = (
                    refund["refundId"].removeprefix("dashboard_").removeprefix("auto_")
                )  # Cashfree's number
                row = rows.get(theirs) or ours.get(refund["refundId"])
                what = f"refund {refund['refundId']} of {refund['amountPaise']} is {refund['status']}"
                if row is None:
                    if not is_unlisted(order, refund):
                        yield payment_id, f"{what}, and unknown here"
                    continue
                used[row["id"]] += 1
                if row["payment_id"] != payment_id or row["amount"] != refund["amountPaise"]:
                    yield payment_id, f"{what}, here {row['amount']} of {row['payment_id']}"
                if REFUNDS.get(refund["status"], "pending") != row["status"]:
                    yield payment_id, f"{what}, here {row['status']}"
    for row in facts.books["refunds"]:
        if used[row["id"]] > 1:
            yield row["payment_id"], f"refund {row['id']} went out {used[row['id']]} times"
        if not used[row["id"]] and row["status"] != "failed":
            yield row["payment_id"], f"refund {row['id']} is {row['status']}, and the gateway knows none"


def is_unlisted(order: Row, refund: Row) -> bool:
    """PhonePe lists no refunds, so those begun in its dashboard are never learnt (docs/reliability.md)."""
    return order["gateway"] == "phonepe" and str(refund["refundId"]).startswith("DASHBOARD")


def never_more_goes_back_than_came_in(facts: Facts) -> Found:
    for payment_id, orders in facts.orders_of.items():
        for order in orders:
            captured = sum(a["amountPaise"] for a in order["attempts"] if came_in(a))
            back = sum(r["amountPaise"] for r in order["refunds"] if REFUNDS.get(r["status"]) != "failed")
            if back > captured:
                yield payment_id, f"{back} went back of {captured}"
    by_attempt = grouped([r for r in facts.books["refunds"] if r["status"] != "failed"], "attempt_id")
    amounts = {row["id"]: row["amount"] for row in facts.books["payment_attempts"]}
    for attempt_id, rows in by_attempt.items():
        if sum(row["amount"] for row in rows) > amounts[attempt_id]:
            yield (
                rows[0]["payment_id"],
                f"{sum(r['amount'] for r in rows)} of {amounts[attempt_id]} refunded here",
            )


def came_in(attempt: Row) -> bool:
    """Also too late for its order: Cashfree then calls the payment cancelled, and sends the money back."""
    return attempt["status"] in CAPTURED or (attempt["status"] == "CANCELLED" and attempt["lateAuthorized"])


def a_refund_that_was_asked_for_is_there(facts: Facts) -> Found:
    known = {row["id"] for row in facts.books["refunds"]}
    for entry in facts.diary.of("refund"):
        if entry["status"] == 200 and entry["refund"].replace("-", "") not in known:
            yield entry["payment"], f"refund {entry['refund']} was promised and is not there"


# ── the trail ───────────────────────────────────────────────────────────────────────────────────────


def the_history_is_whole_and_only_goes_forward(facts: Facts) -> Found:
    for payment_id, payment in facts.payments.items():
        events = facts.events.get(payment_id, [])
        if [event["sequence"] for event in events] != list(range(1, len(events) + 1)):
            yield payment_id, f"numbers of the trail: {[event['sequence'] for event in events]}"
        current = None
        for event in facts.moves(payment_id):
            if event["from_status"] != current or event["to_status"] not in MOVES[current]:
                yield payment_id, f"{event['from_status']} → {event['to_status']} after {current}"
            current = event["to_status"]
        if current != payment["status"]:
            yield payment_id, f"the trail ends with {current}, the payment is {payment['status']}"
        yield from _small_trails(facts, payment_id)


def _small_trails(facts: Facts, payment_id: str) -> Found:
    for kind, moves, name in (("attempt", ATTEMPT_MOVES, "paymentId"), ("refund", REFUND_MOVES, "id")):
        current: dict[str, str | None] = defaultdict(lambda: None)
        for event in facts.moves(payment_id, kind):
            subject = event["evidence"][name]
            before = current[subject]
            is_legal = before is None or event["to_status"] in moves[before]
            # A refund of ours begins with its intent; an attempt or a stranger's refund with what is heard.
            if (event["from_status"] or None) != before or not is_legal:
                yield (
                    payment_id,
                    f"{kind} {subject}: {event['from_status']} → {event['to_status']} after {before}",
                )
            current[subject] = event["to_status"]
        for subject, last in current.items():
            row = facts.attempts.get(subject) if kind == "attempt" else None
            if kind == "refund":
                row = next(
                    (r for r in facts.refunds[payment_id] if r["id"] == subject.replace("-", "")), None
                )
            if row is None or row["status"] != last:
                yield payment_id, f"{kind} {subject}: the trail says {last}, its row {row and row['status']}"


def nothing_is_left_undone(facts: Facts) -> Found:
    for name, count in facts.outcome.unsettled.items():
        yield name, f"{count} left when the waiting ended"
    lies = {hashlib.sha256(entry["body"].encode()).hexdigest() for entry in facts.diary.of("lie")}
    wire_ids = {order["wireId"] for order in facts.orders} | {order["orderId"] for order in facts.orders}
    lost = {wire_id for wire_id, row in facts.rows.items() if row["status"] == "lost"}
    for row in facts.books["payment_webhooks"]:
        subject = row["payment_id"] or row["order_id"]
        # That a lost order ended says nothing of its payment, so it is never confirmed.
        is_of_lost = row["order_id"] in lost
        if row["outcome"] == "unconfirmed" and row["event_id"] not in lies and not is_of_lost:
            yield subject, f"event {row['event_id']} ({row['webhook_type']}) was never confirmed"
        if row["outcome"] in ("failed", "unreadable", "unknown"):
            yield (
                subject,
                f"event {row['event_id']} ({row['webhook_type']}) is {row['outcome']}: {row['error']}",
            )
        is_left = row["outcome"] in ("received", "waiting") or row["order_id"] in wire_ids
        if row["outcome"] in INBOX_OPEN and is_left:
            yield subject, f"event {row['event_id']} ({row['webhook_type']}) is left {row['outcome']}"
    for refund in facts.books["refunds"]:
        if refund["status"] in ("initiated", "pending"):
            yield refund["payment_id"], f"refund {refund['id']} is left {refund['status']}"


# ── webhooks in ─────────────────────────────────────────────────────────────────────────────────────


def every_webhook_that_was_answered_200_is_kept_once(facts: Facts) -> Found:
    kept: Counter[tuple[str, str]] = Counter(
        (r["gateway"], r["event_id"]) for r in facts.books["payment_webhooks"]
    )
    bodies = {hashlib.sha256(bytes(r["payload"])).hexdigest() for r in facts.books["payment_webhooks"]}
    for delivery in facts.outcome.deliveries:
        headers = {name.lower(): value for name, value in delivery["headers"].items()}
        digest = hashlib.sha256(delivery["body"].encode()).hexdigest()
        event_id = headers.get("x-razorpay-event-id") or headers.get("x-idempotency-key") or digest
        if delivery["status"] == 200 and (not kept[delivery["gateway"], event_id] or digest not in bodies):
            yield delivery["orderId"], f"{delivery['event']} was answered 200 and is not kept"
        if delivery["status"] is not None and delivery["status"] not in (200, 401, 503):
            yield (
                delivery["orderId"],
                f"{delivery['event']} was answered {delivery['status']}: {delivery['answer']}",
            )
    for (gateway, event_id), count in kept.items():
        if count > 1:
            yield gateway, f"event {event_id} is kept {count} times"


def old_news_that_is_sent_again_changes_nothing(facts: Facts) -> Found:
    for entry in facts.outcome.replays:
        if "payment" in entry:
            yield entry["payment"], f"was {entry['before']}, is {entry['after']}"
        elif entry["status"] != 200:
            yield entry["orderId"], f"{entry['event']}, sent again, was answered {entry['status']}"


def nothing_forged_is_kept(facts: Facts) -> Found:
    kept = {bytes(row["payload"]) for row in facts.books["payment_webhooks"]}
    for entry in facts.diary.of("forged"):
        if entry["status"] not in (None, 400, 401, 404, 503) or entry["body"].encode() in kept:
            yield entry["order"], f"a forged webhook was answered {entry['status']}"


# ── events out ──────────────────────────────────────────────────────────────────────────────────────


def each_fact_is_in_the_outbox_once(facts: Facts) -> Found:
    """What the trail says was to be told, and nothing else."""
    told: Counter[tuple[str, str, int]] = Counter(
        (row["payment_id"], row["type"], data["sequence"])
        for row, data in facts.outbox_data
        if row["payment_id"]
    )
    owed: set[tuple[str, str, int]] = set()
    for payment_id in facts.payments:
        owed |= set(_owed(facts, payment_id))
    for payment_id, type_, sequence in owed - told.keys():
        yield payment_id, f"{type_} (number {sequence}) was never to be told"
    for (payment_id, type_, sequence), count in told.items():
        if (payment_id, type_, sequence) not in owed:
            yield payment_id, f"{type_} (number {sequence}) is told and did not happen"
        elif count > 1:
            yield payment_id, f"{type_} (number {sequence}) is {count} events"


def _owed(facts: Facts, payment_id: str) -> Iterator[tuple[str, str, int]]:
    events = facts.events.get(payment_id, [])
    twice = [e["sequence"] for e in events if e["reason"] == "reference_paid_twice"]
    has_order = bool(facts.orders_of[payment_id])
    for event in events:
        to, number = event["to_status"], event["sequence"]
        if event["kind"] == "status" and to in TOLD_STATUS and has_order:
            if not (to == "completed" and number + 1 in twice):
                yield payment_id, f"payment.{to}", number
        elif event["kind"] == "review" and event["reason"] != "cleared":
            yield payment_id, "payment.review", number
        elif event["kind"] == "refund" and to in ("completed", "failed"):
            yield payment_id, f"refund.{to}", number


def one_payment_completed_for_a_payment_and_for_a_trusted_reference(facts: Facts) -> Found:
    seen: dict[str, set[str]] = defaultdict(set)
    for row, data in facts.outbox_data:
        if row["type"] == "payment.completed" and row["destination"] == "merchant":
            seen[f"payment {row['payment_id']}"].add(row["event_id"])
            if data["priceVerified"] and data["reference"]:
                seen[f"reference {data['reference']}"].add(row["event_id"])
    for subject, ids in seen.items():
        if len(ids) > 1:
            yield subject, f"completed under {sorted(ids)}"
    paid = {row["reference"] for row in facts.books["payment_references"] if row["paid_by"]}
    for payment in facts.payments.values():
        if payment["status"] == "completed" and payment["price_verified"] and payment["reference"]:
            if payment["reference"] not in paid or f"reference {payment['reference']}" not in seen:
                yield payment["id"], f"{payment['reference']} is paid and not marked so"
        elif payment["status"] == "completed" and f"payment {payment['id']}" not in seen:
            yield payment["id"], "completed and never told"


def the_merchant_was_told_everything_under_one_id(facts: Facts) -> Found:
    came: dict[str, set[str]] = defaultdict(set)
    taken: Counter[str] = Counter()
    for entry in facts.outcome.told:
        came[entry["id"]].add(entry["body"])
        taken[entry["id"]] += entry["mood"] == "200"
        if not entry["genuine"]:
            yield entry["id"], "a message whose signature the merchant could not verify"
    facts_told: dict[str, set[str]] = defaultdict(set)
    rows = {row["event_id"]: row for row in facts.books["outbox"] if row["destination"] == "merchant"}
    for event_id, bodies in came.items():
        if event_id not in rows or bodies != {bytes(rows[event_id]["body"]).decode()}:
            kinds = {json.loads(body)["type"] for body in bodies}
            yield event_id, f"{kinds} came as {len(bodies)} different messages, or is not in the outbox"
            continue
        body = json.loads(next(iter(bodies)))
        data = body["data"]
        # An alarm that lasts is told again each day: that is another fact, named by its day.
        is_alarm = body["type"] == "ops.alert"
        about = rows[event_id]["fact"] if is_alarm else f"{data['id']} {data.get('sequence')}"
        facts_told[f"{body['type']} {about}"].add(event_id)
        if facts.is_private(str(bodies)):
            yield event_id, "tells the payer's e-mail or phone"
    for fact, ids in facts_told.items():
        if len(ids) > 1:
            yield fact, f"came under {sorted(ids)}"
    last = max((row["created_at"] for row in rows.values()), default=None)
    for row in rows.values():
        # With a day of four seconds an alarm is told again at every moment, also while the books are closed.
        is_young_alarm = row["type"] == "ops.alert" and row["created_at"] > last - UNDER_WAY
        if row["state"] == "pending" and is_young_alarm:
            continue
        if row["state"] != "delivered":
            yield row["payment_id"] or row["event_id"], f"{row['type']} {row['event_id']} is {row['state']}"
        elif not taken[row["event_id"]]:
            yield (
                row["payment_id"] or row["event_id"],
                f"{row['type']} is delivered, and the merchant never took it",
            )


# ── answers and logs ────────────────────────────────────────────────────────────────────────────────


def pages_were_told_the_truth(facts: Facts) -> Found:
    latest: dict[str, bool] = {}
    for entry in facts.diary.of("told"):
        claims_paid = entry["paymentStatus"] == "completed"
        if claims_paid:
            payment = facts.payments[entry["id"].replace("-", "")]
            latest[entry["order"]] = True
            if payment["status"] != "completed":
                yield entry["id"], f"{entry['door']} said completed, and it is {payment['status']}"
        is_success = entry["door"] == "verify" and entry["status"] == 200
        if is_success and entry["paymentStatus"] not in ("completed", "authorized"):
            yield entry["order"], f"verify answered 200 with {entry['paymentStatus']}"
        if (
            entry["door"] == "status"
            and entry["status"] == 200
            and not claims_paid
            and latest.get(entry["order"])
        ):
            yield entry["order"], f"a page was told completed, and later {entry['paymentStatus']}"
        if entry["status"] == 404:
            yield entry["order"], "a page was told that its payment does not exist"


def nobody_believed_a_browser(facts: Facts) -> Found:
    for entry in facts.diary.of("believed"):
        yield entry["order"], f"{entry['path']} answered {entry['status']}: {entry['answer']}"


SAID_WHERE_IT_BROKE = (
    "Unhandled",
    "Sweep failed",
    "Row failed",
    "Webhook could not be applied",
    "Webhook follow-up failed",
    "[ERROR] Webhooks are taken in one by one",
    "Event could not be sent",
    "Look around failed",
    "History could not be verified",
    "History is not as it was written",
)


def nothing_broke_inside(facts: Facts) -> Found:
    for entry in facts.diary.of("internal error", "harness failed"):
        yield entry.get("path", "harness"), str(entry.get("answer", entry.get("error")))
    for line in facts.outcome.log.splitlines():
        if any(word in line for word in SAID_WHERE_IT_BROKE):
            yield "log", line[:300]


def logs_and_inbox_keep_no_secret(facts: Facts) -> Found:
    log = facts.outcome.log
    for secret in facts.outcome.secrets:
        if secret in log:
            yield "log", f"holds a secret that begins with {secret[:6]}"
    for found in set(PHONE.findall(log)) & facts.phones:
        yield "log", f"holds the phone {found}"
    for found in set(EMAIL.findall(log)):
        yield "log", f"holds the e-mail {found}"
    for row in facts.books["payment_webhooks"]:
        if {"authorization", "x-verify", "x-razorpay-signature", "x-webhook-signature"} & row[
            "headers"
        ].keys():
            yield row["event_id"], f"keeps {list(row['headers'])}"
    for row in facts.books["payment_events"]:
        if facts.is_private(str(row["evidence"])):
            yield row["payment_id"], "the trail holds personal data"


RULES: tuple[Callable[[Facts], Found], ...] = (
    every_order_of_ours_belongs_to_one_payment,
    amounts_are_those_that_were_ordered,
    every_payment_ends_as_its_gateway_says,
    attempts_are_equal,
    money_held_for_a_paid_reference_is_not_captured,
    a_payment_has_one_order_beyond_those_that_were_lost,
    an_order_is_lost_only_by_a_fault,
    a_key_or_a_trusted_reference_opens_one_order,
    refunds_equal_the_gateways,
    never_more_goes_back_than_came_in,
    a_refund_that_was_asked_for_is_there,
    the_history_is_whole_and_only_goes_forward,
    nothing_is_left_undone,
    every_webhook_that_was_answered_200_is_kept_once,
    old_news_that_is_sent_again_changes_nothing,
    nothing_forged_is_kept,
    each_fact_is_in_the_outbox_once,
    one_payment_completed_for_a_payment_and_for_a_trusted_reference,
    the_merchant_was_told_everything_under_one_id,
    pages_were_told_the_truth,
    nobody_believed_a_browser,
    nothing_broke_inside,
    logs_and_inbox_keep_no_secret,
)


def trail_of(outcome: Outcome, payment_id: str) -> str:
    """All that is known of one payment, for whoever looks into what was broken."""
    facts = Facts(outcome)
    wanted = payment_id.replace("-", "")
    lines = [f"    payment {payment_id}"]
    for event in facts.events.get(wanted, []):
        move = f"{event['from_status']} → {event['to_status']}"
        lines.append(
            f"      {event['sequence']:3} {event['created_at']:%H:%M:%S.%f} {event['kind']} {move} "
            f"{event['source']} {event['reason']} {event['evidence']}"
        )
    for row in facts.books["payment_webhooks"]:
        if row["payment_id"] == wanted:
            lines.append(f"      in  {row['created_at']:%H:%M:%S.%f} {row['webhook_type']} {row['outcome']}")
    for row in facts.books["outbox"]:
        if row["payment_id"] == wanted:
            lines.append(
                f"      out {row['created_at']:%H:%M:%S.%f} {row['type']} {row['state']} {row['event_id']}"
            )
    for wire_id, row in facts.rows.items():
        if row["payment_id"] == wanted:
            lines.append(f"      order {wire_id} {row['gateway_order_id']} {row['status']}")
    for order in facts.orders_of[wanted]:
        brief = {k: order[k] for k in ("orderId", "status", "amountPaise", "attempts", "refunds")}
        lines.append(f"      gateway {brief}")
    return "\n".join(lines)
