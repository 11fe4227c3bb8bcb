"""Webhooks that arrive together are kept and applied in one transaction: their commit is shared.

The first request that finds no leader leads: it takes what waits, its own event among it; what comes
meanwhile is the next batch, led by the one that waits longest. There is no timer; without a burst a batch is
one event, by the same code. What a batch cannot take is left to the event's own request, alone: an order that
is not known yet, or that only a payment or a refund names, a dispute, a payment whose row another transaction
holds, and all of a batch that failed.
"""

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from threading import BoundedSemaphore, Event, Lock
from uuid import UUID

from payments_service.domain import decide
from payments_service.domain.clock import REAL_TIME
from payments_service.domain.decide import FollowUp
from payments_service.domain.errors import Outdated, StoreUnavailable
from payments_service.domain.news import WebhookEvent
from payments_service.domain.payment import Actor, Line, PaymentRecord
from payments_service.domain.states import InboxOutcome, Source
from payments_service.flows.arrivals import (
    LEFT_TO_THE_WORKER,
    NOT_UNDERSTOOD,
    is_for_a_payment,
    names_a_payment_at_least,
    order_name,
    why_left,
)
from payments_service.gateways.base import Gateway
from payments_service.store import burst, inbox
from payments_service.store.db import Database
from payments_service.store.inbox import InboxRow
from payments_service.store.record import BrokenInvariant, Names, Records

log = logging.getLogger(__name__)

LARGEST = 64
"""Events in one transaction."""
LONGEST_QUEUE = 1024
"""Three seconds of work, less than a request waits; what comes beyond it is answered 503 and sent again."""
PATIENCE_SECONDS = 4.0
"""Gateways wait about five seconds for their answer."""
BESIDE = 4
"""Events at once that no batch could take. Each may wait for a row, and holds a connection meanwhile: more of
them would leave none to the batches."""


class Outcome(Enum):
    KEPT = auto()
    AGAIN = auto()
    """The same event was kept before."""
    ALONE = auto()
    """Not kept: its own request takes it in by itself."""


@dataclass(eq=False)
class Arrival:
    """An authentic event on its way in."""

    gateway: Gateway
    event: WebhookEvent
    headers: Mapping[str, str]
    body: bytes
    outcome: Outcome = Outcome.ALONE
    payment_id: UUID | None = None
    row_id: UUID | None = None
    follow_up: FollowUp = FollowUp.NOTHING
    error: Exception | None = None
    lines: list[Line] = field(default_factory=list)
    """For the log, once it is kept."""
    is_over: Event = field(default_factory=Event)
    leads: bool = False


