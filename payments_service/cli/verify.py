"""`verify-ledger`: is the history as it was written?"""

import click

from payments_service.cli.house import house
from payments_service.store import chain


@click.command("verify-ledger")
def verify_ledger() -> None:
    """Check the seals of every payment's history; ends with 1 when a row was changed, lost or added.

    What it cannot see is a whole payment that was removed with its history; backups show that.
    """
    found = 0
    db = house().db
    with db.read() as session:
        for finding in chain.verify(session, db.chain_keys):
            found += 1
            row = f", row {finding.sequence}" if finding.sequence else ""
            click.echo(f"{finding.payment_id}{row}: {finding.what}")
    if found:
        raise click.ClickException(f"{found} payments have a history that was changed")
    click.echo("The history of every payment is unchanged")
