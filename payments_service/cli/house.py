"""What every command needs: the wired service, and how a moment is written."""

from datetime import UTC, datetime
from typing import cast

import click
from flask import current_app

from payments_service.services import Services

SETTINGS_ERROR = "payments_service.settings_error"


class SettingsMissing(click.ClickException):
    exit_code = 3


def house() -> Services:
    """The service. Ends the command with the settings' own message where there is none."""
    if error := current_app.extensions.get(SETTINGS_ERROR):
        raise SettingsMissing(str(error))
    return cast(Services, current_app.extensions["payments_service"])


class Moment(click.ParamType[datetime]):
    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("must look like 2026-01-31 or 2026-01-31T18:00+05:30; UTC unless it says more")
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
