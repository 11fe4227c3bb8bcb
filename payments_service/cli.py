"""The command line: `flask --app wsgi …`. Each command only calls a flow or the ledger."""

import hashlib
import secrets
from datetime import UTC, datetime
from typing import cast

import click
from flask import Flask, current_app

from payments_service.clock import utc_now
from payments_service.ledger import migrations, outbox
from payments_service.ledger.db import Database
from payments_service.settings import API_KEY


def register(app: Flask) -> None:
    app.cli.add_command(db)
    app.cli.add_command(resend)
    app.cli.add_command(api_key)


@click.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Bring the tables to this version; does nothing when they are there."""
    click.echo(f"Database is at {migrations.upgrade(_database())}")


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


def _database() -> Database:
    return cast(Database, current_app.extensions["payments_service"].db)
