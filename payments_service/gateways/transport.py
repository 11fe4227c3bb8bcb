"""Connections that end in time: one timeout for all addresses of a host, one for all bytes of an answer."""

import http.client
import io
import socket
import time
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util import Timeout
from urllib3.util.connection import allowed_gai_family

from payments_service import net
from payments_service.domain.deadline import Deadline

MAX_ANSWER_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
CONNECTIONS_KEPT = 100
"""Open between calls, so that the calls of a burst do not each begin with a handshake."""


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        ends = time.monotonic() + (sock.gettimeout() or 0.0)
        self.fp = io.BufferedReader(net.Until(self.fp.detach(), sock, ends))


class _Connection(HTTPConnection):
    response_class = _Answer

    def _new_conn(self) -> socket.socket:
        """The addresses of a host share one timeout; left alone, each of them has the whole of it."""
        name, ends = self._dns_host, time.monotonic() + (self.timeout or 0.0)
        *others, last = _addresses(name, self.port)
        try:
            for count, self._dns_host in enumerate(others):
                self.timeout = max(0.05, (ends - time.monotonic()) / (len(others) + 1 - count))
                with suppress(ConnectTimeoutError, NewConnectionError):
                    return super()._new_conn()
            self._dns_host, self.timeout = last, max(0.05, ends - time.monotonic())
            return super()._new_conn()
        finally:
            self._dns_host = name


class _TlsConnection(_Connection, HTTPSConnection):
    pass


def _addresses(name: str, port: int | None) -> list[str]:
    """The name itself where it has none: connecting says then what is wrong."""
    with suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(name, port, allowed_gai_family(), socket.SOCK_STREAM)
        return [str(address[0]) for *_, address in found] or [name]
    return [name]


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Adapter(HTTPAdapter):
    """Pooled connections that share one TLS context and end within the deadline even on a trickle."""

    def __init__(self) -> None:
        super().__init__(pool_connections=4, pool_maxsize=CONNECTIONS_KEPT, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=net.tls_context())
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        # The context holds the roots. Left alone, requests would read its CA file again and again.
        conn.cert_reqs = "CERT_REQUIRED"

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        options.update(stream=True, verify=True)
        response = super().send(request, *args, **options)
        body = bytearray()
        for chunk in response.iter_content(CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                response.close()
                raise requests.exceptions.ContentDecodingError("the answer is too large")
        response._content = bytes(body)
        return response


def timeout_within(deadline: Deadline) -> Timeout:
    """Connecting and reading each within its own limit, and both together within the deadline."""
    connect_seconds, read_seconds = deadline.timeouts()
    together = max(connect_seconds, read_seconds, deadline.remaining())
    return Timeout(total=together, connect=connect_seconds, read=read_seconds)
