"""Signing webhooks so that a merchant can trust them, and verifying such a signature. Pure.

HMAC-SHA256 over ``id.timestamp.body``; several signatures side by side while a secret is being
rotated. Source: Standard Webhooks specification 1.0, symmetric signatures (``v1``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache

from acquirer.routing.orders.errors import OrderSettingsError, SignatureError

TOLERANCE_S = 300
SIGNATURES_MAX = 8
_PREFIX = "whsec_"


@lru_cache(maxsize=1024)
def secret_key(secret: str) -> bytes:
    """The HMAC key in a secret.

    Args:
        secret: ``whsec_`` and base64 of 24 to 64 bytes; the prefix may be missing.

    Raises:
        OrderSettingsError: it is no such text.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise OrderSettingsError("a webhook secret is not whsec_ and base64") from None
    if not 24 <= len(key) <= 64:
        raise OrderSettingsError("a webhook secret must be 24 to 64 bytes long")
    return key


def sign(secrets: Sequence[str], webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """The ``webhook-signature`` header: one signature per secret, split by spaces.

    Args:
        secrets: the newest first; more than one only while a secret is being rotated.
        webhook_id: the ``webhook-id`` header.
        timestamp_s: the ``webhook-timestamp`` header, seconds since 1970 UTC, of this attempt.

    Raises:
        OrderSettingsError: a secret cannot be used.

    >>> sign(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "msg_p5jXN8AQM9LWM0D4loKWxJek",
    ...     1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = b"%s.%d.%s" % (webhook_id.encode(), timestamp_s, body)
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(secret_key(secret), signed, "sha256")).decode()
        for secret in secrets
    )


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now_s: float) -> str:
    """Check a received webhook and give its id.

    Args:
        headers: names in lower case.
        secrets: any of them may have signed.
        now_s: wall clock, seconds since 1970 UTC.

    Raises:
        SignatureError: a header is missing or malformed, the time is more than 5 minutes away, or
            no signature fits.
        OrderSettingsError: one of our own secrets cannot be used.
    """
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not webhook_id or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        raise SignatureError("webhook-id or webhook-timestamp is missing or malformed")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise SignatureError("webhook-timestamp is more than five minutes away")
    signed = b"%s.%s.%s" % (webhook_id.encode(), timestamp.encode(), body)
    given = headers.get("webhook-signature", "").split(" ")[:SIGNATURES_MAX]
    for secret in secrets:
        digest = hmac.new(secret_key(secret), signed, hashlib.sha256).digest()
        expected = b"v1," + base64.b64encode(digest)
        if any(hmac.compare_digest(expected, candidate.encode()) for candidate in given):
            return webhook_id
    raise SignatureError("no signature fits")
