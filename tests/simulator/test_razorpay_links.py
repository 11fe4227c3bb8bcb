"""Payment links, webhook addresses registered through the API, and the pages of their own."""

import json
import re

import pytest

from tests.simulator.conftest import KEY_ID, session


@pytest.fixture
def link(client):
    return client.payment_link.create({"amount": 50000, "description": "Tea"})


@pytest.fixture
def link_order(control, link):
    [order] = control.call("GET", "/orders")["orders"]
    assert order["reference"] == link["id"]
    return order["orderId"]


@pytest.fixture
def http():
    with session() as made:
        yield made


def test_a_link_that_says_nothing_has_everything_empty(link):
    empty = {"callback_url": "", "reference_id": "", "notes": None, "payments": None, "expire_by": 0}
    assert link.items() >= {**empty, "status": "created", "amount_paid": 0, "accept_partial": False}.items()
    assert "order_id" not in link


def test_paying_the_links_order_pays_the_link(client, control, receiver, link, link_order):
    control.move(link_order, "success", amountPaise=20000)
    assert client.payment_link.fetch(link["id"])["status"] == "partially_paid"
    control.move(link_order, "success")
    paid = client.payment_link.fetch(link["id"])
    assert (paid["status"], paid["amount_paid"], paid["order_id"]) == ("paid", 50000, link_order)
    assert [payment["amount"] for payment in paid["payments"]] == [20000, 30000]
    control.settle()
    links = [event for event in receiver.events if event.startswith("payment_link.")]
    assert links == ["payment_link.partially_paid", "payment_link.paid"]
    first = paid["payments"][0]["payment_id"]
    assert client.payment_link.all({"payment_id": first})["payment_links"] == [paid]
    assert client.payment_link.all({"payment_id": "pay_other"})["payment_links"] == []


def test_a_cancelled_link_takes_no_money(base, client, control, receiver, http, link, link_order):
    client.payment_link.cancel(link["id"])
    assert "cancelled" in control.move(link_order, "success", status=409)["error"]
    attempt = {"key": KEY_ID, "order_id": link_order, "method": "upi", "vpa": "success@razorpay"}
    assert http.post(f"{base}/razorpay/pay/attempts", json=attempt).status_code == 400
    assert "cancelled" in http.get(link["short_url"]).text
    control.settle()
    assert receiver.events == ["payment_link.cancelled"]


def test_a_link_expires_when_it_says_so_last(client, control, receiver, link):
    now = int(control.call("GET", "/health")["now"])
    client.payment_link.edit(link["id"], {"expire_by": now + 1000})
    client.payment_link.edit(link["id"], {"expire_by": now + 2000})
    control.call("POST", "/clock", {"advance_seconds": 1500})
    assert client.payment_link.fetch(link["id"])["status"] == "created"
    control.call("POST", "/clock", {"advance_seconds": 1000})
    expired = client.payment_link.fetch(link["id"])
    assert (expired["status"], expired["expired_at"]) == ("expired", now + 2000)
    control.settle()
    assert receiver.events == ["payment_link.expired"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"amount": 99},
        {"amount": 100, "currency": "USD"},
        {"amount": 100, "colour": "blue"},
        {"amount": 100, "expire_by": 1},
        {"amount": 100, "customer": "someone"},
        {"amount": 100, "description": 7},
        {"amount": 100, "callback_url": "https://shop.example/back"},
        {"amount": 100, "callback_url": "https://shop.example/back", "callback_method": "post"},
    ],
)
def test_a_wrong_link_is_refused(api, client, body):
    assert api("POST", "/payment_links", json=body).status_code == 400
    assert client.payment_link.all()["payment_links"] == []


def test_only_some_of_a_link_can_be_changed(api, link):
    path = f"/payment_links/{link['id']}"
    assert api("PATCH", path, json={"amount": 1}).status_code == 400
    assert api("POST", f"{path}/notify_by/pigeon", json={}).status_code == 400
    assert api("PATCH", path, json={"reminder_enable": True}).json()["reminder_enable"] is True


