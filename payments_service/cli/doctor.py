"""`doctor`: looks at all that this service lives from, and says of each thing what it saw and what to do."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

import click
from flask import current_app

from payments_service.cli import doctor_web as web
from payments_service.cli.findings import Finding, Verdict, bad, ok, warn
from payments_service.cli.house import SETTINGS_ERROR, house
from payments_service.cli.screen import clean
from payments_service.domain import clock
from payments_service.domain.clock import in_words, utc_now, wall_clock
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import (
    GatewayError,
    Rejected,
    StoreUnavailable,
    UnknownAtGateway,
    WrongEncoding,
)
from payments_service.domain.news import WIRE_PREFIX, OrderRef, new_id
from payments_service.domain.states import AlertCode
from payments_service.domain.variables import variables_of
from payments_service.flows.liveness import WORKER_SILENT
from payments_service.gateways.base import Gateway
from payments_service.services import Services
from payments_service.settings import Settings, SettingsError
from payments_service.store import alerts, condition, heartbeats, monitors, revision

ASK_SECONDS = 8.0
"""For the one question to a gateway."""
LEAST_FREE_BYTES = 1024**3
LEAST_LETTERS = 8
"""Different ones of a secret: fewer were typed by a person, or repeated."""
PLACEHOLDERS = ("changeme", "change-me", "your_", "your-", "<", "…", "xxxx", "example")
SKEW_WARN, SKEW_BAD = timedelta(seconds=30), timedelta(minutes=5)
"""Receivers refuse an event whose time is five minutes from theirs (Standard Webhooks)."""
SETTINGS_WRONG = 3

Check = Callable[[], Iterable[Finding]]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--skip", multiple=True, metavar="CHECK", help="Leave out the check of this name; repeatable.")
def doctor(as_json: bool, skip: Sequence[str]) -> None:
    """Check settings, database, gateways, public address, worker and mail; change nothing.

    Each line says what was found and what to do. Exit code: 0 nothing is bad, 1 something is bad, 3 the
    settings are wrong. So a deployment script can stop when it is not 0.
    """
    error = current_app.extensions.get(SETTINGS_ERROR)
    with _quiet():
        findings = list(_of_settings_error(error)) if error else _look(house(), skip)
    is_well = not any(finding.verdict is Verdict.BAD for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": is_well, "checks": [finding.json for finding in findings]}))
    else:
        for line in _lines(findings):
            click.echo(line)
    if not is_well:
        click.get_current_context().exit(SETTINGS_WRONG if error else 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the log would say of these calls stands in the findings."""
    logger = logging.getLogger("payments_service")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _of_settings_error(error: SettingsError) -> Iterator[Finding]:
    for name, sentences in sorted(error.errors.items()):
        yield bad("settings", f"{name} {' '.join(sentences)}", "See .env.example; nothing else was checked")


def _look(services: Services, skip: Sequence[str]) -> list[Finding]:
    """All checks beside each other, then the clock, of which the gateways' answers told."""
    settings = services.settings
    modes = {gateway.name: gateway.mode for gateway in services.gateways}
    checks: list[tuple[str, Check]] = [
        ("settings", lambda: _modes(settings, services.gateways)),
        ("secrets", lambda: _secrets(settings)),
        ("alarms", lambda: _alarms(services)),
        ("database", lambda: _database(services)),
        ("worker", lambda: _worker(services)),
        *((f"gateway {one.provider}", partial(_gateway, one)) for one in services.gateways),
        *((f"webhooks {one.provider}", partial(_webhooks, services, one)) for one in services.gateways),
        ("public address", lambda: web.public_address(settings)),
        ("webhook round trip", lambda: web.webhook_door(settings)),
        ("page's origin", lambda: web.pages_allowed(settings)),
        ("domains", lambda: web.domains(settings, modes)),
        ("mail", lambda: web.mail(settings)),
        ("merchant's address", lambda: web.merchant_address(settings)),
        ("helpers", lambda: web.helpers(settings)),
    ]
    with ThreadPoolExecutor(len(checks)) as pool:
        found = [finding for findings in pool.map(_run, checks) for finding in findings]
    return [finding for finding in [*found, *_clock()] if finding.check not in skip]


def _run(named: tuple[str, Check]) -> list[Finding]:
    """An error that no check foresaw is a finding too: the others must be told."""
    name, check = named
    try:
        return list(check())
    except Exception as error:
        return [bad(name, f"could not be checked: {type(error).__name__}", "This is a bug of doctor itself")]


