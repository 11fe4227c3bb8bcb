"""What payers, their pages, the merchant and forgers do, decided by the seed; and a diary of the answers."""

import base64
import hashlib
import hmac
import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.chaos.town import API_KEY, Town

Json = dict[str, Any]
RAZORPAY_SECRET = b"simulator_razorpay_key_secret"
PHONEPE_HOOK = hashlib.sha256(b"simulator_hook:simulator_Passw0rd1").hexdigest()
TRIES = 12
STORIES = {
    "pays": 44,
    "fails then pays": 10,
    "fails": 7,
    "leaves": 9,
    "dawdles then pays": 6,
    "pays late": 7,
    "pays twice": 5,
    "bank holds": 4,
    "wrong amount": 4,
    "expires": 4,
}
PAYING = ("pays", "fails then pays", "dawdles then pays", "pays late", "pays twice", "bank holds")


class Diary:
    """What was answered to whom, in order; the checker reads it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.entries: list[Json] = []

    def note(self, what: str, **entry: Any) -> None:
        with self._lock:
            self.entries.append({"what": what, "at": time.time(), **entry})

    def of(self, *whats: str) -> list[Json]:
        with self._lock:
            return [entry for entry in self.entries if entry["what"] in whats]


@dataclass(frozen=True)
class Plan:
    """One purchase."""

    number: int
    gateway: str
    paise: int
    story: str
    key: str | None
    times: int
    """How often create-order is sent at once; more than once only with a key or a reference."""
    reference: str | None
    other_gateway: str | None
    """Where the same reference is opened a second time."""
    verifies: int
    polls: int
    forges: bool
    refund: str
    """"" · whole · part · race · dashboard · both."""


def plan(seed: int, number: int, gateways: tuple[str, ...], stories: tuple[str, ...]) -> Plan:
    dice = random.Random(f"{seed} {number}")
    names = [name for name in STORIES if not stories or name in stories]
    story = dice.choices(names, [STORIES[name] for name in names])[0]
    trusted = dice.random() < 0.35
    keyed = dice.random() < 0.6
    twice = trusted and len(gateways) > 1 and dice.random() < 0.25
    gateway = gateways[number % len(gateways)]
    others = [name for name in gateways if name != gateway]
    return Plan(
        number=number,
        gateway=gateway,
        paise=dice.randint(100, 999_99),
        story=story,
        key=f"chaos-{seed}-{number:06d}-key" if keyed else None,
        times=dice.choice((1, 1, 2, 3)) if keyed or trusted else 1,
        reference=f"ORDER-{seed}-{number}" if trusted else None,
        other_gateway=dice.choice(others) if twice else None,
        verifies=dice.choice((0, 1, 1, 2, 3)),
        polls=dice.choice((0, 1, 2, 3)),
        forges=dice.random() < 0.15,
        refund=dice.choice(("", "", "", "whole", "part", "race", "dashboard", "both")),
    )


@dataclass
class Street:
    """Many payers at once."""

    town: Town
    diary: Diary
    seed: int
    opened: list[Json] = field(default_factory=list)
    """Orders that other people opened, for those who try with them."""

    def buys(self, one: Plan) -> None:
        try:
            Payer(self, one).buy()
        except Exception as error:
            self.diary.note("harness failed", number=one.number, error=repr(error))
            raise


class Payer:
    def __init__(self, street: Street, one: Plan) -> None:
        self.street, self.plan, self.town, self.diary = street, one, street.town, street.diary
        self.dice = random.Random(f"{street.seed} payer {one.number}")
        self.http = requests.Session()
        self.http.trust_env = False

    def buy(self) -> None:
        with self.http:
            created = self.open_orders(self.plan.gateway, self.plan.key)
            if self.plan.other_gateway:
                key = self.plan.key and f"{self.plan.key}-2"
                created += self.open_orders(self.plan.other_gateway, key)
            distinct = {answer["order"]["orderId"]: answer for answer in created}
            for answer in distinct.values():
                self.street.opened.append(answer)
                self.pay(answer)

    # ── create-order ────────────────────────────────────────────────────────────────────────────

    def open_orders(self, gateway: str, key: str | None) -> list[Json]:
        if self.plan.times == 1:
            answers = [self.open_order(gateway, key)]
        else:
            with ThreadPoolExecutor(self.plan.times) as pool:
                answers = list(pool.map(lambda _: self.open_order(gateway, key), range(self.plan.times)))
        return [answer for answer in answers if answer]

    def open_order(self, gateway: str, key: str | None) -> Json | None:
        """As a careful page: the same request again until the answer is final, if it has a key."""
        number = self.plan.number
        customer = {"name": f"Payer {number}", "email": email(number), "phone": phone(number)}
        body: Json = {"amount": f"{self.plan.paise / 100:.2f}", "gateway": gateway, "customer": customer}
        headers = {}
        if self.plan.reference:
            body["reference"] = self.plan.reference
            headers["Authorization"] = f"Bearer {API_KEY}"
        if key:
            headers["Idempotency-Key"] = key
        for _ in range(TRIES if key or self.plan.reference else 1):
            status, answer = self.call("POST", "/api/payment/create-order", body, headers)
            code = (answer or {}).get("code")
            about = {"number": number, "gateway": gateway, "key": key, "reference": self.plan.reference}
            if status == 200 and answer:
                about |= {"payment": answer["id"], "orderId": answer["order"]["orderId"]}
                self.diary.note("created", paise=self.plan.paise, amount=answer["order"]["amount"], **about)
                return answer
            self.diary.note("not created", status=status, code=code, **about)
            if status and status < 500 and code not in ("request_in_progress", "outcome_unknown"):
                return None
            time.sleep(self.dice.uniform(0.2, 1.2))
        return None

    # ── paying ──────────────────────────────────────────────────────────────────────────────────

    def pay(self, created: Json) -> None:
        order = created["order"]["orderId"]
        gateway = created["gateway"]
        if self.dice.random() < 0.25:
            self.must_not_be_paid(gateway, order)
        if self.plan.forges:
            self.forge(gateway, order)
        pages = [self.verify] * self.plan.verifies + [self.poll] * self.plan.polls
        self.dice.shuffle(pages)
        for at, verb in enumerate(self.verbs(gateway)):
            self.happens(order, *verb)
            if at == 0 and pages:
                pages.pop()(gateway, order)
            self.pause()
        for page in pages:
            page(gateway, order)
        if self.plan.refund and self.plan.story in PAYING:
            self.give_back(gateway, created["id"], order)

    def verbs(self, gateway: str) -> list[tuple[str, Json]]:
        """What happens at the gateway."""
        pays: tuple[str, Json] = ("success", {})
        story = self.plan.story
        again: tuple[str, Json] = ("late-success", {}) if gateway == "phonepe" else pays
        wrong: tuple[str, Json] = (
            "success",
            {"orderAmountPaise": self.plan.paise + 100, "amountPaise": self.plan.paise + 100},
        )
        twice = "late-success" if gateway == "phonepe" else "second-success"
        return {
            "pays": [pays],
            "fails then pays": [("failure", {}), again],
            "fails": [("failure", {})],
            "leaves": [],
            "dawdles then pays": [("pending", {}), pays],
            "pays late": [("expire", {}), ("late-success", {})],
            "pays twice": [pays, (twice, {})],
            "bank holds": [("authorize" if gateway == "razorpay" else "success", {})],
            "wrong amount": [wrong],
            "expires": [("expire", {})],
        }[story]

    def happens(self, order: str, verb: str, body: Json) -> bool:
        url = f"{self.town.simulator_url}/_sim/orders/{order}/{verb}"
        answer = self.http.post(url, json=body, timeout=60)
        self.diary.note("happened", order=order, verb=verb, status=answer.status_code, **body)
        return answer.ok

    # ── pages ───────────────────────────────────────────────────────────────────────────────────

    def verify(self, gateway: str, order: str) -> None:
        fields: Json = {"gateway": gateway, "orderId": order}
        if gateway == "razorpay":
            known = self.http.get(f"{self.town.simulator_url}/_sim/orders/{order}", timeout=60).json()
            payment = known["attempts"][-1]["paymentId"] if known["attempts"] else "pay_Nobody00000001"
            fields |= {"paymentId": payment, "signature": sign(order, payment)}
        status, answer = self.call("POST", "/api/payment/verify-payment", fields)
        self.told("verify", order, status, answer)

    def poll(self, gateway: str, order: str) -> None:
        status, answer = self.call("GET", f"/api/payment/status/{gateway}/{order}")
        self.told("status", order, status, answer)

    def told(self, door: str, order: str, status: int | None, answer: Json | None) -> None:
        about = answer or {}
        told = {name: about.get(name) for name in ("success", "paymentStatus", "code", "amount", "id")}
        self.diary.note("told", door=door, order=order, status=status, **told)

    def must_not_be_paid(self, gateway: str, order: str) -> None:
        """Nobody has paid yet, so whoever says otherwise believes a browser."""
        other = self.dice.choice(self.street.opened)["order"]["orderId"] if self.street.opened else order
        fields = {
            "gateway": gateway,
            "orderId": order,
            "paymentId": "pay_Nobody00000001",
            "signature": "0" * 64,
        }
        if gateway == "razorpay" and self.dice.random() < 0.5:
            known = self.http.get(f"{self.town.simulator_url}/_sim/orders/{other}", timeout=60).json()
            if other != order and known["gateway"] == gateway and known["attempts"]:
                payment = known["attempts"][-1]["paymentId"]
                fields |= {"paymentId": payment, "signature": sign(other, payment)}
        for path, body in (
            ("/api/payment/verify-payment", fields),
            (f"/api/payment/status/{gateway}/{order}", None),
        ):
            status, answer = self.call("POST" if body else "GET", path, body)
            if (answer or {}).get("paymentStatus") in ("completed", "authorized") or (body and status == 200):
                self.diary.note("believed", order=order, path=path, status=status, answer=answer)
            self.diary.note("forged proof", order=order, status=status)

    def forge(self, gateway: str, order: str) -> None:
        """A webhook that nobody signed, and one that knows PhonePe's password and lies."""
        nonce = f"{self.dice.random()}"
        url = f"{self.town.url}/api/webhook/{gateway}"
        for headers, body in forgeries(gateway, order, self.plan.paise, nonce):
            status = None  # of a service that died: it may have kept what is worth keeping
            with suppress(requests.RequestException):
                status = self.http.post(url, data=body, headers=headers, timeout=30).status_code
            is_lie = headers.get("Authorization") == PHONEPE_HOOK
            self.diary.note("lie" if is_lie else "forged", order=order, status=status, body=body.decode())

    # ── refunds ─────────────────────────────────────────────────────────────────────────────────

    def give_back(self, gateway: str, payment: str, order: str) -> None:
        ends = time.monotonic() + 15
        while True:
            status, answer = self.call("GET", f"/api/payment/status/{gateway}/{payment}")
            if status == 200 and (answer or {}).get("paymentStatus") == "completed":
                break
            if time.monotonic() > ends:
                return
            time.sleep(0.5)
        part = max(100, self.plan.paise // 3)
        match self.plan.refund:
            case "whole":
                self.refund(payment, None)
            case "part":
                self.refund(payment, part)
                self.refund(payment, part)
            case "race":
                with ThreadPoolExecutor(3) as pool:
                    list(pool.map(lambda _: self.refund(payment, None), range(3)))
            case "dashboard":
                self.happens(order, "dashboard-refund", {"amountPaise": min(part, self.plan.paise)})
            case "both":
                with ThreadPoolExecutor(2) as pool:
                    ours = pool.submit(self.refund, payment, min(part, self.plan.paise))
                    self.happens(order, "dashboard-refund", {"amountPaise": min(part, self.plan.paise)})
                    ours.result()

    def refund(self, payment: str, paise: int | None) -> None:
        status, answer = self.call("POST", f"/_chaos/refund/{payment}", {"amountPaise": paise})
        about = answer or {}
        self.diary.note(
            "refund", payment=payment, status=status, code=about.get("code"), refund=about.get("id")
        )

    # ── HTTP ────────────────────────────────────────────────────────────────────────────────────

    def call(
        self, method: str, path: str, body: Json | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int | None, Json | None]:
        """Status and JSON of an answer; none where the service died or was dead."""
        try:
            answer = requests.request(method, self.town.url + path, json=body, headers=headers, timeout=60)
        except requests.RequestException:
            self.pause()
            return None, None
        found = answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else {}
        if answer.status_code == 500 and found.get("code") in (None, "internal_error"):
            self.diary.note("internal error", path=path, answer=answer.text[:300])
        return answer.status_code, found

    def pause(self) -> None:
        time.sleep(self.dice.uniform(0.0, 0.25))


def email(number: int) -> str:
    return f"payer{number}@chaos.example"


def phone(number: int) -> str:
    return f"98{number:08d}"


def sign(order: str, payment: str) -> str:
    return hmac.new(RAZORPAY_SECRET, f"{order}|{payment}".encode(), hashlib.sha256).hexdigest()


def forgeries(gateway: str, order: str, paise: int, nonce: str) -> list[tuple[dict[str, str], bytes]]:
    kind = {"Content-Type": "application/json"}
    if gateway == "razorpay":
        entity: Json = {"id": "pay_Forged00000001", "amount": paise, "currency": "INR", "status": "captured"}
        entity |= {"order_id": order, "captured": True, "method": "upi", "note": nonce}
        event = {
            "event": "payment.captured",
            "payload": {"payment": {"entity": entity}},
            "created_at": 1800000000,
        }
        body = json.dumps(event).encode()
        guess = hmac.new(b"guess", body, hashlib.sha256).hexdigest()
        return [({**kind, "X-Razorpay-Signature": guess}, body), (kind, body)]
    if gateway == "phonepe":
        payload: Json = {
            "orderId": "OMO1",
            "merchantId": "SIMULATORUAT",
            "merchantOrderId": order,
            "state": "COMPLETED",
        }
        payload |= {
            "amount": paise,
            "expireAt": 1924866793837,
            "paymentDetails": [],
            "metaInfo": {"udf1": nonce},
        }
        body = json.dumps({"event": "checkout.order.completed", "payload": payload}).encode()
        lie = body + b" "
        wrong = hashlib.sha256(b"simulator_hook:guess").hexdigest()
        answer = json.dumps(
            {"success": True, "code": "PAYMENT_SUCCESS", "data": {"merchantTransactionId": order, "n": nonce}}
        )
        v1 = json.dumps({"response": base64.b64encode(answer.encode()).decode()}).encode()
        return [
            ({**kind, "Authorization": wrong}, body),
            ({**kind, "Authorization": PHONEPE_HOOK}, lie),
            ({**kind, "X-VERIFY": f"{'0' * 64}###1"}, v1),
        ]
    amount = paise / 100
    payment = {"cf_payment_id": "1", "payment_status": "SUCCESS", "payment_amount": amount, "n": nonce}
    data = {"order": {"order_id": order, "order_amount": amount, "order_currency": "INR"}, "payment": payment}
    body = json.dumps(
        {"data": data, "event_time": "2030-01-15T12:20:30+05:30", "type": "PAYMENT_SUCCESS_WEBHOOK"}
    ).encode()
    guess = base64.b64encode(hmac.new(b"guess", body, hashlib.sha256).digest()).decode()
    return [({**kind, "x-webhook-signature": guess, "x-webhook-timestamp": "1"}, body), (kind, body)]
