"""What `doctor` sees of this service from outside: its public address, and the servers that it speaks to.

Nothing here changes anything: the webhook that is sent names no gateway, and no letter and no event is sent.
"""

import json
import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from time import monotonic
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from payments_service import net, notify
from payments_service.cli.findings import Finding, bad, ok, warn
from payments_service.settings import Settings
from payments_service.settings.addresses import is_loopback

SECONDS = 5.0
"""For each step of one connection."""
MAX_BYTES = 64 * 1024
LARGE_EVENT = json.dumps({"type": "doctor", "filling": "." * 50_000}).encode()
"""As long as the longest event that a gateway sends: a proxy that takes no such body is found out."""
DAYS_BAD, DAYS_WARN = 3, 14
"""Before a certificate ends. Its renewal is usually tried 30 days before."""
WEB_PORTS = (None, 80, 443)
"""Gateways deliver to no other."""
NO_GATEWAY = "doctor"
PORTS = {"http": 80, "redis": 6379, "amqp": 5672}
PORTS_OF_TLS = {"https": 443, "rediss": 6379, "amqps": 5671}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    milliseconds: int
    certificate_ends: datetime | None

    def member(self, name: str) -> object:
        """A member of the JSON body; None where there is none."""
        with suppress(ValueError):
            found = json.loads(self.body)
            return found.get(name) if isinstance(found, dict) else None
        return None


