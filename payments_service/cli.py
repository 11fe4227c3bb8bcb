"""The command line: `flask --app wsgi …`. Each command only calls a flow or the ledger."""

from typing import cast

import click
from flask import Flask, current_app

from payments_service.ledger import migrations
from payments_service.ledger.db import Database


def register(app: Flask) -> None:
    app.cli.add_command(db)


@click.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Bring the tables to this version; does nothing when they are there."""
    database = cast(Database, current_app.extensions["payments_service"].db)
    click.echo(f"Database is at {migrations.upgrade(database)}")
