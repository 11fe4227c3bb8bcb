"""Where settings come from beside the environment: `.env`, or what `make run` left."""

import os
from pathlib import Path

from dotenv import find_dotenv, load_dotenv

ROOT = Path(__file__).parents[1]
LEFT_BY_MAKE_RUN = ROOT / ".development" / "settings.env"


def load(of_make_run: bool) -> None:
    """Fill the environment from the nearest `.env`, or, if allowed, from the settings that `make run` left.

    A server never takes those: it might be a production one.
    """
    if path := find_dotenv():
        load_dotenv(path)
    elif of_make_run and not {"APP_ENV", "DATABASE_URL"} & os.environ.keys():
        load_dotenv(LEFT_BY_MAKE_RUN, interpolate=False)
