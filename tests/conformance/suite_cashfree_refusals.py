"""What cashfree_pg 6.0.1 makes of refusals: statuses, bodies, headers, classes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cashfree_words import Answers, exceptions, fixture, order_request, refund_request
from conftest import Simulator

pytest_plugins = ("cashfree_sdk",)


def refused(run: Callable[[], Any], kind: type[Exception], status: int, code: str) -> Any:
    """Exactly that class: 409, 422 and 429 have none of their own."""
    with pytest.raises(exceptions.ApiException) as caught:
        run()
    error: Any = caught.value
    body = json.loads(error.body)
    assert (type(error), error.status, body["code"]) == (kind, status, code)
    assert set(body) == {"message", "code", "type"}
    return error


def test_wrong_keys(client: Any, raw: Answers) -> None:
    client.XClientSecret = "wrong"
    run = lambda: client.PGFetchOrder("order_1")  # noqa: E731
    refused(run, exceptions.UnauthorizedException, 401, "request_failed")
    assert raw("GET", "/orders/order_1", x_client_secret=None).json == fixture("errors/401")


def test_a_missing_or_unknown_version(raw: Answers) -> None:
    answer = raw("GET", "/orders/order_1", x_api_version=None)
    assert (answer.status, answer.json) == (400, fixture("errors/400_version_missing"))
    assert raw("GET", "/orders/order_1", x_api_version="2024-02-30").status == 400


def test_a_wrong_address(raw: Answers) -> None:
    assert (raw("GET", "/no").status, raw("GET", "/no").json) == (400, fixture("errors/400"))


def test_unknown_ids(client: Any, paid: Any) -> None:
    for run, code in (
        (lambda: client.PGFetchOrder("none"), "order_not_found"),
        (lambda: client.PGOrderFetchPayments("none"), "order_not_found"),
        (lambda: client.PGOrderFetchPayment("order_1", "1"), "payment_not_found"),
        (lambda: client.PGOrderFetchRefund("order_1", "none"), "refund_not_found"),
        (lambda: client.PGOrderCreateRefund("none", refund_request()), "order_not_found"),
        (lambda: client.PGFetchDisputeById(1), "dispute_not_found"),
        (lambda: client.PGFetchSimulation("none"), "simulation_not_found"),
    ):
        refused(run, exceptions.NotFoundException, 404, code)


def test_a_known_order_id(client: Any, order: Any, raw: Answers) -> None:
    run = lambda: client.PGCreateOrder(order_request())  # noqa: E731
    error = refused(run, exceptions.ApiException, 409, "order_already_exists")
    assert json.loads(error.body) == fixture("errors/409")


def test_amounts_that_are_too_small_or_no_numbers(raw: Answers) -> None:
    order = order_request().to_dict()
    for amount in (0.99, 0, -1, "170.00", 1.005, 1000000.01, True):
        answer = raw("POST", "/orders", {**order, "order_amount": amount})
        assert (answer.status, answer.json["code"]) == (400, "order_amount_invalid"), amount


def test_fields_that_nobody_knows_or_that_are_missing(raw: Answers) -> None:
    order = order_request().to_dict()
    assert raw("POST", "/orders", {**order, "receipt": "x"}).status == 400
    for name in ("order_amount", "order_currency", "customer_details"):
        assert raw("POST", "/orders", {field: order[field] for field in order if field != name}).status == 400
    # what the SDK sends for fields that were set to None
    meta = {"return_url": "https://shop.example", "payment_methods": None, "notify_url": None}
    assert raw("POST", "/orders", {**order, "order_meta": meta, "order_note": None}).status == 200


def test_a_refund_of_too_much_or_of_nothing(client: Any, order: Any, simulator: Simulator) -> None:
    run = lambda: client.PGOrderCreateRefund("order_1", refund_request(170.01))  # noqa: E731
    refused(run, exceptions.BadRequestException, 400, "refund_not_allowed")
    simulator.move("order_1", "success")
    refused(run, exceptions.BadRequestException, 400, "refund_amount_invalid")


def test_a_known_refund_id_with_other_words(client: Any, paid: Any) -> None:
    client.PGOrderCreateRefund("order_1", refund_request())
    run = lambda: client.PGOrderCreateRefund("order_1", refund_request(71))  # noqa: E731
    refused(run, exceptions.BadRequestException, 400, "refund_id_already_exists")


def test_a_key_with_other_words(client: Any, order: Any) -> None:
    client.PGCreateOrder(order_request("order_2"), x_idempotency_key="k-3")
    run = lambda: client.PGCreateOrder(order_request("order_3"), x_idempotency_key="k-3")  # noqa: E731
    error = refused(run, exceptions.ApiException, 422, "request_invalid")
    assert json.loads(error.body)["type"] == "idempotency_error"


def test_a_limit_says_when_to_come_again(client: Any, simulator: Simulator) -> None:
    simulator.fault("cashfree", "fetch", "429")
    run = lambda: client.PGFetchOrder("order_1")  # noqa: E731
    error = refused(run, exceptions.ApiException, 429, "request_failed")
    assert json.loads(error.body) == fixture("errors/429")
    names = ("limit", "remaining", "retry", "type")
    told = [error.headers[f"x-ratelimit-{name}"] for name in names]
    assert (told[0], told[1], told[3]) == ("200", "0", "ip")
    assert 1 <= int(told[2]) <= 59


def test_a_500_is_kept_under_its_key(client: Any, simulator: Simulator) -> None:
    simulator.fault("cashfree", "create_order", "500")
    run = lambda: client.PGCreateOrder(order_request(), x_idempotency_key="k-4")  # noqa: E731
    for _ in range(2):
        error = refused(run, exceptions.ServiceException, 500, "internal_error")
        assert json.loads(error.body) == fixture("errors/500")
    assert error.headers["x-idempotency-replayed"] == "true"
    assert client.PGCreateOrder(order_request(), x_idempotency_key="k-5").data.order_status == "ACTIVE"


def test_a_502_is_the_balancers_page(client: Any, simulator: Simulator) -> None:
    simulator.fault("cashfree", "fetch", "html502")
    with pytest.raises(exceptions.ServiceException) as caught:
        client.PGFetchOrder("order_1")
    assert (caught.value.status, caught.value.body[:6]) == (502, "<html>")
