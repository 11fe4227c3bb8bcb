"""What gunicorn and the flask command run."""

import os
import sys
from pathlib import Path

import click
from dotenv import find_dotenv, load_dotenv

from payments_service import create_app
from payments_service.settings import SettingsError

LEFT_BY_MAKE_RUN = Path(__file__).parent / ".development" / "settings.env"
is_command = click.get_current_context(silent=True) is not None
if find_dotenv():
    load_dotenv()
elif is_command and not {"APP_ENV", "DATABASE_URL"} & os.environ.keys():
    load_dotenv(LEFT_BY_MAKE_RUN, interpolate=False)  # a server never reads it: it might be a production one
try:
    app = create_app()
except SettingsError as error:
    if not is_command:
        print(error, file=sys.stderr)
        sys.exit(3)  # by which gunicorn knows that another try would end the same way
    from payments_service import cli

    app = cli.app_without_settings(error)
