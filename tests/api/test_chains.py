"""Requests that follow one another as the links of docs/openapi.json lead: create, status, refund, events.

The gateway by hand pays every order, so that what comes after a payment is reached, too. Whatever the chain,
each answer is one that the document names, and no payment ever gives back more than came in.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.modes import GenerationMode
from schemathesis.generation.stateful.state_machine import APIStateMachine
from sqlalchemy import func, select

from payments_service.api.links import LINKS
from payments_service.domain.deadline import Deadline
from payments_service.domain.news import OrderRef, PaymentSnapshot
from payments_service.domain.states import AttemptStatus, PaymentStatus, RefundStatus
from payments_service.store import migrations
from payments_service.store.tables import Payment, Refund
from tests.api.test_document import CREATE, GOOD, made
from tests.api.test_generated import CHECKS, KEY, PLAIN, Standing
from tests.support.recorder import DOCUMENT

CHAINS = 500
AT_ONCE = 25
"""Chains that hypothesis varies before it begins anew."""
SETTINGS = settings(
    stateful_step_count=12,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
CHAINED = sorted(
    {name for name, _ in LINKS} | {link.operation for links in LINKS.values() for link in links.values()}
)
"""The routes that an answer leads to, or from: single requests are made up elsewhere."""
REFUNDS = "/api/payment/{payment_id}/refunds"
WELL_MADE = {CREATE: GOOD[CREATE], REFUNDS: {"amount": 200}}
REACHED = {
    (CREATE, 200),
    ("/api/payment/status/{gateway}/{reference}", 200),
    (REFUNDS, 201),
    ("/api/payment/{payment_id}/refunds/{refund_id}", 200),
    ("/api/events", 200),
}
"""The chain that a shop goes: each of them must have been among the answers."""


class PayingAll(Standing):
    """Every order of it is paid as soon as it is asked for."""

    def fetch_payment(self, order: OrderRef, deadline: Deadline) -> PaymentSnapshot:
        snapshot = super().fetch_payment(order, deadline)
        payment_id = f"pay_{order.wire_id}"
        mine = [one for one in snapshot.refunds or () if one.transaction_id == payment_id]
        attempt = self.attempt(payment_id, AttemptStatus.SUCCEEDED, snapshot.amount)
        return replace(
            snapshot, status=PaymentStatus.COMPLETED, attempts=(attempt,), refunds=tuple(mine), checkout=None
        )


@pytest.fixture
def paying(tmp_path: Any) -> Iterator[Flask]:
    app = made(f"sqlite:///{tmp_path / 'payments.db'}")
    services = app.extensions["payments_service"]
    services.db.destinations = ("merchant",)
    migrations.upgrade(services.db)
    app.extensions["payments_service"] = replace(services, gateways=(PayingAll(),))
    yield app
    services.db.engine.dispose()


class Walk:
    """What was seen on the ways through the document, all in one database."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.chains = 0
        self.seen: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []

    def go(self, chains: int) -> None:
        """So many, and a few more where chance has not led through all that must be reached."""
        machine = self._machine()
        while self.chains < chains or (self.chains < 2 * chains and REACHED - self.seen.keys()):
            # What one way left in the database makes the next one differ, which hypothesis gives up at.
            with suppress(Flaky):
                machine.run(settings=settings(SETTINGS, max_examples=AT_ONCE))

    def _machine(self) -> type[APIStateMachine]:
        document = schemathesis.openapi.from_wsgi("/docs/openapi.json", self.app)
        # It takes `userId` for the id of something that must be made first, which nothing makes.
        del document.raw_schema["components"]["schemas"]["CreateOrder"]["properties"]["userId"]
        document.config.generation.update(modes=[GenerationMode.POSITIVE])
        machine: type[APIStateMachine] = document.include(operation_id=CHAINED).as_state_machine()
        walk = self

        class Shop(machine):  # type: ignore[valid-type,misc]
            def before_call(self, case: Any) -> None:
                walk.mend(case)

            def get_call_kwargs(self, case: Any) -> dict[str, Any]:
                return {"headers": {**PLAIN, **KEY}}

            def validate_response(self, response: Any, case: Any, **_: Any) -> None:
                walk.look(response, case)

            def teardown(self) -> None:
                walk.chains += 1

        return Shop

    def mend(self, case: Any) -> None:
        """Most are made good, so that they come to something; the others stay as they were made up."""
        path, number = case.operation.path, self.seen.total()
        if path in WELL_MADE and number % 4:
            case.body = WELL_MADE[path]
            case.headers["Idempotency-Key"] = f"key-of-the-chains-{number % 3 if path == REFUNDS else number}"

    def look(self, response: Any, case: Any) -> None:
        """Is it a documented answer? Then the payer of a new order pays at once, and the page asks."""
        path, status = case.operation.path, response.status_code
        self.seen[path, status] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as error:
            self.wrong.append(f"{case.method} {case.formatted_path} {status}: {error.exceptions}")
        if path == CREATE and status == 200:
            self.app.test_client().get(f"/api/payment/status/razorpay/{response.json()['id']}")


def given_back_too_often(app: Flask) -> list[UUID]:
    """Payments of which more went back than came in."""
    db = app.extensions["payments_service"].db
    kept = Refund.status != RefundStatus.FAILED
    sums = select(Refund.payment_id).join(Payment).where(kept).group_by(Refund.payment_id, Payment.amount)
    with db.read() as session:
        return list(session.scalars(sums.having(func.sum(Refund.amount) > Payment.amount)))


@pytest.mark.check
@pytest.mark.timeout(1200)
def test_whatever_follows_what_the_answer_is_a_documented_one(paying: Flask) -> None:
    walk = Walk(paying)
    walk.go(CHAINS)
    assert walk.wrong == []
    assert given_back_too_often(paying) == []
    assert REACHED - walk.seen.keys() == set()


def test_every_link_leads_to_a_request_that_takes_what_it_brings() -> None:
    operations = {
        operation["operationId"]: {one["name"] for one in operation["parameters"]}
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    }
    for (source, _), links in LINKS.items():
        assert source in operations
        for link in links.values():
            assert link.takes.keys() <= operations[link.operation]
