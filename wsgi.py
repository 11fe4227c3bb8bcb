"""What gunicorn and the flask command run."""

import sys

import click

from payments_service import create_app, environment
from payments_service.settings import SettingsError

is_command = click.get_current_context(silent=True) is not None
environment.load(of_make_run=is_command)
try:
    app = create_app()
except SettingsError as error:
    if not is_command:
        print(error, file=sys.stderr)
        sys.exit(3)  # by which gunicorn knows that another try would end the same way
    from payments_service import cli

    app = cli.app_without_settings(error)
