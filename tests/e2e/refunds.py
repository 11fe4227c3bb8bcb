"""The journeys of money that goes back, over real HTTP to the simulator, which alone knows the truth.

The flow runs in the test's own process, on the house's database, beside the house's own service, which hears
the webhooks meanwhile.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import pytest
from sqlalchemy import delete, select

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import Conflict, Unavailable
from payments_service.domain.money import Money
from payments_service.domain.payment import Actor
from payments_service.domain.states import RefundStatus
from payments_service.flows import refund, sync
from payments_service.flows.refund import RefundView
from payments_service.flows.refund_intent import Key
from payments_service.gateways.base import Gateway
from payments_service.gateways.bounds import ReadBudget
from payments_service.gateways.cashfree import CashfreeGateway
from payments_service.settings import Settings
from payments_service.store import payments
from payments_service.store.db import Database
from payments_service.store.tables import PaymentEvent, Refund
from tests.e2e.journeys import Journeys, Json
from tests.support.house import House

BELL = Actor("operator", "e2e")
COMPLETED, FAILED, INITIATED, PENDING = (
    RefundStatus.COMPLETED,
    RefundStatus.FAILED,
    RefundStatus.INITIATED,
    RefundStatus.PENDING,
)


def away(*_: object) -> None:
    raise Unavailable("away")


@dataclass
class Counter:
    """Where refunds of one payment are asked for."""

    house: House
    db: Database
    gateway: Gateway
    id: UUID
    order: Json

    def refund(self, paise: int | None = None, **options: Any) -> RefundView:
        amount = None if paise is None else Money(paise)
        return refund.refund(self.db, self.gateway, self.id, amount, "returned goods", BELL, **options)

    def forget(self) -> None:
        """As a database does that is put back as it was before the refunds."""
        with self.db.begin() as session:
            session.execute(delete(Refund).where(Refund.payment_id == self.id))

    def ask(self, row_id: UUID) -> RefundView:
        with self.db.read() as session:
            row = session.get_one(Refund, row_id)
        return refund.ask(self.db, self.gateway, row, BELL)

    def read_again(self) -> None:
        sync.refresh(self.db, self.gateway, self.id, BELL, Deadline(5))

    def rows(self) -> list[Refund]:
        with self.db.read() as session:
            query = select(Refund).where(Refund.payment_id == self.id)
            return list(session.scalars(query.order_by(Refund.created_at, Refund.id)))

    def completes(self, row_id: UUID) -> bool:
        """Ask until the gateway has ended it: some take it first, and say more a moment later."""
        self.house.until(lambda: self.ask(row_id).status, lambda status: status is COMPLETED)
        return True

    def ended(self) -> list[str]:
        """Each end of a refund in the trail: one for each refund, whoever heard of it."""
        with self.db.read() as session:
            moves = session.scalars(select(PaymentEvent).where(PaymentEvent.payment_id == self.id))
            ends = [m for m in moves if m.kind == "refund" and m.to_status in (COMPLETED, FAILED)]
            return sorted(f"{move.to_status} {move.evidence['id']}" for move in ends)

    def at_the_gateway(self) -> list[Json]:
        found: list[Json] = self.house.simulated(f"orders/{self.order['orderId']}")["refunds"]
        return found


class RefundJourneys(Journeys):
    pending_word: ClassVar[str] = "PENDING"
    """What the simulator's setting refund_outcome calls a refund that waits for its end."""
    tells_refunds: ClassVar[bool] = False
    """Whether the gateway's webhooks and readings of a payment tell of refunds; else only asking helps."""

    @contextmanager
    def counter(self, house: House, amount: Any = 499) -> Iterator[Counter]:
        payment_id, order = self.buy(house, amount)
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")
        with house.database() as db, db.read() as session:
            provider = payments.by_id(session, UUID(payment_id)).provider
        settings = Settings.from_environment(house.environment)
        gateway = next(made(config) for made, config in settings.gateways if made.provider == provider)
        if isinstance(gateway, CashfreeGateway):  # a test looks more often than a worker does
            gateway.refund_reads = ReadBudget(provider, 500.0)
        db = Database(house.database_url)
        try:
            yield Counter(house, db, gateway, UUID(payment_id), order)
        finally:
            db.engine.dispose()

    @contextmanager
    def refunds_wait(self, house: House) -> Iterator[None]:
        """The gateway takes refunds and does not end them by itself."""
        usual = house.simulated("settings")[self.gateway]["refund_outcome"]
        house.simulate("settings", {self.gateway: {"refund_outcome": self.pending_word}})
        yield
        house.simulate("settings", {self.gateway: {"refund_outcome": usual}})

    def test_what_goes_back_is_never_more_than_was_paid_and_told_once(self, house: House) -> None:
        with self.counter(house) as counter:
            first = counter.refund(10015)

            def try_one(_: int) -> None:
                with suppress(Conflict):
                    counter.completes(counter.refund(20000).id)

            assert counter.completes(first.id)
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(try_one, range(3)))
            booked = [row.amount for row in counter.rows()]
            assert sum(booked) <= 49900
            assert sorted(booked) == sorted(one["amountPaise"] for one in counter.at_the_gateway())
            rest = counter.refund()
            assert counter.completes(rest.id)
            assert sum(one["amountPaise"] for one in counter.at_the_gateway()) == 49900
            assert counter.ended() == sorted(f"completed {row.id}" for row in counter.rows())
            after = self.status(house, counter.order)
            assert (after["paymentStatus"], after["amountRefunded"]) == ("completed", 499)
            with pytest.raises(Conflict) as refused:
                counter.refund(100)
            assert refused.value.extra == {"refundablePaise": 0}

    def test_a_refund_whose_answer_never_came_is_found_and_not_doubled(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A read timeout after the gateway committed, and nobody there to ask right away."""
        monkeypatch.setattr(Deadline, "READ_SECONDS", 0.4)
        self.drop_webhooks(house)
        with self.counter(house) as counter:
            self.fault(house, "refund", "timeout_after", seconds=1)
            monkeypatch.setattr(counter.gateway, "fetch_refund", away)
            sent = counter.refund(10015)
            assert (sent.status, len(counter.at_the_gateway())) == (INITIATED, 1)
            monkeypatch.undo()
            house.clear_faults()
            assert counter.completes(sent.id)
            assert [one["amountPaise"] for one in counter.at_the_gateway()] == [10015]
            assert counter.ended() == [f"completed {sent.id}"]

    def test_a_refund_that_the_database_lost_is_not_made_again(self, house: House) -> None:
        """The gateway keeps our id; where it lists refunds, what is left is known to another key, too."""
        self.drop_webhooks(house)
        yesterdays, todays = Key("key-of-yesterday", "so"), Key("key-of-today-1", "and so")
        with self.counter(house) as counter:
            counter.refund(10015, key=yesterdays)
            counter.forget()
            if counter.gateway.lists_refunds:
                with pytest.raises(Conflict) as refused:
                    counter.refund(49900, key=todays)
                assert refused.value.extra == {"refundablePaise": 39885}
            again = counter.refund(10015, key=yesterdays)
            assert counter.completes(again.id)
            assert [one["amountPaise"] for one in counter.at_the_gateway()] == [10015]

    def test_a_refund_that_never_arrived_is_sent_again_and_made_once(self, house: House) -> None:
        with self.counter(house) as counter:
            self.fault(house, "refund", "reset_before")
            sent = counter.refund(10015)
            assert (sent.status, counter.at_the_gateway()) == (INITIATED, [])
            self.fault(house, "refund", "reset_after")  # this time its answer is lost
            assert counter.completes(sent.id)
            assert [one["amountPaise"] for one in counter.at_the_gateway()] == [10015]
            assert [row.amount for row in counter.rows()] == [10015]

    def test_a_refund_survives_the_process_that_sent_it(self, house: House) -> None:
        """kill -9 between the gateway's commit and ours."""
        self.drop_webhooks(house)
        with self.counter(house) as counter:
            counter.db.engine.dispose()  # a connection is nothing to share with a child
            self.fault(house, "refund", "timeout_after", seconds=3)
            sender = multiprocessing.get_context("fork").Process(target=counter.refund, args=(10015,))
            sender.start()
            house.until(counter.at_the_gateway, lambda made: len(made) == 1)
            os.kill(sender.pid or 0, signal.SIGKILL)
            sender.join()
            (row,) = counter.rows()
            assert (row.status, row.gateway_refund_id) == (INITIATED, None)
            assert counter.completes(row.id)
            assert len(counter.at_the_gateway()) == 1

    def test_a_refund_that_fails_is_told_and_what_failed_can_go_back_again(self, house: House) -> None:
        with self.counter(house) as counter, self.refunds_wait(house):
            sent = counter.refund(49900)
            assert sent.status is PENDING
            with pytest.raises(Conflict) as refused:
                counter.refund(100)
            one_at_a_time = counter.gateway.one_refund_at_a_time
            assert refused.value.code == (
                "refund_in_progress" if one_at_a_time else "refund_exceeds_captured"
            )
            self.ends(counter, sent, "failure")
            again = counter.refund(49900)
            self.ends(counter, again, "success")
            assert [row.status for row in counter.rows()] == [FAILED, COMPLETED]
            assert counter.ended() == [f"completed {again.id}", f"failed {sent.id}"]
            assert self.status(house, counter.order)["paymentStatus"] == "completed"

    def ends(self, counter: Counter, sent: RefundView, outcome: str) -> None:
        """The bank has decided; the webhook tells us, or we ask."""
        made = counter.at_the_gateway()[-1]["refundId"]
        counter.house.simulate(f"refunds/{made}/{outcome}")
        expected = COMPLETED if outcome == "success" else FAILED
        if not self.tells_refunds:
            assert counter.ask(sent.id).status is expected
        counter.house.until(lambda: counter.rows()[-1].status, lambda status: status == expected)

    def test_a_refund_of_the_same_amount_from_the_dashboard_is_not_taken_for_ours(self, house: House) -> None:
        with self.counter(house) as counter:
            self.fault(house, "refund", "reset_before")
            ours = counter.refund(10000)
            self.happens(house, counter.order, "dashboard-refund", amountPaise=10000)
            counter.read_again()
            assert [row.id for row in counter.rows()] == [ours.id]
            assert counter.completes(ours.id)
            counter.read_again()
            known = 2 if self.tells_refunds else 1
            assert [row.amount for row in counter.rows()] == [10000] * known
            assert len(counter.at_the_gateway()) == 2
            assert len(counter.ended()) == known
            assert self.status(house, counter.order)["amountRefunded"] == 100 * known
