"""A person has the gateway asked about a payment now, and hears what it said and what changed by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from payments_service.domain.clock import REAL_TIME, Clock
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import GatewayError, UnknownAtGateway
from payments_service.domain.payment import Actor
from payments_service.domain.states import Source
from payments_service.flows import reconcile, sync
from payments_service.flows.create_order import Urls
from payments_service.flows.history import Step, steps_of
from payments_service.gateways.base import Gateway, gateway_of
from payments_service.store import lookup, payments
from payments_service.store.db import Database
from payments_service.store.tables import Payment

BUDGET_SECONDS = 30.0
"""For all questions of the operator's command; an operator can wait longer than a page."""


@dataclass(frozen=True)
class Answer:
    """`was_asked`: whether the gateway answered at all; else `said` tells why not."""

    payment: Payment
    before: str
    said: str
    was_asked: bool
    changes: list[Step]


def ask(
    db: Database, gateways: Sequence[Gateway], urls: Urls, payment: Payment, clock: Clock = REAL_TIME
) -> Answer:
    known = {step.id for step in steps_of(db, payment.id)}
    said, was_asked = _ask(db, gateways, urls, payment, clock)
    with db.read() as session:
        now = payments.by_id(session, payment.id)
        attempts = payments.attempts(session, payment.id)
    if was_asked and not said:
        paid = [f"{a.transaction_id} {a.gateway_status} {a.money}" for a in attempts]
        said = "; ".join([f"says {now.gateway_status or 'nothing of its status'}", *paid])
    changes = [step for step in steps_of(db, payment.id) if step.id not in known and step.kind != "webhook"]
    return Answer(now, payment.status, said, was_asked, changes)


def watched(db: Database, since: datetime | None) -> list[Payment]:
    """Those made since a moment, or all that are watched."""
    with db.read() as session:
        return lookup.watched(session, since)


def _ask(
    db: Database, gateways: Sequence[Gateway], urls: Urls, payment: Payment, clock: Clock
) -> tuple[str, bool]:
    gateway = gateway_of(payment.provider, gateways)
    if gateway is None:
        return f"{payment.provider} is switched off in the settings", False
    deadline = Deadline(BUDGET_SECONDS, Urgency.POLLING)
    try:
        sync.refresh(db, gateway, payment.id, Actor(Source.OPERATOR, "reconcile", clock), deadline)
    except UnknownAtGateway:
        return "knows no such order", True
    except GatewayError as error:
        return f"{error.message} ({error.code})", False
    with db.begin() as session:
        payments.ask_refunds_at(session, payment.id, clock.now())
    reconcile.sweep_refunds(db, gateway, urls, clock)
    return "", True
