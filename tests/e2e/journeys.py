"""The journeys every gateway's payments must survive, over real HTTP: page → service ⇄ simulator → webhook.

A subclass says how its gateway's pages prove a payment and how its webhooks are forged; the rest is common.
"""

from typing import Any, ClassVar

import pytest
import requests

from tests.e2e import look
from tests.support.house import CUSTOMER, House

Json = dict[str, Any]


class Journeys:
    gateway: ClassVar[str]
    paid_word: ClassVar[str]
    """The gateway's own word for a paid payment."""
    events_per_success: ClassVar[int] = 1
    our_clock: ClassVar[bool] = False
    """Whether an order ends by our clock, else the gateway ends it."""
    resends_spoilt_webhooks: ClassVar[bool] = True

    # ── hooks ───────────────────────────────────────────────────────────────────────────────────

    def proof(self, house: House, order: Json) -> Json:
        """What this gateway's page sends to verify-payment after a payment."""
        return {"orderId": order["orderId"]}

    def event(self, house: House, order_id: str, wire_id: str, amount_paise: int) -> bytes:
        """The raw body of an event that says this order is paid."""
        raise NotImplementedError

    def genuine_headers(self, raw: bytes) -> dict[str, str]:
        """The headers by which the gateway would sign it."""
        raise NotImplementedError

    def forged_headers(self, raw: bytes) -> list[dict[str, str]]:
        """Headers that look like the gateway's and are not."""
        raise NotImplementedError

    # ── helpers ─────────────────────────────────────────────────────────────────────────────────

    def buy(self, house: House, amount: Any = 499) -> tuple[str, Json]:
        """Our id and the order of a new payment."""
        created = house.create_order(amount, self.gateway)
        assert created["order"]["paymentUrl"].endswith(f"/pay/{created['id']}")
        return created["id"], created["order"]

    def happens(self, house: House, order: Json, what: str, **options: Any) -> None:
        house.simulate(f"orders/{order['orderId']}/{what}", options)

    def status(self, house: House, order: Json) -> Json:
        return house.status(order["orderId"], self.gateway)

    def becomes(self, house: House, order: Json, expected: str) -> Json:
        return house.wait_for_status(order["orderId"], expected, self.gateway)

    def verify(self, house: House, order: Json, **changes: Any) -> requests.Response:
        fields = {"gateway": self.gateway, **self.proof(house, order), **changes}
        return house.post("/api/payment/verify-payment", fields)

    def drop_webhooks(self, house: House) -> None:
        self.fault(house, "webhook", "drop", count=20)

    def fault(self, house: House, on: str, kind: str, **more: Any) -> None:
        house.simulate("faults", {"gateway": self.gateway, "on": on, "kind": kind, "count": 1, **more})

    def deliver(self, house: House, raw: bytes, headers: dict[str, str]) -> requests.Response:
        url = f"{house.url}/api/webhook/{self.gateway}"
        headers = {"Content-Type": "application/json", **headers}
        return house.http.post(url, data=raw, headers=headers, timeout=20)

    def wire_id(self, house: House, payment_id: str) -> str:
        return look.orders(house, payment_id)[-1].wire_id

    def expire(self, house: House, payment_id: str, order: Json) -> None:
        if self.our_clock:
            look.let_time_run_out(house, payment_id)
        else:
            self.happens(house, order, "expire")

    # ── journeys ────────────────────────────────────────────────────────────────────────────────

    def test_a_payment_completes_by_its_webhook_alone(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        house.until(lambda: look.trail(house, payment_id)[-1], lambda status: status == "completed")
        paid = self.status(house, order)
        assert (paid["amount"], paid["currency"], paid["status"]) == (499, "INR", self.paid_word)
        assert paid["paymentId"] == look.payment_id_at_the_gateway(house, order["orderId"])
        assert paid["method"]

    @pytest.mark.parametrize("amount", [1, "1.01", 100.15, 4999])
    def test_amounts_arrive_to_the_paisa(self, house: House, amount: float | str) -> None:
        payment_id, order = self.buy(house, amount)
        seen = house.simulated(f"orders/{order['orderId']}")
        assert seen["amountPaise"] == order["amount"] == round(float(amount) * 100)
        assert house.status(payment_id, self.gateway)["amount"] == float(amount)

    def test_a_payment_whose_webhooks_are_lost_completes_by_verify(self, house: House) -> None:
        self.drop_webhooks(house)
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        answer = self.verify(house, order)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["success"], body["paymentStatus"], body["status"]) == (True, "completed", self.paid_word)
        assert (body["id"], body["amount"], body["currency"]) == (payment_id, 499, "INR")
        assert look.inbox(house, payment_id) == []

    def test_a_payment_whose_webhooks_are_lost_completes_by_its_status_page(self, house: House) -> None:
        self.drop_webhooks(house)
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")
        assert look.inbox(house, payment_id) == []

    def test_verify_before_the_webhook_and_again_after_it_agree(self, house: House) -> None:
        self.fault(house, "webhook", "delay", count=self.events_per_success, seconds=1)
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        before = self.verify(house, order).json()
        assert before["success"] is True
        house.until(lambda: len(look.inbox(house, payment_id)), lambda n: n == self.events_per_success)
        assert self.verify(house, order).json() == before
        assert look.trail(house, payment_id).count("completed") == 1

    def test_verify_and_the_webhook_at_once_complete_it_once(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        assert self.verify(house, order).status_code == 200
        house.until(lambda: len(look.inbox(house, payment_id)), lambda n: n == self.events_per_success)
        assert look.trail(house, payment_id).count("completed") == 1

    def test_failure_then_success_is_a_success(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "failure")
        house.until(lambda: self.attempts_or_status(house, payment_id, order), lambda seen: "failed" in seen)
        assert self.status(house, order)["paymentStatus"] != "completed"
        self.happens(house, order, self.success_after_failure)
        self.becomes(house, order, "completed")

    success_after_failure: ClassVar[str] = "success"

    def attempts_or_status(self, house: House, payment_id: str, order: Json) -> list[str | None]:
        """Ask as a page would, and look what became known of the attempts."""
        status = self.status(house, order)["paymentStatus"]
        return [*look.trail(house, payment_id, "attempt"), status]

    def test_pending_then_success_is_a_success(self, house: House) -> None:
        _, order = self.buy(house)
        self.happens(house, order, "pending")
        answer = self.verify(house, order)
        assert answer.status_code == 402, answer.text
        assert answer.headers["Retry-After"]
        assert answer.json() == {
            "success": False,
            "error": "Payment is not completed yet",
            "code": "payment_pending",
            "paymentStatus": "pending",
            "retryable": True,
        }
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")

    def test_an_order_that_nobody_paid_expires_and_a_late_success_completes_it(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.expire(house, payment_id, order)
        self.becomes(house, order, "expired")
        self.happens(house, order, "late-success")
        house.until(lambda: look.trail(house, payment_id)[-1], lambda status: status == "completed")
        assert look.trail(house, payment_id)[:3] == ["initiated", "pending", "expired"]

    def test_verify_still_asks_for_an_expired_payment(self, house: House) -> None:
        self.drop_webhooks(house)
        payment_id, order = self.buy(house)
        self.expire(house, payment_id, order)
        self.becomes(house, order, "expired")
        self.happens(house, order, "late-success")
        answer = self.verify(house, order)
        assert answer.json()["paymentStatus"] == "completed"

    def test_every_event_delivered_twice_changes_nothing_more(self, house: House) -> None:
        self.fault(house, "webhook", "duplicate", count=self.events_per_success)
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        twice = 2 * self.events_per_success
        answered = house.until(lambda: look.deliveries(house, order["orderId"]), lambda d: len(d) == twice)
        assert {delivery["status"] for delivery in answered} == {200}
        assert len(look.inbox(house, payment_id)) == self.events_per_success
        assert look.trail(house, payment_id).count("completed") == 1

    def test_a_spoilt_signature_is_refused_and_the_next_try_counts(self, house: House) -> None:
        if not self.resends_spoilt_webhooks:
            self.fault(house, "webhook", "corrupt_signature")
        else:
            self.fault(house, "webhook", "corrupt_signature", count=self.events_per_success)
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        statuses = house.until(
            lambda: [d["status"] for d in look.deliveries(house, order["orderId"])], lambda s: 401 in s
        )
        assert 200 not in statuses[:1]
        house.simulate("clock", {"advance_seconds": 3600})
        house.until(lambda: len(look.inbox(house, payment_id)), lambda n: n == self.events_per_success)

    def test_an_amount_below_the_orders_is_never_completed(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "success", amountPaise=100)
        house.until(
            lambda: (self.status(house, order), look.review(house, payment_id)),
            lambda seen: seen[1] == "amount_mismatch",
        )
        answer = self.verify(house, order)
        assert (answer.status_code, answer.json()["code"]) == (409, "payment_review")
        assert "completed" not in look.trail(house, payment_id)

    def test_an_order_of_another_amount_at_the_gateway_is_never_completed(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "success", orderAmountPaise=100)
        house.until(
            lambda: (self.status(house, order), look.review(house, payment_id)),
            lambda seen: seen[1] == "amount_mismatch",
        )
        assert self.verify(house, order).status_code == 409
        assert "completed" not in look.trail(house, payment_id)

    def test_the_genuine_proof_of_another_order_opens_nothing(self, house: House) -> None:
        _, cheap = self.buy(house, 1)
        dear_id, dear = self.buy(house, 4999)
        self.happens(house, cheap, "success")
        self.becomes(house, cheap, "completed")
        answer = self.verify(house, cheap, orderId=dear["orderId"])
        assert answer.status_code in (400, 402), answer.text
        assert look.trail(house, dear_id)[-1] == "pending"

    def test_a_proof_without_money_is_not_a_success(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "failure")
        answer = self.verify(house, order)
        assert answer.status_code in (400, 402)
        assert answer.json()["success"] is False
        assert "completed" not in look.trail(house, payment_id)

    def test_a_forged_webhook_changes_nothing_and_is_not_kept(self, house: House) -> None:
        payment_id, order = self.buy(house)
        raw = self.event(house, order["orderId"], self.wire_id(house, payment_id), 49900)
        for headers in self.forged_headers(raw):
            assert self.deliver(house, raw, headers).status_code == 401
        assert self.deliver(house, raw, {}).status_code == 400
        assert look.inbox(house, payment_id) == []
        assert self.status(house, order)["paymentStatus"] == "pending"

    def test_an_event_of_an_order_that_is_not_ours_is_kept_and_left_alone(self, house: House) -> None:
        raw = self.event(house, "order_Elsewhere00001", "elsewhere_1", 100)
        assert self.deliver(house, raw, self.genuine_headers(raw)).json() == {
            "success": True,
            "message": "Webhook received",
        }
        row = look.inbox_row(house, raw)
        assert row is not None
        assert (row.outcome, row.payment_id) == ("unmatched", None)

    def test_an_authentic_body_that_cannot_be_read_is_kept(self, house: House) -> None:
        raw = self.unreadable()
        assert self.deliver(house, raw, self.genuine_headers(raw)).status_code == 200
        row = look.inbox_row(house, raw)
        assert row is not None
        assert row.outcome == "unreadable"

    def unreadable(self) -> bytes:
        return b"\xff not json"

    @pytest.mark.parametrize("reference", ["order_nobody", "psv_nobody", "x" * 300, "%00", "a/b"])
    def test_what_is_not_ours_is_not_found(self, house: House, reference: str) -> None:
        answer = house.get(f"/api/payment/status/{self.gateway}/{reference}")
        assert answer.status_code == 404, answer.text
        assert answer.json()["code"] == "not_found"

    def test_an_order_whose_answer_was_lost_ends_as_one_payable_order(self, house: House) -> None:
        """The connection breaks after the gateway made the order and before it could say so."""
        self.fault(house, "create_order", "reset_after")
        payment_id, order = self.buy(house)
        open_orders = [o for o in look.orders(house, payment_id) if o.status == "open"]
        assert len(open_orders) == 1
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")

    def test_a_page_is_sent_back_to_its_merchant_with_the_names_it_reads(self, house: House) -> None:
        payment_id, order = self.buy(house)
        self.happens(house, order, "success")
        back = f"{house.url}/pay/{payment_id}/return"
        for answer in (
            house.http.get(back, allow_redirects=False, timeout=20),
            house.http.post(back, data={"code": "PAYMENT_ERROR"}, allow_redirects=False, timeout=20),
        ):
            assert answer.status_code == 303
            assert f"orderId={order['orderId']}" in answer.headers["Location"]
            assert f"gateway={self.gateway}" in answer.headers["Location"]

    def test_the_log_of_all_that_happened_here_holds_no_secret_and_nobodys_data(self, house: House) -> None:
        _, order = self.buy(house)
        self.happens(house, order, "success")
        self.becomes(house, order, "completed")
        proof = self.proof(house, order)
        assert self.verify(house, order).status_code == 200
        log = house.log()
        assert "Creating order" in log
        assert "a***@example.com" in log
        words = ("SECRET", "PASS", "SALT_KEY")
        private = [*CUSTOMER.values(), proof.get("signature", "Basic "), "Basic ", "O-Bearer"]
        private += [v for k, v in house.environment.items() if v and any(word in k for word in words)]
        private += [order[name] for name in ("paymentSessionId", "redirectUrl") if name in order]
        assert [value for value in private if value in log] == []
