"""What settings must keep together, and what production, its rehearsal and development each refuse."""

from collections.abc import Iterator, Mapping
from typing import Any

from payments_service.domain.money import Money
from payments_service.domain.variables import variables_of
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway
from payments_service.settings.addresses import is_loopback, is_private

DEVELOPMENT, PRODUCTION = "development", "production"
SIMULATOR_PREFIX = "simulator_"
"""How the simulator's well-known secrets begin, which must not guard real money."""
DEVELOPMENT_SECRET = "development-only-secret"  # noqa: S105 (refused in production)
EXAMPLE_MERCHANT = "Demo shop"

NEEDS = (
    ("MERCHANT_WEBHOOK_URL", "MERCHANT_WEBHOOK_SECRET"),
    ("MERCHANT_WEBHOOK_SECRET", "MERCHANT_WEBHOOK_URL"),
    ("SMTP_URL", "MAIL_FROM"),
    ("MAIL_FROM", "SMTP_URL"),
    ("OPS_EMAIL", "SMTP_URL"),
)
"""The first is of no use without the second."""

PUBLIC_ADDRESSES = ("BACKEND_URL", "RENDER_EXTERNAL_URL", "FRONTEND_URL", "RETURN_URL")
"""Where payers and gateways go. The merchant's application may well run on this machine."""

PASSING_DISKS = {
    "RENDER": "Render",
    "DYNO": "Heroku",
    "K_SERVICE": "Cloud Run",
    "CONTAINER_APP_NAME": "Azure Container Apps",
    "FLY_APP_NAME": "Fly.io",
    "KOYEB_APP_NAME": "Koyeb",
    "RAILWAY_PROJECT_ID": "Railway",
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "ECS_CONTAINER_METADATA_URI_V4": "Amazon ECS",
    "VERCEL": "Vercel",
}
"""The variable by which each platform tells that it runs us; its disk is empty again after a restart."""

Errors = dict[str, list[str]]


def note(errors: Errors, name: str, sentence: str) -> None:
    """Add what is wrong with a variable; the same sentence stands there once."""
    sentences = errors.setdefault(name, [])
    if sentence not in sentences:
        sentences.append(sentence)


def listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def is_on(gateway: type[Gateway], given: Mapping[str, str]) -> bool:
    """Whether a credential of the gateway is set; options and addresses switch nothing on."""
    return any(
        declared.credential and declared.name in given for _, declared in variables_of(gateway.config_type)
    )


def check(values: dict[str, Any], given: Mapping[str, str], errors: Errors) -> None:
    """Note what is wrong between settings; amounts become Money."""
    is_development = values.get("APP_ENV") == DEVELOPMENT
    is_rehearsal = not is_development and values.get("ALLOW_TEST_MODE") == "true"
    _check_amounts(values, errors)
    for name, needed in NEEDS:
        if values.get(name) and not values.get(needed) and needed not in errors:
            note(errors, needed, f"is missing, {name} needs it")
    _check_modes(given, is_development, is_rehearsal, errors)
    if is_development:
        return
    _check_required(values, given, errors)
    _check_addresses(values, is_rehearsal, errors)
    _check_example(values, errors)
    _check_disk(values, given, errors)
    for gateway in GATEWAYS:
        if is_on(gateway, given):
            _check_production_gateway(gateway, given, is_rehearsal, errors)


def _check_amounts(values: dict[str, Any], errors: Errors) -> None:
    for name in ("MIN_AMOUNT", "MAX_AMOUNT"):
        try:
            values[name] = Money.from_major(values[name])
        except ValueError:
            note(errors, name, "must be rupees with at most two decimals")
    if not errors.keys() & {"MIN_AMOUNT", "MAX_AMOUNT"} and not (
        Money(100) <= values["MIN_AMOUNT"] <= values["MAX_AMOUNT"]
    ):
        note(errors, "MIN_AMOUNT", "must be at least 1 and not above MAX_AMOUNT")


