"""The environment, checked once, as one frozen `Settings`; a wrong start names every wrong variable."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from payments_service.domain.variables import Variable, WrongVariables, variables_of
from payments_service.gateways import GATEWAYS
from payments_service.gateways.base import Gateway
from payments_service.settings import groups, names, rules
from payments_service.settings.reading import API_KEY, KEY_PREFIX, SCOPES, ApiKey, listed, web_address
from payments_service.settings.rules import DEVELOPMENT, Errors, note
from payments_service.store.address import POOLER

__all__ = ["API_KEY", "KEY_PREFIX", "SCOPES", "ApiKey", "Settings", "SettingsError", "variable_names"]

DEVELOPMENT_ORIGINS = ("http://localhost:3000", "http://127.0.0.1:3000")


class SettingsError(Exception):
    """The environment is not usable; the message names every variable and what is wrong with it."""

    def __init__(self, errors: Errors) -> None:
        self.errors = errors
        lines = [f"  {name}: {' '.join(messages)}" for name, messages in sorted(errors.items())]
        super().__init__("The settings are not usable:\n" + "\n".join(lines))


@dataclass(frozen=True, kw_only=True)
class Settings(
    groups.Server,
    groups.Addresses,
    groups.Checkout,
    groups.Notifications,
    groups.Watching,
    groups.Keys,
):
    gateways: tuple[tuple[type[Gateway], Any], ...]
    """Each configured provider with its own frozen config."""

    @property
    def secret_key(self) -> str:
        return self.secret_keys[0]

    @property
    def is_development(self) -> bool:
        return self.env == DEVELOPMENT

    @property
    def reviews_late_success(self) -> bool:
        return self.late_success == "review"

    @property
    def return_origins(self) -> frozenset[str]:
        """Where a payer may be sent back to."""
        return frozenset(_origin(url) for url in (*self.frontend_urls, self.backend_url, self.return_url))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read and check; raises SettingsError. An empty variable counts as one that is not set."""
        given = {k: v.strip() for k, v in (environment or os.environ).items() if v.strip()}
        errors: Errors = {}
        values = {name: _value(declared, given, errors) for name, declared in variables_of(cls)}
        gateways = tuple(_configured_gateways(given, errors))
        for name, nearest in names.misspelt(given, set(variable_names())):
            note(errors, name, f"is not a setting; did you mean {nearest}?")
        rules.check(given, errors)
        if errors:
            raise SettingsError(errors)
        return cls(**_completed(values), gateways=gateways)


def variable_names() -> Iterator[str]:
    """Every variable that the service reads."""
    for config in (Settings, *(gateway.config_type for gateway in GATEWAYS)):
        yield from (declared.name for _, declared in variables_of(config))


def _value(declared: Variable, given: Mapping[str, str], errors: Errors) -> Any:
    """What a variable says; what is wrong with it is noted."""
    text = given.get(declared.name, declared.default)
    if text is None:
        return declared.unset
    entries = listed(text) if declared.is_list else (text,)
    try:
        if declared.choices and text not in declared.choices:
            raise ValueError(f"must be one of: {', '.join(declared.choices)}")
        if declared.is_url and text:
            web_address(text)
        if text and not entries:
            raise ValueError("names nothing")
        if text and any(len(entry) < declared.least_characters for entry in entries):
            each = ", each of a list" if declared.is_list else ""
            raise ValueError(f"must have at least {declared.least_characters} characters{each}")
        return entries if declared.is_list else declared.read(text)
    except ValueError as error:
        note(errors, declared.name, str(error))
        return entries if declared.is_list else text


def _configured_gateways(given: Mapping[str, str], errors: Errors) -> Iterator[tuple[type[Gateway], Any]]:
    """Those that are on and complete; of the others, what is missing or wrong is noted."""
    for gateway in GATEWAYS:
        declared = dict(variables_of(gateway.config_type))
        values = {name: _value(v, given, errors) or (() if v.is_list else "") for name, v in declared.items()}
        if not rules.is_on(gateway, given):
            continue
        missing = [v.name for v in declared.values() if v.default is None and v.name not in given]
        for name in missing:
            note(errors, name, f"is missing, {gateway.provider} is only partly configured")
        try:
            config = gateway.config_type(**values)
        except WrongVariables as error:
            for name in error.sentences.keys() - errors.keys():
                note(errors, name, error.sentences[name])
            continue
        if not missing and not errors.keys() & {v.name for v in declared.values()}:
            yield gateway, config


def _completed(values: dict[str, Any]) -> dict[str, Any]:
    """What is not set, where another setting tells it."""
    frontend_urls = values["frontend_urls"]
    if values["env"] == DEVELOPMENT:
        frontend_urls = tuple(dict.fromkeys((*frontend_urls, *DEVELOPMENT_ORIGINS)))
    here = values["render_external_url"] or f"http://127.0.0.1:{values['port']}"
    told = {
        "frontend_urls": frontend_urls,
        "backend_url": values["backend_url"] or here,
        "return_url": values["return_url"] or f"{frontend_urls[0]}/payment-status",
        "database_url": _database_url(values["database_url"], values["is_behind_pooler"]),
    }
    return {**values, **told}


def _database_url(text: str, is_behind_pooler: bool) -> str:
    url = make_url(text)
    if not is_behind_pooler or url.drivername == "sqlite":
        return text
    return url.update_query_dict({POOLER: "true"}).render_as_string(hide_password=False)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
