"""Payment links, and webhook addresses registered through the API.

Sources: razorpay-python/documents/paymentLink and webhook, the requests of Razorpay's own plugins.
"""

import re
from collections.abc import Mapping
from typing import Any

from flask import request

from gateway_simulator.base import Json
from gateway_simulator.razorpay import checks
from gateway_simulator.razorpay.asking import Row, asked, found, listed
from gateway_simulator.razorpay.events import EVENT_TYPES
from gateway_simulator.razorpay.links import PaymentLink, Wanted
from gateway_simulator.razorpay.lists import page
from gateway_simulator.razorpay.moves import LiveBooks
from gateway_simulator.razorpay.refusals import refusal

LINK_FIELDS = (
    *("amount", "currency", "accept_partial", "first_min_partial_amount", "description", "reference_id"),
    *("expire_by", "customer", "notify", "notes", "reminder_enable", "upi_link"),
    *("callback_url", "callback_method"),
)
EDITABLE = ("accept_partial", "reference_id", "expire_by", "notes", "reminder_enable")
HOOK_FIELDS = ("url", "secret", "alert_email", "events", "active")
MAX_URL_CHARACTERS = 255
# Assumed, as no source records it.
NOT_PAYABLE = "Payment Link is not in a state to be changed"


class LinksApi:
    def __init__(self, books: LiveBooks) -> None:
        self._books = books

    def table(self) -> tuple[Row, ...]:
        return (
            ("POST", "/payment_links", self.create, None),
            ("GET", "/payment_links", self.list, "fetch"),
            ("GET", "/payment_links/<link_id>", self.fetch, "fetch"),
            ("PATCH", "/payment_links/<link_id>", self.edit, None),
            ("POST", "/payment_links/<link_id>/cancel", self.cancel, None),
            ("POST", "/payment_links/<link_id>/notify_by/<medium>", self.notify, None),
            ("POST", "/webhooks", self.add_hook, None),
            ("GET", "/webhooks", self.list_hooks, "fetch"),
            ("GET", "/webhooks/<hook_id>", self.fetch_hook, "fetch"),
            ("PUT", "/webhooks/<hook_id>", self.edit_hook, None),
        )

    # Payment links

    def create(self) -> Json:
        data = asked()
        checks.only(data, LINK_FIELDS)
        wanted = Wanted(amount=checks.amount(data), currency=checks.currency({"currency": "INR", **data}))
        self._fill(wanted, data)
        if wanted.callback_url and wanted.callback_method != "get":
            raise refusal("The callback method must be get.", field="callback_method")
        return self._books.links.create(wanted, f"{request.host_url}razorpay/l").entity()

    def _fill(self, wanted: Wanted, data: Json) -> None:
        for field in ("description", "reference_id", "callback_url", "callback_method"):
            setattr(wanted, field, _text(data, field, getattr(wanted, field)))
        for field in ("accept_partial", "reminder_enable", "upi_link"):
            given = checks.flag(data, field)
            setattr(wanted, field, getattr(wanted, field) if given is None else given)
        for field in ("customer", "notify"):
            setattr(wanted, field, _object(data, field, getattr(wanted, field)))
        if data.get("first_min_partial_amount") is not None:
            wanted.first_min_partial_amount = checks.integer(
                data["first_min_partial_amount"], "first_min_partial_amount"
            )
        if data.get("expire_by"):
            wanted.expire_by = checks.integer(data["expire_by"], "expire_by")
            if wanted.expire_by <= self._books.now():
                raise refusal("The expire by must be in the future.", field="expire_by")
        if "notes" in data:
            wanted.notes = checks.notes(data)

    def list(self) -> Json:
        """Under its own name, not as a collection's items."""
        chosen = [link for link in self._books.links.all.values() if _matches(link, request.args)]
        return {"payment_links": [link.entity() for link in page(request.args).cut(chosen)]}

    def fetch(self, link_id: str) -> Json:
        return found(self._books.links.all, link_id).entity()

    def edit(self, link_id: str) -> Json:
        link, data = self._payable(link_id), asked()
        checks.only(data, EDITABLE)
        self._fill(link.wanted, data)
        link.updated_at = self._books.now()
        if "expire_by" in data:
            self._books.links.plan_expiry(link)
        return link.entity()

    def cancel(self, link_id: str) -> Json:
        link = self._payable(link_id)
        checks.only(asked(), ())
        self._books.links.cancel(link)
        return link.entity()

    def notify(self, link_id: str, medium: str) -> Json:
        self._payable(link_id)
        if medium not in ("sms", "email"):
            raise refusal("The selected medium is invalid.", field="medium")
        return {"success": True}

    def _payable(self, link_id: str) -> PaymentLink:
        link = found(self._books.links.all, link_id)
        if not link.payable:
            raise refusal(NOT_PAYABLE)
        return link

    # Webhook addresses

    def add_hook(self) -> Json:
        data = asked()
        checks.only(data, HOOK_FIELDS)
        url, events = _url(data), _events(data)
        hook = self._books.hooks.add(
            url, _text(data, "secret", "") or None, _text(data, "alert_email", "") or None, events
        )
        hook.active = checks.flag(data, "active") is not False
        return hook.entity()

    def list_hooks(self) -> Json:
        items = listed(self._books.hooks.all.values())
        return {"count": items["count"], "items": items["items"]}

    def fetch_hook(self, hook_id: str) -> Json:
        return found(self._books.hooks.all, hook_id).entity()

    def edit_hook(self, hook_id: str) -> Json:
        hook, data = found(self._books.hooks.all, hook_id), asked()
        checks.only(data, HOOK_FIELDS)
        hook.url = _url(data) if "url" in data else hook.url
        hook.events = _events(data) if "events" in data else hook.events
        hook.secret = _text(data, "secret", "") or hook.secret
        hook.alert_email = _text(data, "alert_email", "") or hook.alert_email
        hook.active = hook.active if data.get("active") is None else bool(checks.flag(data, "active"))
        hook.updated_at = self._books.now()
        return hook.entity()


def _text(data: Json, field: str, default: str) -> str:
    value = data.get(field)
    if value is None:
        return default
    if not isinstance(value, str):
        raise refusal(f"The {field} must be a string.", field=field)
    return value


def _object(data: Json, field: str, default: Json) -> Json:
    value = data.get(field)
    if value in (None, []):
        return default
    if not isinstance(value, dict):
        raise refusal(f"The {field} must be an array.", field=field)
    return value


def _url(data: Json) -> str:
    """Unlike the real one, this takes http and addresses of this machine."""
    url = _text(data, "url", "")
    if not re.match(r"https?://[^/]", url) or len(url) > MAX_URL_CHARACTERS:
        raise refusal("The url format is invalid.", field="url")
    return url


def _events(data: Json) -> tuple[str, ...]:
    """A map of event → wanted, as the plugins send it; a list is understood too."""
    given: Any = data.get("events")
    if isinstance(given, list):
        given = {event: True for event in given if isinstance(event, str)}
    if not isinstance(given, dict) or not given:
        raise refusal("The events field is required.", field="events")
    for event in given:
        if event not in EVENT_TYPES:
            raise refusal(f"Invalid event name/names: {event}", field="events")
    return tuple(event for event in given if checks.flag(given, event))


def _matches(link: PaymentLink, filters: Mapping[str, str]) -> bool:
    if filters.get("reference_id", link.wanted.reference_id) != link.wanted.reference_id:
        return False
    payment_ids = {payment["payment_id"] for payment in link.payments}
    return "payment_id" not in filters or filters["payment_id"] in payment_ids
