"""What production, its rehearsal and development each refuse."""

import pytest

from payments_service.domain.variables import variables_of
from payments_service.gateways import GATEWAYS
from payments_service.settings.addresses import is_loopback, is_private
from payments_service.settings.rules import PASSING_DISKS
from tests.settings.environments import ALL_TEST, LIVE, MODES, load, wrong
from tests.support.environment import environment

PUBLIC = ("BACKEND_URL", "RENDER_EXTERNAL_URL", "FRONTEND_URL", "RETURN_URL")
API_URLS = ("RAZORPAY_API_URL", "PHONEPE_API_URL", "CASHFREE_API_URL")
LOOPBACK = (
    *("localhost", "LOCALHOST", "localhost.", "shop.localhost"),
    *("127.0.0.1", "127.0.0.1.", "127.1.2.3", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001"),
    *(
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "１２７.０.０.１",
        "127。0。0。1",
    ),
)
PRIVATE = (
    *("0.0.0.0", "[::]", "10.0.0.1", "192.168.1.2", "172.16.0.1", "169.254.1.1", "[fd00::1]", "[fe80::1]"),
    *("shop.local", "shop.test", "shop.internal", "host.docker.internal", "localhost.localdomain", "nas.lan"),
    *("web", "shop.invalid", "router.home.arpa"),
)
REHEARSAL = {**LIVE, **ALL_TEST, "ALLOW_TEST_MODE": "true"}


@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE])
def test_addresses_that_no_payer_reaches_are_told_apart(host: str) -> None:
    assert is_private(f"https://{host}:5000/path")
    assert is_loopback(f"https://{host}:5000/path") == (host in LOOPBACK)


@pytest.mark.parametrize("host", ["shop.example.com", "localhost.example.com", "local.in", "8.8.8.8", "1.1"])
def test_addresses_of_the_internet_are_none_of_these(host: str) -> None:
    assert not is_private(f"https://{host}/")


@pytest.mark.parametrize("name", [*PUBLIC, *API_URLS])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE])
def test_production_refuses_addresses_of_this_machine_or_network(name: str, scheme: str, host: str) -> None:
    errors = wrong(LIVE, **{name: f"{scheme}://{host}:3000"})
    assert errors.keys() == {name}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", LOOPBACK[:2])
def test_the_merchants_application_may_be_on_this_machine(scheme: str, host: str) -> None:
    told = {
        "MERCHANT_WEBHOOK_SECRET": "whsec_" + "A" * 32,
        "MERCHANT_WEBHOOK_URL": f"{scheme}://{host}:3000/",
    }
    assert wrong(LIVE, **told) == {}


@pytest.mark.parametrize("base", [LIVE, {"APP_ENV": "development"}], ids=["production", "development"])
@pytest.mark.parametrize("name", ["BACKEND_URL", "RENDER_EXTERNAL_URL"])
@pytest.mark.parametrize(
    "more", ["/path", "//", "/?x", "?x=1", "?", "#", "#part", "/pay/", ":port", ":99999"]
)
def test_the_services_address_has_no_path(base: dict[str, str], name: str, more: str) -> None:
    assert wrong(base, **{name: f"https://pay.example.com{more}"}).keys() == {name}


@pytest.mark.parametrize("address", ["https://pay.example.com", "https://pay.example.com/"])
def test_a_slash_at_its_end_is_no_path(address: str) -> None:
    assert load(LIVE, BACKEND_URL=address).backend_url == "https://pay.example.com"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MERCHANT_NAME", "Demo shop"),
        ("MERCHANT_NAME", "demo Shop"),
        ("SECRET_KEY", "development-only-secret"),
        ("SECRET_KEY", "a-new-secret-of-ours,development-only-secret"),
        ("RAZORPAY_KEY_SECRET", "simulator_razorpay_key_secret"),
        ("RAZORPAY_WEBHOOK_SECRET", "a-webhook-secret-of-ours,simulator_razorpay_webhook_secret"),
        ("PHONEPE_WEBHOOK_HMAC_SECRET", "CF1:simulator_phonepe_hmac_secret"),
        ("PHONEPE_WEBHOOK_PASS", "simulator_Passw0rd1"),
    ],
)
def test_production_refuses_what_the_example_tells_everybody(name: str, value: str) -> None:
    assert wrong(LIVE, **{name: value}).keys() == {name}


