"""Who may call what: every route of the merchant API, by every scope."""

import pytest
from werkzeug.test import TestResponse

from payments_service.api.guards import GUARD
from tests.api.merchant_shop import KEYS, UNKNOWN, MerchantShop, told
from tests.api.merchant_shop import shop as shop

NO_PAYMENT = UNKNOWN


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
    assert len(routes) == 11
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


def test_a_key_of_another_scope_learns_nothing_and_looks_at_nothing(shop: MerchantShop) -> None:
    known = shop.paid()
    seen = shop.statements()
    answers = [shop.post(f"/api/payment/{one}/refunds", {}, "reader") for one in (known, UNKNOWN)]
    assert {told(answer) for answer in answers} == {(403, "scope_missing")}
    assert answers[0].data == answers[1].data
    assert seen == []