def _check_modes(given: Mapping[str, str], is_development: bool, is_rehearsal: bool, errors: Errors) -> None:
    """Real money and pretended money never run side by side, and each only where it belongs."""
    modes = dict(_modes(given))
    live = ", ".join(name for name, is_live in modes.items() if is_live)
    for name, is_live in modes.items():
        if is_live and is_development:
            note(errors, name, "is live, and APP_ENV=development takes test credentials only")
        if not is_live and live:
            note(errors, name, f"is for tests, and {live} is live: all must be of one mode")
        elif not is_live and not is_development and not is_rehearsal:
            note(errors, name, "is for tests; use live credentials, or ALLOW_TEST_MODE=true for a rehearsal")
    if live and is_rehearsal:
        note(errors, "ALLOW_TEST_MODE", f"is for a rehearsal without real money, and {live} is live")


def _modes(given: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """The variable that tells each gateway's mode, and whether it says live."""
    for gateway in filter(lambda each: is_on(each, given), GATEWAYS):
        for _, declared in variables_of(gateway.config_type):
            value = given.get(declared.name, declared.default)
            if declared.live_when and value and (not declared.choices or value in declared.choices):
                yield declared.name, value.startswith(declared.live_when)


def _check_required(values: Mapping[str, Any], given: Mapping[str, str], errors: Errors) -> None:
    for name in ("FRONTEND_URL", "MERCHANT_NAME", "DATABASE_URL", "SECRET_KEY"):
        if not values.get(name) and name not in errors:
            note(errors, name, "is required in production")
    if not values.get("REQUIRE_QUOTE") and "REQUIRE_QUOTE" not in errors:
        sentence = "must be set in production: true, or false where browsers may choose the amount"
        note(errors, "REQUIRE_QUOTE", sentence)
    backend_names = {"BACKEND_URL", "RENDER_EXTERNAL_URL"}
    if not backend_names & errors.keys() and not any(values.get(name) for name in backend_names):
        note(errors, "BACKEND_URL", "is required in production (or RENDER_EXTERNAL_URL)")
    if not any(is_on(gateway, given) for gateway in GATEWAYS):
        note(errors, "gateways", "no gateway is configured; set the variables of at least one")


def _check_addresses(values: Mapping[str, Any], is_rehearsal: bool, errors: Errors) -> None:
    for name in (*PUBLIC_ADDRESSES, "MERCHANT_WEBHOOK_URL"):
        for url in listed(values.get(name) or ""):
            if name in PUBLIC_ADDRESSES and is_private(url) and not is_rehearsal:
                note(
                    errors, name, "is an address of this machine or of a private network, not of the internet"
                )
            elif not url.startswith("https://") and not is_loopback(url):
                note(errors, name, "must begin with https:// in production")


def _check_example(values: Mapping[str, Any], errors: Errors) -> None:
    if DEVELOPMENT_SECRET in listed(values.get("SECRET_KEY") or ""):
        note(errors, "SECRET_KEY", "is the well-known one of the example; make your own")
    if (values.get("MERCHANT_NAME") or "").casefold() == EXAMPLE_MERCHANT.casefold():
        note(errors, "MERCHANT_NAME", "is the example's; payers must see your name")


def _check_disk(values: Mapping[str, Any], given: Mapping[str, str], errors: Errors) -> None:
    platform = next((told for marker, told in PASSING_DISKS.items() if marker in given), None)
    if platform and (values.get("DATABASE_URL") or "").startswith("sqlite"):
        sentence = f"is a file, and {platform} empties its disk at every restart; use PostgreSQL"
        note(errors, "DATABASE_URL", sentence)


def _check_production_gateway(
    gateway: type[Gateway], given: Mapping[str, str], is_rehearsal: bool, errors: Errors
) -> None:
    for _, declared in variables_of(gateway.config_type):
        text = given.get(declared.name, "")
        if SIMULATOR_PREFIX in text and not is_rehearsal:
            note(errors, declared.name, "is the simulator's well-known value; use your own in production")
        if not declared.is_url or not text or declared.name in errors:
            continue
        if is_private(text) and not is_rehearsal:
            note(errors, declared.name, "is an address of this machine or of a private network")
        elif not text.startswith("https://") and not is_loopback(text):
            note(errors, declared.name, "must begin with https:// in production")
