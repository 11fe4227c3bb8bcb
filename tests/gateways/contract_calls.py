"""The calls to a gateway: amounts and words, trouble on the line, secrets."""

import contextlib
import copy
import dataclasses
import json
import logging
import re
import ssl
from datetime import UTC, datetime
from itertools import islice

import pytest

from payments_service.domain.deadline import Deadline
from payments_service.domain.errors import (
    GatewayError,
    OutcomeUnknown,
    Rejected,
    Unavailable,
    UnknownAtGateway,
)
from payments_service.domain.money import Money
from payments_service.domain.news import NewRefund, OrderRef
from payments_service.domain.states import AttemptStatus, PaymentStatus
from payments_service.domain.variables import variables_of
from payments_service.gateways.http import READ_TRIES
from tests.gateways.hooks import AMOUNT, CUSTOMER, REFUND_ID, WIRE_ID, GatewayHooks
from tests.gateways.strange import A_SEVENTH_OR_ALL, assert_storable, with_one_strange_member
from tests.gateways.wire import HTML, Answer, Reply, Request, Trouble, closed_port, wire

LINE_TROUBLES: dict[str, Answer] = {
    "hangs": Trouble.HANG,
    "resets": Trouble.RESET,
    "resets unread": Trouble.RESET_UNREAD,
    "breaks off": Trouble.HALF,
    "never ends its body": Trouble.SLOW_BODY,
    "speaks no HTTP": b"220 mail.example.com ESMTP\r\n",
}
ANSWER_TROUBLES: dict[str, Answer] = {
    "500": Reply.of({"error": "?", "code": "?", "message": "?"}, 500),
    "502 with a page": Reply(HTML, 502),
    "503 without a body": Reply(b"", 503),
    "200 with a page": Reply(HTML),
    "204": Reply(b"", 204),
    "302": Reply(b"", 302, {"Location": "http://["}),
    "null": Reply(b"null"),
    "a text": Reply(b'"x"'),
    "half of it": Reply(b'{"id": "order_'),
    "not UTF-8": Reply(b"\xff\xfe\xfd"),
    "too deep": Reply(b"[" * 200_000),
    "no number": Reply(b'{"amount": 1e99999999999999999999}'),
}
STRANGE_ANSWERS: dict[str, Answer] = {
    "an empty list": Reply(b"[]"),
    "an empty object": Reply(b"{}"),
    "an empty error": Reply(b'{"error": null}'),
}
TROUBLES = {**LINE_TROUBLES, **ANSWER_TROUBLES, **STRANGE_ANSWERS}


