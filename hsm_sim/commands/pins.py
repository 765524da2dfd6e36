"""PINs in transit and PINs kept under the LMK.

CA, CC translate blocks between keys; JC, JE, JG between a key and the LMK; BC, BE compare; BA and
JA bring a PIN under the LMK. A PIN never leaves in clear.
"""

from __future__ import annotations

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.dukpt_fields import (
    is_bdk,
    pin_cipher,
    read_bdk,
    read_ksn,
    reading_ksns,
)
from acquirer.hsm_sim.commands.pin_fields import (
    check_format,
    clear_pin,
    read_account,
    read_pin,
    read_stored_pin,
    read_translation,
    same,
    seal_pin,
    translate_pin,
)
from acquirer.hsm_sim.commands.reply import Handler
from acquirer.hsm_sim.crypto.pinblock import ISO_4
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import DECIPHER, ENCIPHER, TPK, ZPK, KeyRole, using
from acquirer.hsm_sim.lmk import KeyField
from acquirer.hsm_sim.pin_policy import UNDER_LMK


def translate(source_role: KeyRole) -> Handler:
    """A handler from a TPK (CA) or ZPK (CC) to a ZPK, and from format to format.

    CA may go to a BDK too: its flag or key block says so, and a KSN follows.
    """
    deciphering, enciphering = using(source_role, DECIPHER), using(ZPK, ENCIPHER)
    to_bdk = source_role is TPK

    def handle(body: Body) -> str:
        source = body.key(deciphering)
        if to_bdk and is_bdk(body):
            return _translate_to_bdk(body, source)
        destination = body.key(enciphering)
        digits_max = body.number(2)
        asked = read_translation(body, source)
        lmk = body.end()
        cipher = lmk.key(source).cipher
        sealing = lmk.key(destination, "11").cipher
        return translate_pin(body.state, lmk, cipher, sealing, asked, digits_max)

    return handle


@reading_ksns
def _translate_to_bdk(body: Body, source: KeyField) -> str:
    destination = read_bdk(body)
    ksn = read_ksn(body, destination)
    digits_max = body.number(2)
    asked = read_translation(body, source)
    lmk = body.end()
    cipher = lmk.key(source).cipher
    sealing = pin_cipher(lmk.key(destination, "11"), ksn, iso4=asked.destination is ISO_4)
    return translate_pin(body.state, lmk, cipher, sealing, asked, digits_max)


def to_lmk(role: KeyRole) -> Handler:
    """A handler from a TPK (JC) or ZPK (JE) to the LMK."""

    def handle(body: Body) -> str:
        pin = read_pin(body, role)
        lmk = body.end()
        check_format(body.state, lmk, pin.layout.code, UNDER_LMK)
        return lmk.encipher_pin(clear_pin(lmk, pin), pin.account.number)

    return handle


def from_lmk(body: Body) -> str:
    """JG: from the LMK to a ZPK."""
    key = body.key(using(ZPK, ENCIPHER))
    layout = body.pin_format()
    account = read_account(body, layout)
    stored = read_stored_pin(body)
    lmk = body.end()
    check_format(body.state, lmk, UNDER_LMK, layout.code)
    pin = lmk.decipher_pin(stored, account.number)
    return seal_pin(body.state, lmk.key(key).cipher, pin, layout, account)


def compare(role: KeyRole) -> Handler:
    """A handler that compares a block under a TPK (BC) or ZPK (BE) with a PIN under the LMK."""

    def handle(body: Body) -> str:
        pin = read_pin(body, role)
        stored = read_stored_pin(body)
        lmk = body.end()
        expected = lmk.decipher_pin(stored, pin.account.number)
        if not same(expected, clear_pin(lmk, pin)):
            raise Refusal("01", "the PINs differ")
        return ""

    return handle


def enter(body: Body) -> str:
    """BA: a clear PIN under the LMK, where that is authorised.

    The PIN may be filled up with ``F``; the 12 digits before the tail are the account number.
    """
    if not body.state.allows("pin", "CLEAR"):
        raise Refusal("17", "the activity pin.clear.host is not authorised")
    pin = ""
    longest = body.state.settings.pin_digits_max
    while len(pin) <= longest and body.peek(13)[12:] not in ("", "%", "\x19"):
        pin += body.choice("0123456789F")
    account = body.account()
    return body.end().encipher_pin(pin.rstrip("F"), account)


def random_pin(body: Body) -> str:
    """JA: a random PIN of 4 digits, or as many as the request says, under the LMK."""
    account = body.account()
    size = body.number(2) if body.peek().isdecimal() else 4
    lmk = body.end()
    longest = body.state.settings.pin_digits_max
    if not 4 <= size <= longest:
        raise Refusal("24", f"a PIN has 4 to {longest} digits")
    number = int.from_bytes(body.state.random(16), "big") % 10**size
    return lmk.encipher_pin(f"{number:0{size}d}", account)
