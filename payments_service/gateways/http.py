"""The one HTTP client: what is sent how often, and errors told apart by "did money move?".

Every gateway speaks through a `GatewaySession`; it is a `requests.Session`, so that an official SDK
can stand on it too. Reads (GET) are repeated within the deadline; anything else is sent once, ever.
How much is asked at all is decided in `bounds.py`; how long a call may last, in `transport.py`.
"""

import http.client
import json
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as TookTooLong

from payments_service import logs
from payments_service.admission import waiting_outside
from payments_service.domain import clock
from payments_service.domain.deadline import Deadline, Urgency
from payments_service.domain.errors import (
    BudgetUsedUp,
    CircuitOpen,
    GatewayError,
    MoneyUnreadable,
    OutcomeUnknown,
    Rejected,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.domain.money import exact_number
from payments_service.gateways.bounds import READ_RESET_SECONDS, RESET_SECONDS, Circuit, Places, ReadBudget
from payments_service.gateways.health import READS, WRITES, Health
from payments_service.gateways.measured import current_verb
from payments_service.gateways.reading import Undecided
from payments_service.gateways.transport import Adapter, timeout_within
from payments_service.logs import masked_words

log = logging.getLogger(__name__)

READ_TRIES = 3
GIVEN = ("auth", "data", "json", "params")
"""What gateways and the SDK say of a request; how it is sent is said here."""
REASONS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("dns", (NameResolutionError, socket.gaierror)),
    ("refused", (ConnectionRefusedError,)),
    ("unreachable", (NewConnectionError,)),
    ("timeout", (TimeoutError, requests.Timeout, TookTooLong)),
    ("tls", (ssl.SSLError, SSLError)),
    ("reset", (ConnectionError, IncompleteRead, http.client.IncompleteRead)),
)
"""Why no whole answer came, by what stands anywhere in the error; the first that fits. To urllib3 each
NewConnectionError is a time-out as well, and one for a name is a NameResolutionError."""


@dataclass(frozen=True)
class ErrorFacts:
    """What a gateway's error body says; `description` is in its own words, which are masked before use."""

    code: str | None
    description: str
    unknown_id: bool = False
    in_progress: bool = False
    existing_order_id: str | None = None
    refuses_credentials: bool = False


ErrorReader = Callable[[int, Mapping[str, Any]], ErrorFacts]


