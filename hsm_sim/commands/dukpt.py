"""PINs and MACs of terminals with derived unique keys: G0, GO, GQ, GW, and legacy CI, CK.

CI and CK derive single DES keys, as the terminals of their time, and take TDES from those that came
after; the others TDES or, from an AES base key, AES. GO and GQ with mode 1 verify a MAC of the same
transaction too. Error codes: 10 base key, 11 the other key, 27 a base key that is not long enough.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.dukpt_fields import (
    both_ways,
    is_bdk,
    mac_key,
    one_way,
    pin_cipher,
    read_bdk,
    read_ksn,
    reading_ksns,
)
from acquirer.hsm_sim.commands.pin_fields import (
    check_format,
    open_pin,
    read_account,
    read_block,
    read_translation,
    seal_pin,
    translate_pin,
)
from acquirer.hsm_sim.commands.pin_verification import check_ibm, check_pvv, read_ibm
from acquirer.hsm_sim.commands.reply import Advisory
from acquirer.hsm_sim.crypto import dukpt_des, mac
from acquirer.hsm_sim.crypto.errors import PinBlockError
from acquirer.hsm_sim.crypto.pinblock import FORMATS, ISO_4
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import ENCIPHER, PVK_IBM, PVK_VISA, VERIFY, ZPK, using
from acquirer.hsm_sim.lmk import WorkingKey

_ANSI = FORMATS["01"]
_MAC_MODES = {
    "1": (True, slice(0, 16)),
    "2": (True, slice(0, 8)),
    "3": (True, slice(8, 16)),
    "4": (False, slice(0, 16)),
    "5": (False, slice(0, 8)),
    "6": (False, slice(8, 16)),
}
"""Mode to whether a MAC is verified, and which of its 16 digits count."""

MacCheck = Callable[[WorkingKey, bytes], None]


@reading_ksns
def translate(body: Body) -> str:
    """G0: a PIN from a derived key to a ZPK or to another derived key."""
    source = read_bdk(body)
    to_bdk = is_bdk(body)
    destination = read_bdk(body) if to_bdk else body.key(using(ZPK, ENCIPHER))
    ksn = read_ksn(body, source)
    ksn_out = read_ksn(body, destination) if to_bdk else None
    asked = read_translation(body, source)
    lmk = body.end()
    cipher = pin_cipher(lmk.key(source), ksn, iso4=asked.source is ISO_4)
    key = lmk.key(destination, "11")
    sealing = key.cipher
    if ksn_out is not None:
        sealing = pin_cipher(key, ksn_out, iso4=asked.destination is ISO_4)
    return translate_pin(body.state, lmk, cipher, sealing, asked)


@reading_ksns
def translate_legacy(body: Body) -> str:
    """CI: a PIN in ANSI format from a derived key to a ZPK."""
    source = read_bdk(body)
    destination = body.key(using(ZPK, ENCIPHER))
    ksn = read_ksn(body, source)
    block, layout = body.hex_bytes(16), body.pin_format()
    account = read_account(body, layout)
    lmk = body.end()
    check_format(body.state, lmk, _ANSI.code, layout.code)
    pin = _legacy_pin(lmk.key(source), ksn, block, account.number)
    translated = seal_pin(body.state, lmk.key(destination, "11").cipher, pin, layout, account)
    return f"{len(pin):02}{translated}{layout.code}"


@reading_ksns
def verify_ibm_legacy(body: Body) -> str | Advisory:
    """CK: a PIN in ANSI format under a derived key, by IBM 3624."""
    source = read_bdk(body)
    pvk = body.key(using(PVK_IBM, VERIFY))
    ksn = read_ksn(body, source)
    block, check_length, account = body.hex_bytes(16), body.number(2), body.account()
    ibm = read_ibm(body, check_length, account)
    offset = body.take(12)
    lmk = body.end()
    pin = _legacy_pin(lmk.key(source), ksn, block, account)
    return check_ibm(lmk, lmk.key(pvk, "11"), pin, ibm, offset)


@reading_ksns
def verify_ibm(body: Body) -> str | Advisory:
    """GO: a PIN under a derived key, by IBM 3624."""
    mac_mode = _read_mac_mode(body)
    source = read_bdk(body)
    pvk = body.key(using(PVK_IBM, VERIFY))
    ksn = read_ksn(body, source)
    block, layout, check_length = read_block(body, source), body.pin_format(), body.number(2)
    account = read_account(body, layout)
    ibm = read_ibm(body, check_length, account.number)
    offset = body.take(12)
    check_mac = _read_mac(body, mac_mode)
    lmk = body.end()
    bdk = lmk.key(source)
    check_mac(bdk, ksn)
    pin = open_pin(pin_cipher(bdk, ksn, iso4=layout is ISO_4), block, layout, account)
    return check_ibm(lmk, lmk.key(pvk, "11"), pin, ibm, offset)


@reading_ksns
def verify_pvv(body: Body) -> str:
    """GQ: a PIN under a derived key, by Visa PVV."""
    mac_mode = _read_mac_mode(body)
    source = read_bdk(body)
    pvk = body.key(using(PVK_VISA, VERIFY))
    ksn = read_ksn(body, source)
    block, layout = read_block(body, source), body.pin_format()
    account = read_account(body, layout)
    index, pvv = body.digits(1), body.digits(4)
    check_mac = _read_mac(body, mac_mode)
    lmk = body.end()
    bdk = lmk.key(source)
    check_mac(bdk, ksn)
    pin = open_pin(pin_cipher(bdk, ksn, iso4=layout is ISO_4), block, layout, account)
    check_pvv(lmk.key(pvk, "11"), pin, account.number, index, pvv)
    return ""


@reading_ksns
def generate_or_verify_mac(body: Body) -> str:
    """GW: a MAC under a derived key, X9.19 or under AES CMAC, made or verified by mode."""
    verify, part = _MAC_MODES[body.choice("123456", "02")]
    _read_method(body)
    source = read_bdk(body)
    ksn = read_ksn(body, source)
    given = body.take(part.stop - part.start) if verify else ""
    data = _read_data(body)
    lmk = body.end()
    bdk = lmk.key(source)
    response = not verify and one_way(source, bdk)
    made = _mac(bdk, ksn, data, response=response, both_ways=both_ways(source))[part]
    if not verify:
        return made
    if not _equal(made, given):
        raise Refusal("01", "the MAC differs")
    return ""


def _legacy_pin(bdk: WorkingKey, ksn: bytes, block: bytes, account: str) -> str:
    """The PIN of a block under a single DES key or else a TDES key: only one of them opens it.

    Public sources disagree on which it is: the standard of the commands' time and the module's
    manual say the first, a public simulator's pairs the second.
    """
    if bdk.algorithm != "T":
        raise Refusal("27", "legacy derived keys have a double length DES base key")
    key = dukpt_des.pin_key(dukpt_des.initial_key(bdk.clear, ksn), ksn)
    try:
        return _ANSI.decode(dukpt_des.decipher_pin_block(key, block), account)
    except PinBlockError:
        return _ANSI.decode(pin_cipher(bdk, ksn, iso4=False).decrypt(block), account)


def _read_mac_mode(body: Body) -> str:
    """The mode of GO and GQ, and with mode 1 the MAC mode and method after it."""
    if body.choice("01", "02") == "0":
        return ""
    mode = body.choice("123", "02")
    _read_method(body)
    return mode


def _read_method(body: Body) -> None:
    body.choice("1", "47")


def _read_mac(body: Body, mac_mode: str) -> MacCheck:
    """MAC and message at the end of GO and GQ; gives what compares them once the key is open."""
    if not mac_mode:
        return lambda _bdk, _ksn: None
    part = _MAC_MODES[mac_mode][1]
    given, data = body.take(part.stop - part.start), _read_data(body)

    def check(bdk: WorkingKey, ksn: bytes) -> None:
        if not _equal(_mac(bdk, ksn, data, response=False)[part], given):
            raise Refusal("01", "the MAC differs")

    return check


def _read_data(body: Body) -> bytes:
    """A message with a length of 4 digits, which senders write in decimal or in hexadecimal.

    Whichever of them ends the request is meant.
    """
    text = body.take(4)
    for base in (10, 16):
        try:
            size = int(text, base)
        except ValueError:
            continue
        if body.fits(size):
            return body.binary(size, "80")
    raise Refusal("80", "the message is not as long as its length says")


def _mac(
    bdk: WorkingKey, ksn: bytes, data: bytes, *, response: bool, both_ways: bool = False
) -> str:
    key = mac_key(bdk, ksn, response=response, both_ways=both_ways)
    made = mac.cmac_aes(key, data)[:8] if bdk.algorithm == "A" else mac.x919(key, data)
    return made.hex().upper()


def _equal(made: str, given: str) -> bool:
    return hmac.compare_digest(made.encode("ascii"), given.encode("latin-1").upper())
