"""Requests that follow one another as the links of docs/openapi.json lead: create, status, refund, events.

The gateway by hand pays every order, so that what comes after a payment is reached, too. Whatever the chain,
each answer is one that the document names, and no payment ever gives back more than came in.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
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

CHAINS = 200
STEPS = 12
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


def follow(app: Flask, chains: int, seen: Counter[tuple[str, int]]) -> None:
    """Go as many ways through the document, in one database."""
    document = schemathesis.openapi.from_wsgi("/docs/openapi.json", app)
    # It takes `userId` for the id of something that must be made first, which nothing makes.
    del document.raw_schema["components"]["schemas"]["CreateOrder"]["properties"]["userId"]
    document.config.generation.update(modes=[GenerationMode.POSITIVE])
    machine: type[APIStateMachine] = document.include(operation_id=CHAINED).as_state_machine()

    class Shop(machine):  # type: ignore[valid-type,misc]
        def before_call(self, case: Any) -> None:
            """Most are made good, so that they come to something; the others stay as they were made up."""
            if case.operation.path in WELL_MADE and seen.total() % 4:
                case.body = WELL_MADE[case.operation.path]
                number = seen.total() % 3 if case.operation.path == REFUNDS else seen.total()
                case.headers["Idempotency-Key"] = f"key-of-the-chains-{number}"

        def after_call(self, response: Any, case: Any) -> None:
            """The payer pays at once, and the page asks."""
            if case.operation.path == CREATE and response.status_code == 200:
                told = response.json()
                app.test_client().get(f"/api/payment/status/razorpay/{told['id']}")

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": {**PLAIN, **KEY}}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            seen[case.operation.path, response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        def teardown(self) -> None:
            assert given_back_too_often(app) == []

    Shop.run(
        settings=settings(
            max_examples=chains,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
    )


def given_back_too_often(app: Flask) -> list[UUID]:
    """Payments of which more went back than came in."""
    db = app.extensions["payments_service"].db
    kept = Refund.status != RefundStatus.FAILED
    sums = select(Refund.payment_id).join(Payment).where(kept).group_by(Refund.payment_id, Payment.amount)
    with db.read() as session:
        return list(session.scalars(sums.having(func.sum(Refund.amount) > Payment.amount)))


@pytest.mark.check
def test_whatever_follows_what_the_answer_is_a_documented_one(paying: Flask) -> None:
    seen: Counter[tuple[str, int]] = Counter()
    follow(paying, CHAINS, seen)
    assert REACHED - seen.keys() == set()


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
