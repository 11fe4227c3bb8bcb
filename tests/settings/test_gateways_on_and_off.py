"""A gateway is on by its credentials alone; with some of them the start stops and names the others."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from payments_service.domain.variables import variables_of
from payments_service.gateways import GATEWAYS
from tests.settings.environments import LIVE_GATEWAYS, gateway_variables, load, wrong

DEVELOPMENT = {"APP_ENV": "development"}
EXAMPLE = {k: v or "" for k, v in dotenv_values(Path(__file__).parents[2] / ".env.example").items()}
VALUES = {
    **LIVE_GATEWAYS,
    "PHONEPE_ENV": "sandbox",
    "CASHFREE_ENV": "sandbox",
    "RAZORPAY_KEY_ID": "rzp_test_1",
}
OPTIONS = sorted(name for name, (declared, _) in gateway_variables().items() if not declared.credential)


def credentials_of(gateway: type) -> list[str]:
    return [declared.name for _, declared in variables_of(gateway.config_type) if declared.credential]


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_alone_switches_nothing_on(name: str) -> None:
    [declared] = {declared for declared, _ in [gateway_variables()[name]]}
    value = VALUES.get(name) or declared.default or "https://api.example.com"
    assert load(DEVELOPMENT, **{name: value}).gateways == ()


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda g: g.provider)
def test_the_example_without_its_credentials_switches_it_off(gateway: type) -> None:
    given = {**EXAMPLE, **dict.fromkeys(credentials_of(gateway), "")}
    on = {configured.provider for configured, _ in load(given).gateways}
    assert on == {"razorpay", "phonepe", "cashfree"} - {gateway.provider}


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda g: g.provider)
def test_each_credential_alone_stops_the_start_and_every_missing_one_is_named(gateway: type) -> None:
    for name in credentials_of(gateway):
        needed = {v.name for _, v in variables_of(gateway.config_type) if v.default is None} - {name}
        errors = wrong(DEVELOPMENT, **{name: VALUES[name]})
        assert needed <= errors.keys()
        assert errors.keys() - needed <= {"PHONEPE_WEBHOOK_HMAC_SECRET"}


def test_phonepes_two_kinds_of_webhook_are_named_beside_what_else_is_missing() -> None:
    errors = wrong(DEVELOPMENT, PHONEPE_CLIENT_ID="c", RAZORPAY_KEY_ID="rzp_test_1", ORDER_EXPIRY="5")
    assert {"PHONEPE_CLIENT_SECRET", "PHONEPE_WEBHOOK_HMAC_SECRET", "RAZORPAY_KEY_SECRET"} <= errors.keys()
    assert "ORDER_EXPIRY" in errors
    assert re.search("PHONEPE_WEBHOOK_USER.*PHONEPE_WEBHOOK_PASS", errors["PHONEPE_WEBHOOK_HMAC_SECRET"][0])


def test_a_wrong_option_is_named_also_where_its_gateway_is_off() -> None:
    errors = wrong(DEVELOPMENT, CASHFREE_ENV="live", PHONEPE_API_URL="localhost", RAZORPAY_CAPTURE="later")
    assert errors.keys() == {"CASHFREE_ENV", "PHONEPE_API_URL", "RAZORPAY_CAPTURE"}


def test_what_does_not_fit_together_is_named_all_at_once() -> None:
    v1 = {name: VALUES[name] for name in ("PHONEPE_MERCHANT_ID", "PHONEPE_SALT_KEY")}
    errors = wrong(DEVELOPMENT, **v1, PHONEPE_SALT_INDEX="1,2", PHONEPE_V1_REQUIRE_BASIC="true")
    assert errors.keys() == {"PHONEPE_SALT_INDEX", "PHONEPE_V1_REQUIRE_BASIC"}
