"""What every connection to another server has in common: one moment at which it ends, and one trust."""

import io
import socket
import ssl
import time
from functools import cache
from typing import Any

import certifi

CONNECT_SECONDS = 5.0
"""For each address that a receiver's name has; what follows shares the caller's seconds."""


class Until(io.RawIOBase):
    """What a socket receives until one moment for all of it; left alone, each byte has its own timeout.

    `ends` is a moment of `time.monotonic()`. Reading after it raises TimeoutError.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, ends: float) -> None:
        self._raw, self._sock, self._ends = raw, sock, ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        self._sock.settimeout(left(self._ends))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def left(ends: float) -> float:
    """Seconds until then; raises TimeoutError when there are none."""
    seconds = ends - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("no time is left")
    return seconds


@cache
def tls_context() -> ssl.SSLContext:
    """Trusts what this machine trusts (SSL_CERT_FILE can name more), and the common roots."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
