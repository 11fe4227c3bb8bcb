"""A dispute changes no status; the merchant is told when it opens and when it is over, once each."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from payments_service.flows import webhook
from payments_service.gateways.base import DisputeSnapshot, WebhookEvent
from payments_service.ledger import outbox
from payments_service.ledger.db import Database
from payments_service.ledger.tables import Outbox
from payments_service.money import Money
from tests.flows.conftest import PRICE, Ledger, buy
from tests.support.fake_gateway import GENUINE, FakeGateway


class Disputed(FakeGateway):
    """Its events may carry a dispute."""

    def reread_webhook(self, event_id: str, raw_body: bytes) -> WebhookEvent:
        event = super().reread_webhook(event_id, raw_body)
        body = json.loads(raw_body)
        if "dispute" not in body:
            return event
        is_closed, now = body["dispute"] == "won", datetime.now(UTC)
        told = DisputeSnapshot("disp_1", "pay_1", body["dispute"], Money(100), is_closed, now)
        return replace(event, snapshot=None, dispute=told)


@pytest.fixture
def gateway() -> FakeGateway:
    return Disputed()


def test_opened_and_closed_are_told_once_each(db: Database, gateway: FakeGateway, ledger: Ledger) -> None:
    db.destinations = (outbox.MERCHANT,)
    opened = buy(db, gateway)
    known = {"order": opened.order_id, "status": "completed", "amount": PRICE.minor}
    webhook.receive(db, gateway, GENUINE, gateway.event(**known))
    for word in ("open", "under_review", "won", "closed_late"):
        webhook.receive(db, gateway, GENUINE, gateway.event(**known, dispute=word))
    with db.read() as session:
        rows = [json.loads(row.body) for row in session.query(Outbox).order_by(Outbox.created_at, Outbox.id)]
    assert [row["type"] for row in rows] == ["payment.completed", "dispute.opened", "dispute.closed"]
    about = {"disputeId": "disp_1", "paymentId": "pay_1", "amountPaise": 100, "gatewayStatus": "won"}
    assert rows[2]["data"]["dispute"] == about
    assert ledger.payment(opened.id).status == "completed"
    assert [row.outcome for row in ledger.inbox()] == ["applied"] * 5
    assert [event.evidence["gatewayStatus"] for event in ledger.trail(opened.id, "dispute")] == [
        "open",
        "under_review",
        "won",
        "closed_late",
    ]
