"""The reconciliation: what each settlement is made of, row by row.

Sources: Razorpay docs api/settlements/fetch-recon.
"""

import json
from datetime import datetime

from gateway_simulator.base import Json
from gateway_simulator.razorpay.moves import LiveBooks
from gateway_simulator.razorpay.settlements import INDIA, Line, Settlement

NOT_PAID = dict.fromkeys(("order_id", "order_receipt", "method", "card_network", "card_issuer", "card_type"))


def recon(books: LiveBooks, year: int, month: int, day: int | None) -> list[Json]:
    """The rows of a day's or month's settlements, as India counts days."""
    chosen = []
    for line in books.settlements.lines:
        settlement = books.settlements.all.get(line.settlement_id or "")
        if settlement is None:
            continue
        date = datetime.fromtimestamp(settlement.created_at, INDIA)
        if (date.year, date.month) == (year, month) and day in (None, date.day):
            chosen.append(_row(books, line, settlement))
    return chosen


def _row(books: LiveBooks, line: Line, settlement: Settlement) -> Json:
    """As in the documented sample: adjustments know neither a UTR nor how they were paid."""
    is_adjustment = line.kind == "adjustment"
    return {
        "entity_id": line.entity_id,
        "type": line.kind,
        "debit": line.debit,
        "credit": line.credit,
        "amount": line.amount,
        "currency": "INR",
        "fee": line.fee,
        "tax": line.tax,
        "on_hold": False,
        "settled": True,
        "created_at": line.created_at,
        "settled_at": settlement.created_at,
        "settlement_id": settlement.id,
        "posted_at": None,
        **({} if is_adjustment else {"credit_type": "default"}),
        "description": line.description,
        "notes": None if is_adjustment else _notes(books, line),
        "payment_id": line.payment_id,
        "settlement_utr": None if is_adjustment else settlement.utr,
        **(NOT_PAID if is_adjustment else _how_it_was_paid(books, line)),
        "dispute_id": line.dispute_id,
    }


def _notes(books: LiveBooks, line: Line) -> str:
    """A JSON text here, and an object where there are none."""
    records = books.refunds.all if line.kind == "refund" else books.payments
    return json.dumps(records[line.entity_id].notes)


def _how_it_was_paid(books: LiveBooks, line: Line) -> Json:
    payment = books.payments[line.payment_id or line.entity_id]
    card = payment.instrument.card
    return {
        "order_id": payment.order_id,
        "order_receipt": books.orders[payment.order_id].receipt,
        "method": payment.instrument.method,
        "card_network": card.network if card else None,
        "card_issuer": None,
        "card_type": "credit" if card else None,
    }
