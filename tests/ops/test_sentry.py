"""What goes to Sentry holds no secret and nothing of a person, whatever an exception and a request hold."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import brotli
import pytest
import sentry_sdk
from flask import Flask, request

from payments_service import create_app, sentry
from payments_service.api import guards
from payments_service.settings import Settings
from tests.support.environment import environment
from tests.support.house import CUSTOMER

PRIVATE = {
    "name": "Asha Rao",
    "email": "asha@example.com",
    "phone": "9876543210",
    "upi": "asha@okbank",
    "card": "4111 1111 1111 1111",
    "key": "simulator_razorpay_key_secret",
    "bearer": "psk_live_0123456789abcdef0123456789abcdef",
    "signature": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "dsn password": "hunter2hunter2hunter2",
}


class Receiver(BaseHTTPRequestHandler):
    """Sentry as far as its client needs it."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        unpack = {"gzip": gzip.decompress, "br": brotli.decompress}.get(
            self.headers["Content-Encoding"], bytes
        )
        body = unpack(body)
        self.server.received.append(body.decode())  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.received = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://publickey@127.0.0.1:{server.server_port}/1", server.received  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.fixture
def app(database_url: str, receiver: tuple[str, list[str]]) -> Iterator[Flask]:
    settings = environment(database_url=database_url, simulator_port=9, SENTRY_DSN=receiver[0])
    app = create_app(Settings.from_environment(settings))
    yield app
    app.extensions["payments_service"].db.engine.dispose()
    sentry_sdk.get_client().close(timeout=2)
    sentry_sdk.get_global_scope().set_client(None)


def test_an_exception_that_holds_all_of_them_leaves_none_of_them(
    app: Flask, receiver: tuple[str, list[str]]
) -> None:
    @app.post("/explode")
    @guards.open_to_all
    def explode() -> str:
        held = dict(PRIVATE)  # in a local variable
        try:
            raise ValueError(f"cannot read {held}")  # in the message of a cause
        except ValueError as error:
            raise RuntimeError(f"payment of {held['name']} failed: {request.get_data()!r}") from error

    headers = {
        "Authorization": f"Bearer {PRIVATE['bearer']}",
        "Cookie": f"session={PRIVATE['signature']}",
        "X-Razorpay-Signature": PRIVATE["signature"],
        "X-Request-Id": "request-of-this-test",
    }
    answer = app.test_client().post(f"/explode?email={PRIVATE['email']}", json=PRIVATE, headers=headers)
    assert answer.status_code == 500
    sentry_sdk.get_client().flush(5)
    [sent] = receiver[1]
    for what, held in PRIVATE.items():
        assert held not in sent, what
        assert json.dumps(held).strip('"') not in sent, what
    event = _event(sent)
    assert [error["type"] for error in event["exception"]["values"]] == ["ValueError", "RuntimeError"]
    assert "explode" in [
        frame["function"] for frame in event["exception"]["values"][1]["stacktrace"]["frames"]
    ]
    assert event["tags"]["requestId"] == "request-of-this-test"
    assert event["environment"] == "development"


def test_a_line_of_level_error_tells_its_sentence_and_ids_alone(
    app: Flask, receiver: tuple[str, list[str]]
) -> None:
    import logging

    log = logging.getLogger("payments_service.somewhere")
    about = {"gateway": "razorpay", "code": "some_code", "email": PRIVATE["email"], "words": PRIVATE["card"]}
    log.error("Alert of %s", PRIVATE["phone"], extra={"data": about})
    sentry_sdk.get_client().flush(5)
    [sent] = receiver[1]
    assert not [what for what, held in PRIVATE.items() if held in sent]
    event = _event(sent)
    assert event["logentry"]["message"] == "Alert of %s"
    assert (event["tags"]["gateway"], event["tags"]["code"]) == ("razorpay", "some_code")


def test_without_a_dsn_its_client_is_not_even_loaded(database_url: str) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from payments_service import create_app; from payments_service.settings import Settings;"
        "create_app(Settings.from_environment({'APP_ENV': 'development', 'DATABASE_URL': sys.argv[1]}));"
        "assert 'sentry_sdk' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, database_url], check=True, capture_output=True, timeout=60)


def test_scrubbing_makes_the_event_anew(settings: Settings) -> None:
    """Whatever a later version of the client adds stays here."""
    full: dict[str, Any] = {
        "event_id": "1",
        "level": "error",
        "request": {"data": CUSTOMER, "headers": {"Authorization": "x"}, "env": {"REMOTE_ADDR": "192.0.2.1"}},
        "user": {"ip_address": "192.0.2.1"},
        "breadcrumbs": {"values": [{"message": "asha@example.com"}]},
        "extra": {"sys.argv": ["--password"]},
        "contexts": {"trace": {}},
        "modules": {},
        "something_new": "asha@example.com",
    }
    made = sentry.scrubbed(full, {})
    assert set(made) == {"event_id", "level", "logentry", "tags"}


def _event(sent: str) -> dict[str, Any]:
    """The one event of an envelope: header, header of the item, item."""
    event: dict[str, Any] = json.loads(sent.splitlines()[2])
    return event
