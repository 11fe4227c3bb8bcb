"""A network between two processes of this machine: every byte arrives so much later.

python -m tests.bench.distance --listen PORT --to PORT --ms 2
"""

import argparse
import select
import socket
import time
from collections import deque
from contextlib import suppress

CHUNK_BYTES = 256 * 1024


def carry(listening: socket.socket, to: int, delay_seconds: float) -> None:
    """Until the process is ended. All lines have the same delay, so one queue holds what is under way."""
    other_end: dict[socket.socket, socket.socket] = {}
    under_way: deque[tuple[float, socket.socket, bytes]] = deque()
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select([listening, *other_end], [], [], wait)
        for line in readable:
            if line is listening:
                near, far = listening.accept()[0], socket.create_connection(("127.0.0.1", to))
                other_end.update({near: far, far: near})
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            elif line in other_end:
                under_way.append((time.monotonic() + delay_seconds, other_end[line], _receive(line)))
                if not under_way[-1][2]:
                    del other_end[line]
        while under_way and under_way[0][0] <= time.monotonic():
            _deliver(*under_way.popleft()[1:])


def _receive(line: socket.socket) -> bytes:
    try:
        return line.recv(CHUNK_BYTES)
    except OSError:
        return b""


def _deliver(line: socket.socket, data: bytes) -> None:
    """No bytes are the end of what the other one had to say."""
    with suppress(OSError):  # it may be gone: its own end is read in its turn
        line.sendall(data) if data else line.shutdown(socket.SHUT_WR)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.distance", description=__doc__)
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--ms", type=float, required=True, help="to and fro")
    arguments = parser.parse_args()
    with socket.create_server(("127.0.0.1", arguments.listen)) as listening:
        carry(listening, arguments.to, arguments.ms / 2000)


if __name__ == "__main__":
    main()
