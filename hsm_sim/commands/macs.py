"""Message authentication: M6, M8 (all algorithms), MA, MC, ME (X9.9), MQ and MS (large messages).

M6 and M8 offer algorithms 1 (CBC-MAC), 3 (X9.19), 5 and 6 (CMAC) and, as a vendor algorithm of
ours, 9: CUP-ECB, whose eight hexadecimal characters are DE64's eight ASCII bytes. Their own error
codes: 02 mode, 03 input format, 04 algorithm, 05 key type, 06 length, 09 padding.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.crypto import mac
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import GENERATE, TAK, VERIFY, ZAK, KeyRole, using
from acquirer.hsm_sim.lmk import WorkingKey, block_bytes

ONLY, FIRST, MIDDLE, LAST = "0123"

_KEY_TYPES = {"003": TAK, "008": ZAK, "FFF": replace(TAK, name="MAC key", code="FFF")}
_USAGES = {
    "1": ("M0", "M1"),
    "3": ("M0", "M3"),
    "5": ("M5", "M6"),
    "6": ("M5", "M6"),
    "9": TAK.usages,
}
_ROLES: dict[tuple[str, str, bool], KeyRole] = {
    (key_type, algorithm, verify): replace(
        role,
        usages=usages,
        modes=VERIFY if verify else GENERATE,
        algorithms="DT" if algorithm in "39" else "DTA",
    )
    for key_type, role in _KEY_TYPES.items()
    for algorithm, usages in _USAGES.items()
    for verify in (False, True)
}
"""By key type, algorithm and whether a MAC is verified: what key blocks must allow."""

_PADDINGS: dict[str, mac.Padding] = {"0": 0, "1": 1, "2": 2, "3": 3}

MacFunction = Callable[[WorkingKey, bytes, mac.Padding, bytes | None], bytes]


def _cbc_mac(key: WorkingKey, data: bytes, padding: mac.Padding, iv: bytes | None) -> bytes:
    size = key.cipher.block_bytes
    return key.cipher.encrypt_cbc(mac.pad(data, padding, size), iv)[-size:]


def _x919(key: WorkingKey, data: bytes, padding: mac.Padding, iv: bytes | None) -> bytes:
    return mac.x919_with(key.left, key.cipher, mac.pad(data, padding), iv)


def _cmac(key: WorkingKey, data: bytes, _: mac.Padding, iv: bytes | None) -> bytes:
    return mac.cmac_with(key.cipher, data, iv)


def _chain_whole(key: WorkingKey, data: bytes, iv: bytes | None) -> bytes:
    return key.cipher.encrypt_cbc(data, iv)[-key.cipher.block_bytes :]


def _chain_left(key: WorkingKey, data: bytes, iv: bytes | None) -> bytes:
    return key.left.encrypt_cbc(data, iv)[-8:]


_ALGORITHMS: dict[str, MacFunction] = {"1": _cbc_mac, "3": _x919, "5": _cmac, "6": _cmac}
_CHAINS = {"1": _chain_whole, "3": _chain_left, "5": _chain_whole, "6": _chain_whole}
CUP_ECB = "9"


def generate(body: Body) -> str:
    """M6: the MAC, or the chaining value of an unfinished message."""
    return _mac(body, verify=False)[0]


def verify(body: Body) -> str:
    """M8: 01 where the MAC differs; the chaining value of an unfinished message."""
    made, given = _mac(body, verify=True)
    if not given:
        return made
    if not hmac.compare_digest(made.encode("ascii"), given.encode("latin-1").upper()):
        raise Refusal("01", "the MAC differs")
    return ""


class _Head(NamedTuple):
    """What a request says before its key."""

    mode: str
    input_format: str
    digits: int
    algorithm: str
    padding: mac.Padding
    role: KeyRole


_HEAD_CHARACTERS = 8
_heads: dict[tuple[str, bool], _Head] = {}
"""Heads that were read once: a sound one has few forms."""


def _head(body: Body, verify: bool) -> _Head:
    text = body.peek(_HEAD_CHARACTERS)
    known = _heads.get((text, verify))
    if known is not None:
        body.at += _HEAD_CHARACTERS
        return known
    mode = body.choice("0123", "02")
    input_format = body.choice("012", "03")
    digits = 8 if body.choice("01") == "0" else 16
    algorithm = body.choice("13569", "04")
    padding = _PADDINGS[body.choice("0123", "09")]
    role = _ROLES.get((body.take(3), algorithm, verify))
    if role is None:
        raise Refusal("05", "MACs take key types 003, 008 and FFF")
    return _heads.setdefault(
        (text, verify), _Head(mode, input_format, digits, algorithm, padding, role)
    )


def _mac(body: Body, *, verify: bool) -> tuple[str, str]:
    """The MAC or chaining value made, and the MAC given if there is one to verify."""
    mode, input_format, digits, algorithm, padding, role = _head(body, verify)
    text = body.key(role)
    finished = mode in (ONLY, LAST)
    given_digits = digits if verify and finished else 0
    iv_digits = 2 * block_bytes(text)
    has_iv = mode in (MIDDLE, LAST) or _starts_with_iv(body, iv_digits, given_digits)
    iv = body.hex_bytes(iv_digits) if has_iv else None
    data = body.data(input_format, body.hex_number(4))
    given = body.take(given_digits)
    key = body.end().key(text)
    if algorithm == CUP_ECB:
        if mode != ONLY or digits != 8 or len(key.clear) > 16:
            raise Refusal("04", "CUP-ECB takes whole messages, MAC size 0, keys up to double")
        return mac.cup_ecb_with(key.cipher, data).decode("ascii"), given
    if not finished or padding == 0:
        _whole_blocks(data, key.cipher.block_bytes)
    if not finished:
        return _CHAINS[algorithm](key, data, iv).hex().upper(), ""
    if padding == 3 and mode == LAST:
        raise Refusal("09", "padding method 3 needs the whole message at once")
    return _ALGORITHMS[algorithm](key, data, padding, iv).hex().upper()[:digits], given


def _starts_with_iv(body: Body, iv_digits: int, given_digits: int) -> bool:
    """Whether an IV stands where none need be, as some senders write it: nothing else would fit."""

    return not _data_fits(body, 0, given_digits) and _data_fits(body, iv_digits, given_digits)


def _data_fits(body: Body, skipped: int, given_digits: int) -> bool:
    """Whether a length stands behind so many characters, and the request ends with its data."""
    try:
        size = int(body.peek(skipped + 4)[skipped:], 16)
    except ValueError:
        return False
    return body.fits(skipped + 4 + size + given_digits)


def _whole_blocks(data: bytes, size: int = 8) -> None:
    if not data or len(data) % size:
        raise Refusal("06", f"the data is not whole blocks of {size} bytes")


_X99_MAKES = replace(using(TAK, GENERATE), algorithms="DT")
_X99_VERIFIES = replace(using(TAK, VERIFY), algorithms="DT")
_X919_MAKES = {
    "0": replace(TAK, modes=GENERATE, algorithms="DT"),
    "1": replace(ZAK, modes=GENERATE, algorithms="DT"),
}


def generate_x99(body: Body) -> str:
    """MA: X9.9 over the rest of the request, 8 digits."""
    text = body.key(_X99_MAKES)
    data = body.rest()
    key = body.end().key(text)
    return mac.x99(key.clear, data).hex().upper()[:8]


def verify_x99(body: Body) -> str:
    """MC: 01 where the MAC differs."""
    text = body.key(_X99_VERIFIES)
    given = body.hex_bytes(8)
    data = body.rest()
    _check_x99(body.end().key(text), data, given)
    return ""


def translate_x99(body: Body) -> str:
    """ME: verify under one TAK, make under another."""
    source, destination = body.key(_X99_VERIFIES), body.key(_X99_MAKES)
    given = body.hex_bytes(8)
    data = body.rest()
    lmk = body.end()
    _check_x99(lmk.key(source), data, given)
    return mac.x99(lmk.key(destination, "11").clear, data).hex().upper()[:8]


def _check_x99(key: WorkingKey, data: bytes, given: bytes) -> None:
    if not hmac.compare_digest(mac.x99(key.clear, data)[:4], given):
        raise Refusal("01", "the MAC differs")


def large_x919(body: Body) -> str:
    """MS: X9.19 in parts; an unfinished message gives its chaining value."""
    block = body.choice("0123", "05")
    role = _X919_MAKES[body.choice("01")]
    double = body.choice("01") == "1"
    hex_input = body.choice("01") == "1"
    text = body.key(role, 32 if double else 16)
    iv = body.hex_bytes(16) if block in (MIDDLE, LAST) else None
    size = body.hex_number(4)
    data = body.data("1", size * 2) if hex_input else body.data("0", size)
    key = body.end().key(text)
    if len(key.clear) != (16 if double else 8):
        raise Refusal("04", "the key's length is not the one that the request says")
    if block in (ONLY, LAST):
        return _x919(key, data, 1, iv).hex().upper()
    _whole_blocks(data)
    return _chain_left(key, data, iv).hex().upper()


def large_x99(body: Body) -> str:
    """MQ: X9.9 with a ZAK in parts, X9.19 where the ZAK is double length.

    The length has 3 or 4 hexadecimal digits; whichever of them ends the request is meant.
    """
    block = body.choice("0123", "05")
    text = body.key(_X919_MAKES["1"])
    iv = body.hex_bytes(16) if block in (MIDDLE, LAST) else None
    data = _sized_data(body)
    key = body.end().key(text)
    if len(key.clear) == 24:
        raise Refusal("02", "the ZAK is neither single nor double length")
    if block in (ONLY, LAST):
        return _x919(key, data, 1, iv).hex().upper()
    _whole_blocks(data)
    return _chain_left(key, data, iv).hex().upper()


def _sized_data(body: Body) -> bytes:
    for digits in (4, 3):
        head = body.peek(digits)
        try:
            size = int(head, 16)
        except ValueError:
            continue
        if body.fits(digits + size):
            body.take(digits)
            return body.binary(size, "80")
    raise Refusal("80", "the message is not as long as its length says")
