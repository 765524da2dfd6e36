"""PINs in transit and PINs kept under the LMK.

CA, CC translate blocks between keys; JC, JE, JG between a key and the LMK; BC, BE compare; BA and
JA bring a PIN under the LMK. A PIN never leaves in clear.
"""

from __future__ import annotations

import hmac

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.reply import Handler
from acquirer.hsm_sim.crypto.pinblock import PinBlockFormat
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import DECIPHER, ENCIPHER, ZPK, KeyRole, using
from acquirer.hsm_sim.lmk import KeyField, LocalMasterKey
from acquirer.hsm_sim.state import ModuleState


def translate(source_role: KeyRole) -> Handler:
    """A handler from a TPK (CA) or ZPK (CC) to a ZPK, and from format to format."""

    deciphering, enciphering = using(source_role, DECIPHER), using(ZPK, ENCIPHER)

    def handle(body: Body) -> str:
        source = body.key(deciphering)
        destination = body.key(enciphering)
        digits_max = body.number(2)
        block = body.hex_bytes(16)
        format_in, format_out = body.pin_format(), body.pin_format()
        account = body.account()
        lmk = body.end()
        pin = format_in.decode(lmk.key(source).cipher.decrypt(block), account)
        if len(pin) > digits_max:
            raise Refusal("24", "the PIN is longer than the request allows")
        clear = encode(body.state, format_out, pin, account)
        translated = lmk.key(destination, "11").cipher.encrypt(clear)
        return f"{len(pin):02}{translated.hex().upper()}{format_out.code}"

    return handle


def to_lmk(role: KeyRole) -> Handler:
    """A handler from a TPK (JC) or ZPK (JE) to the LMK."""

    def handle(body: Body) -> str:
        key, block, layout, account = block_fields(body, role)
        lmk = body.end()
        return lmk.encipher_pin(clear_pin(lmk, key, block, layout, account), account)

    return handle


def from_lmk(body: Body) -> str:
    """JG: from the LMK to a ZPK."""
    key = body.key(using(ZPK, ENCIPHER))
    layout = body.pin_format()
    account = body.account()
    stored = body.take(body.state.settings.pin_digits_max + 1)
    lmk = body.end()
    pin = lmk.decipher_pin(stored, account)
    return lmk.key(key).cipher.encrypt(encode(body.state, layout, pin, account)).hex().upper()


def compare(role: KeyRole) -> Handler:
    """A handler that compares a block under a TPK (BC) or ZPK (BE) with a PIN under the LMK."""

    def handle(body: Body) -> str:
        key, block, layout, account = block_fields(body, role)
        stored = body.take(body.state.settings.pin_digits_max + 1)
        lmk = body.end()
        expected = lmk.decipher_pin(stored, account)
        if not same(expected, clear_pin(lmk, key, block, layout, account)):
            raise Refusal("01", "the PINs differ")
        return ""

    return handle


def enter(body: Body) -> str:
    """BA: a clear PIN under the LMK, in the authorised state only.

    The PIN may be filled up with ``F``; the 12 digits before the tail are the account number.
    """
    if not body.state.authorised:
        raise Refusal("17", "a clear PIN is taken in the authorised state only")
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
    if not 4 <= size <= body.state.settings.pin_digits_max:
        raise Refusal("24", "a PIN has 4 to 12 digits")
    number = int.from_bytes(body.state.random(16), "big") % 10**size
    return lmk.encipher_pin(f"{number:0{size}d}", account)


def block_fields(body: Body, role: KeyRole) -> tuple[KeyField, bytes, PinBlockFormat, str]:
    """Key, block, format and account number, as they stand together in many requests."""
    key = body.key(using(role, DECIPHER))
    return key, body.hex_bytes(16), body.pin_format(), body.account()


def clear_pin(
    lmk: LocalMasterKey, key: KeyField, block: bytes, layout: PinBlockFormat, account: str
) -> str:
    """The PIN in an enciphered block.

    Raises:
        Refusal: the key does not open.
        PinBlockError: 20, 24.
    """
    return layout.decode(lmk.key(key).cipher.decrypt(block), account)


def encode(state: ModuleState, layout: PinBlockFormat, pin: str, account: str) -> bytes:
    """A clear block, with random fill where its layout has any."""
    fill = state.random(layout.fill_bytes) if layout.fill_bytes else b""
    return layout.encode(pin, account, fill)


def same(expected: str, given: str) -> bool:
    """Compare without telling by time where they differ."""
    return hmac.compare_digest(expected.encode("latin-1"), given.encode("latin-1"))
