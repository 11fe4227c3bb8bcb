"""razorpay 2.0.1 against the simulator: nothing of the SDK is patched but the address, by its own option."""

import base64
import json
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import pytest
import razorpay
import razorpay.resources
import requests
from conftest import Answer, Coverage, Json, Simulator, call
from razorpay.errors import BadRequestError, ServerError, SignatureVerificationError
from razorpay_samples import differences, sample

KEY_ID = "rzp_test_simulator"
KEY_SECRET = "simulator_razorpay_key_secret"
WEBHOOK_SECRET = "simulator_razorpay_webhook_secret"
OLD_WEBHOOK_SECRET = "simulator_razorpay_old_webhook_secret"
API = f"{os.environ['SIMULATOR_URL']}/razorpay"
DAY = 24 * 3600
MANUAL = {"payment": {"capture": "manual"}}

# Every resource has these; they are how the SDK talks, and `delete` posts to an address that no API has.
PLUMBING = ("get_url", "patch_url", "post_url", "put_url", "delete_url", "file_url", "delete")
RESOURCES = {
    # Magic Checkout's fulfilment and returns
    "order": (razorpay.resources.Order, ("viewRtoReview", "editFulfillment")),
    "payment": (
        razorpay.resources.Payment,
        (
            # Route (split payments) and Smart Collect (virtual accounts)
            *("transfer", "transfers", "bank_transfer", "upi_transfer"),
            # server-to-server payments, for merchants who handle cards themselves; subscriptions
            *("createPaymentJson", "createUpi", "createRecurring", "validateVpa"),
            *("otpGenerate", "otpSubmit", "otpResend"),
        ),
    ),
    "refund": (razorpay.resources.Refund, ()),
    # instant settlements, which a merchant asks for and pays for one by one
    "settlement": (
        razorpay.resources.Settlement,
        ("create_ondemand_settlement", "fetch_all_ondemand_settlement", "fetch_ondemand_settlement_id"),
    ),
    "dispute": (razorpay.resources.Dispute, ()),
    "payment_link": (razorpay.resources.PaymentLink, ()),
    # deleting is only for partners' sub-merchants, in /v2
    "webhook": (razorpay.resources.Webhook, ()),
}
# subscriptions; and a comparison for Python 2
NOT_OUR_UTILITY = ("verify_subscription_payment_signature", "compare_string")


@pytest.fixture(scope="session", autouse=True)
def watched(coverage: Coverage) -> None:
    for name, (resource, left_out) in RESOURCES.items():
        coverage.watch(resource, name, (*PLUMBING, *left_out))
    coverage.watch(razorpay.utility.Utility, "utility", NOT_OUR_UTILITY)


@pytest.fixture(scope="session")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


@pytest.fixture
def client(simulator: Simulator, session: requests.Session) -> razorpay.Client:
    return razorpay.Client(session=session, auth=(KEY_ID, KEY_SECRET), base_url=API)


@pytest.fixture
def new_order(client: razorpay.Client) -> Callable[..., Json]:
    def create(amount: int = 50000, **more: Any) -> Json:
        order: Json = client.order.create({"amount": amount, "currency": "INR", **more})
        return order

    return create


@pytest.fixture
def pay(simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]) -> Callable[..., Json]:
    """An order's payment, made by one of the control plane's verbs."""

    def run(verb: str = "success", method: str = "upi", **order: Any) -> Json:
        order_id = new_order(**order)["id"]
        simulator.move(order_id, verb, method=method)
        payment: Json = client.order.payments(order_id)["items"][0]
        return payment

    return run


def raw(
    method: str, path: str, body: Any = None, key: str = KEY_ID, secret: str = KEY_SECRET, **headers: str
) -> Answer:
    """What the SDK hides: status and whole body."""
    basic = base64.b64encode(f"{key}:{secret}".encode()).decode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(method, f"{API}/v1{path}", body, {"Authorization": f"Basic {basic}", **names})


def settings(simulator: Simulator, **changes: Any) -> None:
    simulator.control("POST", "settings", {"razorpay": changes})


def in_india(moment: int) -> tuple[int, int, int]:
    date = datetime.fromtimestamp(moment, timezone(timedelta(hours=5, minutes=30)))
    return date.year, date.month, date.day


def statuses(collection: Json) -> list[str]:
    return [item["status"] for item in collection["items"]]


# Orders


def test_an_order_is_created_as_documented(client: razorpay.Client) -> None:
    asked = sample("api/order.create.request")
    order = client.order.create(asked)
    assert differences(order, sample("api/order.create.response")) == []
    assert list(order) == list(sample("api/order.create.response"))
    assert (order["amount"], order["amount_due"], order["amount_paid"]) == (50000, 50000, 0)
    assert (order["status"], order["attempts"], order["receipt"]) == ("created", 0, asked["receipt"])
    assert order["notes"] == asked["notes"]
    assert client.order.create({"amount": 100, "currency": "INR"})["notes"] == []
    assert (order["id"][:6], len(order["id"])) == ("order_", 20)
    assert client.order.fetch(order["id"]) == order


def test_capture_settings_are_taken_as_documented(client: razorpay.Client) -> None:
    order = client.order.create(sample("api/order.create.capture_settings.request"))
    assert (order["receipt"], order["status"]) == ("rcptid_11", "created")


