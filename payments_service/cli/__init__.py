"""The command line: `flask --app wsgi …`. Each command only calls a flow or the store."""

import getpass
import hashlib
import json
import secrets
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import ParamSpec, TypeVar
from uuid import UUID

import click
from flask import Flask

from payments_service import worker
from payments_service.cli.ask import reconcile
from payments_service.cli.doctor import doctor
from payments_service.cli.house import SETTINGS_ERROR, Moment
from payments_service.cli.house import house as _house
from payments_service.cli.keys import api_keys
from payments_service.cli.lost import lost
from payments_service.cli.openapi import openapi
from payments_service.cli.screen import clean
from payments_service.cli.show import show
from payments_service.cli.status import status
from payments_service.cli.telling import outbox, resend
from payments_service.cli.trigger import trigger
from payments_service.cli.verify import verify_ledger
from payments_service.domain.clock import REAL_TIME, utc_now
from payments_service.domain.errors import PaymentsError
from payments_service.flows import reviews
from payments_service.settings import API_KEY, KEY_PREFIX, SCOPES, SettingsError
from payments_service.store import inbox
from payments_service.store.db import Database

UNREADABLE = (
    "A row that this needs cannot be read: it holds something that is not JSON, so it was damaged or written "
    "by hand. Keep a copy of the database, and take that row from the backup."
)

Given = ParamSpec("Given")
Done = TypeVar("Done")


def add_to(group: click.Group) -> None:
    group.add_command(db)
    for command in (show, status, outbox, resend, reconcile, replay_webhooks, reviews_, clear_review):
        group.add_command(_told_in_a_sentence(command))
    for command in (api_key, api_keys, worker_, doctor, lost, openapi, trigger, verify_ledger):
        group.add_command(_told_in_a_sentence(command))


def app_without_settings(error: SettingsError) -> Flask:
    """So that --help and api-key work anywhere; every other command says what is wrong and ends with 3."""
    app = Flask("payments_service", static_folder=None)
    app.extensions[SETTINGS_ERROR] = error
    add_to(app.cli)
    return app


def _in_a_sentence(do: Callable[Given, Done]) -> Callable[Given, Done]:
    """What goes wrong as the house knows it ends a command with its sentence and 1, without a traceback."""

    @wraps(do)
    def doing(*words: Given.args, **more: Given.kwargs) -> Done:
        try:
            return do(*words, **more)
        except PaymentsError as error:
            raise click.ClickException(error.message) from error
        except json.JSONDecodeError as error:
            raise click.ClickException(UNREADABLE) from error

    return doing


def _told_in_a_sentence(command: click.Command) -> click.Command:
    told = copy(command)
    told.callback = command.callback and _in_a_sentence(command.callback)
    return told


@click.group()
def db() -> None:
    """The database."""


@db.command()
@_in_a_sentence
def upgrade() -> None:
    """Update the tables to this version; does nothing if they are up to date."""
    from payments_service.store import migrations  # with Alembic, a quarter of every start

    click.echo(f"Database is at {migrations.upgrade(_database())}")


@click.command("api-key")
@click.argument("name")
@click.option(
    "--scopes", default="read+write", show_default=True, help=f"Of {', '.join(SCOPES)}, joined by +."
)
def api_key(name: str, scopes: str) -> None:
    """Make a key for the merchant's own server. It is shown once; only its SHA-256 goes into API_KEYS."""
    key = f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"
    entry = f"{name}:{scopes}:{hashlib.sha256(key.encode()).hexdigest()}"
    if not API_KEY.fullmatch(entry):
        scopes_known = ", ".join(SCOPES)
        raise click.UsageError(
            f"NAME takes letters, digits, . _ and -; scopes are {scopes_known}, joined by +."
        )
    click.echo(f"The key, for your server (Authorization: Bearer …):\n  {key}")
    click.echo(f"Its entry, for API_KEYS here (comma-separated):\n  {entry}")


@click.command("worker")
@click.option("--once", is_flag=True, help="Do what is due and end, for cron.")
@click.option(
    "--time-scale", type=click.IntRange(1, 100_000), default=1, help="Let waits pass faster (tests)."
)
def worker_(once: bool, time_scale: int) -> None:
    """Follow every payment and refund until it ends, and send events. Stop it with SIGTERM or Ctrl-C."""
    if time_scale != 1 and not _house().settings.is_development:
        raise click.UsageError("--time-scale is for development and tests.")
    clock = replace(REAL_TIME, scale=time_scale)
    if once:
        done = worker.once(_house(), clock)
        click.echo(f"{done.count} done")
        _end_with_1_for(done)
    else:
        worker.serve(_house(), clock)


@click.command("replay-webhooks")
@click.option("--since", type=Moment(), help="Only webhooks that came since then.")
def replay_webhooks(since: datetime | None) -> None:
    """Try again the stored webhooks that could not be applied or confirmed."""
    house = _house()
    with house.db.begin() as session:
        count = inbox.apply_again(session, since, utc_now())
    sweeps = worker.sweeps(house.db, house.gateways, house.channels, house.urls, REAL_TIME)
    done = worker.run_once(list(sweeps))
    click.echo(f"{count} webhooks tried again.")
    _end_with_1_for(done)


def _end_with_1_for(done: worker.Done) -> None:
    if done.failed:
        raise click.ClickException(f"These sweeps failed, and the log says why: {', '.join(done.failed)}.")


@click.command("reviews")
def reviews_() -> None:
    """List payments and alarms that a person must look at, and what to do."""
    found = reviews.open_reviews(_database())
    if not found:
        click.echo("Nothing waits for a person.", err=True)
    for review in found:
        detail = json.dumps(review.detail, ensure_ascii=False)
        since = review.since.isoformat()
        click.echo(clean(f"{review.id}  {review.why}  {review.subject}  since {since}  {detail}"))
        if review.what_to_do:
            click.echo(f"    {review.what_to_do}")


@click.command("clear-review")
@click.argument("review_id", metavar="ID", type=click.UUID)
@click.argument("reason", required=False)
@click.option("--accept/--dismiss", default=None, help="The payment is paid / its status stays as it is.")
@click.option("--by", "operator", default=getpass.getuser, help="Your name, which the history stores.")
def clear_review(review_id: UUID, reason: str | None, accept: bool | None, operator: str) -> None:
    """Close a review of a payment, or an alert; `reviews` prints the ID.

    --accept completes a payment, if the gateway holds its money or says that cash was collected. --dismiss
    changes no status. If a payment has several open reviews, give its REASON, too. The same evidence is not
    flagged again.
    """
    if accept is None:
        raise click.UsageError("Give either --accept or --dismiss.")
    click.echo(reviews.clear(_database(), review_id, operator, reason=reason, accept=accept))


def _database() -> Database:
    return _house().db
