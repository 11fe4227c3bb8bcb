"""A misspelt setting stops the start: without its setting the service would go on in silence."""

from collections.abc import Iterator

import pytest

from payments_service.settings import variable_names
from tests.settings.environments import LIVE, wrong

PROMISED = """
APP_ENV PORT FRONTEND_URL BACKEND_URL RENDER_EXTERNAL_URL RETURN_URL MERCHANT_NAME DATABASE_URL
DATABASE_POOLER REDIS_URL CELERY_BROKER_URL SECRET_KEY API_KEYS METRICS_TOKEN TRUSTED_PROXY_HOPS
WEBHOOK_ALLOWED_IPS LOG_LEVEL LOG_FORMAT SENTRY_DSN OPS_EMAIL HEARTBEAT_URL MIN_AMOUNT MAX_AMOUNT
ORDER_EXPIRY LATE_SUCCESS REQUIRE_QUOTE ALLOW_TEST_MODE ORDER_LIMITS RAZORPAY_KEY_ID RAZORPAY_KEY_SECRET
RAZORPAY_WEBHOOK_SECRET RAZORPAY_API_URL RAZORPAY_CAPTURE PHONEPE_CLIENT_ID PHONEPE_CLIENT_SECRET
PHONEPE_CLIENT_VERSION PHONEPE_MERCHANT_ID PHONEPE_SALT_KEY PHONEPE_SALT_INDEX PHONEPE_WEBHOOK_HMAC_SECRET
PHONEPE_WEBHOOK_USER PHONEPE_WEBHOOK_PASS PHONEPE_V1_REQUIRE_BASIC PHONEPE_ENV PHONEPE_API_URL
CASHFREE_APP_ID CASHFREE_APP_SECRET CASHFREE_ENV CASHFREE_API_URL CASHFREE_API_VERSION
CASHFREE_WEBHOOK_SCHEME MERCHANT_WEBHOOK_URL MERCHANT_WEBHOOK_SECRET SMTP_URL MAIL_FROM
"""
KNOWN = sorted(set(variable_names()))
LONG = [name for name in KNOWN if len(name) >= 8]
OUR_PREFIXES = ("RAZORPAY_", "PHONEPE_", "CASHFREE_", "MERCHANT_")


def one_edit(name: str) -> Iterator[str]:
    """Every deletion and swap, and at every place a wrong letter and one too many."""
    for place in range(len(name) + 1):
        before, after = name[:place], name[place:]
        yield from (before + after[1:], before + after[1:2] + after[:1] + after[2:])
        for letter in "X_9s":
            yield from (before + letter + after[1:], before + letter + after)


def misspellings(name: str) -> list[str]:
    return sorted(set(one_edit(name)) - set(KNOWN))


def test_every_promised_name_is_known() -> None:
    assert sorted(set(PROMISED.split()) - set(KNOWN)) == []


@pytest.mark.parametrize("name", LONG)
def test_a_name_one_edit_away_stops_the_start_and_the_nearest_is_named(name: str) -> None:
    given = dict.fromkeys(misspellings(name), "x")
    errors = wrong(LIVE, **given)
    assert errors.keys() == given.keys()
    named = [nearest for nearest in LONG if f"did you mean {nearest}?" in errors[name[:-1]][0]]
    assert len(named) == 1
    assert name in named or name[:-1] in set(one_edit(named[0]))


@pytest.mark.parametrize("name", sorted({*KNOWN} - {*LONG}))
def test_names_near_a_short_one_are_free(name: str) -> None:
    others = [other for other in misspellings(name) if not set(one_edit(other)) & set(LONG)]
    assert wrong(LIVE, **dict.fromkeys(others, "x")) == {}


@pytest.mark.parametrize("prefix", OUR_PREFIXES)
@pytest.mark.parametrize("rest", ["", "X", "KEYID", "SECRET", "URL", "SOMETHING_QUITE_DIFFERENT_FROM_ALL"])
def test_a_name_with_a_prefix_of_ours_stops_the_start(prefix: str, rest: str) -> None:
    [(name, [sentence])] = wrong(LIVE, **{prefix + rest: "x"}).items()
    assert name == prefix + rest
    assert any(sentence.endswith(f"did you mean {known}?") for known in KNOWN)


def test_variables_of_platforms_and_shells_are_free() -> None:
    others = (
        "PATH HOME LANG MAIL HOSTNAME LOGNAME SHELL PWD TERM TZ DEBUG WEB_CONCURRENCY PYTHONPATH DYNO_RAM"
    )
    others += (
        " RENDER_SERVICE_ID RENDER_EXTERNAL_HOSTNAME DATABASE_PRIVATE_URL PGHOST REDIS_TLS_URL SIMULATOR_PORT"
    )
    assert wrong(LIVE, **dict.fromkeys(others.split(), "x")) == {}


def test_an_empty_misspelling_counts_as_not_set() -> None:
    assert wrong(LIVE, RAZORPAY_KEYID="", DATABASE_URI=" ") == {}
