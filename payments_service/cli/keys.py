"""`api-keys`: the keys of the settings, and when each was last used."""

import click

from payments_service.cli.house import house
from payments_service.cli.screen import ist, table
from payments_service.store import key_uses


@click.command("api-keys")
def api_keys() -> None:
    """List the API keys that the settings name, with their scopes and last use (to the hour)."""
    keys = house().settings.api_keys
    with house().db.read() as session:
        used = key_uses.last(session, [(key.name, key.digest) for key in keys])
    heads = ("name", "scopes", "sha256 begins", "last used, in the hour from (IST)")
    lines = [
        (key.name, "+".join(sorted(key.scopes)), key.digest[:8], ist(at))
        for key, at in zip(keys, used, strict=True)
    ]
    for line in table([heads, *lines]):
        click.echo(line)
