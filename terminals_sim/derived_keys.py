"""Derived keys at the terminal: from its initial key and a serial number to one message's keys.

A real terminal is loaded with the initial key and forgets each key that it has used; this one
derives anew, which gives the same keys. Source: ANSI X9.24-1:2009, annex A; X9.24-3:2017, 6.
"""

from __future__ import annotations

from acquirer.codecs.ksn import Ksn
from acquirer.hsm_sim.crypto import dukpt_aes, dukpt_tdes
from acquirer.hsm_sim.crypto.dukpt_aes import KeyType, Usage
from acquirer.terminals_sim.security import KeyRing


def initial_key(scheme: str, bdk: bytes, ksn: str) -> bytes:
    """What a terminal of this serial number is loaded with, 16 bytes.

    Args:
        scheme: ``dukpt_tdes`` or ``dukpt_aes``.
        bdk: base key, 16 bytes.
    """
    derive = dukpt_tdes.initial_key if scheme == "dukpt_tdes" else dukpt_aes.initial_key
    return derive(bdk, bytes.fromhex(ksn))


def keys_of(scheme: str, initial: bytes, ksn: Ksn) -> KeyRing:
    """The keys of one message."""
    serial = bytes.fromhex(ksn.digits)
    if scheme == "dukpt_tdes":
        key = dukpt_tdes.transaction_key(initial, serial)
        return KeyRing(
            dukpt_tdes.pin_key(key),
            dukpt_tdes.mac_request_key(key),
            ksn=ksn.digits,
            reply_key=dukpt_tdes.mac_response_key(key),
        )
    pin = dukpt_aes.working_key(initial, serial, Usage.PIN_ENCRYPTION, KeyType.AES_128)
    both = dukpt_aes.working_key(initial, serial, Usage.MAC_BOTH_WAYS, KeyType.AES_128)
    return KeyRing(pin, both, ksn=ksn.digits, reply_key=both)
