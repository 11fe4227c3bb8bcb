"""Listens on the line between the service and PostgreSQL, and keeps what the service says."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Line:
    """What one connection said: the parameters of its start, then message by message."""

    def __init__(self, said: bytes) -> None:
        while _is_question(said):  # for TLS or GSSAPI, before the start
            said = said[8:]
        (length,) = struct.unpack("!i", said[:4])
        words = said[8:length].removesuffix(b"\0\0").split(b"\0")
        texts = [word.decode() for word in words]
        self.parameters = dict(zip(texts[::2], texts[1::2], strict=True))
        self.messages = list(_messages(said[length:]))

    @property
    def prepared(self) -> list[str]:
        """Names of the statements that it had the server keep."""
        names = [body.split(b"\0")[0].decode() for kind, body in self.messages if kind == b"P"]
        return [name for name in names if name]

    @property
    def simple_queries(self) -> list[str]:
        return [body.rstrip(b"\0").decode() for kind, body in self.messages if kind == b"Q"]


def _is_question(said: bytes) -> bool:
    return said[:4] == struct.pack("!i", 8) and said[4:6] == struct.pack("!h", 1234)


def _messages(said: bytes) -> Iterator[tuple[bytes, bytes]]:
    while len(said) >= 5:
        (length,) = struct.unpack("!i", said[1:5])
        yield said[:1], said[5 : length + 1]
        said = said[length + 1 :]


class Tap:
    def __init__(self, target: int) -> None:
        self.target = target
        self.said: list[bytearray] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def lines(self) -> list[Line]:
        return [Line(bytes(said)) for said in self.said if said]

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self.listener.accept()
                there = socket.create_connection(("127.0.0.1", self.target))
                self.said.append(heard := bytearray())
                threading.Thread(target=_pump, args=(here, there, heard), daemon=True).start()
                threading.Thread(target=_pump, args=(there, here, None), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, heard: bytearray | None) -> None:
    with suppress(OSError), source, sink:
        while data := source.recv(65536):
            if heard is not None:
                heard.extend(data)
            sink.sendall(data)
        for end in (source, sink):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def tapped(target: int) -> Iterator[Tap]:
    tap = Tap(target)
    try:
        yield tap
    finally:
        tap.listener.close()
