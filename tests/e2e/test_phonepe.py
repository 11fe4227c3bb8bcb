"""PhonePe's journeys, both generations, and what only PhonePe does."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.money import Money
from payments_service.domain.news import Customer, NewOrder
from payments_service.gateways import phonepe
from payments_service.gateways.phonepe import PhonePeGateway as PhonePe
from payments_service.settings import Settings
from tests.conftest import count_use
from tests.e2e import look
from tests.e2e.journeys import Json
from tests.e2e.refunds import RefundJourneys
from tests.support.house import House, running_house

V2_CREDENTIALS = b"simulator_hook:simulator_Passw0rd1"
SALT = "simulator_phonepe_salt_key"
ONLY_V1 = {
    "PHONEPE_CLIENT_ID": "",
    "PHONEPE_CLIENT_SECRET": "",
    "PHONEPE_CLIENT_VERSION": "",
    "PHONEPE_MERCHANT_ID": "SIMULATORV1",
    "PHONEPE_SALT_KEY": SALT,
    "PHONEPE_SALT_INDEX": "1",
}


class PhonePeJourneys(RefundJourneys):
    gateway: ClassVar[str] = "phonepe"
    paid_word: ClassVar[str] = "COMPLETED"

    def test_the_browser_gets_phonepes_page_and_the_id_that_old_pages_remember(self, house: House) -> None:
        payment_id, order = self.buy(house)
        assert order["orderId"] == order["transactionId"] == self.wire_id(house, payment_id)
        assert order["redirectUrl"].startswith("http")
        self.happens(house, order, "success")
        answer = house.post(
            "/api/payment/verify-payment", {"gateway": "phonepe", "transactionId": order["transactionId"]}
        )
        body = answer.json()
        assert (body["success"], body["status"], body["amount"]) == (True, "COMPLETED", 499)
        assert body["transactionId"] == order["transactionId"]

    def test_a_lost_order_is_replaced_and_the_lost_one_watched(self, house: House) -> None:
        """PhonePe never tells an order's address a second time."""
        self.fault(house, "create_order", "reset_after")
        payment_id, order = self.buy(house)
        lost, current = look.orders(house, payment_id)
        assert (lost.status, current.status) == ("lost", "open")
        assert order["orderId"] == current.wire_id