class GatewaySession(requests.Session):
    """A session for one gateway. `timeout` of each request must be a `Deadline`.

    `wait_header` is where a 429 says how many seconds to wait, if it is not Retry-After.
    """

    def __init__(
        self,
        gateway: str,
        read_error: ErrorReader,
        reads_per_second: float,
        *,
        wait_header: str = "Retry-After",
        reset_seconds: float = RESET_SECONDS,
    ) -> None:
        super().__init__()
        self.gateway = gateway
        self.read_error = read_error
        self.reads = ReadBudget(gateway, reads_per_second)
        self.places = Places(gateway)
        self.writes = Circuit(gateway, reset_seconds)
        self.readings = Circuit(gateway, READ_RESET_SECONDS, calls="reads")
        self.health = Health()
        self.wait_headers = (wait_header, "Retry-After")
        self.mount("https://", Adapter())
        self.mount("http://", Adapter())

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        timeout: Deadline,
        harmless: bool = False,
        budget: ReadBudget | None = None,
        **options: Any,
    ) -> requests.Response:
        """Send, and return a 2xx answer that is JSON; raise a GatewayError for anything else.

        `harmless` says of a POST that it changes nothing (asking for a token), so that it counts as a read,
        and as one that a payer may be waiting for. `budget` is that of reads which have a limit of their own
        at the gateway: they take from it alone, and a 429 of theirs lowers no other.
        """
        method = method.upper()
        if harmless or method == "GET":
            urgency = Urgency.VERIFY if harmless else timeout.urgency
            return self._read(method, url, timeout, urgency, budget or self.reads, **options)
        self._need_time(timeout)
        with self.places.taken(), self.writes.passing():
            return self._send_once(method, url, timeout, 1, False, self.reads, **options)

    def _read(
        self, method: str, url: str, deadline: Deadline, urgency: Urgency, budget: ReadBudget, **options: Any
    ) -> requests.Response:
        for number in range(1, READ_TRIES + 1):
            with waiting_outside():
                budget.take(urgency, deadline)
            self._need_time(deadline)
            try:
                with self.places.taken(), self.readings.passing():
                    return self._send_once(method, url, deadline, number, True, budget, **options)
            except (CircuitOpen, BudgetUsedUp):
                raise
            except Unavailable as error:
                pause = random.uniform(0.1, 0.3) * 2**number  # noqa: S311 (jitter, not a secret)
                if number == READ_TRIES or error.gateway_status == 429 or pause >= deadline.remaining():
                    raise
                logs.spent("gateway", 0.0, retries=1)
                with waiting_outside():
                    time.sleep(pause)
        raise AssertionError("unreachable")

    def _need_time(self, deadline: Deadline) -> None:
        if deadline.remaining() <= 0:
            raise Unavailable(f"No time was left to ask {self.gateway}")

    def _sent(
        self, method: str, url: str, deadline: Deadline, *, headers: Any = None, **options: Any
    ) -> requests.Response:
        """The request alone, without what a `requests.Session` adds: a redirect is an answer that we do not
        know, no gateway needs cookies, and nothing of the environment counts."""
        given = {name: options[name] for name in GIVEN if name in options}
        request = requests.Request(
            method, url, headers={**self.headers, **(headers or {})}, **given
        ).prepare()
        limits: Any = timeout_within(deadline)  # what requests hands on to urllib3 as it is
        with waiting_outside():
            return self.get_adapter(url).send(request, timeout=limits)

    def _send_once(
        self,
        method: str,
        url: str,
        deadline: Deadline,
        number: int,
        is_read: bool,
        budget: ReadBudget,
        **options: Any,
    ) -> requests.Response:
        started = time.monotonic()
        status: int | None = None
        answered: int | None = None
        failure: GatewayError | None = None
        try:
            response = self._sent(method, url, deadline, **options)
            clock.WATCH.hear(self.gateway, response.headers.get("Date"), response.headers.get("Age"))
            status, answered = response.status_code, len(response.content)
            self._raise_unless_answer(is_read, response, budget)
        except (requests.RequestException, HTTPError) as error:
            failure = _classify(is_read, error)
            raise failure from error
        except GatewayError as error:
            failure = error
            raise
        finally:
            self.health.learn(READS if is_read else WRITES, failure)
            fields = {
                "gateway": self.gateway,
                "verb": current_verb(),
                "method": method,
                "path": urlsplit(url).path,
                "status": status,
                "outcome": failure.code if failure else "ok",
                "try": number,
                "urgency": deadline.urgency.name,
                "secondsLeft": round(deadline.remaining(), 1),
                "milliseconds": round((time.monotonic() - started) * 1000),
            }
            fields |= {
                "arrived": (datetime.now(UTC) - timedelta(seconds=time.monotonic() - started)).isoformat(),
                "bytesOut": len(options.get("data") or b"") or None,
                "bytesIn": answered,
                "readsLeft": round(budget.left, 1),
                "circuit": (self.readings if is_read else self.writes).state,
                "retryAfterSeconds": failure.retry_after_seconds if failure else None,
                **logs.within(),
            }
            if failure:
                fields |= {"gatewayCode": failure.gateway_code, "why": failure.message}
            log.log(logging.WARNING if failure else logging.INFO, "Gateway call", extra={"data": fields})
        return response

    def _raise_unless_answer(self, is_read: bool, response: requests.Response, budget: ReadBudget) -> None:
        """Return for a 2xx that carries JSON; raise what it means otherwise."""
        status = response.status_code
        body = _json_or_none(response)
        if 200 <= status < 300 and body is not None:
            return
        facts = self._facts(status, body)
        told = (response.headers.get(name) for name in self.wait_headers)
        retry_after = next((seconds for seconds in map(_seconds, told) if seconds is not None), None)
        about: dict[str, Any] = {
            "gateway_code": facts.code,
            "gateway_status": status,
            "retry_after_seconds": retry_after,
            "existing_order_id": facts.existing_order_id,
            "refuses_credentials": facts.refuses_credentials,
        }
        sentence = f"{self.gateway} answered {status}: {masked_words(facts.description)}"
        if status == 429:
            budget.lower(retry_after)
            raise Unavailable(sentence, **about)
        if facts.in_progress or status < 400 or status >= 500 or status == 408:
            _raise_unknown(is_read, sentence, **about)
        if facts.unknown_id:
            raise UnknownAtGateway(sentence, **about)
        raise Rejected(sentence, **about)

    def _facts(self, status: int, body: object) -> ErrorFacts:
        if isinstance(body, Mapping):
            try:
                return self.read_error(status, body)
            except (KeyError, TypeError, AttributeError, ValueError):
                pass
        return ErrorFacts(code=None, description="an answer that cannot be read")


