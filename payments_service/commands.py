"""The command line's commands, imported when one is asked for: a web process has no use for them."""

import click
from flask import Flask
from flask.cli import AppGroup


class Commands(AppGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        self._import()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        self._import()
        return super().get_command(ctx, cmd_name)

    def _import(self) -> None:
        if not self.commands:
            from payments_service import cli

            cli.add_to(self)


def register(app: Flask) -> None:
    app.cli = Commands(app.name)