# Webhook addresses


@pytest.fixture
def hook(api, receiver):
    """As Razorpay's WooCommerce plugin asks for it."""
    form = {"url": f"{receiver.url}/own", "secret": "s3cret", "active": "true", "events[payment.failed]": "1"}
    return api("POST", "/webhooks/", data=form).json()


def test_a_registered_address_gets_what_it_asked_for_signed_with_its_own_secret(
    client, control, receiver, new_order, hook
):
    assert (hook["events"], hook["secret_exists"]) == ({"payment.failed": True}, True)
    order_id = new_order()["id"]
    control.move(order_id, "failure")
    control.move(order_id, "success")
    control.settle()
    [own] = [one for one in receiver.received if one.path == "/api/webhook/own"]
    assert own.event == "payment.failed"
    assert client.utility.verify_webhook_signature(own.body, own.signature, "s3cret")
    [usual] = [one for one in receiver.received if one.event == "payment.failed" and one is not own]
    assert (usual.body, usual.event_id) == (own.body, own.event_id)


def test_without_a_secret_nothing_is_signed_and_inactive_nothing_is_sent(
    api, control, receiver, new_order, hook
):
    api("PUT", f"/webhooks/{hook['id']}", json={"active": False})
    url = f"{receiver.url}/unsigned"
    api("POST", "/webhooks", json={"url": url, "events": {"payment.failed": True, "order.paid": False}})
    control.move(new_order()["id"], "failure")
    control.settle()
    [unsigned] = [one for one in receiver.received if one.path == "/api/webhook/unsigned"]
    assert "x-razorpay-signature" not in unsigned.headers
    assert not [one for one in receiver.received if one.path == "/api/webhook/own"]
    assert api("GET", "/webhooks").json()["count"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {"events": {"order.paid": True}},
        {"url": "ftp://shop.example", "events": {"order.paid": True}},
        {"url": "https://shop.example/" + "x" * 255, "events": {"order.paid": True}},
        {"url": "https://shop.example/"},
        {"url": "https://shop.example/", "events": {"order.lost": True}},
        {"url": "https://shop.example/", "events": {"order.paid": "perhaps"}},
        {"url": "https://shop.example/", "events": {"order.paid": True}, "colour": "blue"},
    ],
)
def test_a_wrong_address_is_refused(api, body):
    assert api("POST", "/webhooks", json=body).status_code == 400
    assert api("GET", "/webhooks").json() == {"count": 0, "items": []}


# Pages of their own


def test_a_form_leads_to_a_page_that_knows_the_way_back(base, http, new_order):
    form = {
        "key_id": KEY_ID,
        "order_id": new_order()["id"],
        "name": "Acme <Corp>",
        "callback_url": "https://shop.example/back",
        "cancel_url": "https://shop.example/cart",
        "notes[k]": "v",
        "prefill[contact]": "+919876543210",
    }
    shown = http.post(f"{base}/razorpay/v1/checkout/embedded", data=form)
    assert shown.status_code == 200
    data = dict(re.findall(r'data-([a-z-]+)="([^"]*)"', shown.text))
    assert (data["mode"], data["back"], data["callback-url"]) == ("hosted", "post", form["callback_url"])
    assert json.loads(data["notes"].replace("&#34;", '"')) == {"k": "v"}
    assert "Acme &lt;Corp&gt;" in shown.text
    assert "+919876543210" in shown.text


@pytest.mark.parametrize("change", [{"key_id": "rzp_test_other"}, {"order_id": "x"}, {"callback_url": ""}])
def test_a_wrong_form_is_complained_about(base, http, new_order, change):
    form = {"key_id": KEY_ID, "order_id": new_order()["id"], "callback_url": "https://shop.example/back"}
    shown = http.post(f"{base}/razorpay/v1/checkout/embedded", data={**form, **change})
    assert shown.status_code in (400, 401)
    assert "checkout-error" in shown.text


def test_a_link_that_nobody_made_leads_nowhere(base, http):
    assert http.get(f"{base}/razorpay/l/plink_nope").status_code == 400
