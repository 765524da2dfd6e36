"""A merchant's check that an event comes from the switch. Pure.

Written from the specification alone, apart from the switch's signing code, so that each is a
check of the other. Source: Standard Webhooks specification 1.0.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Mapping

from acquirer.hosts_sim.orders.errors import NotSignedError

SECONDS_APART_MAX = 5 * 60


def check_signature(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now_s: float
) -> str:
    """Give the event's id, or refuse it.

    Args:
        headers: names in lower case.
        secrets: ``whsec_…`` of the merchant; any may have signed.
        now_s: wall clock, seconds since 1970 UTC.

    Raises:
        NotSignedError: with what is wrong, in words that help the sender's engineer.
    """
    try:
        event_id = headers["webhook-id"]
        sent_at = headers["webhook-timestamp"]
        signatures = headers["webhook-signature"]
    except KeyError as missing:
        raise NotSignedError(f"header {missing.args[0]} is missing") from None
    if not sent_at.isdecimal() or len(sent_at) > 12:
        raise NotSignedError("webhook-timestamp is no number")
    if abs(int(sent_at) - now_s) > SECONDS_APART_MAX:
        raise NotSignedError("webhook-timestamp is too far from our clock")
    content = b".".join((event_id.encode(), sent_at.encode(), body))
    macs = [
        hmac.new(b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
        for secret in secrets
    ]
    for signature in signatures.split():
        version, _, encoded = signature.partition(",")
        if version != "v1":
            continue
        try:
            presented = b64decode(encoded, validate=True)
        except (Base64Error, ValueError):
            continue
        if any(hmac.compare_digest(mac, presented) for mac in macs):
            return event_id
    raise NotSignedError("no signature is right")
