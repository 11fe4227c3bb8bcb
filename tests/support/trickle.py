"""A server that never comes to its end: some bytes at once, then one after the other, on and on."""

import contextlib
import socket
import threading
from collections.abc import Iterator

PATIENCE_SECONDS = 20


@contextlib.contextmanager
def trickle(first: bytes, then: bytes = b"x") -> Iterator[int]:
    """Its port. Every call gets `first`, and then `then` each twentieth of a second."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=drip, args=(line,), daemon=True))
                threads[-1].start()

        def drip(line: socket.socket) -> None:
            with line, contextlib.suppress(OSError):
                line.sendall(first)
                for _ in range(PATIENCE_SECONDS * 20):
                    if stopped.wait(0.05):
                        return
                    line.sendall(then)

        threads = [threading.Thread(target=serve, daemon=True)]
        threads[0].start()
        try:
            yield listening.getsockname()[1]
        finally:
            stopped.set()
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)
