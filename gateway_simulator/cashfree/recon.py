"""The rows of Cashfree's reports: events of the account, with all that is known of each.

Sources: cashfree_pg 6.0.1 (ReconEntity, SettlementReconEntity: nested, ids as texts, remarks as a number);
OpenAPI 2025-01-01, whose example of /recon is flat. The setting `recon_rows` chooses.
"""

import base64
import json
from typing import Any, TypeVar

from gateway_simulator.base import Json
from gateway_simulator.cashfree.disputes import Dispute
from gateway_simulator.cashfree.records import Payment
from gateway_simulator.cashfree.refusals import refusal
from gateway_simulator.cashfree.settlements import TRANSFER, Entry, Settlement
from gateway_simulator.cashfree.wire import CfId, Rupees, ist, ist_without_zone

FAVOURED = {"MERCHANT_WON": "MERCHANT", "MERCHANT_LOST": "CUSTOMER", "MERCHANT_ACCEPTED": "CUSTOMER"}
Row = TypeVar("Row")


def row(entry: Entry, method_name: str) -> Json:
    """`method_name`: /recon says payment_group where /settlement/recon says payment_mode."""
    payment = None if entry.event_type == TRANSFER else entry.payment
    return {
        "event_details": _event(entry),
        "order_details": _order(payment),
        "customer_details": _customer(payment),
        "payment_details": _payment(entry, payment, method_name),
        "settlement_details": _settlement(entry.settlement),
        "dispute_details": _dispute(entry.dispute),
        "refund_details": _refund(entry),
    }


def flat_row(entry: Entry) -> Json:
    """The same without its boxes, and without what is not known; the settlement's own fields are renamed."""
    told: Json = {}
    for name, box in row(entry, "payment_group").items():
        kept = {field: value for field, value in box.items() if value is not None}
        told |= {"settlement_utr" if field == "utr" else field: value for field, value in kept.items()}
        if name == "settlement_details" and entry.event_type != TRANSFER:
            told = {field: value for field, value in told.items() if field not in _OF_TRANSFERS}
    return told


_OF_TRANSFERS = ("payment_from", "payment_till", "settlement_type", "amount_settled", "adjustment")


def page(rows: list[tuple[int, Row]], limit: int, cursor: str | None) -> tuple[list[Row], str | None]:
    """The rows after the cursor, and the next cursor; None when there are no more."""
    after = 0 if cursor is None else _read_cursor(cursor)
    rest = [(number, one) for number, one in rows if number > after]
    more = len(rest) > limit
    return [one for _, one in rest[:limit]], _cursor(rest[limit - 1][0]) if more else None


def _cursor(number: int) -> str:
    told = {"searchAfter": {"list": [number], "empty": False}, "reconAPIType": "LEDGER"}
    return base64.b64encode(json.dumps(told, separators=(",", ":")).encode()).decode()


def _read_cursor(cursor: str) -> int:
    try:
        number = json.loads(base64.b64decode(cursor, validate=True))["searchAfter"]["list"][0]
    except (ValueError, LookupError, TypeError):
        number = None
    if not isinstance(number, int):
        raise refusal("cursor : invalid value", "cursor_invalid")
    return number


def _event(entry: Entry) -> Json:
    return {
        "event_id": entry.event_id,
        "event_type": entry.event_type,
        "event_settlement_amount": Rupees(abs(entry.net)),
        "event_amount": Rupees(entry.amount),
        "sale_type": entry.sale_type,
        "event_status": "SUCCESS",
        "entity": "recon",
        "event_time": ist(entry.at),
        "event_currency": "INR",
        "event_service_charge": Rupees(entry.charge),
        "event_service_tax": Rupees(entry.tax),
        "event_remarks": None,
    }


def _order(payment: Payment | None) -> Json:
    if payment is None:
        return dict.fromkeys(("order_id", "order_amount", "order_currency", "order_tags"))
    order = payment.order
    told = {"order_amount": Rupees(order.amount), "order_currency": order.currency}
    return {"order_id": order.id, **told, "order_tags": order.tags}


def _customer(payment: Payment | None) -> Json:
    names = ("customer_phone", "customer_email", "customer_name", "customer_id")
    banks = ("customer_bank_account_number", "customer_bank_code", "customer_bank_ifsc")
    customer = payment.order.customer if payment else {}
    return {name: customer.get(name) for name in (*names, *banks)}


def _payment(entry: Entry, payment: Payment | None, method_name: str) -> Json:
    told: dict[str, Any] = {
        "payment_amount": Rupees(payment.amount) if payment else None,
        "payment_currency": payment.order.currency if payment else None,
        "bank_reference": payment.bank_reference if payment else None,
        "payment_time": ist(payment.created_at) if payment else None,
        method_name: payment.instrument.group.upper() if payment else None,
        "payment_service_charge": Rupees(entry.charge) if payment else None,
        "payment_service_tax": Rupees(entry.tax) if payment else None,
        "cf_payment_id": CfId(payment.id) if payment else None,
        "status": payment.status if payment else None,
        "forex_conversion_handling_charge": None,
        "forex_conversion_handling_tax": None,
        "charges_currency": payment.order.currency if payment else None,
    }
    return told


def _settlement(settlement: Settlement | None) -> Json:
    told = settlement.told() if settlement else {}
    return {
        "cf_settlement_id": CfId(settlement.id) if settlement else None,
        "settlement_date": told.get("settled_on"),
        "utr": told.get("utr"),
        "split_service_charge": Rupees(0) if settlement else None,
        "split_service_tax": Rupees(0) if settlement else None,
        "vendor_commission": Rupees(0) if settlement else None,
        **{
            name: told.get(name)
            for name in (
                "adjustment",
                "amount_settled",
                "payment_from",
                "payment_till",
                "reason",
                "remarks",
                "service_charge",
                "service_tax",
                "settlement_charge",
                "settlement_initiated_on",
                "settlement_tax",
                "settlement_type",
            )
        },
    }


def _dispute(dispute: Dispute | None) -> Json:
    resolved_at = dispute.resolved_at if dispute else None
    resolved = ist_without_zone(resolved_at) if resolved_at else None
    return {
        "closed_in_favor_of": FAVOURED.get(dispute.stage) if dispute else None,
        "dispute_category": "1402-Duplicate Processing" if dispute else None,
        "dispute_note": dispute.status if dispute else None,
        "dispute_resolved_on": resolved,
        "resolved_on": resolved,
    }


def _refund(entry: Entry) -> Json:
    refund = entry.refund
    return {
        "refund_arn": refund.arn if refund else None,
        "refund_id": refund.id if refund else None,
        "refund_note": refund.note if refund else None,
        "refund_processed_at": ist(refund.processed_at) if refund and refund.processed_at else None,
    }
