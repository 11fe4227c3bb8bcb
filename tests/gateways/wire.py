"""A gateway's end of the line on a real socket: it answers well, badly, slowly or not at all, as told."""

import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATIENCE_SECONDS = 15
"""How long trouble lasts at most, so that a test which waits for its end fails instead of hanging."""
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class Trouble(Enum):
    """What a line can do to an answer. All but RESET_UNREAD strike once the request has been read."""

    HANG = auto()
    RESET = auto()
    RESET_UNREAD = auto()
    HALF = auto()
    """Fewer bytes than promised, then the end."""
    SLOW_HEAD = auto()
    SLOW_BODY = auto()
    """A byte every twentieth of a second, on and on."""
    TOO_LARGE = auto()


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def json(self) -> Any:
        """The body, each number as the very text that was sent."""
        return json.loads(self.body, parse_int=str, parse_float=str)


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object, status: int = 200, **headers: str) -> "Reply":
        return cls(json.dumps(value).encode(), status, headers)

    @property
    def raw(self) -> bytes:
        # latin-1 is how header bytes travel
        fields = {"Content-Type": "application/json", "Content-Length": len(self.body), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status} X\r\n{head}\r\n".encode("latin-1") + self.body


Answer = Reply | Trouble | bytes
"""Bytes are sent as they are, and the line is closed after them."""


@dataclass
class Wire:
    """`answer` is one answer for all, or says it for each request; every request that was read is kept."""

    answer: Answer | Callable[[Request], Answer]
    port: int = 0
    tls: bool = False
    requests: list[Request] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def serve(self, line: socket.socket) -> None:
        with line, line.makefile("rb") as incoming, contextlib.suppress(OSError):
            while self.answer is not Trouble.RESET_UNREAD:
                request = _read(incoming)
                if request is None:
                    return
                self.requests.append(request)
                if not self._give(line, self.answer(request) if callable(self.answer) else self.answer):
                    return
            line.recv(1, socket.MSG_PEEK)  # not before something has been sent, which stays unread
            incoming.close()
            _reset(line)

    def _give(self, line: socket.socket, answer: Answer) -> bool:
        """Whether the line can be used again."""
        match answer:
            case Reply():
                line.sendall(answer.raw)
                return True
            case bytes():
                line.sendall(answer)
            case Trouble.HANG:
                self._stopped.wait(PATIENCE_SECONDS)
            case Trouble.RESET | Trouble.RESET_UNREAD:
                _reset(line)
            case Trouble.HALF:
                line.sendall(b'HTTP/1.1 200 X\r\nContent-Length: 999\r\n\r\n{"id": "order_')
            case Trouble.SLOW_HEAD:
                self._drip(line, b"HTTP/1.1 200 X\r\nX-Filler: ")
            case Trouble.SLOW_BODY:
                self._drip(line, b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
            case Trouble.TOO_LARGE:
                line.sendall(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n[")
                for _ in range(1000):  # 100 MB
                    line.sendall(b"0," * 50_000)
        return False

    def _drip(self, line: socket.socket, first: bytes) -> None:
        line.sendall(first)
        ends = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends and not self._stopped.wait(0.05):
            line.sendall(b"x")


@contextlib.contextmanager
def wire(answer: Answer | Callable[[Request], Answer], tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Wire(answer, listening.getsockname()[1], tls is not None)
        lines: list[socket.socket] = []
        threads: list[threading.Thread] = []

        def accept() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                lines.append(line)
                threads.append(threading.Thread(target=talk, args=(line,), daemon=True))
                threads[-1].start()

        def talk(line: socket.socket) -> None:
            line.settimeout(2 * PATIENCE_SECONDS)
            with contextlib.suppress(OSError):
                if tls:
                    line = tls.wrap_socket(line, server_side=True)
                    lines.append(line)  # the socket beneath has been given up
                made.serve(line)
            line.close()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield made
        finally:
            made._stopped.set()
            for end in (listening, *lines):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for thread in threads:
                thread.join(10)


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """An address that refuses: bound, so that nobody else takes it, and not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextlib.contextmanager
def full_port(address: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """An address whose queue of connections is full, so that a further one is never answered."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listening.getsockname())
        time.sleep(0.05)
        yield f"http://{address}:{listening.getsockname()[1]}"


def _read(incoming: Any) -> Request | None:
    start = incoming.readline().decode("latin-1").split()
    if len(start) != 3:
        return None
    headers = {name.lower(): value for name, value in http.client.parse_headers(incoming).items()}
    body = incoming.read(int(headers.get("content-length", "0")))
    return Request(start[0], start[1], headers, body)


def _reset(line: socket.socket) -> None:
    """Closed in a way that the other end sees as «connection reset by peer»."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()