def decimal_json(response: requests.Response) -> Any:
    """The JSON of an answer, its numbers with a point as Decimal."""
    return json.loads(response.content, parse_float=exact_number)


@contextmanager
def edge_told_apart(*, of_write: bool, other_codes: Collection[str] = ()) -> Iterator[None]:
    """A refusal without a code comes from what stands in front of the API, a page of Cloudflare for one.

    It never says that an order is unknown, and a write may have passed it. To a read, a refusal under
    `other_codes` says no more.
    """
    try:
        yield
    except Rejected as error:
        is_a_page = error.gateway_code is None and error.gateway_status != 401
        if not is_a_page and (of_write or error.gateway_code not in other_codes):
            raise
        failure = OutcomeUnknown if of_write else Unavailable
        code, status = error.gateway_code, error.gateway_status
        raise failure(str(error), gateway_code=code, gateway_status=status) from error


@contextmanager
def reading_answer(gateway: str, *, of_write: bool) -> Iterator[None]:
    """An answer without the promised members is as good as none: unknown after a write."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        message = f"{gateway} gave an answer that cannot be read ({type(error).__name__})"
        if of_write:
            raise OutcomeUnknown(message) from error
        raise (MoneyUnreadable if isinstance(error, Undecided) else Unavailable)(message) from error


def _classify(is_read: bool, error: Exception) -> GatewayError:
    """Did the request leave this machine? `requests.ConnectionError` is raised before and after."""
    reason = _reason(error)
    if not _may_have_left(error):
        return Unavailable(f"The gateway could not be reached (reason: {reason})")
    message = f"The gateway did not give a whole answer (reason: {reason})"
    return Unavailable(message) if is_read else OutcomeUnknown(message)


def _reason(error: Exception) -> str:
    """One word for the log; the error's own words may hold an address with all its query."""
    parts = list(_parts(error))
    found = (word for word, kinds in REASONS if any(isinstance(part, kinds) for part in parts))
    return next(found, "broken")


def _parts(error: object) -> Iterator[BaseException]:
    """An error and those in it: libraries wrap them as arguments, reasons and causes."""
    waiting, seen = [error], set[int]()
    while waiting:
        part = waiting.pop()
        if isinstance(part, BaseException) and id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting += [*part.args, getattr(part, "reason", None), part.__cause__, part.__context__]


def _may_have_left(error: Exception) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return False
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    if isinstance(cause, ConnectTimeoutError | NewConnectionError):  # refused, no route, no such host
        return False
    # A certificate is refused in the handshake, before the first byte of the request.
    inner = (cause, *getattr(cause, "args", ()))
    return not any(isinstance(part, ssl.SSLCertVerificationError) for part in inner)


def _raise_unknown(is_read: bool, sentence: str, **about: Any) -> NoReturn:
    if is_read:
        raise Unavailable(sentence, **about)
    raise OutcomeUnknown(sentence, **about)


def _json_or_none(response: requests.Response) -> object:
    """The parsed body, None when it is not a JSON object or list."""
    try:
        body = decimal_json(response)
    except (ValueError, ArithmeticError, RecursionError):  # too large an exponent, too deep a nesting
        return None
    return body if isinstance(body, dict | list) else None


def _seconds(retry_after: str | None) -> int | None:
    is_number = retry_after and retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6
    return int(retry_after) if retry_after and is_number else None
