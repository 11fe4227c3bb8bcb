"""The command line: `flask --app wsgi …`. Each command only calls a flow or the ledger."""

import hashlib
import json
import secrets
import signal
import threading
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import click
from flask import Flask, current_app

from payments_service import worker
from payments_service.api import Services
from payments_service.clock import Clock, utc_now
from payments_service.errors import NotFound, StoreUnavailable
from payments_service.flows import reviews
from payments_service.ledger import inbox, outbox, payments
from payments_service.ledger.db import Database
from payments_service.settings import API_KEY


def register(app: Flask) -> None:
    app.cli.add_command(db)
    app.cli.add_command(resend)
    for command in (api_key, worker_, reconcile, replay_webhooks, reviews_, clear_review):
        app.cli.add_command(command)


@click.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Bring the tables to this version; does nothing when they are there."""
    from payments_service.ledger import migrations  # with Alembic, a quarter of every start

    try:
        click.echo(f"Database is at {migrations.upgrade(_database())}")
    except StoreUnavailable as error:
        raise click.ClickException(error.message) from error


class Moment(click.ParamType[datetime]):
    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("must look like 2026-01-31 or 2026-01-31T18:00+05:30; UTC unless it says more")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command()
@click.argument("event_id", required=False)
@click.option("--dead", is_flag=True, help="Those that were given up.")
@click.option("--since", type=Moment(), help="Those made since then, delivered or not.")
@click.option(
    "--to",
    "destination",
    type=click.Choice([outbox.MERCHANT, outbox.CUSTOMER, outbox.OPERATOR]),
    default=outbox.MERCHANT,
    show_default=True,
    help="Whom to tell again. Programs drop a repeated id; people read a letter twice.",
)
def resend(event_id: str | None, dead: bool, since: datetime | None, destination: str) -> None:
    """Send events again, now, under the same ids: one by its id, or all that the options choose."""
    if (event_id is None) == (not dead and since is None):
        raise click.UsageError("Say either EVENT_ID, or --dead, --since or both.")
    with _database().begin() as session:
        rows = outbox.send_again(
            session, destination, utc_now(), event_id=event_id, only_dead=dead, since=since
        )
        lines = [f"{row.event_id}  {row.type}  of {row.created_at.isoformat()}" for row in rows]
    for line in lines:
        click.echo(line)
    click.echo(f"{len(lines)} to {destination}, to be sent as soon as the worker looks.")
    if event_id is not None and not lines:
        raise click.ClickException(f"No event {event_id} to {destination}.")


@click.command("api-key")
@click.argument("name")
@click.option("--scopes", default="read+write", show_default=True, help="read, write or read+write.")
def api_key(name: str, scopes: str) -> None:
    """Make a key for the merchant's own server. It is shown once; only its SHA-256 goes into API_KEYS."""
    key = f"psk_{secrets.token_urlsafe(32)}"
    entry = f"{name}:{scopes}:{hashlib.sha256(key.encode()).hexdigest()}"
    if not API_KEY.fullmatch(entry):
        raise click.UsageError("NAME takes letters, digits, . _ and -; scopes are read, write or read+write.")
    click.echo(f"The key, for your server (Authorization: Bearer …):\n  {key}")
    click.echo(f"Its entry, for API_KEYS here (comma-separated):\n  {entry}")


@click.command("worker")
@click.option("--once", is_flag=True, help="Do what is due and end, for cron.")
@click.option(
    "--time-scale", type=click.IntRange(1, 100_000), default=1, help="Let waits pass faster (tests)."
)
def worker_(once: bool, time_scale: int) -> None:
    """Follow every payment and refund to its end, and tell what happened. Ends with SIGTERM or Ctrl-C."""
    if time_scale != 1 and not _house().settings.is_development:
        raise click.UsageError("--time-scale is for development and tests.")
    house = _house()
    sweeps = list(
        worker.sweeps(house.db, house.gateways, house.channels, house.urls, Clock(scale=time_scale))
    )
    if once:
        click.echo(f"{worker.run_once(sweeps)} done")
        return
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    worker.run(sweeps, stop)


@click.command()
@click.argument("payment_id", type=click.UUID, required=False)
@click.option("--since", type=Moment(), help="Those made since then, also when they have ended.")
def reconcile(payment_id: UUID | None, since: datetime | None) -> None:
    """Ask the gateways now: about one payment, those since a moment, or all that are watched."""
    house = _house()
    with house.db.begin() as session:
        count = payments.ask_now(session, utc_now(), since, payment_id)
    worker.run_once(list(worker.sweeps(house.db, house.gateways, house.channels, house.urls, Clock())))
    click.echo(f"{count} payments asked about.")


@click.command("replay-webhooks")
@click.option("--since", type=Moment(), help="Those that came since then.")
def replay_webhooks(since: datetime | None) -> None:
    """Try stored events again that could not be applied or confirmed."""
    house = _house()
    with house.db.begin() as session:
        count = inbox.apply_again(session, ("failed", "waiting", "unconfirmed"), since, utc_now())
    worker.run_once(list(worker.sweeps(house.db, house.gateways, house.channels, house.urls, Clock())))
    click.echo(f"{count} events tried again.")


@click.command("reviews")
def reviews_() -> None:
    """List what a person has to look at."""
    for review in reviews.open_reviews(_database()):
        detail = json.dumps(review.detail, ensure_ascii=False)
        click.echo(f"{review.id}  {review.why}  {review.subject}  since {review.since.isoformat()}  {detail}")


@click.command("clear-review")
@click.argument("review_id", type=click.UUID)
@click.option("--by", "operator", required=True, help="Who has looked: it stands in the audit trail.")
def clear_review(review_id: UUID, operator: str) -> None:
    """Say that somebody has looked. Money that came late is accepted by it, and the payment completes."""
    try:
        click.echo(reviews.clear(_database(), review_id, operator))
    except NotFound as error:
        raise click.ClickException(error.message) from error


def _house() -> Services:
    return cast(Services, current_app.extensions["payments_service"])


def _database() -> Database:
    return _house().db
