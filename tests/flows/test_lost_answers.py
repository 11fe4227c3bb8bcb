"""An order whose answer never came, and whose payment a signed event tells: its merchant is told of it."""

import pytest

from payments_service.domain.errors import GatewayError, OutcomeUnknown, Unavailable
from payments_service.flows import webhook
from payments_service.flows.create_order import CreateOrderFailed
from payments_service.gateways.cashfree import CashfreeConfig, CashfreeGateway
from payments_service.store import outbox
from payments_service.store.db import Database
from tests.flows.conftest import Ledger, buy
from tests.flows.test_reconcile import told
from tests.gateways import cashfree_wire
from tests.gateways.cashfree_wire import SECRET, CashfreeHooks


def failing(error: GatewayError) -> object:
    def call(*_: object) -> None:
        raise error

    return call


def test_a_success_that_names_the_order_by_our_id_alone_is_told(
    db: Database, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.destinations = (outbox.MERCHANT,)
    config = CashfreeConfig("TEST_app", (SECRET,), "sandbox", "http://127.0.0.1:9", "2025-01-01", "standard")
    gateway = CashfreeGateway(config)
    monkeypatch.setattr(gateway, "create_order", failing(OutcomeUnknown("reset")))
    monkeypatch.setattr(gateway, "fetch_payment", failing(Unavailable("away")))
    with pytest.raises(CreateOrderFailed):
        buy(db, gateway)  # type: ignore[arg-type]
    order = {"order_id": ledger.only_order().wire_id, "order_amount": 499.00, "order_currency": "INR"}
    payment = {
        "cf_payment_id": "5114911000002",
        "payment_status": "SUCCESS",
        "payment_amount": 499.00,
        "payment_currency": "INR",
        "payment_group": "upi",
    }
    raw = cashfree_wire.event("PAYMENT_SUCCESS_WEBHOOK", {"order": order, "payment": payment})
    webhook.receive(db, gateway, CashfreeHooks().sign(raw, SECRET), raw)
    assert (ledger.only_payment().status, told(db)) == ("completed", ["payment.completed"])