def test_orders_are_listed_in_pages_and_by_filters(
    client: razorpay.Client, simulator: Simulator, new_order: Callable[..., Json]
) -> None:
    early = [new_order(receipt=f"early-{number}")["id"] for number in range(12)][::-1]
    simulator.advance(1000)
    late = new_order(receipt="late", **MANUAL)
    simulator.move(late["id"], "success")
    assert [item["id"] for item in client.order.all({"skip": 1})["items"]] == early[:10]
    assert client.order.all({"count": 100})["count"] == 13
    assert [item["id"] for item in client.order.all({"receipt": "early-11"})["items"]] == early[:1]
    assert [item["id"] for item in client.order.all({"from": late["created_at"]})["items"]] == [late["id"]]
    assert client.order.all({"to": late["created_at"] - 500, "count": 100})["count"] == 12
    [held] = client.order.all({"authorized": 1, "expand[]": "payments"})["items"]
    assert (held["id"], statuses(held["payments"])) == (late["id"], ["authorized"])


def test_an_orders_notes_can_be_edited(client: razorpay.Client, new_order: Callable[..., Json]) -> None:
    order = new_order()
    edited = client.order.edit(order["id"], {"notes": {"k": "v"}})
    assert edited == {**order, "notes": {"k": "v"}}


def test_the_attempts_of_an_order_are_all_there(
    client: razorpay.Client, simulator: Simulator, new_order: Callable[..., Json]
) -> None:
    order_id = new_order()["id"]
    simulator.move(order_id, "failure", method="card")
    assert client.order.fetch(order_id)["status"] == "attempted"
    simulator.move(order_id, "success")
    payments = client.order.payments(order_id)
    assert differences(payments, sample("api/order.payments.response")) == []
    assert sorted(statuses(payments)) == ["captured", "failed"]
    paid = client.order.fetch(order_id)
    assert differences(paid, sample("api/order.fetch.paid.response")) == []
    assert (paid["status"], paid["attempts"], paid["amount_due"]) == ("paid", 2, 0)


def test_the_old_names_of_lists_still_work(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment = pay()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert client.order.fetch_all()["count"] == 1
        assert client.order.fetch_all_payments(payment["order_id"])["count"] == 1
        assert client.payment.fetch_all()["items"] == [payment]
        assert client.refund.fetch_all()["count"] == 0
        assert client.payment_link.fetch_all()["payment_links"] == []


# Payments


@pytest.mark.parametrize("method", ["upi", "card", "netbanking", "wallet"])
@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("success", "api/payment.fetch.captured.response"),
        ("authorize", "api/payment.fetch.authorized.response"),
        ("failure", "api/payment.fetch.failed.response"),
    ],
)
def test_a_payment_has_the_documented_fields(
    client: razorpay.Client, pay: Callable[..., Json], verb: str, name: str, method: str
) -> None:
    payment = pay(verb, method)
    assert (payment["method"], payment["id"][:4], len(payment["id"])) == (method, "pay_", 18)
    # the sample of an authorized payment is of a customer without a telephone
    missing = [one for one in differences(payment, sample(name)) if ".contact" not in one]
    assert [one for one in missing if "error_" not in one] == []
    assert (payment["captured"], payment["status"]) == {
        "success": (True, "captured"),
        "authorize": (False, "authorized"),
        "failure": (False, "failed"),
    }[verb]


def test_fee_and_gst_are_whole_paise_of_the_amount(pay: Callable[..., Json]) -> None:
    captured = pay()
    assert (captured["amount"], captured["fee"], captured["tax"]) == (50000, 1180, 180)
    assert pay("authorize")["fee"] is None