def call(
    method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """One request, no redirect followed, no proxy used. Raises OSError, ValueError and HTTPException."""
    address, started = urlsplit(url), monotonic()
    line = HTTPConnection(address.hostname or "", address.port, timeout=SECONDS)
    if address.scheme == "https":
        line = HTTPSConnection(
            address.hostname or "", address.port, timeout=SECONDS, context=net.tls_context()
        )
    try:
        line.connect()
        ends = _certificate_ends(line.sock)
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        line.request(method, target, body, {"User-Agent": "payments-service doctor", **(headers or {})})
        with line.getresponse() as response:
            told = {name.lower(): value for name, value in response.getheaders()}
            read = response.read(MAX_BYTES)
        return Answer(response.status, told, read, round((monotonic() - started) * 1000), ends)
    finally:
        line.close()


def public_address(settings: Settings) -> Iterator[Finding]:
    """Whether the world reaches this service under BACKEND_URL, and what stands between."""
    home, name = settings.backend_url, "public address"
    mark = uuid4().hex
    try:
        answer = call("GET", f"{home}/health", {"X-Request-Id": mark})
    except (OSError, ValueError, HTTPException) as error:
        todo = "Is BACKEND_URL right? Does the service run? Is its name in DNS, and its port open?"
        yield bad(name, f"{home} cannot be reached: {_why(error)}", todo)
        return
    if answer.status != 200 or answer.member("status") != "ok":
        todo = "Another program answers there, or a proxy in front is wrong: see docs/deployment.md"
        yield bad(name, f"{home}/health answers {answer.status}{_leads(answer)}", todo)
        return
    if answer.headers.get("x-request-id") != mark:
        yield warn(
            name, f"{home} answers, without our X-Request-Id", "Let the proxy in front pass on headers"
        )
    else:
        yield ok(name, f"{home} answers in {answer.milliseconds} ms")
    yield from _tls_finding(settings, answer)
    if urlsplit(home).port not in WEB_PORTS and not is_loopback(home):
        yield bad(
            "webhook port", f"BACKEND_URL has port {urlsplit(home).port}", "Gateways deliver to 443 only"
        )


def webhook_door(settings: Settings) -> Iterator[Finding]:
    """A webhook's way through the public address, with a body as long as any: it names no gateway, so nothing
    is stored by it."""
    name, url = "webhook round trip", f"{settings.backend_url}/api/webhook/{NO_GATEWAY}"
    mark = uuid4().hex
    headers = {
        "X-Request-Id": mark,
        "Content-Type": "application/json",
        "Content-Length": str(len(LARGE_EVENT)),
    }
    try:
        answer = call("POST", url, headers, LARGE_EVENT)
    except (OSError, ValueError, HTTPException) as error:
        yield bad(
            name, f"POST {url}: {_why(error)}", "Until this works, no webhook arrives; see: public address"
        )
        return
    code, is_ours = answer.member("code"), answer.headers.get("x-request-id") == mark
    if answer.status == 403 and code == "address_not_allowed":
        yield ok(name, "reached the service, which refuses this machine's address (WEBHOOK_ALLOWED_IPS)")
    elif answer.status == 404 and code == "gateway_off" and is_ours:
        kibibytes = len(LARGE_EVENT) // 1024
        yield ok(name, f"{kibibytes} KiB reached the service and its answer came in {answer.milliseconds} ms")
    elif 300 <= answer.status < 400:
        yield bad(
            name, f"is redirected{_leads(answer)}", "Gateways follow no redirect: register that address"
        )
    else:
        todo = "A firewall, bot check or body limit in front blocks webhooks: let them through"
        yield bad(name, f"POST {url} answers {answer.status} {code or ''}".rstrip(), todo)


def pages_allowed(settings: Settings) -> Iterator[Finding]:
    """Whether a browser lets a page of each origin call, asked as a browser asks; and where the page is."""
    for origin in settings.frontend_urls:
        name = "page's origin"
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        try:
            answer = call("OPTIONS", f"{settings.backend_url}/api/payment/create-order", headers)
        except (OSError, ValueError, HTTPException):
            return  # told by the public address
        if answer.headers.get("access-control-allow-origin") != origin:
            todo = "Does the running service have this FRONTEND_URL, and does the proxy pass on its headers?"
            yield bad(name, f"{origin} is refused by browsers", todo)
            continue
        moved = _moved_to(origin) if not is_loopback(origin) else None
        if moved:
            yield warn(
                name, f"{origin} leads on to {moved}", f"Pages there are refused: add {moved} to FRONTEND_URL"
            )
        else:
            yield ok(name, f"{origin} may call")
    yield from _scheme_known(settings)


def domains(settings: Settings, modes: Mapping[str, str]) -> Iterator[Finding]:
    """What to enter in the dashboards; `modes` has the mode of each gateway that is on."""
    home = urlsplit(settings.backend_url).netloc
    pages = sorted({urlsplit(url).netloc for url in settings.frontend_urls if not is_loopback(url)})
    yield ok(
        "domains", ", ".join([home, *pages]), "Register them with the gateways that check the payer's site"
    )
    for name, mode in modes.items():
        url = f"{settings.backend_url}/api/webhook/{name}"
        yield ok("webhook address", url, f"Enter it in {name}'s dashboard, in {mode} mode")


def mail(settings: Settings) -> Iterator[Finding]:
    if not settings.smtp_url:
        yield warn("mail", "SMTP_URL is not set", "Payers and operators get no e-mail: set it")
        return
    address = urlsplit(settings.smtp_url)
    host = address.hostname or ""
    try:
        _log_in(settings.smtp_url)
    except (OSError, ValueError, smtplib.SMTPException) as error:
        todo = "Compare SMTP_URL with the mail server's settings; special characters are percent-encoded"
        yield bad("mail", f"{host}: {_why(error)}", todo)
        return
    if settings.ops_email:
        yield ok("mail", f"{host} can be reached; alarms go to {settings.ops_email}")
    else:
        yield warn("mail", f"{host} can be reached", "Set OPS_EMAIL: alarms are e-mailed to no person")


def merchant_address(settings: Settings) -> Iterator[Finding]:
    name = "merchant's address"
    if not settings.merchant_webhook_url:
        todo = "Your server gets no events: set MERCHANT_WEBHOOK_URL, or request each status"
        yield warn(name, "MERCHANT_WEBHOOK_URL is not set", todo)
        return
    host = urlsplit(settings.merchant_webhook_url).hostname
    if problem := _problem_at(settings.merchant_webhook_url):
        yield bad(name, f"{host}: {problem}", "Events wait until it can be reached")
    else:
        yield ok(name, f"{host} can be reached")


def helpers(settings: Settings) -> Iterator[Finding]:
    """Servers without which payments go on, and something else does not."""
    parts = (
        ("REDIS_URL", settings.redis_url, warn, "Meanwhile each process counts rate limits for itself"),
        (
            "CELERY_BROKER_URL",
            settings.celery_broker_url,
            bad,
            "Celery starts no work: start the broker, or correct the URL",
        ),
    )
    for name, url, verdict, todo in parts:
        if url is None:
            continue
        problem = _problem_at(url)
        yield (
            verdict(name, problem, todo) if problem else ok(name, f"{urlsplit(url).hostname} can be reached")
        )


# ── small steps ─────────────────────────────────────────────────────────────────────────────────────


def _tls_finding(settings: Settings, answer: Answer) -> Iterator[Finding]:
    if answer.certificate_ends is None:
        if not is_loopback(settings.backend_url) and not settings.is_development:
            yield bad(
                "TLS", "BACKEND_URL is not https", "Payers and gateways need https: see docs/deployment.md"
            )
        return
    days = (answer.certificate_ends - datetime.now(UTC)).days
    saw = f"the certificate is good for {days} more days"
    if days < DAYS_WARN:
        yield (bad if days < DAYS_BAD else warn)(
            "TLS", saw, "Renew it, and find out why it was not renewed automatically"
        )
    else:
        yield ok("TLS", saw)


def _scheme_known(settings: Settings) -> Iterator[Finding]:
    """HSTS is sent only where the service knows that it was asked by https."""
    if settings.is_development or not settings.backend_url.startswith("https://"):
        return
    hops = settings.trusted_proxy_hops
    todo = "Set TRUSTED_PROXY_HOPS to the number of proxies in front; now all payers share one limit"
    with suppress(OSError, ValueError, HTTPException):
        answer = call("GET", f"{settings.backend_url}/api/payment/status/{NO_GATEWAY}/{NO_GATEWAY}")
        if "strict-transport-security" not in answer.headers:
            yield warn("proxies", "the service does not see that the request came by https", todo)
        elif not hops:  # gunicorn believes a proxy on the same machine about https, and about no caller
            yield warn("proxies", "https ends at a proxy, and TRUSTED_PROXY_HOPS is 0", todo)
        else:
            saw = f"TRUSTED_PROXY_HOPS={hops}: https is seen; the log warns where the number is too small"
            yield ok("proxies", saw)


def _moved_to(origin: str) -> str | None:
    """The origin that a page's address leads on to, if it is another one."""
    with suppress(OSError, ValueError, HTTPException):
        answer = call("GET", f"{origin}/")
        target = urlsplit(answer.headers.get("location", ""))
        found = f"{target.scheme}://{target.netloc}".lower()
        if 300 <= answer.status < 400 and target.netloc and found != origin:
            return found
    return None


def _problem_at(url: str) -> str | None:
    """Why a server cannot be reached; nothing is said to it but a greeting of TLS, where it speaks that."""
    address = urlsplit(url)
    is_tls = address.scheme in PORTS_OF_TLS
    port = address.port or PORTS_OF_TLS.get(address.scheme) or PORTS[address.scheme]
    try:
        with socket.create_connection((address.hostname or "", port), SECONDS) as line:
            if is_tls:
                net.tls_context().wrap_socket(line, server_hostname=address.hostname).close()
    except (OSError, ValueError) as error:
        return _why(error)
    return None


def _leads(answer: Answer) -> str:
    """Where a redirect leads, without its query."""
    place = urlsplit(answer.headers.get("location", ""))
    where = f"{place.scheme}://{place.netloc}{place.path}" if place.netloc else place.path
    return f", to {where}" if where else ""


def _log_in(url: str) -> None:
    """As notify does it, without a letter."""
    address = urlsplit(url)
    host, is_tls = address.hostname or "", address.scheme == "smtps"
    port = address.port or (465 if is_tls else 587)
    line = (
        smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=net.tls_context())
        if is_tls
        else smtplib.SMTP(host, port, timeout=SECONDS)
    )
    with line:
        line.ehlo()
        if (
            not is_tls
            and (line.has_extn("starttls") or address.username)
            and not is_loopback(f"http://{host}")
        ):
            line.starttls(context=net.tls_context())
            line.ehlo()
        if address.username:
            line.login(unquote(address.username), unquote(address.password or ""))


def _why(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return f"SMTP {error.smtp_code}"
    return notify.why(error, SECONDS)


def _certificate_ends(sock: object) -> datetime | None:
    told = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told["notAfter"])), UTC) if told else None
