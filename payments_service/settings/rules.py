"""What settings must keep together, and what production, its rehearsal and development each refuse."""

from collections.abc import Iterator, Mapping

from payments_service.domain.money import Money
from payments_service.domain.variables import variables_of
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway
from payments_service.settings.addresses import is_loopback, is_private
from payments_service.settings.reading import listed

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

AMOUNTS = {"MIN_AMOUNT": "1", "MAX_AMOUNT": "500000"}
"""With what they are when they are not set."""

Errors = dict[str, list[str]]


def note(errors: Errors, name: str, sentence: str) -> None:
    """Add what is wrong with a variable; the same sentence stands there once."""
    sentences = errors.setdefault(name, [])
    if sentence not in sentences:
        sentences.append(sentence)


def is_on(gateway: type[Gateway], given: Mapping[str, str]) -> bool:
    """Whether a credential of the gateway is set; options and addresses switch nothing on."""
    return any(
        declared.credential and declared.name in given for _, declared in variables_of(gateway.config_type)
    )


def check(given: Mapping[str, str], errors: Errors) -> None:
    """Note what is wrong between settings; of those that are wrong by themselves enough is said."""
    good = {name: text for name, text in given.items() if name not in errors}
    is_development = good.get("APP_ENV") == DEVELOPMENT
    is_rehearsal = not is_development and good.get("ALLOW_TEST_MODE") == "true"
    _check_amounts(good, errors)
    for name, needed in NEEDS:
        if name in good and needed not in given:
            note(errors, needed, f"is missing, {name} needs it")
    _check_modes(given, is_development, is_rehearsal, errors)
    if is_development:
        return
    _check_required(given, errors)
    _check_addresses(good, is_rehearsal, errors)
    _check_example(good, errors)
    _check_disk(given, errors)
    for gateway in GATEWAYS:
        if is_on(gateway, given):
            _check_production_gateway(gateway, given, is_rehearsal, errors)


def _check_amounts(good: Mapping[str, str], errors: Errors) -> None:
    least, most = (Money.from_major(good.get(name, text)) for name, text in AMOUNTS.items())
    if not errors.keys() & AMOUNTS.keys() and not Money(100) <= least <= most:
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


def _check_required(given: Mapping[str, str], errors: Errors) -> None:
    for name in ("FRONTEND_URL", "MERCHANT_NAME", "DATABASE_URL", "SECRET_KEY"):
        if name not in given:
            note(errors, name, "is required in production")
    if "REQUIRE_QUOTE" not in given:
        sentence = "must be set in production: true, or false where browsers may choose the amount"
        note(errors, "REQUIRE_QUOTE", sentence)
    if not {"BACKEND_URL", "RENDER_EXTERNAL_URL"} & given.keys():
        note(errors, "BACKEND_URL", "is required in production (or RENDER_EXTERNAL_URL)")
    if not any(is_on(gateway, given) for gateway in GATEWAYS):
        note(errors, "gateways", "no gateway is configured; set the variables of at least one")


def _check_addresses(good: Mapping[str, str], is_rehearsal: bool, errors: Errors) -> None:
    for name in (*PUBLIC_ADDRESSES, "MERCHANT_WEBHOOK_URL"):
        for url in listed(good.get(name, "")):
            if name in PUBLIC_ADDRESSES and is_private(url) and not is_rehearsal:
                note(
                    errors, name, "is an address of this machine or of a private network, not of the internet"
                )
            elif not url.startswith("https://") and not is_loopback(url):
                note(errors, name, "must begin with https:// in production")


def _check_example(good: Mapping[str, str], errors: Errors) -> None:
    if DEVELOPMENT_SECRET in listed(good.get("SECRET_KEY", "")):
        note(errors, "SECRET_KEY", "is the well-known one of the example; make your own")
    if good.get("MERCHANT_NAME", "").casefold() == EXAMPLE_MERCHANT.casefold():
        note(errors, "MERCHANT_NAME", "is the example's; payers must see your name")


def _check_disk(given: Mapping[str, str], errors: Errors) -> None:
    platform = next((told for marker, told in PASSING_DISKS.items() if marker in given), None)
    if platform and given.get("DATABASE_URL", "").startswith("sqlite"):
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