def test_payments_are_listed_fetched_and_edited(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payments = [pay() for _ in range(3)][::-1]
    assert client.payment.all() == {"entity": "collection", "count": 3, "items": payments}
    assert client.payment.all({"count": 1, "skip": 1})["items"] == payments[1:2]
    assert client.payment.fetch(payments[0]["id"]) == payments[0]
    edited = client.payment.edit(payments[0]["id"], {"notes": {"k": "v"}})
    assert edited["notes"] == {"k": "v"}


def test_a_card_can_be_looked_at(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    card = client.payment.fetchCardDetails(pay(method="card")["id"])
    assert (card["entity"], card["last4"], card["network"]) == ("card", "1111", "Visa")
    with pytest.raises(BadRequestError):
        client.payment.fetchCardDetails(pay(method="upi")["id"])


def test_downtimes_are_listed(
    client: razorpay.Client, simulator: Simulator, new_order: Callable[..., Json]
) -> None:
    simulator.send_event(new_order()["id"], "payment.downtime.started")
    [downtime] = client.payment.fetchDownTime()["items"]
    expected = sample("webhooks/payment.downtime.started")["payload"]["payment.downtime"]["entity"]
    assert differences(downtime, expected) == []
    assert client.payment.fetchDownTimeById(downtime["id"]) == downtime


def test_the_sdk_asks_for_methods_where_only_the_edge_answers(client: razorpay.Client) -> None:
    """Its path lacks /v1; the real edge's answer has no `error`, of which the SDK makes this."""
    with pytest.raises(ServerError) as caught:
        client.payment.fetchPaymentMethods()
    assert str(caught.value) == ""
    edge = call("GET", f"{API}/methods")
    assert (edge.status, edge.json) == (404, {"message": "no Route matched with those values"})
    assert raw("GET", "/methods").json["entity"] == "methods"


def test_a_payment_is_captured_once_and_whole(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    held = pay(**MANUAL)
    assert (held["status"], held["captured"], held["fee"]) == ("authorized", False, None)
    captured = client.payment.capture(held["id"], 50000, {"currency": "INR"})
    assert differences(captured, sample("api/payment.capture.response")) == []
    assert (captured["id"], captured["status"], captured["captured"]) == (held["id"], "captured", True)
    assert client.order.fetch(held["order_id"])["status"] == "paid"


# Refunds


def test_a_refund_is_made_as_documented(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment, asked = pay(), sample("api/refund.create.normal.request")
    refund = client.payment.refund(payment["id"], asked)
    assert differences(refund, sample("api/refund.create.normal.response")) == []
    assert refund["amount"] == int(asked["amount"])
    assert (refund["notes"], refund["receipt"]) == (asked["notes"], asked["receipt"])
    assert (refund["id"][:5], len(refund["id"]), refund["payment_id"]) == ("rfnd_", 19, payment["id"])
    assert (refund["status"], refund["speed_processed"]) == ("processed", "normal")
    after = client.payment.fetch(payment["id"])
    assert (after["amount_refunded"], after["refund_status"], after["status"]) == (100, "partial", "captured")


def test_an_instant_refund_is_made_as_documented(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    refund = client.payment.refund(pay()["id"], sample("api/refund.create.instant.request"))
    assert differences(refund, sample("api/refund.create.instant.response")) == []
    assert (refund["speed_requested"], refund["speed_processed"]) == ("optimum", "instant")


def test_a_full_refund_leaves_the_order_paid(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment = pay()
    assert client.payment.refund(payment["id"], {})["amount"] == 50000
    after = client.payment.fetch(payment["id"])
    assert (after["status"], after["refund_status"], after["captured"]) == ("refunded", "full", True)
    assert client.order.fetch(payment["order_id"])["status"] == "paid"


def test_refunds_are_found_listed_and_edited(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment = pay()
    first = client.payment.refund(payment["id"], {"amount": 100})
    second = client.refund.create({"payment_id": payment["id"], "amount": 200})
    of_payment = client.payment.fetch_multiple_refund(payment["id"])
    assert differences(of_payment, sample("api/payment.refunds.response")) == []
    assert of_payment["items"] == [second, first]
    assert client.payment.fetch_multiple_refund(payment["id"], {"count": 1})["items"] == [second]
    assert client.payment.fetch_refund_id(payment["id"], first["id"]) == first
    assert client.refund.all()["items"] == [second, first]
    assert client.refund.fetch(second["id"]) == second
    assert client.refund.edit(first["id"], {"notes": {"k": "v"}})["notes"] == {"k": "v"}


def test_a_refunds_key_makes_asking_twice_harmless(client: razorpay.Client, pay: Callable[..., Json]) -> None:
    payment_id = pay()["id"]

    def refund(amount: int) -> Json:
        # a new dict each time: the SDK writes into the one it is given
        key = {"X-Refund-Idempotency": "refund-0001"}
        refunded: Json = client.payment.refund(payment_id, {"amount": amount}, headers=key)
        return refunded

    first = refund(100)
    assert refund(100) == first
    with pytest.raises(BadRequestError, match="same idempotency key has already been processed"):
        refund(200)
    assert client.payment.fetch(payment_id)["amount_refunded"] == 100


def test_a_refund_whose_key_is_still_in_use_is_refused_with_409(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    path, body = f"/payments/{pay()['id']}/refund", {"amount": 100}
    simulator.fault("razorpay", "refund", "slow", seconds=0.7)
    first: list[Answer] = []
    running = threading.Thread(
        target=lambda: first.append(raw("POST", path, body, X_Refund_Idempotency="refund-0001"))
    )
    running.start()
    while simulator.control("GET", "faults")["faults"][0]["remaining"]:
        pass
    second = raw("POST", path, body, X_Refund_Idempotency="refund-0001")
    running.join()
    expected = sample("errors/refund_idempotency_in_progress")
    assert (second.status, second.json) == (expected["http_status"], expected["body"])
    assert first[0].status == 200
    assert client.refund.all()["count"] == 1


def test_refunds_take_their_time_when_asked_to(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    settings(simulator, refund_outcome="processed_later", refund_minutes=90)
    kept = client.payment.refund(pay()["id"], {"amount": 100})
    settings(simulator, refund_outcome="failed_later")
    payment = pay()
    lost = client.payment.refund(payment["id"], {})
    assert (kept["status"], lost["status"], kept["acquirer_data"]) == ("pending", "pending", {"arn": None})
    simulator.advance(89 * 60)
    assert client.refund.fetch(kept["id"])["status"] == "pending"
    simulator.advance(2 * 60)
    assert client.refund.fetch(kept["id"])["status"] == "processed"
    assert client.refund.fetch(lost["id"])["status"] == "failed"
    after = client.payment.fetch(payment["id"])
    assert (after["status"], after["amount_refunded"], after["refund_status"]) == ("captured", 0, None)


# Settlements and disputes


def test_what_was_captured_is_settled_two_working_days_later(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    first, second = pay(method="card"), pay(amount=10000)
    refund = client.payment.refund(first["id"], {"amount": 20000})
    assert client.settlement.all()["count"] == 0
    simulator.advance(5 * DAY)
    [settlement] = client.settlement.all()["items"]
    assert differences(settlement, sample("api/settlement.fetch.response")) == []
    assert (settlement["id"][:5], len(settlement["id"])) == ("setl_", 19)
    assert (settlement["fees"], settlement["tax"]) == (1180 + 236, 180 + 36)
    assert settlement["amount"] == 50000 + 10000 - 1180 - 236 - refund["amount"]
    assert client.settlement.fetch(settlement["id"]) == settlement
    assert 2 * DAY - 9 * 3600 < settlement["created_at"] - first["created_at"] < 5 * DAY
    assert second["status"] == "captured"


def test_the_report_tells_what_a_settlement_is_made_of(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    payment = pay(method="card", receipt="ours-1", notes={"k": "v"})
    refund = client.payment.refund(payment["id"], {"amount": 20000})
    lost = pay()
    simulator.move(lost["order_id"], "dispute", amountPaise=5000)
    simulator.move(lost["order_id"], "dispute", outcome="lost")
    simulator.control("POST", "settle")
    [settlement] = client.settlement.all()["items"]
    year, month, day = in_india(settlement["created_at"])
    report = client.settlement.report({"year": year, "month": month, "day": day, "count": 100})
    rows = {row["entity_id"]: row for row in report["items"]}
    samples = {row["type"]: row for row in sample("api/settlement.recon_combined.response")["items"]}
    for row in rows.values():
        assert differences(row, samples[row["type"]]) == []
        assert list(row) == list(samples[row["type"]])
        assert row["settlement_id"] == settlement["id"]
    assert sum(row["credit"] - row["debit"] for row in rows.values()) == settlement["amount"]
    paid = rows[payment["id"]]
    assert (paid["credit"], paid["fee"], paid["tax"], paid["payment_id"]) == (48820, 1180, 180, None)
    assert (paid["order_receipt"], paid["settlement_utr"]) == ("ours-1", settlement["utr"])
    assert (rows[refund["id"]]["debit"], rows[refund["id"]]["payment_id"]) == (20000, payment["id"])
    assert [row["debit"] for row in rows.values() if row["type"] == "adjustment"] == [5000]
    assert client.settlement.report({"year": year, "month": month, "count": 1})["count"] == 1
    assert client.settlement.report({"year": year - 1, "month": month})["count"] == 0


@pytest.fixture
def disputed(simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]) -> Json:
    simulator.move(pay()["order_id"], "dispute")
    [dispute] = client.dispute.all()["items"]
    return dict(dispute)


def test_a_dispute_is_as_documented(client: razorpay.Client, disputed: Json) -> None:
    assert differences(disputed, sample("api/dispute.fetch_all.response")["items"][0]) == []
    assert (disputed["status"], disputed["amount_deducted"]) == ("open", 0)
    assert client.dispute.fetch(disputed["id"]) == disputed


def test_a_dispute_is_accepted(client: razorpay.Client, disputed: Json) -> None:
    lost = client.dispute.accept(disputed["id"])
    assert (lost["status"], lost["amount_deducted"]) == ("lost", 50000)
    with pytest.raises(BadRequestError):
        client.dispute.accept(disputed["id"])


def test_a_dispute_is_contested_first_as_a_draft(client: razorpay.Client, disputed: Json) -> None:
    others = [{"type": "receipt_signed_by_customer", "document_ids": ["doc_EFtmUsbwpXwBH1"]}]
    draft = {"amount": 5000, "summary": "goods delivered", "others": others, "action": "draft"}
    kept = client.dispute.contest(disputed["id"], {**draft, "shipping_proof": ["doc_EFtmUsbwpXwBH9"]})
    assert (kept["status"], kept["evidence"]["amount"], kept["evidence"]["submitted_at"]) == (
        "open",
        5000,
        None,
    )
    sent = client.dispute.contest(disputed["id"], {"billing_proof": ["doc_1"], "action": "submit"})
    assert (sent["status"], sent["evidence"]["summary"]) == ("under_review", "goods delivered")
    assert sent["evidence"]["others"] == others
    assert isinstance(sent["evidence"]["submitted_at"], int)


def test_a_dispute_that_nobody_answers_is_lost(
    simulator: Simulator, client: razorpay.Client, disputed: Json
) -> None:
    simulator.advance(disputed["respond_by"] - disputed["created_at"])
    assert client.dispute.fetch(disputed["id"])["status"] == "lost"


# Payment links


@pytest.fixture
def link(client: razorpay.Client) -> Json:
    asked = {**sample("api/payment_link.create.request"), "reference_id": "TS1989"}
    made: Json = client.payment_link.create(asked)
    return made


def order_of(simulator: Simulator, link: Json) -> str:
    orders = simulator.control("GET", "orders")["orders"]
    return next(str(order["orderId"]) for order in orders if order["reference"] == link["id"])


def test_a_payment_link_is_made_paid_and_brings_back_a_signature(
    simulator: Simulator, client: razorpay.Client, link: Json
) -> None:
    expected = sample("api/payment_link.fetch.paid.response")
    assert (link["id"][:6], len(link["id"]), link["status"]) == ("plink_", 20, "created")
    assert [one for one in differences(link, expected) if "order_id" not in one] == []
    order_id = order_of(simulator, link)
    attempt = {"key": KEY_ID, "order_id": order_id, "method": "upi", "vpa": "success@razorpay"}
    fields = call("POST", f"{API}/pay/attempts", attempt).json["fields"]
    paid = client.payment_link.fetch(link["id"])
    assert differences(paid, expected) == []
    assert (paid["status"], paid["amount_paid"], paid["payments"][0]["status"]) == ("paid", 500, "captured")
    assert set(fields) == set(sample("checkout/payment_link.callback.query"))
    # the SDK's own names for what it checks lack the prefix, and with the callback's own it says False
    assert client.utility.verify_payment_link_signature(dict(fields)) is False
    named = {name.replace("razorpay_payment_link", "payment_link"): text for name, text in fields.items()}
    assert client.utility.verify_payment_link_signature(named) is True
    with pytest.raises(SignatureVerificationError):
        client.utility.verify_payment_link_signature({**named, "payment_link_status": "expired"})


def test_payment_links_are_found_edited_and_cancelled(client: razorpay.Client, link: Json) -> None:
    other = client.payment_link.create({"amount": 1000})
    assert client.payment_link.all()["payment_links"] == [other, link]
    assert client.payment_link.all({"reference_id": "TS1989"})["payment_links"] == [link]
    edited = client.payment_link.edit(link["id"], {"reference_id": "TS35", "notes": {"k": "v"}})
    assert (edited["reference_id"], edited["notes"]) == ("TS35", {"k": "v"})
    assert client.payment_link.notifyBy(link["id"], "sms") == {"success": True}
    assert client.payment_link.cancel(link["id"])["status"] == "cancelled"
    with pytest.raises(BadRequestError):
        client.payment_link.cancel(link["id"])


def test_a_payment_link_expires(simulator: Simulator, client: razorpay.Client) -> None:
    now = int(simulator.control("GET", "health")["now"])
    link = client.payment_link.create({"amount": 1000, "expire_by": now + 3600})
    simulator.advance(3601)
    assert client.payment_link.fetch(link["id"])["status"] == "expired"


# Webhook addresses


def test_a_webhook_can_be_registered_and_gets_its_events(
    simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    asked = {**sample("api/webhook.create.request"), "url": "http://127.0.0.1:9/mine"}
    hook = client.webhook.create(asked)
    expected = sample("api/webhook.create.response")
    assert {name for name in hook if name not in expected} == set()
    assert hook["events"] == dict.fromkeys(asked["events"], True)
    assert client.webhook.all() == {"count": 1, "items": [hook]}
    assert client.webhook.fetch(hook["id"], None) == hook
    order_id = new_order()["id"]
    simulator.move(order_id, "success")
    sent = [one for one in simulator.webhooks(order_id) if one["url"] == asked["url"]]
    assert {one["event"] for one in sent} == {"payment.authorized", "payment.captured"}
    assert all(verifies(client, one, asked["secret"]) for one in sent)
    edited = client.webhook.edit(hook["id"], None, {"active": False, "events": {"order.paid": True}})
    assert (edited["active"], edited["events"]) == (False, {"order.paid": True})


# The browser's signature


def test_what_the_browser_brings_is_signed_over_order_and_payment(
    client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    attempt = {"key": KEY_ID, "order_id": new_order()["id"], "method": "upi", "vpa": "success@razorpay"}
    fields = call("POST", f"{API}/pay/attempts", attempt).json["fields"]
    assert set(fields) == set(sample("checkout/handler.success"))
    assert client.utility.verify_payment_signature(fields) is True
    for name, text in fields.items():
        for changed in (text[:-1] + ("0" if text[-1] != "0" else "1"), text.upper(), ""):
            with pytest.raises(SignatureVerificationError):
                client.utility.verify_payment_signature({**fields, name: changed})


def test_a_failure_in_the_browser_is_as_documented(new_order: Callable[..., Json]) -> None:
    card = {"card_number": "4111111111111111", "card_expiry": "12/39", "card_cvv": "123"}
    attempt = {"key": KEY_ID, "order_id": new_order()["id"], "method": "card", **card}
    shown = call("POST", f"{API}/pay/attempts", attempt).json
    failed = call("POST", f"{API}/pay/attempts/{shown['payment_id']}", {"otp": "12"}).json
    expected = sample("checkout/payment.failed.event")
    assert differences({"error": failed["error"]}, expected) == []
    assert {**failed["error"], "metadata": 0} == {**expected["error"], "metadata": 0}


# Refusals

NOBODY = "pay_nobodyknows001"


@pytest.mark.parametrize(
    ("name", "method", "path", "body"),
    [
        ("order_amount_below_minimum", "POST", "/orders", {"amount": 99, "currency": "INR"}),
        ("count_too_large", "GET", "/orders?count=101", None),
        ("count_too_large", "GET", "/settlements?count=101", None),
        ("id_does_not_exist", "GET", "/orders/order_nobodyknows1", None),
        ("id_does_not_exist", "GET", f"/payments/{NOBODY}", None),
        ("id_does_not_exist", "POST", f"/payments/{NOBODY}/capture", {"amount": 100, "currency": "INR"}),
        ("id_does_not_exist", "POST", f"/payments/{NOBODY}/refund", {"amount": 100}),
        ("id_does_not_exist", "GET", "/refunds/rfnd_nobodyknows1", None),
        ("id_does_not_exist", "GET", "/settlements/setl_nobodyknows1", None),
        ("id_does_not_exist", "GET", "/disputes/disp_nobodyknows1", None),
        ("id_does_not_exist", "GET", "/payment_links/plink_nobodyknows", None),
        ("url_not_found", "GET", "/nowhere", None),
        ("url_not_found", "DELETE", "/orders", None),
        (
            "capture_order_already_paid",
            "POST",
            "/payments/{captured}/capture",
            {"amount": 50000, "currency": "INR"},
        ),
        ("capture_amount_mismatch", "POST", "/payments/{held}/capture", {"amount": 49999, "currency": "INR"}),
        (
            "capture_amount_not_integer",
            "POST",
            "/payments/{held}/capture",
            {"amount": {"amount": 50000}, "currency": "INR"},
        ),
        ("refund_exceeds_captured", "POST", "/payments/{captured}/refund", {"amount": 50001}),
        ("refund_already_full", "POST", "/payments/{refunded}/refund", {"amount": 100}),
        ("order_amount_below_minimum", "POST", "/payments/{captured}/refund", {"amount": 99}),
        ("refund_extra_field", "POST", "/payments/{captured}/refund", {"foo": 1}),
    ],
)
def test_a_refusal_has_the_recorded_status_and_body(
    client: razorpay.Client, pay: Callable[..., Json], name: str, method: str, path: str, body: Any
) -> None:
    payments = {"captured": pay()["id"], "held": pay(**MANUAL)["id"], "refunded": pay()["id"]}
    client.payment.refund(payments["refunded"], {})
    answer, expected = raw(method, path.format(**payments), body), sample(f"errors/{name}")
    assert (answer.status, answer.json) == (expected["http_status"], expected["body"])
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("key", "secret", "name"),
    [
        (KEY_ID, "wrong", "auth_failed"),
        (KEY_ID, "", "auth_failed"),
        ("rzp_test_other", KEY_SECRET, "api_key_invalid"),
    ],
)
def test_wrong_keys_are_refused_with_401(
    simulator: Simulator, session: requests.Session, key: str, secret: str, name: str
) -> None:
    answer, expected = raw("GET", "/orders", key=key, secret=secret), sample(f"errors/{name}")
    assert (answer.status, answer.json) == (expected["http_status"], expected["body"])
    stranger = razorpay.Client(session=session, auth=(key, secret), base_url=API)
    with pytest.raises(BadRequestError) as caught:
        stranger.order.create({"amount": 100, "currency": "INR"})
    assert str(caught.value) == expected["body"]["error"]["description"]


def test_a_refunds_key_for_another_body_is_refused_as_recorded(pay: Callable[..., Json]) -> None:
    path = f"/payments/{pay()['id']}/refund"
    assert raw("POST", path, {"amount": 100}, X_Refund_Idempotency="refund-0001").status == 200
    answer = raw("POST", path, {"amount": 200}, X_Refund_Idempotency="refund-0001")
    expected = sample("errors/refund_idempotency_mismatch")
    assert (answer.status, answer.json) == (expected["http_status"], expected["body"])
    assert raw("POST", path, {"amount": 200}, X_Refund_Idempotency="tooshort").status == 400


def test_a_receipt_can_be_insisted_on_to_be_unique(
    simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    first = new_order(receipt="same")
    assert new_order(receipt="same")["id"] != first["id"]
    settings(simulator, unique_receipts=True)
    with pytest.raises(BadRequestError, match="Order receipt should be unique"):
        new_order(receipt="same")
    refused = raw("POST", "/orders", {"amount": 100, "currency": "INR", "receipt": "same"})
    assert (refused.status, refused.json["error"]["metadata"]) == (400, {"order_id": first["id"]})


Call = Callable[[razorpay.Client, dict[str, str]], Any]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda client, _: client.order.create({"amount": 99, "currency": "INR"}), "at least INR 1.00"),
        (lambda client, _: client.order.create({"amount": 100.5, "currency": "INR"}), "must be an integer"),
        (lambda client, _: client.order.create({"currency": "INR"}), "amount field is required"),
        (lambda client, _: client.order.create({"amount": 100}), "currency field is required"),
        (
            lambda client, _: client.order.create({"amount": 100, "currency": "INR", "foo": 1}),
            "foo is/are not required and should not be sent",
        ),
        (
            lambda client, _: client.order.create({"amount": 100, "currency": "INR", "receipt": "r" * 41}),
            "receipt may not be greater than 40",
        ),
        (lambda client, _: client.order.all({"count": 101}), "count may not be greater than 100"),
        (lambda client, _: client.payment.fetch(NOBODY), "The id provided does not exist"),
        (lambda client, _: client.settlement.report({"year": 2026}), "month field is required"),
        (
            lambda client, ids: client.payment.capture(ids["captured"], 50000, {"currency": "INR"}),
            "already paid",
        ),
        (
            lambda client, ids: client.payment.capture(ids["held"], 49999, {"currency": "INR"}),
            "Capture amount must be equal to the amount authorized",
        ),
        # as the documents show it, and as the SDK then sends it
        (
            lambda client, ids: client.payment.capture(ids["held"], {"amount": 50000, "currency": "INR"}),
            "The amount must be an integer",
        ),
        (
            lambda client, ids: client.payment.refund(ids["captured"], {"amount": 50001}),
            "greater than amount captured",
        ),
        (lambda client, ids: client.payment.refund(ids["held"], {"amount": 100}), "should be captured"),
    ],
)
def test_the_sdk_says_what_was_wrong(
    client: razorpay.Client, pay: Callable[..., Json], make: Call, sentence: str
) -> None:
    ids = {"captured": pay()["id"], "held": pay(**MANUAL)["id"]}
    with pytest.raises(BadRequestError, match=sentence):
        make(client, ids)


# Trouble


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [("429", "rate_limited", BadRequestError), ("500", "server_error", ServerError)],
)
def test_trouble_has_the_recorded_body(
    simulator: Simulator, client: razorpay.Client, kind: str, name: str, error: type[Exception]
) -> None:
    expected = sample(f"errors/{name}")
    simulator.fault("razorpay", "fetch", kind, count=2)
    answer = raw("GET", "/orders")
    assert (answer.status, answer.json) == (expected["http_status"], expected["body"])
    with pytest.raises(error) as caught:
        client.order.all()
    assert str(caught.value) == expected["body"]["error"]["description"]


def test_a_502_is_a_proxys_html(simulator: Simulator, client: razorpay.Client) -> None:
    simulator.fault("razorpay", "create_order", "html502", count=2)
    answer = raw("POST", "/orders", {"amount": 100, "currency": "INR"})
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        client.order.create({"amount": 100, "currency": "INR"})


@pytest.mark.parametrize(("kind", "orders"), [("reset_before", 0), ("reset_after", 1)])
def test_a_lost_answer_is_a_lost_connection(
    simulator: Simulator, client: razorpay.Client, kind: str, orders: int
) -> None:
    simulator.fault("razorpay", "create_order", kind)
    with pytest.raises(requests.exceptions.ConnectionError):
        client.order.create({"amount": 100, "currency": "INR"})
    assert client.order.all()["count"] == orders


# Webhooks


def verifies(client: razorpay.Client, one: Json, secret: str = WEBHOOK_SECRET) -> bool:
    try:
        signature = one["headers"]["X-Razorpay-Signature"]
        return bool(client.utility.verify_webhook_signature(one["body"], signature, secret))
    except SignatureVerificationError:
        return False


def told(simulator: Simulator) -> list[Json]:
    """Every webhook there was, in the order of sending."""
    sent: list[Json] = simulator.control("GET", "deliveries?wait=10")["deliveries"]
    return [one for one in sent if one["try"] == 1]


@pytest.fixture
def eventful(simulator: Simulator, client: razorpay.Client) -> str:
    """A payment link's order that has one of everything that an event can tell of."""
    link = client.payment_link.create({"amount": 50000, "accept_partial": True})
    order_id = order_of(simulator, link)
    simulator.move(order_id, "failure", method="card")
    simulator.move(order_id, "success", amountPaise=20000)
    simulator.move(order_id, "success")
    simulator.move(order_id, "dashboard-refund", amountPaise=100)
    simulator.move(order_id, "dispute")
    simulator.control("POST", "settle")
    return order_id


# event → what it contains, and whether there is a sample of it
EVENTS = {
    "payment.authorized": (["payment"], "payment.authorized.upi"),
    "payment.captured": (["payment"], "payment.captured.upi"),
    "payment.failed": (["payment"], "payment.failed.card"),
    "payment.pending": (["payment"], None),
    "order.paid": (["payment", "order"], "order.paid"),
    "refund.created": (["refund", "payment"], "refund.created"),
    "refund.processed": (["refund", "payment"], "refund.processed"),
    "refund.failed": (["refund", "payment"], "refund.failed"),
    "refund.speed_changed": (["refund", "payment"], None),
    "payment.dispute.created": (["payment", "dispute"], "payment.dispute.created"),
    "payment.dispute.under_review": (["payment", "dispute"], "payment.dispute.under_review"),
    "payment.dispute.action_required": (["payment", "dispute"], "payment.dispute.action_required"),
    "payment.dispute.won": (["payment", "dispute"], "payment.dispute.won"),
    "payment.dispute.lost": (["payment", "dispute"], "payment.dispute.won"),
    "payment.dispute.closed": (["payment", "dispute"], "payment.dispute.closed"),
    "settlement.processed": (["settlement"], None),
    "payment.downtime.started": (["payment.downtime"], "payment.downtime.started"),
    "payment.downtime.updated": (["payment.downtime"], "payment.downtime.started"),
    "payment.downtime.resolved": (["payment.downtime"], "payment.downtime.started"),
    "payment_link.paid": (["payment_link", "order", "payment"], "payment_link.paid"),
    "payment_link.partially_paid": (["payment_link", "order", "payment"], "payment_link.paid"),
    "payment_link.cancelled": (["payment_link", "order", "payment"], None),
    "payment_link.expired": (["payment_link", "order", "payment"], None),
}


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_can_be_sent_and_is_accepted(
    simulator: Simulator, client: razorpay.Client, eventful: str, event: str
) -> None:
    simulator.send_event(eventful, event)
    one = simulator.webhooks(eventful, event)[-1]
    body, (contains, name) = json.loads(one["body"]), EVENTS[event]
    assert verifies(client, one)
    assert not verifies(client, one, OLD_WEBHOOK_SECRET)
    assert one["headers"]["Content-Type"] == "application/json"
    assert one["headers"]["x-razorpay-event-id"] == one["eventId"]
    assert one["eventId"] not in one["body"]
    assert (body["event"], body["contains"]) == (event, contains)
    if name:
        # one of the two samples of disputes that are over lacks what the bank says of the payment
        found = differences(body, sample(f"webhooks/{name}"))
        assert [text for text in found if "acquirer_data is unknown" not in text] == []


def test_there_is_no_event_that_was_forgotten(simulator: Simulator, new_order: Callable[..., Json]) -> None:
    path = f"{simulator.url}/_sim/orders/{new_order()['id']}/webhook"
    assert call("POST", path, {"type": "?"}).json["error"] == f"type: must be one of {', '.join(EVENTS)}"


def test_a_webhook_is_refused_after_any_changed_byte(
    simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    order_id = new_order()["id"]
    simulator.move(order_id, "failure")
    [one] = simulator.webhooks(order_id)
    body, signature = one["body"], one["headers"]["X-Razorpay-Signature"]
    assert verifies(client, one)
    for place in range(len(body)):
        changed = body[:place] + chr(ord(body[place]) ^ 1) + body[place + 1 :]
        assert not verifies(client, {**one, "body": changed}), place
    for place in range(len(signature)):
        changed = signature[:place] + ("0" if signature[place] != "0" else "1") + signature[place + 1 :]
        assert not verifies(client, {**one, "headers": {"X-Razorpay-Signature": changed}}), place
    assert not verifies(client, {**one, "body": json.dumps(json.loads(body))})


def test_what_is_not_ascii_is_signed_as_it_is_sent(
    simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    order_id = new_order(notes={"shop": "चाय ₹10"})["id"]
    simulator.move(order_id, "success")
    [paid] = simulator.webhooks(order_id, "order.paid")
    assert "चाय ₹10" in paid["body"]
    assert verifies(client, paid)


def test_the_verbs_lead_to_these_events_in_this_order(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    settings(simulator, instant_refunds=False)
    payment = pay("failure")
    order_id = payment["order_id"]
    simulator.move(order_id, "success")
    [captured] = [one for one in client.order.payments(order_id)["items"] if one["captured"]]
    client.payment.refund(captured["id"], {"amount": 100, "speed": "optimum"})
    settings(simulator, refund_outcome="pending")
    lost = client.payment.refund(captured["id"], {"amount": 100})
    simulator.control("POST", f"refunds/{lost['id']}/failure")
    simulator.move(order_id, "dispute")
    for outcome in ("under_review", "action_required", "won"):
        simulator.move(order_id, "dispute", outcome=outcome)
    simulator.control("POST", "settle")
    sent = told(simulator)
    assert [one["event"] for one in sent] == [
        *("payment.failed", "payment.authorized", "payment.captured", "order.paid"),
        *("refund.created", "refund.speed_changed", "refund.processed", "refund.created", "refund.failed"),
        *("payment.dispute.created", "payment.dispute.under_review", "payment.dispute.action_required"),
        *("payment.dispute.won", "payment.dispute.closed", "settlement.processed"),
    ]
    assert all(verifies(client, one) for one in sent)
    assert len({one["eventId"] for one in sent}) == len(sent)


def test_an_event_is_a_snapshot_of_its_moment(simulator: Simulator, pay: Callable[..., Json]) -> None:
    payment = pay()
    authorized, captured, paid = (json.loads(one["body"]) for one in told(simulator))
    held = authorized["payload"]["payment"]["entity"]
    assert (held["status"], held["captured"], held["fee"]) == ("authorized", False, None)
    assert captured["payload"]["payment"]["entity"] == payment
    assert paid["payload"]["order"]["entity"]["status"] == "paid"


# What the clock does


def test_an_unanswered_attempt_fails_after_ten_minutes_and_may_succeed_later(
    simulator: Simulator, client: razorpay.Client, new_order: Callable[..., Json]
) -> None:
    settings(simulator, late_authorization_minutes=120)
    order_id = new_order()["id"]
    simulator.move(order_id, "pending")
    [payment] = client.order.payments(order_id)["items"]
    simulator.advance(9 * 60)
    assert client.payment.fetch(payment["id"])["status"] == "created"
    simulator.advance(2 * 60)
    assert client.payment.fetch(payment["id"])["status"] == "failed"
    simulator.advance(110 * 60)
    late = client.payment.fetch(payment["id"])
    assert (late["status"], late["late_authorized"], late["error_code"]) == ("captured", True, None)
    events = [one["event"] for one in told(simulator)]
    assert events == ["payment.failed", "payment.authorized", "payment.captured", "order.paid"]
    first = json.loads(told(simulator)[1]["body"])
    assert differences(first, sample("webhooks/payment.authorized.late")) == []


def test_a_late_authorization_of_a_paid_order_goes_back_at_once(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    settings(simulator, late_on_paid_order="refunded")
    failed = pay("failure")
    simulator.move(failed["order_id"], "success")
    simulator.move(failed["order_id"], "late-success")
    after = client.payment.fetch(failed["id"])
    assert (after["status"], after["captured"], after["refund_status"]) == ("refunded", False, "full")


@pytest.mark.parametrize(("order", "days"), [({"payment_capture": 0}, 3), (MANUAL, 5)])
def test_what_nobody_captures_goes_back_after_days(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json], order: Json, days: int
) -> None:
    held = pay(**order)
    simulator.advance(days * DAY - 60)
    assert client.payment.fetch(held["id"])["status"] == "authorized"
    simulator.advance(120)
    after = client.payment.fetch(held["id"])
    assert (after["status"], after["captured"], after["amount_refunded"]) == ("refunded", False, 50000)
    assert client.order.fetch(held["order_id"])["status"] == "attempted"
    created = json.loads(simulator.webhooks(held["order_id"], "refund.created")[0]["body"])
    assert differences(created, sample("webhooks/refund.created.auto_refund")) == []
    assert created["payload"]["payment"]["entity"]["captured"] is False
    simulator.control("POST", "settle")
    assert client.settlement.all()["count"] == 0


def test_authorized_after_the_automatic_window_it_waits_for_a_capture_by_hand(
    simulator: Simulator, client: razorpay.Client, pay: Callable[..., Json]
) -> None:
    options = {"automatic_expiry_period": 12, "manual_expiry_period": 1440, "refund_speed": "normal"}
    payment = {"payment": {"capture": "automatic", "capture_options": options}}
    quick, slow = pay(**payment), pay("failure", **payment)
    assert quick["status"] == "captured"
    simulator.advance(13 * 60)
    simulator.move(slow["order_id"], "late-success")
    assert client.payment.fetch(slow["id"])["status"] == "authorized"
    simulator.advance(DAY)
    assert client.payment.fetch(slow["id"])["status"] == "refunded"


# As PHP and its plugins ask


def test_a_form_is_understood_like_json() -> None:
    form = {"amount": "50000", "currency": "INR", "notes[shop]": "₹ucky", "payment[capture]": "manual"}
    order = raw("POST", "/orders/", urlencode(form), Content_Type="application/x-www-form-urlencoded")
    assert (order.status, order.json["amount"], order.json["notes"]) == (200, 50000, {"shop": "₹ucky"})


def test_the_script_is_where_razorpays_is(simulator: Simulator) -> None:
    script = call("GET", f"{API}/v1/checkout.js")
    assert (script.status, "window.Razorpay" in script.text) == (200, True)
