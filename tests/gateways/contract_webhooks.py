"""What a gateway sends us and what a browser brings back: who may be believed, and what was said."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments_service.domain.errors import MissingCredentials, SignatureInvalid
from payments_service.domain.news import EventKind, OrderRef, WebhookEvent
from tests.gateways.hooks import OTHER_WIRE_ID, WIRE_ID, GatewayHooks
from tests.gateways.strange import any_json, assert_storable, paths, replaced

thorough = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],
)
COMPACT: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False}
UNREADABLE = (
    b"",
    b"not JSON",
    b"null",
    b"[]",
    b'"x"',
    b"\xff",
    b"[" * 100_000,
    b'{"a":1e9',
    b"\xef\xbb\xbf{",
)
NOT_AN_EVENT = (EventKind.UNREADABLE, EventKind.UNKNOWN, EventKind.IGNORED)


class WebhookContract(GatewayHooks):
    # ── believed ────────────────────────────────────────────────────────────────────────────────────

    def test_each_documented_event_is_understood(self, event_name: str) -> None:
        event = self.read(raw := self.event(event_name, self.paid))
        assert (event.type, event.kind) == (event_name, self.event_names[event_name])
        assert_storable(event)
        assert self.gateway().reread_webhook(event.event_id, raw) == event
        if event.kind in (EventKind.PAYMENT, EventKind.REFUND):
            assert event.order is not None
            assert event.order in (
                OrderRef(WIRE_ID, self.gateway_order_id),
                OrderRef(WIRE_ID),
                OrderRef("", self.gateway_order_id),
            )
            says_it = self.body_is_signed and event_name not in self.wakes
            wakes = not says_it and event_name not in self.kept
            assert (event.snapshot is not None, event.wake_up) == (says_it, wakes)

    def test_what_a_signed_event_says_is_a_hint_and_not_a_fetch(self, event_name: str) -> None:
        snapshot = self.read(self.event(event_name, self.paid)).snapshot
        if snapshot is not None:
            assert not snapshot.fetched
            assert snapshot.amount == self.paid.amount
            assert snapshot.observed_at.utcoffset() is not None

    def test_an_event_that_nobody_knows_is_loud_and_says_nothing(self) -> None:
        event = self.read(self.event("something.new", self.paid))
        assert (event.type, event.kind) == ("something.new", EventKind.UNKNOWN)
        assert event.snapshot is None

    def test_each_of_several_secrets_is_believed(self) -> None:
        raw = self.event(next(iter(self.event_names)), self.paid)
        first, second = (self.read(raw, secret) for secret in self.webhook_secrets)
        assert first.kind == second.kind == EventKind.PAYMENT

    def test_a_redelivery_has_the_same_event_id_and_another_event_another(self) -> None:
        names = list(self.event_names)[:2]
        raw, other = (self.event(name, self.paid) for name in names)
        assert self.read(raw).event_id == self.read(raw).event_id
        assert self.read(raw).event_id == self.read(raw, self.webhook_secrets[1]).event_id
        assert self.read(raw).event_id != self.read(other, number=2).event_id

    # ── not believed ────────────────────────────────────────────────────────────────────────────────

    def test_another_secret_is_refused(self) -> None:
        raw = self.event(next(iter(self.event_names)), self.paid)
        for secret in ("", "wrong", self.webhook_secrets[0] + "x", *self.api_secrets):
            if secret not in self.webhook_secrets:
                with pytest.raises(SignatureInvalid):
                    self.read(raw, secret)

    def test_missing_credentials_are_told_from_wrong_ones(self) -> None:
        raw = self.event(next(iter(self.event_names)), self.paid)
        genuine = self.sign(raw, self.webhook_secrets[0])
        for name in self.credential_headers:
            for headers in ({k: v for k, v in genuine.items() if k != name}, {**genuine, name: ""}):
                with pytest.raises(MissingCredentials):
                    self.gateway().read_webhook(headers, raw)

    def test_a_changed_credential_is_refused_whatever_is_in_it(self) -> None:
        raw = self.event(next(iter(self.event_names)), self.paid)
        genuine = self.sign(raw, self.webhook_secrets[0])
        for name in self.credential_headers:
            value = genuine[name]
            flipped = [value[:i] + chr(ord(value[i]) ^ 1) + value[i + 1 :] for i in range(len(value))]
            for wrong in (
                *flipped,
                value[:-1],
                value + "0",
                f"sha256={value}",
                "é",
                "\ud800",
                "\udcff",
                "\0",
                "#" * 9,
            ):
                with pytest.raises(SignatureInvalid):
                    self.gateway().read_webhook({**genuine, name: wrong}, raw)

    def test_a_changed_body_is_refused(self) -> None:
        raw = self.event(next(iter(self.event_names)), self.paid)
        headers, gateway = self.sign(raw, self.webhook_secrets[0]), self.gateway()
        for changed in (*self._flipped(raw), *self.rewritten(raw), b"", raw[:-1]):
            assert changed != raw
            if self.body_is_signed:
                with pytest.raises(SignatureInvalid):
                    gateway.read_webhook(headers, changed)
            else:
                assert gateway.read_webhook(headers, changed).snapshot is None

    def test_what_a_parser_and_a_printer_make_of_a_genuine_body_is_refused(self) -> None:
        content = json.dumps(self.content(self.event(next(iter(self.event_names)), self.paid)), **COMPACT)
        with_fraction = content[:-1] + ',"zz":170.00}'
        reprinted = json.dumps(json.loads(with_fraction), **COMPACT)
        assert reprinted == content[:-1] + ',"zz":170.0}'
        raw = self.enclose(with_fraction.encode())
        headers = self.sign(raw, self.webhook_secrets[0])
        assert self.gateway().read_webhook(headers, raw).kind is EventKind.PAYMENT
        if self.body_is_signed:
            with pytest.raises(SignatureInvalid):
                self.gateway().read_webhook(headers, self.enclose(reprinted.encode()))

    def _flipped(self, raw: bytes) -> Iterator[bytes]:
        for index in {*range(0, len(raw), max(1, len(raw) // 40)), len(raw) - 1}:
            yield raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]

    # ── authentic, whatever it says ─────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("content", UNREADABLE, ids=lambda content: repr(content[:9]))
    def test_what_is_authentic_and_unreadable_is_said_to_be_so(self, content: bytes) -> None:
        event = self.read(self.enclose(content))
        assert (event.kind, event.order, event.snapshot) == (EventKind.UNREADABLE, None, None)

    @thorough
    @given(content=st.binary() | any_json.map(lambda value: json.dumps(value).encode()))
    def test_no_authentic_bytes_make_an_error(self, content: bytes) -> None:
        self._assert_harmless(self.read(self.enclose(content)))

    @thorough
    @given(data=st.data())
    def test_no_strange_member_of_an_authentic_event_makes_an_error(self, data: st.DataObject) -> None:
        name = data.draw(
            st.sampled_from([n for n, kind in self.event_names.items() if kind is EventKind.PAYMENT])
        )
        genuine = self.content(self.event(name, self.paid))
        path = data.draw(st.sampled_from(list(paths(genuine))))
        new: Any = data.draw(any_json | st.sampled_from([10**400, -(2**62), float("inf"), "\0", "\ud800"]))
        changed = replaced(genuine, path, new, missing=data.draw(st.booleans()))
        assert_storable(self.read(self.enclose(json.dumps(changed).encode())))

    def _assert_harmless(self, event: WebhookEvent) -> None:
        assert event.kind in NOT_AN_EVENT
        assert event.snapshot is None
        assert_storable(event)

    # ── the browser's return ────────────────────────────────────────────────────────────────────────

    def test_a_genuine_return_is_accepted(self) -> None:
        order = OrderRef(WIRE_ID, self.gateway_order_id)
        if (fields := self.genuine_return(order, self.transaction_id)) is None:
            assert "sign" in (type(self.gateway()).check_return.__doc__ or ""), (
                "it must say that nothing is signed"
            )
            fields = {"orderId": WIRE_ID}
        assert set(fields) <= {field.name for field in self.gateway_type.verify_fields}
        self.gateway().check_return(order, fields)

    def test_the_genuine_return_of_another_order_proves_nothing(self) -> None:
        other = OrderRef(OTHER_WIRE_ID, self.gateway_order_id[::-1])
        if fields := self.genuine_return(other, self.transaction_id):
            with pytest.raises(SignatureInvalid):
                self.gateway().check_return(OrderRef(WIRE_ID, self.gateway_order_id), fields)

    def test_a_forged_return_is_refused(self) -> None:
        order = OrderRef(WIRE_ID, self.gateway_order_id)
        genuine = self.genuine_return(order, self.transaction_id) or {}
        for name, value in genuine.items():
            for wrong in ("", value[:-1], value + "0", value.swapcase(), "é", "\ud800", "\0"):
                if name != "orderId":  # that one only says which order the page speaks of; we take our own
                    with pytest.raises(SignatureInvalid):
                        self.gateway().check_return(order, {**genuine, name: wrong})