class TestPhonePe(PhonePeJourneys):
    def event(self, house: House, order_id: str, wire_id: str, amount_paise: int) -> bytes:
        payload = {
            "orderId": f"OMO{time.time_ns()}",
            "merchantId": "SIMULATORUAT",
            "merchantOrderId": order_id,
            "state": "COMPLETED",
            "amount": amount_paise,
            "expireAt": 1724866793837,
            "paymentDetails": [],
        }
        return json.dumps({"event": "checkout.order.completed", "payload": payload}).encode()

    def genuine_headers(self, raw: bytes) -> dict[str, str]:
        return {"Authorization": hashlib.sha256(V2_CREDENTIALS).hexdigest()}

    def forged_headers(self, raw: bytes) -> list[dict[str, str]]:
        genuine = self.genuine_headers(raw)["Authorization"]
        by_guess = hashlib.sha256(b"simulator_hook:guess").hexdigest()
        return [
            {"Authorization": value} for value in (by_guess, f"SHA256 {genuine}", "Basic Z3Vlc3M6Z3Vlc3M=")
        ]

    def test_a_forged_body_under_a_genuine_header_changes_nothing(self, house: House) -> None:
        payment_id, order = self.buy(house)
        raw = self.event(house, order["orderId"], "", 49900)
        assert self.deliver(house, raw, self.genuine_headers(raw)).status_code == 200
        row = look.inbox_row(house, raw)
        assert row is not None
        assert (row.outcome, row.next_try_at is not None) == ("waiting", True)
        assert look.trail(house, payment_id)[-1] == "pending"

    def test_basic_credentials_are_the_same_credentials(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.drop_webhooks(house)
        self.happens(house, order, "success")
        raw = self.event(house, order["orderId"], "", 49900)
        basic = {"Authorization": f"Basic {base64.b64encode(V2_CREDENTIALS).decode()}"}
        assert self.deliver(house, raw, basic).status_code == 200
        house.until(lambda: look.trail(house, payment_id)[-1], lambda last: last == "completed")

    @pytest.mark.parametrize("names_our_id", [True, False])
    def test_an_event_of_a_payment_alone_whose_order_is_lost_here_is_a_persons_to_look_at(
        self, house: House, monkeypatch: pytest.MonkeyPatch, names_our_id: bool
    ) -> None:
        if not names_our_id:
            monkeypatch.setattr(phonepe, "OUR_ID", "udf2")  # as of an order from before it was sent along
        wire_id = f"psv_{uuid4().hex[:24]}"
        number = self.order_of_a_lost_row(house, wire_id)
        self.drop_webhooks(house)
        house.simulate(f"orders/{wire_id}/success")
        [attempt] = house.simulated(f"orders/{wire_id}")["attempts"]
        payload = {"state": "FAILED", "paymentDetails": [{"transactionId": attempt["paymentId"]}]}
        raw = json.dumps({"event": "pg.refund.failed", "payload": payload}).encode()
        assert self.deliver(house, raw, self.genuine_headers(raw)).status_code == 200
        subject, amount = (wire_id, 49900) if names_our_id else (number, None)
        [alert] = house.until(lambda: look.alerts(house, subject), bool)
        assert (alert.code, alert.detail["amountPaise"]) == ("unknown_order", amount)

    def order_of_a_lost_row(self, house: House, wire_id: str) -> str:
        """PhonePe's number of an order that was made with this service's credentials."""
        [config] = [c for made, c in Settings.from_environment(house.environment).gateways if made is PhonePe]
        ends = datetime.now(UTC) + timedelta(minutes=15)
        payer = Customer("1", "Asha", "asha@example.com", "9876543210")
        new = NewOrder(wire_id, Money(49900), payer, "A course", house.url, house.url, ends)
        return PhonePe(config).create_order(new, Deadline(5)).gateway_order_id

    def test_fifty_orders_at_once_survive_a_token_that_runs_out(self, house: House) -> None:
        self.buy(house)  # a token is there
        tokens = house.log().count("/v1/oauth/token")
        with ThreadPoolExecutor(50) as pool:
            bought = [pool.submit(house.create_order, 499, "phonepe") for _ in range(50)]
            house.simulate("clock", {"advance_seconds": 100_000})
            orders = {answer.result()["order"]["orderId"] for answer in bought}
        assert len(orders) == 50
        assert house.log().count("/v1/oauth/token") - tokens <= 8  # two processes


@pytest.fixture(scope="module")
def sqlite_v1_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house-v1")
    with running_house(f"sqlite:///{folder / 'payments.db'}", folder, **ONLY_V1) as house:
        yield house


@pytest.fixture(scope="module")
def postgresql_v1_house(
    tmp_path_factory: pytest.TempPathFactory, postgres_database: Callable[[str], str]
) -> Iterator[House]:
    url = postgres_database("house_v1")
    with running_house(url, tmp_path_factory.mktemp("house-v1"), **ONLY_V1) as house:
        yield house


@pytest.mark.check  # the older generation: its contract and its flows are tried in `make test`
class TestPhonePeV1(PhonePeJourneys):
    our_clock: ClassVar[bool] = True
    success_after_failure: ClassVar[str] = "late-success"

    @pytest.fixture
    def house(self, database_kind: str, request: pytest.FixtureRequest) -> Iterator[House]:
        count_use(database_kind)
        house: House = request.getfixturevalue(f"{database_kind}_v1_house")
        yield house
        house.clear_faults()

    def event(self, house: House, order_id: str, wire_id: str, amount_paise: int) -> bytes:
        status = {
            "success": True,
            "code": "PAYMENT_SUCCESS",
            "message": "Your payment is successful.",
            "data": {
                "merchantId": "SIMULATORV1",
                "merchantTransactionId": order_id,
                "transactionId": f"T{time.time_ns()}",
                "amount": amount_paise,
                "state": "COMPLETED",
                "responseCode": "SUCCESS",
                "paymentInstrument": {"type": "UPI", "utr": "206378866112"},
            },
        }
        return json.dumps({"response": base64.b64encode(json.dumps(status).encode()).decode()}).encode()

    def unreadable(self) -> bytes:
        return json.dumps({"response": base64.b64encode(b"\xff not json").decode()}).encode()

    def genuine_headers(self, raw: bytes) -> dict[str, str]:
        response = json.loads(raw)["response"]
        return {"X-VERIFY": hashlib.sha256((response + SALT).encode()).hexdigest() + "###1"}

    def forged_headers(self, raw: bytes) -> list[dict[str, str]]:
        genuine = self.genuine_headers(raw)["X-VERIFY"]
        by_guess = hashlib.sha256((json.loads(raw)["response"] + "guess").encode()).hexdigest() + "###1"
        return [
            {"X-VERIFY": by_guess},
            {"X-VERIFY": genuine.replace("###1", "###7")},
            {"X-VERIFY": genuine, "Authorization": "Basic Z3Vlc3M6Z3Vlc3M="},
        ]

    def test_the_callback_of_a_refund_comes_to_the_address_that_was_given(self, house: House) -> None:
        with self.counter(house) as counter:
            counter.refund(10015, webhook_url=f"{house.url}/api/webhook/phonepe")
            refund_id = counter.rows()[0].refund_id or "none"
            callbacks = house.until(lambda: self.callbacks(house, counter.order, refund_id), bool)
            assert {callback["status"] for callback in callbacks} == {200}

    def callbacks(self, house: House, order: Json, refund_id: str) -> list[Json]:
        """Those of a refund, answered."""
        tries = house.simulated(f"deliveries?orderId={order['orderId']}")["deliveries"]
        return [one for one in tries if one["status"] and refund_id in _opened(one["body"])]


def test_with_both_generations_configured_new_orders_use_the_new_one(tmp_path: Path) -> None:
    """And what the old one made is still served by it, after the credentials of the new one arrived."""
    url = f"sqlite:///{tmp_path / 'payments.db'}"
    with running_house(url, tmp_path, **ONLY_V1) as house:
        old = house.create_order(499, "phonepe")["order"]
        house.kill_service()
        house.environment.update(V2_TOO)
        house.start_service()
        new = house.create_order(499, "phonepe")["order"]
        for order in (old, new):
            house.simulate(f"orders/{order['orderId']}/success")
            house.wait_for_status(order["orderId"], "completed", "phonepe")
        log = house.log()
    assert "/pg/v1/pay" in log
    assert "/checkout/v2/pay" in log


def _opened(body: str) -> str:
    return base64.b64decode(json.loads(body)["response"]).decode()


V2_TOO = {
    "PHONEPE_CLIENT_ID": "SIMULATORUAT",
    "PHONEPE_CLIENT_SECRET": "simulator_phonepe_client_secret",
    "PHONEPE_CLIENT_VERSION": "1",
}
