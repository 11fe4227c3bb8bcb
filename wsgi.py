"""What gunicorn and the flask command run."""

import sys

from dotenv import load_dotenv

from payments_service import create_app
from payments_service.settings import SettingsError

load_dotenv()
try:
    app = create_app()
except SettingsError as error:
    print(error, file=sys.stderr)
    sys.exit(3)  # by which gunicorn knows that another try would end the same way
