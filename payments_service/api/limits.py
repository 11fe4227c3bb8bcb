"""How often one caller may ask, so that a greedy one starves no other; never a reason not to be served.

What is counted is in memory, for each process by itself, or in Redis, for all together (REDIS_URL). A Redis
that does not answer costs one short wait and is left alone for some seconds: meanwhile nothing is limited.
The headers are those of the IETF draft draft-ietf-httpapi-ratelimit-headers-10.
"""

import hmac
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from flask import Flask, Response, g, request
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from payments_service.api.callers import caller_address, caller_network, is_of_a_platform
from payments_service.domain.errors import NotFound, TooMany
from payments_service.settings import Settings

log = logging.getLogger(__name__)

UNKNOWN_LOOKUPS = "30/minute"
"""Questions for payments that are not ours, an address."""
REDIS_WAIT_SECONDS = 0.1
"""A request waits no longer for its budget to be counted; then it is let through."""
REDIS_PAUSE_SECONDS = 5.0
"""A Redis that did not answer is not asked again for so long."""
WARN_EVERY_SECONDS = 600.0
"""A Redis that is away is one log line in so long, not one for each request."""


@dataclass(frozen=True)
class Spent:
    """What is left of a budget once a request has drawn on it."""

    name: str
    budget: RateLimitItem
    left: int
    seconds: int
    """Until the budget is whole again."""

    @property
    def policy_field(self) -> str:
        return f'"{self.name}";q={self.budget.amount};w={self.budget.get_expiry()}'

    @property
    def field(self) -> str:
        return f'"{self.name}";r={self.left};t={self.seconds}'


class Budgets:
    """The budgets of callers: `address` and `phone` for orders, `unknown` for what is not found."""

    def __init__(self, app: Flask, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        # Whose budget it is, is said where it is spent (a phone is known only then): only an order
        # pays for being counted.
        self._redis_url = settings.redis_url
        self._budgets = {name: parse(text) for name, text in settings.order_limits.items()}
        if self._budgets:
            self._budgets["unknown"] = parse(UNKNOWN_LOOKUPS)
        self._secret = settings.secret_key.encode()
        self._hops = settings.trusted_proxy_hops
        self._clock = clock
        self._quiet_until = self._warn_again_at = -math.inf
        app.after_request(_tell)

    @cached_property
    def _limiter(self) -> FixedWindowRateLimiter:
        """Made at the first count: in memory it begins with a thread, which no fork takes along."""
        options = _patience() if self._redis_url else {}
        return FixedWindowRateLimiter(storage_from_string(self._redis_url or "memory://", **options))

    def order_from_here(self) -> None:
        """Count an order of this address; TooMany when it made its share."""
        self._spend_address("address")

    def order_of(self, phone: str) -> None:
        """Count an order of this payer; TooMany when there are too many of one phone, from wherever."""
        self._spend("phone", phone)

    @contextmanager
    def unknown_lookup(self) -> Iterator[None]:
        """What is not found within costs this address; TooMany instead of NotFound when it was too much."""
        try:
            yield
        except NotFound:
            self._spend_address("unknown")
            raise

    def _spend_address(self, name: str) -> None:
        address = caller_address()
        if address is None:
            return
        is_proxy = is_of_a_platform(address)
        if (self._hops == 0 or is_proxy) and "X-Forwarded-For" in request.headers:
            self._warn_of_a_proxy()
            if is_proxy:
                return  # all payers would share its budget
        self._spend(name, caller_network(address))

    def _spend(self, name: str, whose: str) -> None:
        budget = self._budgets.get(name)
        if budget is None or self._clock() < self._quiet_until:
            return
        key = hmac.digest(self._secret, f"{name}:{whose}".encode(), sha256).hex()
        try:
            is_within = self._limiter.hit(budget, name, key)
            whole_again_at, left = self._limiter.get_window_stats(budget, name, key)
        except StorageError as error:
            self._quiet_until = self._clock() + REDIS_PAUSE_SECONDS
            about = {"error": type(error.__cause__).__name__, "seconds": REDIS_PAUSE_SECONDS}
            log.warning("Redis did not answer; nothing is limited meanwhile", extra={"data": about})
            return
        seconds = min(max(1, round(whole_again_at - time.time())), budget.get_expiry())
        g.setdefault("spent", []).append(Spent(name, budget, left, seconds))
        if not is_within:
            log.warning("A caller asked too often", extra={"data": {"budget": name, "seconds": seconds}})
            raise TooMany("Too many requests; try again later", seconds)

    def _warn_of_a_proxy(self) -> None:
        if self._clock() >= self._warn_again_at:
            self._warn_again_at = self._clock() + WARN_EVERY_SECONDS
            log.warning("Requests name more proxies than TRUSTED_PROXY_HOPS counts")


def _patience() -> dict[str, Any]:
    """One short wait and no second try; the settings made sure that the client is installed."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_connect_timeout": REDIS_WAIT_SECONDS,
        "socket_timeout": REDIS_WAIT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "wrap_exceptions": True,
    }


def _tell(response: Response) -> Response:
    """The policies that this request was under, and what is left of each."""
    if spent := g.get("spent"):
        response.headers["RateLimit-Policy"] = ", ".join(one.policy_field for one in spent)
        response.headers["RateLimit"] = ", ".join(one.field for one in spent)
    return response