def _modes(settings: Settings, gateways: Sequence[Gateway]) -> Iterator[Finding]:
    modes = ", ".join(f"{gateway.provider} {gateway.mode}" for gateway in gateways)
    if not gateways:
        yield bad("settings", f"{settings.env}, no gateway is on", "Set the credentials of at least one")
    elif not settings.is_development and all(gateway.mode == "test" for gateway in gateways):
        yield warn("settings", f"{settings.env}: {modes}", "ALLOW_TEST_MODE: no payment here moves money")
    else:
        yield ok("settings", f"{settings.env}: {modes}")


def _secrets(settings: Settings) -> Iterator[Finding]:
    """Their shape alone: what people paste wrong. The values are never shown."""
    owners: dict[str, str] = {}
    wrong = []
    for name, value in _all_secrets(settings):
        if problem := _shape(value):
            wrong.append(bad("secrets", f"{name} {problem}", f"Copy {name} again"))
        other = owners.setdefault(value, name)
        if other != name and not settings.is_development:
            wrong.append(
                warn("secrets", f"{name} is the same as {other}", "Each needs its own secret: copy again")
            )
    yield from wrong or [ok("secrets", f"{len(owners)} checked, all look complete")]


def _all_secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from (("SECRET_KEY", one) for one in settings.secret_keys)
    yield from (("MERCHANT_WEBHOOK_SECRET", one) for one in settings.merchant_webhook_secrets)
    for gateway, config in settings.gateways:
        for field, declared in variables_of(gateway.config_type):
            value = getattr(config, field)
            if declared.least_characters and value:
                yield from ((declared.name, one) for one in ((value,) if isinstance(value, str) else value))


def _shape(value: str) -> str | None:
    if any(letter.isspace() or not letter.isprintable() for letter in value):
        return "has a space or a line break in it"
    if value[0] in "'\"" or value[-1] in "'\"":
        return "has quotation marks around it"
    if any(mark in value.lower() for mark in PLACEHOLDERS):
        return "looks like a placeholder"
    if len(set(value)) < LEAST_LETTERS:
        return f"has fewer than {LEAST_LETTERS} different characters"
    return None


def _database(services: Services) -> Iterator[Finding]:
    try:
        seen = condition.look(services.db)
    except WrongEncoding as error:
        yield bad("database", "its encoding is not UTF8", error.message)
        return
    except StoreUnavailable as error:
        todo = "See docs/operations.md: when the database is away"
        yield bad("database", f"no answer: {error.message}", todo)
        return
    saw = f"{seen.product}, at {seen.revision or 'no revision'}"
    if seen.troubles:
        todo = "The service needs the primary, durable commits and UTF8"
        yield bad("database", f"{saw}: {'; '.join(seen.troubles)}", todo + _switched_on(seen))
    else:
        yield ok("database", f"{saw}, primary, {seen.encoding}, durable")
    if missing := revision.what_is_missing(seen.revision):
        yield bad("migrations", missing, revision.HOW)
    yield from _pooler(services, seen)
    if seen.free_bytes is not None and seen.free_bytes < LEAST_FREE_BYTES:
        yield bad("disk", f"{seen.free_bytes // 1024**2} MiB are left beside the database", "Free disk space")
    if seen.now is not None:
        yield from _skew("the database's", wall_clock() - seen.now)


def _switched_on(seen: condition.Condition) -> str:
    """How a server's administrator makes its commits durable, where settings are switched off."""
    settings = [found.removesuffix(" is off") for found in seen.unsafe if found.endswith(" is off")]
    steps = "".join(f"ALTER SYSTEM SET {name} = on; " for name in settings)
    return f". As its administrator: {steps}SELECT pg_reload_conf();" if settings else ""


def _pooler(services: Services, seen: condition.Condition) -> Iterator[Finding]:
    is_told = "pgbouncer=true" in services.settings.database_url
    if seen.has_pooler and not is_told:
        todo = "If it is a pooler in transaction mode, set DATABASE_POOLER=true"
        yield warn("pooler", "there is a pooler or proxy between this service and PostgreSQL", todo)
    elif seen.has_pooler:
        yield ok("pooler", "there is one, as DATABASE_POOLER says")


