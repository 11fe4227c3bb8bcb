"""JSON without floats: numbers with a point come in as Decimal."""

import json
from decimal import Decimal
from typing import Any

from flask.json.provider import DefaultJSONProvider

from payments_service.domain.money import exact_number


class DecimalJSONProvider(DefaultJSONProvider):
    """Reads numbers exactly, and refuses what only looks like JSON by raising ValueError."""

    sort_keys = False
    ensure_ascii = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        try:
            return json.loads(s, parse_float=exact_number, parse_constant=Decimal, **kwargs)
        except (RecursionError, ArithmeticError) as error:
            raise ValueError("nested too deeply, or a number beyond all measure") from error
