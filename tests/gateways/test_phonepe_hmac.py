"""PhonePe's signed webhooks: who is believed, which secret is tried, and what is never accepted."""

import contextlib
from typing import Any

import pytest

from payments_service.domain.errors import MissingCredentials, SignatureInvalid
from payments_service.domain.news import WebhookEvent
from payments_service.domain.variables import WrongVariables
from payments_service.gateways.phonepe import PhonePeConfig, PhonePeGateway
from payments_service.gateways.signatures import hmac_sha256_hex
from payments_service.settings import Settings, SettingsError
from tests.gateways.phonepe_wire import fixture, sha256

SAMPLES = fixture("v2_2026/hmac_vectors")
KEYS: dict[str, str] = SAMPLES["keys"]
WITH_IDS = tuple(f"{key_id}:{secret}" for key_id, secret in KEYS.items())
HOOKS = fixture("v2_2026/webhooks")
USER, PASSWORD = "phonepe_hook", "Passw0rd123"
DIGEST = sha256(f"{USER}:{PASSWORD}")
NEW, OLD = "a-new-secret-of-the-webhook", "an-old-secret-of-the-webhook"
BODY = HOOKS["checkout_order_completed"]["body"].encode()
SIGNATURE, KEY_ID = "x-phonepe-checksum-signature", "x-phonepe-checksum-key-id"


def gateway(*hmac_secrets: str, with_password: bool = False) -> PhonePeGateway:
    users, passwords = ((USER,), (PASSWORD,)) if with_password else ((), ())
    return PhonePeGateway(
        PhonePeConfig("c", "s", "1", users, passwords, "sandbox", "http://localhost:9", hmac_secrets)
    )


def read(receiver: PhonePeGateway, headers: dict[str, str], body: bytes = BODY) -> WebhookEvent:
    return receiver.read_webhook({name.lower(): value for name, value in headers.items()}, body)


def signed(secret: str, key_id: str | None = None, body: bytes = BODY) -> dict[str, str]:
    named = {KEY_ID: key_id} if key_id else {}
    return {SIGNATURE: hmac_sha256_hex(secret, body), **named}


@pytest.mark.parametrize("with_password", [False, True])
@pytest.mark.parametrize("secrets", [WITH_IDS, tuple(KEYS.values())], ids=["with ids", "without ids"])
@pytest.mark.parametrize("vector", SAMPLES["vectors"], ids=lambda vector: vector["name"])
def test_each_sample_is_accepted_or_refused_as_integrators_have_it(
    vector: dict[str, Any], secrets: tuple[str, ...], with_password: bool
) -> None:
    receiver, body = gateway(*secrets, with_password=with_password), vector["body"].encode()
    match vector["expect"]:
        case "valid":
            assert read(receiver, vector["headers"], body).wake_up
        case "refuse":
            with pytest.raises((SignatureInvalid, MissingCredentials)):
                read(receiver, vector["headers"], body)
        case _:
            with contextlib.suppress(SignatureInvalid):
                assert read(receiver, vector["headers"], body).wake_up


@pytest.mark.parametrize("vector", SAMPLES["vectors"], ids=lambda vector: vector["name"])
def test_nothing_signed_is_accepted_where_no_secret_is_configured(vector: dict[str, Any]) -> None:
    """The empty key signs for everyone."""
    headers = {name: value for name, value in vector["headers"].items() if name != "Authorization"}
    with pytest.raises(MissingCredentials):
        read(gateway(with_password=True), headers, vector["body"].encode())


@pytest.mark.parametrize("hook", HOOKS.values(), ids=list(HOOKS))
def test_each_official_webhook_is_accepted_by_either_kind(hook: dict[str, Any]) -> None:
    body = hook["body"].encode()
    by_password = read(gateway(with_password=True), hook["headers"], body)
    by_signature = read(gateway(*WITH_IDS), hook["hmac_headers"], body)
    both = gateway(*WITH_IDS, with_password=True)
    assert by_password == by_signature == read(both, hook["headers"], body)
    assert by_signature == read(both, hook["hmac_headers"], body)
    assert by_signature.snapshot is by_signature.dispute is by_signature.refund is None
    with pytest.raises(MissingCredentials):
        read(gateway(*WITH_IDS), hook["headers"], body)


@pytest.mark.parametrize("prefix", ["x-", ""])
def test_the_headers_may_lack_their_x(prefix: str) -> None:
    headers = {
        f"{prefix}phonepe-checksum-signature": hmac_sha256_hex(NEW, BODY),
        f"{prefix}phonepe-checksum-key-id": "CF1",
    }
    assert read(gateway(f"CF1:{NEW}"), headers).wake_up
    with pytest.raises(SignatureInvalid):
        read(gateway(f"CF2:{NEW}"), headers)


