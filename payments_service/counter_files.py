"""The files in which the processes of one service count together, on a disk that may be full.

prometheus_client maps a file that is longer than the space the disk has given for it; a page that the disk
cannot give ends the process by SIGBUS. Here a file has its space before it is mapped. A process that gets
none counts in its memory: it serves requests, and /metrics lacks what it counts.
"""

import logging
import mmap
import os
from contextlib import suppress
from io import BytesIO

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

log = logging.getLogger(__name__)

BYTES_AT_FIRST = 1 << 16
EMPTY = 8
"""Bytes of a file without a counter."""
OF_A_VALUE = 32
"""Bytes at most of a counter beside its name."""


class CounterFile(MmapedDict):
    """A file of one process, or its memory where the disk gives no space."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        try:
            if not os.path.exists(filename):
                _lengthen(filename, 0, BYTES_AT_FIRST)
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]
        except OSError as error:
            _tell(error)
            self._f, self._positions, self._used = BytesIO(), {}, EMPTY
            self._m, self._capacity = mmap.mmap(-1, BYTES_AT_FIRST), BYTES_AT_FIRST

    def _init_value(self, key: str) -> None:
        while self._used + len(key.encode()) + OF_A_VALUE > self._capacity:
            self._double()
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _double(self) -> None:
        """What the file has so far stays in it when the disk gives no more space."""
        capacity = 2 * self._capacity
        try:
            file = self._f.fileno()
            _lengthen(self._fname, self._capacity, capacity)
            longer = mmap.mmap(file, capacity)
        except OSError as error:
            _tell(error)
            self._f.close()
            self._f, longer = BytesIO(), mmap.mmap(-1, capacity)
            longer[: self._used] = self._m[: self._used]
        self._m, self._capacity = longer, capacity


def keep_to_the_space_there_is() -> None:
    """For counters that are made from now on."""
    values.MmapedDict = CounterFile  # type: ignore[attr-defined]


def _lengthen(filename: str, length: int, longer: int) -> None:
    """Zeros are written, not promised; where that fails the file is as it was before."""
    written = length
    try:
        with open(filename, "ab", buffering=0) as file:
            while written < longer:
                written += file.write(bytes(longer - written))
    except OSError:
        with suppress(OSError):
            os.truncate(filename, length) if length else os.unlink(filename)
        raise


def _tell(error: OSError) -> None:
    log.warning("Counters not shared", extra={"data": {"error": error.strerror, "pid": os.getpid()}})
