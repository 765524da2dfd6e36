"""Webhook signatures against the published vector and an independent computation."""

import base64

import pytest
from Crypto.Hash import HMAC, SHA256
from hypothesis import given
from hypothesis import strategies as st

from acquirer.routing.orders.errors import OrderSettingsError, SignatureError
from acquirer.routing.orders.webhooks import sign, verify

# Source: tests of the Standard Webhooks reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def headers(**changes: str) -> dict[str, str]:
    """The vector's headers with some changed; underscores stand for hyphens."""
    plain = {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(TIMESTAMP),
        "webhook-signature": SIGNATURE,
    }
    return plain | {name.replace("_", "-"): value for name, value in changes.items()}


def test_the_published_vector() -> None:
    """Our signature is the specification's, and verifies."""
    assert sign([SECRET], MESSAGE_ID, TIMESTAMP, BODY) == SIGNATURE
    assert verify(headers(), BODY, [SECRET], TIMESTAMP) == MESSAGE_ID


def test_an_independent_implementation_computes_the_same() -> None:
    """PyCryptodome, which shares no code with the standard library, comes to the same HMAC."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = HMAC.new(key, f"{MESSAGE_ID}.{TIMESTAMP}.".encode() + BODY, SHA256).digest()
    assert "v1," + base64.b64encode(mac).decode() == SIGNATURE


def test_during_rotation_either_secret_verifies() -> None:
    """Signed by both, a message is taken by receivers that know only one of the secrets."""
    both = sign([OTHER, SECRET], MESSAGE_ID, TIMESTAMP, BODY)
    assert len(both.split(" ")) == 2
    for secrets in ([SECRET], [OTHER], [OTHER, SECRET]):
        given_headers = headers(webhook_signature=both)
        assert verify(given_headers, BODY, secrets, TIMESTAMP) == MESSAGE_ID


@pytest.mark.parametrize(
    ("changes", "body", "now_s"),
    [
        ({"webhook_id": "msg_other"}, BODY, TIMESTAMP),
        ({"webhook_id": ""}, BODY, TIMESTAMP),
        ({"webhook_timestamp": str(TIMESTAMP + 1)}, BODY, TIMESTAMP),
        ({"webhook_timestamp": "²"}, BODY, TIMESTAMP),
        ({"webhook_timestamp": "-1"}, BODY, TIMESTAMP),
        ({"webhook_timestamp": "9" * 4000}, BODY, TIMESTAMP),
        ({"webhook_signature": ""}, BODY, TIMESTAMP),
        ({"webhook_signature": SIGNATURE.replace("v1,", "v2,")}, BODY, TIMESTAMP),
        ({"webhook_signature": "v1,ünicode"}, BODY, TIMESTAMP),
        ({"webhook_signature": " ".join(["v1,AA=="] * 8 + [SIGNATURE])}, BODY, TIMESTAMP),
        ({}, BODY + b" ", TIMESTAMP),
        ({}, BODY, TIMESTAMP + 301),
        ({}, BODY, TIMESTAMP - 301),
    ],
)
def test_what_is_changed_malformed_or_old_is_refused(
    changes: dict[str, str], body: bytes, now_s: int
) -> None:
    """Every part that is signed, and the time, counts."""
    with pytest.raises(SignatureError):
        verify(headers(**changes), body, [SECRET], now_s)


def test_a_message_of_five_minutes_is_still_taken() -> None:
    """The tolerance is inclusive on both sides."""
    for now_s in (TIMESTAMP - 300, TIMESTAMP + 300):
        assert verify(headers(), BODY, [SECRET], now_s) == MESSAGE_ID


@pytest.mark.parametrize("secret", ["whsec_", "whsec_AAAA", "whsec_***", "whsec_" + "A" * 100])
def test_a_secret_that_is_none_is_the_operators_fault(secret: str) -> None:
    """Too short, too long or no base64; the text does not show the secret."""
    with pytest.raises(OrderSettingsError) as caught:
        sign([secret], "m", 1, b"")
    assert secret not in str(caught.value)


@given(st.binary(min_size=24, max_size=64), st.binary(max_size=300), st.integers(0, 2**33))
def test_what_is_signed_verifies(key: bytes, body: bytes, timestamp_s: int) -> None:
    """For any secret, body and time."""
    secret = "whsec_" + base64.b64encode(key).decode()
    signature = sign([secret], "m", timestamp_s, body)
    given_headers = {
        "webhook-id": "m",
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature,
    }
    assert verify(given_headers, body, [secret], timestamp_s) == "m"
