"""cashfree_pg 6.0.1 against the simulator: refunds, settlements, reports, disputes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cashfree_words import (
    DAY,
    Answers,
    assert_same_shape,
    cf,
    exceptions,
    fixture,
    kind_of,
    order_request,
    refund_request,
    settings,
)
from conftest import Json, Simulator

pytest_plugins = ("cashfree_sdk",)

# ── refunds ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refund_is_made_once_and_found(client: Any, paid: Any, raw: Answers) -> None:
    made = client.PGOrderCreateRefund("order_1", refund_request(), x_idempotency_key="k-2")
    assert (made.data.refund_status, made.data.refund_amount) == ("SUCCESS", 70)
    again = client.PGOrderCreateRefund("order_1", refund_request(), x_idempotency_key="k-2")
    assert (again.data, again.headers["x-idempotency-replayed"]) == (made.data, "true")
    assert client.PGOrderCreateRefund("order_1", refund_request()).data == made.data
    assert client.PGOrderFetchRefund("order_1", "refund_1").data == made.data
    assert client.PGOrderFetchRefunds("order_1").data == [made.data]
    [told] = raw("GET", "/orders/order_1/refunds").json
    assert set(told.pop("refund_speed")) == {"requested", "accepted", "processed", "message"}
    assert_same_shape(told, fixture("api/refunds.list.response")[0])


def test_a_refund_takes_days_by_the_clock(simulator: Simulator, client: Any, paid: Any) -> None:
    client.PGOrderCreateRefund("order_1", refund_request(refund_note="PENDING"))
    simulator.advance(3 * DAY)
    assert client.PGOrderFetchRefund("order_1", "refund_1").data.refund_status == "PENDING"
    simulator.advance(3 * DAY)
    assert client.PGOrderFetchRefund("order_1", "refund_1").data.refund_status == "SUCCESS"


def test_a_held_refund_is_cancelled_by_the_merchant(simulator: Simulator, client: Any, paid: Any) -> None:
    settings(simulator, refund_outcome="ONHOLD")
    assert client.PGOrderCreateRefund("order_1", refund_request()).data.refund_status == "ONHOLD"
    change = cf.OrderUpdateRefundRequest(refund_status="CANCELLED", remarks="Changed my mind")
    assert client.PGOrderUpdateRefund("order_1", "refund_1", change).data.refund_status == "CANCELLED"


def test_a_failed_refund_is_what_the_sdk_cannot_read(client: Any, paid: Any) -> None:
    with pytest.raises(ValueError, match="refund_status"):
        client.PGOrderCreateRefund("order_1", refund_request(refund_note="FAILED"))


# ── pre-authorisation ───────────────────────────────────────────────────────────────────────────────────────


def test_a_hold_is_captured_in_part(simulator: Simulator, client: Any, order: Any, raw: Answers) -> None:
    simulator.move("order_1", "authorize", method="card")
    [held] = client.PGOrderFetchPayments("order_1").data
    assert (held.payment_status, held.is_captured, held.authorization.action) == ("SUCCESS", False, None)
    request = cf.AuthorizeOrderRequest(action="CAPTURE", amount=70)
    captured = client.PGAuthorizeOrder("order_1", request).data
    assert (captured.is_captured, captured.authorization.captured_amount) == (True, 70)
    [told] = raw("GET", "/orders/order_1/payments").json
    sample = fixture("update-2026-11/api/payment.preauth.captured_partly.response")
    assert_same_shape(told["authorization"], sample["authorization"])
    with pytest.raises(exceptions.BadRequestException):
        client.PGAuthorizeOrder("order_1", request)


def test_a_hold_is_let_go(simulator: Simulator, client: Any, order: Any) -> None:
    simulator.move("order_1", "authorize")
    let_go = client.PGAuthorizeOrder("order_1", cf.AuthorizeOrderRequest(action="VOID")).data
    assert (let_go.payment_status, let_go.authorization.action) == ("VOID", "VOID")


# ── settlements and reports ─────────────────────────────────────────────────────────────────────────────────


def settlements_request(**more: Any) -> Any:
    pages = cf.FetchSettlementsRequestPagination(limit=more.pop("limit", 10), cursor=more.pop("cursor", None))
    return cf.FetchSettlementsRequest(pagination=pages, filters=cf.FetchSettlementsRequestFilters(**more))


def recon_request(limit: int = 10, cursor: str | None = None) -> Any:
    now = datetime.now(UTC)
    times = [(now + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (-1, 30)]
    return cf.FetchReconRequest(
        pagination=cf.FetchReconRequestPagination(limit=limit, cursor=cursor),
        filters=cf.FetchReconRequestFilters(start_date=times[0], end_date=times[1]),
    )


def test_money_is_at_the_bank_after_some_days(
    simulator: Simulator, client: Any, paid: Any, raw: Answers
) -> None:
    with pytest.raises(exceptions.NotFoundException):
        client.PGOrderFetchSettlement("order_1")
    simulator.advance(3 * DAY)
    settled = client.PGOrderFetchSettlement("order_1").data
    assert (settled.service_charge, settled.service_tax, settled.settlement_amount) == (3.4, 0.61, 165.99)
    told = raw("GET", "/orders/order_1/settlements").json
    assert_same_shape(told, fixture("api/settlement_by_order.response"))


def test_settlements_are_listed_by_id_utr_and_time_page_by_page(
    simulator: Simulator, client: Any, paid: Any
) -> None:
    """The SDK takes the list for one settlement, so its bytes are read."""
    simulator.control("POST", "settle")
    client.PGCreateOrder(order_request("order_2"))
    simulator.move("order_2", "success")
    simulator.control("POST", "settle")

    def listed(**more: Any) -> Json:
        return json.loads(
            client.PGFetchSettlements(settlements_request(**more), _preload_content=False).raw_data
        )

    first = listed(limit=1)
    second = listed(limit=1, cursor=first["cursor"])
    [one], [two] = first["data"], second["data"]
    assert (one["status"], one["amount_settled"], second["cursor"]) == ("SUCCESS", 165.99, None)
    assert listed(cf_settlement_ids=[two["cf_settlement_id"]])["data"] == [two]
    assert listed(settlement_utrs=[one["utr"]])["data"] == [one]
    assert listed(start_date="2020-01-01T00:00:00Z", end_date="2020-01-02T00:00:00Z")["data"] == []


def test_the_events_of_a_settlement_are_reported(
    simulator: Simulator, client: Any, paid: Any, raw: Answers
) -> None:
    client.PGOrderCreateRefund("order_1", refund_request())
    simulator.control("POST", "settle")
    pages = {"limit": 1, "cursor": None}
    ids = {"settlement_utrs": [client.PGOrderFetchSettlement("order_1").data.transfer_utr]}
    request = cf.SettlementFetchReconRequest(pagination=pages, filters=ids)
    first = client.PGSettlementFetchRecon(request).data
    request.pagination.cursor = first.cursor
    second = client.PGSettlementFetchRecon(request).data
    payment, refund = first.data[0], second.data[0]
    assert (payment.event_details.event_type, payment.event_details.sale_type) == ("PAYMENT", "CREDIT")
    assert (refund.event_details.event_type, refund.refund_details.refund_id) == ("REFUND", "refund_1")
    assert (payment.payment_details.cf_payment_id, second.cursor) == (payment.event_details.event_id, None)
    number = int(payment.settlement_details.cf_settlement_id)
    by_id = cf.SettlementFetchReconRequest(pagination=pages, filters={"cf_settlement_ids": [number]})
    assert client.PGSettlementFetchRecon(by_id).data.data == first.data
    told = raw("POST", "/settlement/recon", {"pagination": {"limit": 10}})
    assert_same_shape(told.json, fixture("api/settlement_recon.sdk_safe.response"))


def test_all_events_are_reported_nested_or_flat(simulator: Simulator, client: Any, paid: Any) -> None:
    simulator.move("order_1", "dispute")
    simulator.move("order_1", "dispute", outcome="won")
    simulator.control("POST", "settle")
    rows, cursor = [], None
    while True:
        page = client.PGFetchRecon(recon_request(limit=2, cursor=cursor)).data
        rows += page.data
        cursor = page.cursor
        if cursor is None:
            break
    assert [(row.event_details.event_type, row.event_details.sale_type) for row in rows] == [
        ("PAYMENT", "CREDIT"),
        ("DISPUTE", "DEBIT"),
        ("DISPUTE_REVERSAL", "CREDIT"),
        ("SETTLEMENT", "CREDIT"),
    ]
    assert rows[0].order_details.order_id == "order_1"
    assert rows[3].event_details.event_amount == 165.99
    settings(simulator, recon_rows="flat")
    answer = client.PGFetchRecon(recon_request(), _preload_content=False)
    samples = fixture("api/recon.response")["data"]
    for row in json.loads(answer.raw_data)["data"]:
        sample = [one for one in samples if one["event_type"] == row["event_type"]]
        for name in set(row) & set().union(*sample):
            assert kind_of(row[name]) in {kind_of(one[name]) for one in sample if name in one}, name


def test_the_sandbox_simulates_a_settlement(simulator: Simulator, client: Any, paid: Any) -> None:
    request = cf.SimulateSettlementRequest(merchantOrderIds=["order_1"], status="FAILED")
    simulation = client.PGSimulateSettlement(request).data
    assert (simulation.entity, simulation.simulation_status) == ("SETTLEMENTS", "FAILED")
    assert client.PGFetchSettlementSimulation(simulation.simulation_id).data == simulation
    with pytest.raises(exceptions.NotFoundException):
        client.PGOrderFetchSettlement("order_1")
    request.status = "SUCCESS"
    [number] = client.PGSimulateSettlement(request).data.settlement_ids
    assert client.PGOrderFetchSettlement("order_1").data.cf_settlement_id == str(int(number))


# ── disputes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dispute_is_found_and_contested(simulator: Simulator, client: Any, paid: Any, raw: Answers) -> None:
    simulator.move("order_1", "dispute")
    [dispute] = client.PGFetchOrderDisputes("order_1").data
    assert (dispute.dispute_status, dispute.dispute_amount) == ("DISPUTE_CREATED", 170)
    assert client.PGFetchDisputeById(dispute.dispute_id).data == dispute
    payment_id = int(dispute.order_details.cf_payment_id)
    assert client.PGFetchPaymentDisputes(payment_id).data == [dispute]
    kind = "Delivery/Service Proof"
    [contested] = client.PGUploadDisputesDocuments(dispute.dispute_id, file="proof.pdf", doc_type=kind).data
    assert contested.dispute_status == "DISPUTE_DOCS_RECEIVED"
    assert contested.dispute_evidence[0].document_type == kind
    sample = fixture("api/dispute.response") | {"reason_code": "1401"}
    sample["order_details"]["cf_payment_id"] = sample["customer_details"]["customer_phone"] = "text"
    assert_same_shape(raw("GET", f"/disputes/{dispute.dispute_id}").json, sample)


def test_a_dispute_is_accepted(simulator: Simulator, client: Any, paid: Any) -> None:
    simulator.move("order_1", "dispute", outcome="chargeback")
    [dispute] = client.PGFetchOrderDisputes("order_1").data
    assert (
        client.PGAcceptDisputeById(dispute.dispute_id).data.dispute_status == "CHARGEBACK_MERCHANT_ACCEPTED"
    )