class CallContract(GatewayHooks):
    # ── declarations ────────────────────────────────────────────────────────────────────────────────

    def test_every_field_of_the_config_is_a_declared_variable(self) -> None:
        names = [declared.name for _, declared in variables_of(self.gateway_type.config_type)]
        assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+", name) for name in names)
        assert len(set(names)) == len(names) == len(dataclasses.fields(self.gateway_type.config_type))
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config := self.config("http://localhost:9"), dataclasses.fields(config)[0].name, "x")

    def test_building_a_gateway_sends_nothing(self) -> None:
        with wire(self.healthy()) as line:
            assert self.gateway(line.url).mode == "test"
            assert line.requests == []

    # ── writes and reads that go well ───────────────────────────────────────────────────────────────

    def test_amounts_stand_exactly_on_the_wire_and_come_back_the_same(self, paise: int) -> None:
        amount = Money(paise)
        with wire(self.healthy(self.paid.but(amount=amount))) as line:
            gateway = self.gateway(line.url)
            for verb in self.writes:
                line.requests.clear()
                answer = self.call(verb, gateway, amount)
                (request,) = self.sent_writes(line)
                if verb != "close":
                    assert self.sent_amount(request) == self.paises[paise], verb
                assert answer is None or answer.amount == amount, verb
            snapshot = self.call("fetch_payment", gateway)
            assert self.call("fetch_refund", gateway).amount == amount
        assert snapshot.amount == amount
        assert amount in {attempt.amount for attempt in snapshot.attempts}

    def test_an_order_bears_our_id_on_the_wire(self) -> None:
        with wire(self.healthy()) as line:
            checkout = self.call("create_order", self.gateway(line.url))
            (request,) = self.sent_writes(line)
        assert self.sent_id(request) == WIRE_ID
        assert re.fullmatch(r"[A-Za-z0-9_]{1,34}", self.sent_id(request))
        assert checkout.gateway_order_id == self.gateway_order_id
        assert_storable(checkout)
        assert set(checkout.fields) <= {one.name for one in type(self.gateway(line.url)).answer_fields}

    def test_our_ids_alone_are_enough_to_ask(self) -> None:
        with wire(self.healthy()) as line:
            gateway = self.gateway(line.url)
            snapshot, refund = self.call("fetch_payment", gateway), self.call("fetch_refund", gateway)
        assert snapshot.order == OrderRef(WIRE_ID, self.gateway_order_id)
        assert (snapshot.status, snapshot.fetched) == (PaymentStatus.COMPLETED, True)
        assert abs((datetime.now(UTC) - snapshot.observed_at).total_seconds()) < 60
        paid = {a.transaction_id for a in snapshot.attempts if a.status is AttemptStatus.SUCCEEDED}
        assert paid == {self.transaction_id}
        assert (refund.refund_id, refund.transaction_id) == (REFUND_ID, self.transaction_id)
        assert_storable((snapshot, refund))

    def test_no_verb_changes_what_it_is_given(self) -> None:
        order, refund = (
            self.new_order(AMOUNT),
            NewRefund(REFUND_ID, OrderRef(WIRE_ID), "t", Money(1), "r"),
        )
        raw = self.event(next(iter(self.event_names)), self.paid)
        headers = self.sign(raw, self.webhook_secrets[0])
        fields = self.genuine_return(OrderRef(WIRE_ID, self.gateway_order_id), self.transaction_id) or {}
        given = (order, refund, headers, fields)
        before = copy.deepcopy(given)
        with wire(self.healthy()) as line:
            gateway = self.gateway(line.url)
            gateway.create_order(order, Deadline(5))
            gateway.create_refund(refund, Deadline(5))
            gateway.read_webhook(headers, raw)
            gateway.check_return(OrderRef(WIRE_ID, self.gateway_order_id), fields)
        assert given == before

    # ── words ───────────────────────────────────────────────────────────────────────────────────────

    def test_each_documented_word_of_an_order_is_understood(self, order_word: str) -> None:
        snapshot = self.snapshot(self.paid.but(**{**self.quiet, "order_word": order_word}))
        assert snapshot.status is self.order_words[order_word]

    def test_each_documented_word_of_an_attempt_is_understood(self, attempt_word: str) -> None:
        snapshot = self.snapshot(self.paid.but(attempt_word=attempt_word))
        (attempt,) = [a for a in snapshot.attempts if a.transaction_id == self.transaction_id]
        assert (attempt.status, attempt.gateway_status) == (self.attempt_words[attempt_word], attempt_word)

    def test_each_documented_word_of_a_refund_is_understood(self, refund_word: str) -> None:
        with wire(self.healthy(self.paid.but(refund_word=refund_word))) as line:
            refund = self.call("fetch_refund", self.gateway(line.url))
        assert (refund.status, refund.gateway_status) == (self.refund_words[refund_word], refund_word)

    def test_a_word_that_nobody_knows_is_neither_success_nor_failure(self) -> None:
        world = self.paid.but(order_word="NEW_WORD", attempt_word="new_word", refund_word="New Word")
        with wire(self.healthy(world)) as line:
            gateway = self.gateway(line.url)
            snapshot, refund = self.call("fetch_payment", gateway), self.call("fetch_refund", gateway)
        assert (snapshot.status, snapshot.gateway_status) == (None, "NEW_WORD")
        assert [a.status for a in snapshot.attempts if a.transaction_id == self.transaction_id] == [None]
        assert refund.status is None

    # ── trouble ─────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("trouble", TROUBLES)
    def test_a_write_in_trouble_is_sent_once_and_its_outcome_is_unknown(
        self, write: str, trouble: str
    ) -> None:
        error, requests = self.in_trouble(write, TROUBLES[trouble])
        assert type(error) is OutcomeUnknown
        assert len(requests) == (0 if trouble == "resets unread" else 1)

    @pytest.mark.usefixtures("no_pauses")
    @pytest.mark.parametrize("trouble", TROUBLES)
    def test_a_read_in_trouble_is_repeated_and_then_unavailable(self, read: str, trouble: str) -> None:
        error, requests = self.in_trouble(read, TROUBLES[trouble])
        assert type(error) is Unavailable
        if trouble in ANSWER_TROUBLES or trouble in ("resets", "breaks off", "speaks no HTTP"):
            assert len(requests) == READ_TRIES
            assert len({request.target for request in requests}) == 1

    @pytest.mark.usefixtures("no_pauses")
    def test_a_read_survives_one_failure_of_each_of_its_calls(self, read: str) -> None:
        failed: set[str] = set()

        def answer(request: Request) -> Answer:
            if request.target in failed or request.method != "GET":
                return self.serve(request, self.paid)
            failed.add(request.target)
            return Reply(HTML, 502)

        with wire(answer) as line:
            self.call(read, self.gateway(line.url))
        assert failed

    @pytest.mark.usefixtures("no_pauses")
    def test_a_read_is_unavailable_whichever_of_its_calls_fails(self, read: str) -> None:
        with wire(self.healthy()) as line:
            gateway = self.gateway(line.url)
            self.call(read, gateway)
            for path in {request.path for request in line.requests if request.method == "GET"}:
                line.answer = self.healthy_but(path, Reply(HTML, 503))
                if self.refunds_at and path.endswith(self.refunds_at):
                    assert self.call(read, self.gateway(line.url)).refunds is None
                    continue
                with pytest.raises(Unavailable):
                    self.call(read, gateway)

    def test_nothing_was_done_by_a_call_that_never_connected(self) -> None:
        with closed_port() as url:
            for verb in (*self.writes, *self.reads):
                with pytest.raises(Unavailable):
                    self.call(verb, self.gateway(url), seconds=0.2)

    def test_a_server_that_cannot_prove_who_it_is_gets_no_request(self, self_signed: ssl.SSLContext) -> None:
        with wire(self.healthy(), tls=self_signed) as line:
            for verb in (*self.writes, *self.reads):
                with pytest.raises(Unavailable):
                    self.call(verb, self.gateway(line.url), seconds=0.2)
        assert line.requests == []

    def test_who_is_turned_away_by_a_limit_is_told_when_to_come_back(self) -> None:
        for verb in (*self.writes, *self.reads):
            error, requests = self.in_trouble(verb, Reply.of({}, 429, **{"Retry-After": "7"}))
            assert (type(error), error.retry_after_seconds, len(requests)) == (Unavailable, 7, 1)

    def test_a_refusal_says_that_no_money_moved(self) -> None:
        for verb in (*self.writes, *self.reads):
            for reply in (self.refusal, self.wrong_keys):
                error, _ = self.in_trouble(verb, reply)
                assert type(error) is Rejected
                assert error.gateway_status == reply.status

    def test_an_order_that_the_gateway_does_not_know_is_told_apart(self) -> None:
        error, _ = self.in_trouble("fetch_payment", self.unknown_order)
        assert type(error) is UnknownAtGateway

    @A_SEVENTH_OR_ALL
    def test_a_strange_member_never_makes_another_error(self, write: str, step: int) -> None:
        self._with_strange_members(write, (OutcomeUnknown,), step)

    @A_SEVENTH_OR_ALL
    def test_a_strange_member_of_a_read_never_makes_another_error(self, read: str, step: int) -> None:
        self._with_strange_members(read, (Unavailable, UnknownAtGateway), step)

    def _with_strange_members(self, verb: str, expected: tuple[type[GatewayError], ...], step: int) -> None:
        with wire(self.healthy()) as line:
            gateway = self.gateway(line.url)
            self.call(verb, gateway)
            for seen in list(line.requests):
                genuine = json.loads(self.serve(seen, self.paid).body)
                for value in islice(with_one_strange_member(genuine), 0, None, step):
                    line.answer = self.healthy_but(seen.path, Reply.of(value))
                    with contextlib.suppress(*expected):
                        assert_storable(self.call(verb, gateway))

    # ── secrets ─────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.usefixtures("no_pauses")
    def test_nothing_secret_is_ever_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        secrets = {*self.api_secrets, *self.webhook_secrets, CUSTOMER.name, CUSTOMER.email, CUSTOMER.phone}
        raw = self.event(next(iter(self.event_names)), self.paid)
        gateway = self.gateway()
        shown = [repr(gateway), str(gateway), repr(gateway.config), repr(CUSTOMER)]
        for answer in (self.healthy(), self.refusal, self.wrong_keys, Reply(HTML, 502), Trouble.RESET):
            with wire(answer) as line:
                for verb in (*self.writes, *self.reads):
                    try:
                        shown.append(repr(self.call(verb, self.gateway(line.url), seconds=0.5)))
                    except GatewayError as error:
                        shown += [str(error), repr(error), repr(vars(error)), repr(error.__cause__)]
                secrets |= {
                    request.headers["authorization"]
                    for request in line.requests
                    if "authorization" in request.headers
                }
        headers = self.sign(raw, self.webhook_secrets[0])
        secrets |= {headers[name] for name in self.credential_headers}
        shown.append(repr(gateway.read_webhook(headers, raw)))
        shown += [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        assert len(caplog.records) > 10
        for secret in secrets:
            assert [text for text in shown if secret in text] == []
