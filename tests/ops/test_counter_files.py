"""Files of counters on a full disk: each page that is mapped is there; a process that gets none serves on."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from payments_service import metrics
from payments_service.counter_files import BYTES_AT_FIRST, CounterFile

MANY = 2 * BYTES_AT_FIRST // 100
"""Names of counters that need more than the bytes at first."""


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """A disk that is full, as a process meets it: its writes fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counter_1.db"


@contextmanager
def opened(path: Path) -> Iterator[CounterFile]:
    file = CounterFile(str(path))
    yield file
    file.close()  # type: ignore[no-untyped-call]


def count(file: CounterFile, names: range) -> None:
    for number in names:
        file.write_value(f"a counter with a name of some length {number}", float(number), 0.0)  # type: ignore[no-untyped-call]


def counted(file: CounterFile, names: range) -> bool:
    return all(file.read_value(f"a counter with a name of some length {n}")[0] == n for n in names)  # type: ignore[no-untyped-call]


def in_the_file(path: Path) -> int:
    return len(list(MmapedDict.read_all_values_from_file(path)))  # type: ignore[no-untyped-call]


def test_the_disk_has_given_each_page_before_it_is_mapped(path: Path) -> None:
    with opened(path) as file:
        assert path.stat().st_blocks * 512 >= path.stat().st_size == BYTES_AT_FIRST
        count(file, range(MANY))
        assert path.stat().st_blocks * 512 >= path.stat().st_size > BYTES_AT_FIRST
        assert counted(file, range(MANY))
    assert in_the_file(path) == MANY


def test_a_process_that_gets_no_file_counts_in_memory_and_leaves_none(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with no_file_longer_than(BYTES_AT_FIRST // 2), opened(path) as file:
        count(file, range(MANY))
        assert counted(file, range(MANY))
    assert not path.exists()
    assert "Counters not shared" in caplog.messages


def test_a_file_that_cannot_grow_keeps_what_it_has(path: Path) -> None:
    with opened(path) as file:
        count(file, range(10))
        with no_file_longer_than(BYTES_AT_FIRST * 3 // 2):
            count(file, range(10, MANY))
        assert counted(file, range(MANY))
    assert path.stat().st_size == BYTES_AT_FIRST
    assert 10 < in_the_file(path) < MANY


def test_a_folder_that_is_gone_is_no_reason_to_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(metrics.FOLDER, "/there/is/no/such/folder")
    assert b"payments_build_info" in metrics.text([], {}, True)
