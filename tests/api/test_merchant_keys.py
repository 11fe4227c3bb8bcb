"""Who may call what: every route of the merchant API, by every scope."""

from hashlib import sha256

import pytest
from werkzeug.test import TestResponse

from payments_service import create_app
from payments_service.api.guards import GUARD
from payments_service.domain.errors import StoreUnavailable
from payments_service.flows import key_uses
from payments_service.settings import Settings
from tests.api.merchant_shop import CUSTOMER, KEYS, UNKNOWN, MerchantShop, told
from tests.api.merchant_shop import shop as shop
from tests.support.environment import environment


def merchant_routes(shop: MerchantShop) -> list[tuple[str, str, str]]:
    """Method, path and scope of each route that a key guards, from the service's own table of routes."""
    found = []
    for rule in shop.app.url_map.iter_rules():
        guard = getattr(shop.app.view_functions[rule.endpoint], GUARD)
        if guard.startswith("key_with "):
            [method] = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            path = rule.rule.replace("<uuid:payment_id>", "{}").replace("<uuid:refund_id>", UNKNOWN)
            found.append((method, path.replace("<event_id>", "evt_1"), guard.removeprefix("key_with ")))
    return found


def test_every_route_asks_for_its_scope_and_for_no_other(shop: MerchantShop) -> None:
    routes = merchant_routes(shop)
    assert len(routes) == 12
    for method, path, scope in routes:
        for name, scopes in KEYS.items():
            answer = shop.call(method, path.format(UNKNOWN), name, {} if method == "POST" else None)
            is_refused = answer.status_code == 403 and told(answer)[1] == "scope_missing"
            assert is_refused == (scope not in scopes.split("+")), (method, path, name, answer.text)
            assert answer.status_code != 401


def test_money_leaves_with_the_scope_refund_alone(shop: MerchantShop) -> None:
    scopes = {
        path.rsplit("/", 1)[-1]: scope for method, path, scope in merchant_routes(shop) if method == "POST"
    }
    assert (scopes["refunds"], scopes["void"]) == ("refund", "refund")
    assert {scopes["capture"], scopes["close"], scopes["resend"]} == {"write"}


WRONG = [None, "", "Bearer", "Bearer psk_wrong", "Basic psk_secret_of_owner", "psk_secret_of_owner"]


@pytest.mark.parametrize("wrong", WRONG)
def test_without_a_key_every_route_answers_alike_and_looks_at_nothing(
    shop: MerchantShop, wrong: str | None
) -> None:
    known = shop.paid()
    seen = shop.statements()

    def ask(method: str, path: str) -> TestResponse:
        headers = {} if wrong is None else {"Authorization": wrong}
        client = shop.app.test_client()
        return client.open(path, method=method, json={} if method == "POST" else None, headers=headers)

    answers = [
        ask(method, path.format(payment_id))
        for method, path, _ in merchant_routes(shop)
        for payment_id in (known, UNKNOWN)
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    assert seen == []


def test_a_key_is_rotated_under_one_name_without_a_break(database_url: str) -> None:
    """Both work meanwhile, what the name owns stays its own, and the use of each is known to the hour."""
    old, new = sha256(b"psk_old_one").hexdigest(), sha256(b"psk_new_one").hexdigest()
    keys = f"shop:write+read:{new},shop:read+write:{old}"
    app = create_app(
        Settings.from_environment(environment(database_url=database_url, simulator_port=9, API_KEYS=keys))
    )
    shop = MerchantShop(app)

    def buy(key: str) -> TestResponse:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "key-of-the-shop-1"}
        body = {"amount": 499, "gateway": "fake", "customer": CUSTOMER}
        return app.test_client().post("/api/payment/create-order", json=body, headers=headers)

    first = buy("psk_old_one")
    assert first.status_code == 200, first.text

    def listed() -> list[str]:
        with app.app_context():
            return app.test_cli_runner().invoke(args=["api-keys"]).output.splitlines()[1:]

    lines = listed()
    assert [line.split()[3] == "-" for line in lines] == [True, False]
    assert buy("psk_new_one").data == first.data
    lines = listed()
    assert [line.split()[:3] for line in lines] == [
        ["shop", "read+write", digest[:8]] for digest in (new, old)
    ]
    assert all(
        line.endswith(":30:00") for line in lines
    )  # the hour began in UTC, and is told in India's time
    shop.db.engine.dispose()


def test_the_use_of_a_key_is_written_once_an_hour_and_stands_in_no_requests_way(
    shop: MerchantShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_uses._noted.clear()  # what an earlier test did with a database of this name
    seen = shop.statements()
    for _ in range(3):
        assert shop.get("/api/payment", "reader").status_code == 200
    assert len([statement for statement in seen if "INTO heartbeats" in statement]) == 1

    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(key_uses.key_uses, "beat", away)
    assert shop.get("/api/payment", "clerk").status_code == 200


def test_a_key_of_another_scope_learns_nothing_and_looks_at_nothing(shop: MerchantShop) -> None:
    known = shop.paid()
    seen = shop.statements()
    answers = [shop.post(f"/api/payment/{one}/refunds", {}, "reader") for one in (known, UNKNOWN)]
    assert {told(answer) for answer in answers} == {(403, "scope_missing")}
    assert answers[0].data == answers[1].data
    assert seen == []
