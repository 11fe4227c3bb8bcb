"""A crowd of create-orders works a few at a time; who waits for a gateway leaves the place to another."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from payments_service import admission
from payments_service.admission import Admission, waiting_outside
from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import StoreUnavailable
from payments_service.gateways.tokens import SharedToken


def test_there_is_no_third_place_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.05)
    two = Admission(2)
    with two.one(), two.one(), pytest.raises(StoreUnavailable), two.one():
        pass
    with two.one():
        pass


def test_who_waits_for_a_gateway_leaves_the_place_and_takes_it_again() -> None:
    single = Admission(1)
    at_the_gateway, answered, is_back = threading.Event(), threading.Event(), threading.Event()

    def buy() -> None:
        with single.one():
            with waiting_outside():
                at_the_gateway.set()
                answered.wait(5)
            is_back.set()

    with ThreadPoolExecutor(1) as pool:
        buying = pool.submit(buy)
        assert at_the_gateway.wait(5)
        with single.one():
            answered.set()
            assert not is_back.wait(0.1)
        buying.result(5)
    assert is_back.is_set()


def test_who_waits_for_a_token_leaves_room_for_the_one_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "WAIT_SECONDS", 60)
    single = Admission(1)
    is_asked, is_told, is_second_in = threading.Event(), threading.Event(), threading.Event()

    def renew(_deadline: Deadline) -> tuple[str, float]:
        with waiting_outside():
            is_asked.set()
            is_told.wait(5)
        return "token", 3600

    token = SharedToken(renew)

    def order(is_in: threading.Event) -> str:
        with single.one():
            is_in.set()
            return token.get(Deadline(5))

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(order, threading.Event())
        assert is_asked.wait(5)
        second = pool.submit(order, is_second_in)
        assert is_second_in.wait(5)
        is_told.set()
        assert (first.result(5), second.result(5)) == ("token", "token")


def test_who_comes_back_to_a_full_house_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.05)
    single = Admission(1)
    with single.one():
        with waiting_outside():
            assert single._places.acquire(blocking=False)  # another has come, and stays
        with waiting_outside():
            pass
    single._places.release()
    with single.one():
        pass


def test_outside_of_all_requests_nothing_is_left() -> None:
    with waiting_outside(), Admission(1).one():
        pass