@pytest.mark.parametrize("marker", PASSING_DISKS)
@pytest.mark.parametrize("base", [LIVE, REHEARSAL], ids=["production", "rehearsal"])
def test_a_file_on_a_platform_whose_disk_passes_is_refused(base: dict[str, str], marker: str) -> None:
    assert wrong(base, DATABASE_URL="sqlite:////var/payments.db") == {}
    assert wrong(base, **{marker: "1"}) == {}
    errors = wrong(base, DATABASE_URL="sqlite:////var/payments.db", **{marker: "1"})
    assert errors.keys() == {"DATABASE_URL"}
    assert PASSING_DISKS[marker] in errors["DATABASE_URL"][0]


# ── test and live ───────────────────────────────────────────────────────────────────────────────────


def test_live_credentials_are_for_production() -> None:
    assert [gateway(config).mode for gateway, config in load(LIVE).gateways] == ["live"] * 4
    assert wrong(LIVE, APP_ENV="development").keys() == MODE_NAMES


def test_test_credentials_are_for_development_and_for_a_rehearsal() -> None:
    for base in (REHEARSAL, {**LIVE, **ALL_TEST, "APP_ENV": "development"}):
        assert [gateway(config).mode for gateway, config in load(base).gateways] == ["test"] * 4
    assert wrong(LIVE, **ALL_TEST).keys() == MODE_NAMES
    assert wrong(LIVE, **ALL_TEST, ALLOW_TEST_MODE="false").keys() == MODE_NAMES


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("allowed", ["", "false", "true"])
@pytest.mark.parametrize("env", ["production", "development"])
def test_live_beside_test_is_refused_always(name: str, allowed: str, env: str) -> None:
    errors = wrong(LIVE, APP_ENV=env, ALLOW_TEST_MODE=allowed, **MODES[name])
    assert set(MODES[name]) <= errors.keys()
    assert "all must be of one mode" in str(errors)


def test_a_rehearsal_takes_no_live_credentials() -> None:
    assert wrong(LIVE, ALLOW_TEST_MODE="true").keys() == {"ALLOW_TEST_MODE"}


def test_a_rehearsal_may_use_the_simulator_and_this_machine() -> None:
    own = {"MERCHANT_NAME": "Shop", "SECRET_KEY": "a-secret-key-of-ours", "ALLOW_TEST_MODE": "true"}
    own |= {"REQUIRE_QUOTE": "true"}
    simulated = {**environment(database_url="sqlite:///x.db"), "APP_ENV": "production", **own}
    addresses = {"BACKEND_URL": "http://127.0.0.1:5000", "RETURN_URL": "http://localhost:3000/done"}
    assert wrong(simulated, **addresses) == {}
    assert wrong(simulated, **addresses, SECRET_KEY="development-only-secret").keys() == {"SECRET_KEY"}
    assert wrong(simulated, **{**addresses, "RETURN_URL": "http://shop.example.com"}).keys() == {"RETURN_URL"}


def test_a_key_is_test_unless_it_says_live() -> None:
    for key_id in ("rzp_test_1", "rzp_liv_1", "live"):
        assert wrong(LIVE, RAZORPAY_KEY_ID=key_id).keys() == {"RAZORPAY_KEY_ID"}


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda g: g.provider)
def test_one_variable_of_each_gateway_tells_its_mode(gateway: type) -> None:
    assert len([v for _, v in variables_of(gateway.config_type) if v.live_when]) == 1


def test_everything_that_is_wrong_is_named_at_once() -> None:
    changes = {
        "BACKEND_URL": "https://localhost",
        "MERCHANT_NAME": "Demo shop",
        "PORT": "http",
        "RAZORPAY_KEY_ID": "rzp_test_1",
        "RAZORPAY_KEY_SECRET": "simulator_short",
        "RAZORPAY_CAPTRUE": "automatic",
        "PHONEPE_CLIENT_SECRET": "",
        "PHONEPE_WEBHOOK_PASS": "",
        "PHONEPE_WEBHOOK_HMAC_SECRET": "",
        "CASHFREE_API_URL": "http://api.example.com",
        "SENTRY_DSN": "x",
        "SMTP_URL": "smtp://mail.example.com",
    }
    named = {*changes, "MAIL_FROM", "PHONEPE_WEBHOOK_USER"} - {"PHONEPE_WEBHOOK_PASS", "SMTP_URL"}
    assert wrong(LIVE, **changes).keys() == named


MODE_NAMES = {"RAZORPAY_KEY_ID", "PHONEPE_ENV", "CASHFREE_ENV"}