def test_the_key_that_is_named_is_the_one_that_must_have_signed() -> None:
    receiver = gateway(f"CF2:{NEW}", f"CF1:{OLD}")
    assert read(receiver, signed(NEW, "CF2")).wake_up
    assert read(receiver, signed(OLD, "CF1")).wake_up
    assert read(receiver, signed(OLD)).wake_up  # none is named
    for wrong in (signed(OLD, "CF2"), signed(NEW, "CF1"), signed(NEW, "CF3"), signed(NEW, "cf2")):
        with pytest.raises(SignatureInvalid):
            read(receiver, wrong)


def test_a_secret_whose_id_is_not_known_goes_with_any_id() -> None:
    receiver = gateway(NEW, OLD)
    for secret in (NEW, OLD):
        assert read(receiver, signed(secret, "CF1")).wake_up
        assert read(receiver, signed(secret)).wake_up


def test_a_signature_that_is_there_decides_also_beside_the_right_password() -> None:
    receiver = gateway(NEW, with_password=True)
    with pytest.raises(SignatureInvalid):
        read(receiver, {**signed("another-secret-altogether"), "authorization": DIGEST})
    assert read(receiver, {"authorization": DIGEST}).wake_up
    with pytest.raises(SignatureInvalid):
        read(receiver, {"authorization": DIGEST[::-1]})
    assert read(gateway(with_password=True), {**signed(NEW), "authorization": DIGEST}).wake_up


def test_no_password_is_accepted_where_only_a_secret_is_configured() -> None:
    for given in (DIGEST, sha256(":"), sha256(""), "Basic Og=="):
        with pytest.raises(MissingCredentials):
            read(gateway(NEW), {"authorization": given})


@pytest.mark.parametrize("wrong", ["é" * 64, "\ud800", "\0", " ", "0" * 64, "#" * 9, "sha256=0"])
def test_a_signature_of_any_text_is_wrong_and_no_error(wrong: str) -> None:
    with pytest.raises(SignatureInvalid):
        read(gateway(NEW), {SIGNATURE: wrong})


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────

V2 = {
    "PHONEPE_CLIENT_ID": "c",
    "PHONEPE_CLIENT_SECRET": "client-secret-of-ours",
    "PHONEPE_CLIENT_VERSION": "1",
}
BASIC = {"PHONEPE_WEBHOOK_USER": USER, "PHONEPE_WEBHOOK_PASS": PASSWORD}


def configured(**variables: str) -> list[Any]:
    return list(Settings.from_environment({"APP_ENV": "development", **variables}).gateways)


def test_a_webhook_is_configured_by_either_kind_or_by_both() -> None:
    for kinds in (BASIC, {"PHONEPE_WEBHOOK_HMAC_SECRET": NEW}, {**BASIC, "PHONEPE_WEBHOOK_HMAC_SECRET": NEW}):
        [(_, config)] = configured(**V2, **kinds)
        assert (bool(config.webhook_passwords), bool(config.webhook_hmac_secrets)) == (
            "PHONEPE_WEBHOOK_PASS" in kinds,
            "PHONEPE_WEBHOOK_HMAC_SECRET" in kinds,
        )
        assert NEW not in repr(config)


def test_with_neither_kind_the_start_stops_and_names_both() -> None:
    with pytest.raises(SettingsError) as caught:
        configured(**V2)
    [(name, sentences)] = caught.value.errors.items()
    for variable in ("PHONEPE_WEBHOOK_HMAC_SECRET", "PHONEPE_WEBHOOK_USER", "PHONEPE_WEBHOOK_PASS"):
        assert variable in f"{name} {sentences}"


def test_a_secret_alone_switches_nothing_on() -> None:
    assert configured(PHONEPE_WEBHOOK_HMAC_SECRET=NEW) == []


def test_secrets_are_a_list_each_with_the_id_of_its_key_or_without() -> None:
    [(_, config)] = configured(**V2, PHONEPE_WEBHOOK_HMAC_SECRET=f"CF2:{NEW}, {OLD}")
    assert config.hmac_keys == (("CF2", NEW), ("", OLD))


@pytest.mark.parametrize("wrong", ["short", "CF1:", "CF1:short", f"{NEW},CF1:short"])
def test_a_secret_that_can_be_guessed_stops_the_start(wrong: str) -> None:
    with pytest.raises(WrongVariables) as caught:
        gateway(*wrong.split(","))
    assert list(caught.value.sentences) == ["PHONEPE_WEBHOOK_HMAC_SECRET"]
