"""`openapi`: write the API's document again, from the routes as they are."""

from pathlib import Path

import click
from flask import current_app

from payments_service.cli.house import house


@click.command("openapi")
@click.option("--check", is_flag=True, help="Write nothing; end with 1 when the file is not as it would be.")
def openapi(check: bool) -> None:
    """Write docs/openapi.json from the routes, their schemas and the events."""
    from payments_service.api import document  # with apispec, which no other command and no server needs

    house()  # without settings there are no routes
    path = document.DOCS / "openapi.json"
    made = document.as_text(document.build(current_app))
    is_same = path.exists() and path.read_text() == made
    if check and not is_same:
        raise click.ClickException(f"{_shown(path)} is not as the routes are: flask --app wsgi openapi")
    if not is_same:
        path.write_text(made)
    click.echo(f"{_shown(path)} is as the routes are.")


def _shown(path: Path) -> Path:
    return path.relative_to(path.parents[1])
