"""Who is told is a matter of settings; half of them stop the start."""

import base64
from pathlib import Path

import pytest

from payments_service import create_app
from payments_service.settings import Settings, SettingsError
from tests.support.environment import environment

NEW, OLD = (f"whsec_{base64.b64encode(bytes([n]) * size).decode()}" for n, size in ((1, 24), (2, 64)))
GOOD = {
    "MERCHANT_WEBHOOK_URL": "https://shop.example.com/hooks/payments",
    "MERCHANT_WEBHOOK_SECRET": f"{NEW},{OLD}",
    "SMTP_URL": "smtp://user%40example.com:p%40ss@mail.example.com:587",
    "MAIL_FROM": "Shop <pay@shop.example.com>",
    "OPS_EMAIL": "ops@shop.example.com",
}
PRODUCTION = {
    "APP_ENV": "production",
    "FRONTEND_URL": "https://shop.example.com",
    "BACKEND_URL": "https://pay.example.com",
    "MERCHANT_NAME": "Shop",
    "DATABASE_URL": "sqlite:///x.db",
    "SECRET_KEY": "sixteen-characters-or-more",
    "REQUIRE_QUOTE": "false",
    "RAZORPAY_KEY_ID": "rzp_live_1",
    "RAZORPAY_KEY_SECRET": "key-secret-of-ours",
    "RAZORPAY_WEBHOOK_SECRET": "webhook-secret-of-ours",
}


def load(**changed: str) -> Settings:
    return Settings.from_environment({**PRODUCTION, **GOOD, **changed})


def test_what_is_set_becomes_the_destinations() -> None:
    settings = load()
    assert settings.merchant_webhook_secrets == (NEW, OLD)
    assert (settings.mail_from, settings.ops_email) == ("Shop <pay@shop.example.com>", "ops@shop.example.com")


@pytest.mark.parametrize(
    ("off", "destinations"),
    [
        ((), ("merchant", "customer", "operator")),
        (("OPS_EMAIL",), ("merchant", "customer")),
        (("OPS_EMAIL", "SMTP_URL", "MAIL_FROM"), ("merchant",)),
        (("MERCHANT_WEBHOOK_URL", "MERCHANT_WEBHOOK_SECRET"), ("customer", "operator")),
        (tuple(GOOD), ()),
    ],
)
def test_only_what_is_set_is_told(
    off: tuple[str, ...], destinations: tuple[str, ...], tmp_path: Path
) -> None:
    told = {**GOOD, **dict.fromkeys(off, "")}
    database_url = f"sqlite:///{tmp_path / 'payments.db'}"
    app = create_app(Settings.from_environment(environment(database_url=database_url, **told)))
    services = app.extensions["payments_service"]
    assert services.db.destinations == services.channels.destinations == destinations
    services.db.engine.dispose()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MERCHANT_WEBHOOK_URL", "http://shop.example.com/hooks"),
        ("MERCHANT_WEBHOOK_URL", "ftp://shop.example.com/hooks"),
        ("MERCHANT_WEBHOOK_URL", "https://user:password@shop.example.com/"),
        ("MERCHANT_WEBHOOK_URL", ""),
        ("MERCHANT_WEBHOOK_SECRET", ""),
        ("MERCHANT_WEBHOOK_SECRET", ","),
        ("MERCHANT_WEBHOOK_SECRET", NEW.removeprefix("whsec_")),
        ("MERCHANT_WEBHOOK_SECRET", f"{NEW},whsec_c2hvcnQ="),
        ("MERCHANT_WEBHOOK_SECRET", f"whsec_{base64.b64encode(bytes(23)).decode()}"),
        ("MERCHANT_WEBHOOK_SECRET", f"whsec_{base64.b64encode(bytes(65)).decode()}"),
        ("MERCHANT_WEBHOOK_SECRET", "whsec_" + "not base64 at all, but long enough" * 2),
        ("SMTP_URL", ""),
        ("SMTP_URL", "http://mail.example.com"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://mail.example.com:port"),
        ("SMTP_URL", "smtp://mail.example.com:99999"),
        ("SMTP_URL", "smtp://user@mail.example.com"),
        ("SMTP_URL", "smtp://user:pa/ss@mail.example.com"),
        ("SMTP_URL", "smtp://mail.example.com?tls=no"),
        ("MAIL_FROM", ""),
        ("MAIL_FROM", "Shop"),
        ("MAIL_FROM", "Shop <pay@shop.example.com>, Eve <eve@example.com>"),
        ("OPS_EMAIL", "ops"),
        ("OPS_EMAIL", "a@example.com, b@example.com"),
    ],
)
def test_half_or_wrong_stops_the_start_and_repeats_no_secret(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(**{name: value})
    assert name in raised.value.errors
    assert NEW not in str(raised.value)
    assert "pa/ss" not in str(raised.value)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        load(MERCHANT_WEBHOOK_URL="", SMTP_URL="", OPS_EMAIL="ops", MAIL_FROM="Shop")
    assert set(raised.value.errors) == {"MAIL_FROM", "OPS_EMAIL", "MERCHANT_WEBHOOK_URL"}


def test_on_this_machine_the_merchant_needs_no_https() -> None:
    assert load(MERCHANT_WEBHOOK_URL="http://127.0.0.1:3000/hooks").merchant_webhook_url


def test_no_secret_shows_in_a_repr() -> None:
    shown = repr(load())
    assert not [hidden for hidden in (NEW, OLD, "p%40ss", "hooks/payments") if hidden in shown]
