"""Helpers of the gateway tests: cases that a contract's subclass lists, and no waiting between tries."""

import ssl
import subprocess
from pathlib import Path

import pytest

CASES = ("write", "read", "order_word", "attempt_word", "refund_word", "event_name", "paise")
"""Arguments of contract tests; the test's class lists their values in the attribute of that name."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for argument in CASES:
        if argument in metafunc.fixturenames and metafunc.cls is not None:
            metafunc.parametrize(argument, list(getattr(metafunc.cls, f"{argument}s")))


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries of a read follow each other at once."""
    monkeypatch.setattr("payments_service.gateways.http.random.uniform", lambda _low, _high: 0.0)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key in one file; nobody has signed it but itself."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command = ["openssl", "req", *options.split(), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture(scope="session")
def self_signed(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
