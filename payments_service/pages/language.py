"""Which language a reader gets: what the address asks for, else what the browser prefers."""

from flask import request

from payments_service.pages.words import LANGUAGES


def reader_language() -> str:
    asked = request.args.get("lang", "")
    if asked in LANGUAGES:
        return asked
    wanted = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality > 0)
    return next((tag for tag in wanted if tag in LANGUAGES), next(iter(LANGUAGES)))