class Intake:
    """The queue of one process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: deque[Arrival] = deque()
        self._lock = Lock()
        self._is_led = False
        self._places = BoundedSemaphore(BESIDE)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """A place to take in one event alone. Raises StoreUnavailable when none is free in time."""
        if not self._places.acquire(timeout=PATIENCE_SECONDS):
            raise StoreUnavailable("Too many webhooks wait for their payments, please send it again")
        try:
            yield
        finally:
            self._places.release()

    def take(self, arrival: Arrival) -> None:
        """Raises StoreUnavailable when the store is away or the queue too long: then nothing is promised."""
        with self._lock:
            if len(self._waiting) >= LONGEST_QUEUE:
                raise StoreUnavailable("Too many webhooks are waiting, please send it again")
            self._waiting.append(arrival)
            arrival.leads = not self._is_led
            self._is_led = True
        if not arrival.leads and not arrival.is_over.wait(PATIENCE_SECONDS):
            self._leave(arrival)
        if arrival.leads:
            self._lead(arrival)
        if arrival.error is not None:
            raise arrival.error
        for line in arrival.lines if arrival.outcome is Outcome.KEPT else ():
            logging.getLogger(line.logger).log(line.level, line.message, extra={"data": line.data})

    def _leave(self, arrival: Arrival) -> None:
        with self._lock:
            if arrival.leads or arrival.is_over.is_set():
                return  # it was its turn at this very moment
            if arrival in self._waiting:
                self._waiting.remove(arrival)
            arrival.error = StoreUnavailable("The payment store is slow, please send it again")

    def _lead(self, own: Arrival) -> None:
        own.is_over.clear()  # the last leader set it to wake this request, whose event still waits
        try:
            while not own.is_over.is_set():
                with self._lock:
                    batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST))]
                _take_in(self._db, batch)
                for arrival in batch:
                    arrival.is_over.set()
        finally:
            self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            self._is_led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].is_over.set()


def _take_in(db: Database, batch: Sequence[Arrival]) -> None:
    """Keep and apply them; each then says what became of it."""
    try:
        has_facts = burst.run(db, _Batch(db, batch))
    except Outdated:
        log.info("Webhooks are taken in one by one", extra={"data": {"events": len(batch)}})
        _leave_alone(batch)
    except StoreUnavailable as error:
        for arrival in batch:
            arrival.error = error
    except Exception:
        log.exception("Webhooks are taken in one by one", extra={"data": {"events": len(batch)}})
        _leave_alone(batch)
    else:
        if has_facts and db.wake:
            db.wake("outbox")


def _leave_alone(batch: Sequence[Arrival]) -> None:
    for arrival in batch:
        arrival.outcome, arrival.follow_up = Outcome.ALONE, FollowUp.NOTHING


class _Batch:
    """One transaction: what to look for, what to load, what to write (`store/burst.py` runs it)."""

    def __init__(self, db: Database, arrivals: Sequence[Arrival]) -> None:
        self.arrivals = arrivals
        self.policy, self.chain_keys = db.policy, db.chain_keys
        self.rows: list[InboxRow] = []
        self._taken: dict[tuple[str, str], bytes] = {}
        self._orders: dict[int, burst.KnownOrder] = {}

    def event_ids(self) -> tuple[list[str], list[str]]:
        gateways = sorted({arrival.gateway.name for arrival in self.arrivals})
        return gateways, [arrival.event.event_id for arrival in self.arrivals]

    def order_ids(self) -> tuple[list[str], list[str]]:
        providers = sorted({arrival.gateway.provider for arrival in self.arrivals})
        named = (arrival.event.order for arrival in self.arrivals)
        ids = {order.gateway_order_id for order in named if order and order.gateway_order_id}
        return providers, sorted(ids)

    def find(self, kept: dict[tuple[str, str], bytes], orders: Sequence[burst.KnownOrder]) -> list[UUID]:
        """Which payments the events are about."""
        self._taken = dict(kept)
        by_name = {(order.provider, order.gateway_order_id): order for order in orders}
        for number, arrival in enumerate(self.arrivals):
            named = arrival.event.order
            if named is None or not named.gateway_order_id or arrival.event.dispute is not None:
                continue
            order = by_name.get((arrival.gateway.provider, named.gateway_order_id))
            if order is not None and named.wire_id in ("", order.wire_id):
                self._orders[number] = order
        return sorted({order.payment_id for order in self._orders.values()})

    def names(self) -> Names:
        return Names.of(*(arrival.event for arrival in self.arrivals))

    def decide(self, records: Records) -> None:
        """A fold: each event is decided on what the one before it left."""
        for number, arrival in enumerate(self.arrivals):
            gateway, event = arrival.gateway, arrival.event
            key = gateway.name, event.event_id
            if key in self._taken:
                same = self._taken[key] == arrival.body
                arrival.outcome = Outcome.AGAIN if same else Outcome.ALONE
                continue
            order = self._orders.get(number)
            if names_a_payment_at_least(event):
                arrival.outcome = Outcome.ALONE
                continue
            if not is_for_a_payment(event):
                self._keep(arrival, None, why_left(event))
            elif order is not None and order.payment_id in records:
                self._apply(arrival, records[order.payment_id], order.id)
            else:
                arrival.outcome = Outcome.ALONE
                continue
            self._taken[key] = arrival.body

    def _apply(self, arrival: Arrival, record: PaymentRecord, order_id: UUID) -> None:
        event, actor = arrival.event, Actor(Source.WEBHOOK, arrival.event.event_id)
        undo = record.mark()
        try:
            follow_up, outcome, is_new = decide.apply_event(
                record, arrival.gateway, record.order(order_id), event, actor
            )
        except Exception as error:
            undo()
            record.lines.clear()
            about = {"eventId": event.event_id, "id": record.payment.id, "error": type(error).__name__}
            log.exception("Webhook could not be applied", extra={"data": about})
            self._keep(arrival, record, InboxOutcome.FAILED, error=type(error).__name__)
            arrival.follow_up = FollowUp.FETCH
            return
        if is_new:
            raise BrokenInvariant("an order that was found by the gateway's id had none")
        arrival.lines, record.lines = record.lines, []
        self._keep(arrival, record, outcome)
        arrival.follow_up = follow_up

    def _keep(
        self,
        arrival: Arrival,
        record: PaymentRecord | None,
        outcome: InboxOutcome,
        *,
        error: str | None = None,
    ) -> None:
        now = REAL_TIME.now()
        payment_id = record.payment.id if record else None
        row = inbox.new_row(
            arrival.gateway.name,
            arrival.gateway.provider,
            arrival.event,
            arrival.headers,
            arrival.body,
            payment_id=payment_id,
            outcome=outcome,
            error=error,
            next_try_at=None if outcome.is_done else REAL_TIME.after(LEFT_TO_THE_WORKER),
            created_at=now,
        )
        self.rows.append(row)
        arrival.outcome, arrival.payment_id, arrival.row_id = Outcome.KEPT, payment_id, row.id
        about = {
            "gateway": arrival.gateway.name,
            "type": arrival.event.type,
            "kind": arrival.event.kind.value,
            "eventId": arrival.event.event_id,
            "orderId": order_name(arrival.event),
        }
        if outcome in NOT_UNDERSTOOD:
            arrival.lines.append(Line(logging.ERROR, "Webhook not understood", about, __name__))
        arrival.lines.append(Line(logging.INFO, "Webhook", {**about, "outcome": outcome}, __name__))