def _worker(services: Services) -> Iterator[Finding]:
    try:
        with services.db.read() as session:
            last = heartbeats.last(session, heartbeats.WORKER)
    except StoreUnavailable:
        return  # told by the database's own line
    if last is None:
        yield warn(
            "worker",
            "none has run yet",
            "Start one: python -m payments_service.worker (or, by cron, flask --app wsgi worker --once)",
        )
    elif utc_now() - last > WORKER_SILENT:
        yield bad("worker", f"no heartbeat for {_ago(last)}", "Start it, and read in its log why it ended")
    else:
        yield ok("worker", f"alive {_ago(last)} ago")


def _alarms(services: Services) -> Iterator[Finding]:
    """What the running service has noticed: its settings may not be this shell's. None is a reason to stop a
    deployment, which may well be what ends it."""
    try:
        with services.db.read() as session:
            opened = [(alert.code, alert.subject, alert.created_at) for alert in alerts.all_open(session)]
    except StoreUnavailable:
        return
    for code, subject, since in opened:
        yield warn("alarms", f"{code} {subject}, for {_ago(since)}", f"docs/handbook.md#{code}")
    if not opened:
        yield ok("alarms", "none is open")


def _gateway(gateway: Gateway) -> Iterator[Finding]:
    """A read of an order that there never was: it takes the whole way, and changes nothing."""
    name, started = f"gateway {gateway.provider}", monotonic()
    try:
        gateway.fetch_payment(OrderRef(new_id(WIRE_PREFIX)), Deadline(ASK_SECONDS, Urgency.PAYER))
    except UnknownAtGateway:
        milliseconds = round((monotonic() - started) * 1000)
        yield ok(name, f"answers in {milliseconds} ms and takes this shell's credentials ({gateway.mode})")
    except Rejected as error:
        check = ", ".join(gateway.credential_names)
        yield bad(
            name, clean(error.message), f"Compare {check} with its dashboard; are test and live keys mixed?"
        )
    except GatewayError as error:
        is_its_own = error.gateway_status is not None  # an answer was heard, so the way there is open
        reach = "can this machine reach the internet (DNS, port 443)?"
        todo = f"Read its status page{'' if is_its_own else '; ' + reach}"
        yield bad(name, clean(error.message), todo)
    else:
        yield warn(name, "answers for an order that does not exist", "Is its …_API_URL right?")


def _webhooks(services: Services, gateway: Gateway) -> Iterator[Finding]:
    """The last one that was genuine, and whether an alarm about them is open."""
    name = f"webhooks {gateway.provider}"
    try:
        with services.db.read() as session:
            last = monitors.last_webhook(session, gateway.provider)
            codes = (AlertCode.WEBHOOKS_REFUSED, AlertCode.WEBHOOK_SILENCE)
            opened = [code for code in codes if alerts.the_open(session, code, gateway.provider)]
    except StoreUnavailable:
        return
    seen = f"the last valid one came {_ago(last)} ago" if last else "none has come yet"
    if AlertCode.WEBHOOKS_REFUSED in opened:
        yield bad(name, f"they are refused; {seen}", f"Compare {', '.join(gateway.webhook_secret_names)}")
    elif opened:
        yield bad(name, f"they do not come; {seen}", "Is the webhook switched on in the dashboard?")
    elif last is None:
        yield warn(name, seen, "Enter the webhook address below in its dashboard, and make one test payment")
    else:
        yield ok(name, seen)


def _clock() -> Iterator[Finding]:
    watch = clock.WATCH
    if watch.gateways_agree() is None:
        yield warn("clock", "not compared: no gateway answered", "See the gateways above")
    else:
        yield from _skew("the gateways'", wall_clock() - watch.gateways_now())


def _skew(whose: str, off: timedelta) -> Iterator[Finding]:
    seconds = round(off.total_seconds())
    saw = f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} {whose}"
    if abs(off) < SKEW_WARN:
        yield ok("clock", f"agrees with {whose}, within {max(1, abs(seconds))} s")
    else:
        verdict = bad if abs(off) > SKEW_BAD else warn
        yield verdict("clock", saw, "Repair this machine's time service (NTP)")


def _ago(moment: datetime) -> str:
    return in_words(max(0.0, round((utc_now() - moment).total_seconds())))


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        yield f"{finding.verdict:<4}  {finding.check:<{width}}  {clean(finding.saw)}"
        if finding.todo:
            yield f"{'':<{width + 8}}{clean(finding.todo)}"
    bad_ones = sum(finding.verdict is Verdict.BAD for finding in findings)
    to_look_at = sum(finding.verdict is Verdict.WARN for finding in findings)
    yield f"{bad_ones} bad, {to_look_at} warnings, {len(findings)} lines."
