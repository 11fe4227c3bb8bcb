"""The merchant's server over real HTTP: refunds, captures, closes at the simulator, which knows the truth."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.api.merchant_shop import entries, secret
from tests.conftest import KINDS
from tests.support.house import House, running_house

GATEWAYS = ("razorpay", "phonepe", "cashfree")
Json = dict[str, Any]


@pytest.fixture(scope="module", params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Shop"]:
    """A service with API keys whose Razorpay payments are captured by hand."""
    folder = tmp_path_factory.mktemp(f"merchant-{request.param}")
    url = f"sqlite:///{folder / 'payments.db'}"
    if request.param == "postgresql":
        make: Callable[[str], str] = request.getfixturevalue("postgres_database")
        url = make("merchant_house")
    with running_house(url, folder, API_KEYS=entries(), RAZORPAY_CAPTURE="manual") as house:
        house.start_worker(time_scale=20)
        yield Shop(house)


class Shop:
    def __init__(self, house: House) -> None:
        self.house = house
        self.key = {"Authorization": f"Bearer {secret('owner')}"}

    def get(self, path: str) -> Json:
        answer = self.house.get(path, headers=self.key)
        assert answer.ok, answer.text
        found: Json = answer.json()
        return found

    def post(self, path: str, body: Json | None = None, **headers: str) -> requests.Response:
        # No connection is shared: ten threads call at once.
        return requests.post(
            self.house.url + path, json=body or {}, headers={**self.key, **headers}, timeout=40
        )

    def buy(self, gateway: str, amount: float = 499) -> tuple[str, Json]:
        created = self.house.create_order(amount, gateway)
        return created["id"], created["order"]

    def paid(self, gateway: str, amount: float = 499) -> tuple[str, Json]:
        payment_id, order = self.buy(gateway, amount)
        self.house.simulate(f"orders/{order['orderId']}/success")
        if gateway == "razorpay":
            self.becomes(payment_id, gateway, "authorized")
            assert self.post(f"/api/payment/{payment_id}/capture").status_code == 200
        self.becomes(payment_id, gateway, "completed")
        return payment_id, order

    def becomes(self, payment_id: str, gateway: str, expected: str) -> Json:
        return self.house.wait_for_status(payment_id, expected, gateway)

    def refund(self, payment_id: str, key: str, **body: Any) -> requests.Response:
        path = f"/api/payment/{payment_id}/refunds"
        return self.post(path, body, **{"Idempotency-Key": key})

    def refunds_end(self, payment_id: str) -> None:
        def words() -> set[str]:
            return {one["status"] for one in self.get(f"/api/payment/{payment_id}/refunds")["refunds"]}

        self.house.until(words, lambda found: found <= {"completed", "failed"}, seconds=60)

    def at_the_gateway(self, order: Json) -> list[Json]:
        found: list[Json] = self.house.simulated(f"orders/{order['orderId']}")["refunds"]
        return found


@pytest.fixture(autouse=True)
def _no_faults(shop: Shop) -> Iterator[None]:
    yield
    shop.house.clear_faults()


def new_key() -> str:
    return f"refund-{uuid4()}"


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_ten_threads_that_refund_one_rupee_of_two(shop: Shop, gateway: str) -> None:
    payment_id, order = shop.paid(gateway, 2)

    def send(_: int) -> tuple[int, str]:
        answer = shop.refund(payment_id, new_key(), amount=1)
        return answer.status_code, answer.json().get("code", "")

    made = 0
    while made < 2:  # where one is taken at a time, the second waits until the first is final
        with ThreadPoolExecutor(10) as pool:
            answers = Counter(pool.map(send, range(10)))
        refused = sum(count for (status, _), count in answers.items() if status == 409)
        now = sum(count for (status, _), count in answers.items() if status in (201, 202))
        assert refused + now == 10, answers
        made += now
        shop.refunds_end(payment_id)
    if gateway != "phonepe":
        assert answers == {(201, ""): 2, (409, "refund_exceeds_captured"): 8}
    assert [one["amountPaise"] for one in shop.at_the_gateway(order)] == [100, 100]
    assert send(0) == (409, "refund_exceeds_captured")


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_refund_whose_answer_was_lost_ends_as_one_whoever_retries(shop: Shop, gateway: str) -> None:
    payment_id, order = shop.paid(gateway)
    fault = {"gateway": gateway, "on": "refund", "kind": "reset_after", "count": 1}
    shop.house.simulate("faults", fault)
    key = new_key()
    answers = [shop.refund(payment_id, key, amount="100.15") for _ in range(3)]
    assert {answer.status_code for answer in answers} <= {201, 202}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    location = answers[0].headers["Location"]
    shop.house.until(lambda: len(shop.at_the_gateway(order)), lambda count: count == 1)
    shown = shop.get(location)["refund"]
    assert shown["amount"] == 100.15
    assert [one["amountPaise"] for one in shop.at_the_gateway(order)] == [10015]
    assert [one["id"] for one in shop.get(f"/api/payment/{payment_id}/refunds")["refunds"]] == [shown["id"]]
    other = shop.refund(payment_id, key, amount="100.16")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_money_of_razorpay_waits_for_its_merchant(shop: Shop) -> None:
    payment_id, order = shop.buy("razorpay")
    shop.house.simulate(f"orders/{order['orderId']}/success")
    shop.becomes(payment_id, "razorpay", "authorized")
    attempt = shop.get(f"/api/payment/{payment_id}")["payment"]["attempts"][0]
    assert attempt["captureBy"] is not None
    for _ in range(2):
        answer = shop.post(f"/api/payment/{payment_id}/capture")
        assert (answer.status_code, answer.json()["paymentStatus"]) == (200, "completed"), answer.text
    void = shop.post(f"/api/payment/{payment_id}/void")
    assert (void.status_code, void.json()["code"]) == (409, "not_voidable")


@pytest.mark.parametrize(("what", "expected"), [("capture", "completed"), ("void", "failed")])
def test_a_pre_authorisation_of_cashfree_is_taken_or_let_go(shop: Shop, what: str, expected: str) -> None:
    payment_id, order = shop.buy("cashfree")
    shop.house.simulate(f"orders/{order['orderId']}/authorize")
    shop.becomes(payment_id, "cashfree", "authorized")
    verify = {"gateway": "cashfree", "orderId": order["orderId"]}
    told = shop.house.post("/api/payment/verify-payment", verify)
    assert (told.status_code, told.json()["paymentStatus"]) == (200, "authorized"), told.text
    for _ in range(2):
        answer = shop.post(f"/api/payment/{payment_id}/{what}")
        assert (answer.status_code, answer.json()["paymentStatus"]) == (200, expected), answer.text


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_an_open_payment_is_closed_and_can_be_closed_again(shop: Shop, gateway: str) -> None:
    payment_id, _ = shop.buy(gateway)
    answers = [shop.post(f"/api/payment/{payment_id}/close") for _ in range(2)]
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    assert answers[1].json()["paymentStatus"] in ("failed", "expired")
    assert shop.get(f"/api/payment/{payment_id}")["payment"]["closedAt"] is not None
    paid_id, _ = shop.paid(gateway)
    refused = shop.post(f"/api/payment/{paid_id}/close")
    assert (refused.status_code, refused.json()["code"]) == (409, "order_paid")


def test_money_that_cashfree_sends_back_by_itself_is_booked(shop: Shop) -> None:
    payment_id, order = shop.buy("cashfree")
    assert shop.post(f"/api/payment/{payment_id}/close").status_code == 200
    shop.house.simulate(f"orders/{order['orderId']}/late-success")
    [theirs] = shop.at_the_gateway(order)

    def refunds() -> list[Json]:
        found: list[Json] = shop.get(f"/api/payment/{payment_id}/refunds")["refunds"]
        return found

    [ours] = shop.house.until(refunds, bool)
    assert (ours["status"], ours["amount"], theirs["amountPaise"]) == ("completed", 499, 49900)
    assert ours["bankReference"]
    shown = shop.get(f"/api/payment/{payment_id}")["payment"]
    assert (shown["paymentStatus"], shown["attempts"][0]["status"]) == ("expired", "voided")


def test_a_refund_during_an_open_dispute_is_refused(shop: Shop) -> None:
    payment_id, order = shop.paid("razorpay")
    shop.house.simulate(f"orders/{order['orderId']}/dispute")

    def disputes() -> list[Json]:
        found: list[Json] = shop.get(f"/api/payment/{payment_id}")["payment"]["disputes"]
        return found

    [dispute] = shop.house.until(disputes, bool)
    assert dispute["isClosed"] is False
    key = new_key()
    refused = shop.refund(payment_id, key, amount=1)
    assert (refused.status_code, refused.json()["code"]) == (409, "disputed")
    named = dispute["disputeId"]
    for whole_or_beginning in (named, named[:-3]):
        found = shop.post("/api/payment/search", {"query": whole_or_beginning}).json()["payments"]
        assert [one["id"] for one in found] == [payment_id]
    assert shop.at_the_gateway(order) == []
    assert shop.refund(payment_id, key, amount=1, force=True).status_code == 201


def test_what_happened_can_be_listed_found_exported_and_pulled(shop: Shop) -> None:
    payment_id, order = shop.paid("cashfree")
    listed = shop.get("/api/payment?gateway=cashfree&status=completed&limit=100")["payments"]
    assert payment_id in {one["id"] for one in listed}
    found = shop.post("/api/payment/search", {"query": order["orderId"]}).json()["payments"]
    assert [one["id"] for one in found] == [payment_id]
    export = shop.house.get("/api/payment", headers={**shop.key, "Accept": "text/csv"})
    assert payment_id in export.text
    cursor, told = "", []
    while True:
        page = shop.get(f"/api/events?limit=100&after={cursor}")
        told += page["events"]
        cursor = page["after"]
        if not page["hasMore"]:
            break
    assert ("payment.completed", payment_id) in {(one["type"], one["data"].get("id")) for one in told}
    assert len({one["id"] for one in told}) == len(told)
