"""The merchant's signature check against the switch's signing, which shares no code with it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hosts_sim.orders.errors import NotSignedError
from acquirer.hosts_sim.orders.signature import check_signature
from acquirer.routing.orders.errors import SignatureError
from acquirer.routing.orders.webhooks import sign, verify

# Source: tests of the Standard Webhooks reference libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"test": 2432232314}'
NOW_S = 1614265330
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_the_published_vector() -> None:
    """The specification's own example is right, with the newer secret in front or behind."""
    for secrets in ([SECRET], [OTHER, SECRET]):
        assert check_signature(HEADERS, BODY, secrets, NOW_S) == HEADERS["webhook-id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": "1614265331"},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "1"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,***"},
        {"webhook-signature": HEADERS["webhook-signature"].removeprefix("v1,")},
    ],
)
def test_what_was_changed_is_refused(changes: dict[str, str]) -> None:
    """Id, time and signature all count."""
    with pytest.raises(NotSignedError):
        check_signature(HEADERS | changes, BODY, [SECRET], NOW_S)


@pytest.mark.parametrize("name", [*HEADERS])
def test_a_missing_header_is_named(name: str) -> None:
    """The refusal helps the sender's engineer."""
    with pytest.raises(NotSignedError, match=name):
        check_signature({k: v for k, v in HEADERS.items() if k != name}, BODY, [SECRET], NOW_S)


@given(
    key=st.binary(min_size=24, max_size=64),
    other=st.binary(min_size=24, max_size=64),
    body=st.binary(max_size=200),
    event_id=st.text("abc_019", min_size=1, max_size=20),
    apart_s=st.integers(-600, 600),
    use_other=st.booleans(),
)
def test_both_implementations_agree(
    key: bytes, other: bytes, body: bytes, event_id: str, apart_s: int, use_other: bool
) -> None:
    """What one side signs the other takes or refuses, exactly as the signer's own check does."""
    secret, wrong = ("whsec_" + base64.b64encode(raw).decode() for raw in (key, other))
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(NOW_S),
        "webhook-signature": sign([secret], event_id, NOW_S, body),
    }
    secrets = [wrong] if use_other else [wrong, secret]
    try:
        expected: str | None = verify(headers, body, secrets, NOW_S + apart_s)
    except SignatureError:
        expected = None
    try:
        actual: str | None = check_signature(headers, body, secrets, NOW_S + apart_s)
    except NotSignedError:
        actual = None
    assert actual == expected
    assert (actual is not None) == (abs(apart_s) <= 300 and (not use_other or key == other))
