"""Razorpay's own samples, and how an answer is held against one: same fields, same kinds of values."""

import json
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[1] / "fixtures" / "razorpay"
# Not on every entity, as the documents say or their samples show.
SOMETIMES = {
    *("base_amount", "amount_transferred", "card", "upi", "late_authorized", "customer_id", "token_id"),
    *("provider", "reward", "emi_plan", "offers", "speed_processed", "instrument_schema"),
    # of payment links
    *("callback_url", "callback_method"),
}
# Whose own fields depend on what was paid with, on the merchant, or on how full they are.
FREE = {"notes", "acquirer_data", "card", "customer", "notify", "others", "events", "upi"}


def sample(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """What is missing, unknown, or of another kind; values themselves may differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return _of_objects(ours, theirs, where)
    if isinstance(ours, list) and isinstance(theirs, list):
        return differences(ours[0], theirs[0], f"{where}[]") if ours and theirs else []
    if ours is None or theirs is None or type(ours) is type(theirs):
        return []
    return [f"{where} is {ours!r}, in the sample {theirs!r}"]


def _of_objects(ours: dict[str, Any], theirs: dict[str, Any], where: str) -> list[str]:
    found = [f"{where}.{name} is missing" for name in theirs if name not in ours and name not in SOMETIMES]
    found += [f"{where}.{name} is unknown" for name in ours if name not in theirs and name not in SOMETIMES]
    for name in ours.keys() & theirs.keys() - FREE:
        found += differences(ours[name], theirs[name], f"{where}.{name}")
    return found
