"""PIN blocks, formats and account numbers as fields of requests, under TDES and AES keys alike.

A block has 16 digits, or 32 under an AES key where the format after it is 48 (ISO 4). With that
format the whole card number and ``;`` stand in the place of the 12-digit account number, with
format 04 (PLUS) an account number in 18 places, ``F`` in those before it; 12 digits are taken
there too, then for both ends of the number.
Source: docs/hsm.md, "PINs"; the module's programmer's manual, "Format 04".
"""

from __future__ import annotations

import hmac

import msgspec

from acquirer.hsm_sim.body import ACCOUNT_DIGITS, LONG_ACCOUNT_PLACES, Body
from acquirer.hsm_sim.crypto import pinblock_iso4
from acquirer.hsm_sim.crypto.cipher import BlockCipher
from acquirer.hsm_sim.crypto.errors import PinBlockError
from acquirer.hsm_sim.crypto.pinblock import ISO_4, PIN_DIGITS_MAX, PLUS, PinBlockFormat
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import DECIPHER, TPK, ZPK, KeyRole, using
from acquirer.hsm_sim.lmk import KeyField, LocalMasterKey, block_bytes
from acquirer.hsm_sim.pin_policy import UNDER_LMK, keeps_account, translation_allowed
from acquirer.hsm_sim.state import ModuleState

_ANY_PIN_KEY = KeyRole("PIN key", "FFF", "FFF", 16, ("P0", "71", "72"), "", "DTA")
_PIN_KEY_TYPES = {"001": ZPK, "002": TPK, "70D": TPK, "FFF": _ANY_PIN_KEY}


class Account(msgspec.Struct, frozen=True, gc=False):
    """Whose PIN it is.

    Attributes:
        number: the 12 rightmost digits.
        pan: the whole card number where the request has it, or an empty string.
        leading: the 12 leftmost digits.
    """

    number: str
    leading: str
    pan: str = ""


class PinFields(msgspec.Struct, frozen=True, gc=False):
    """An enciphered PIN as it stands in a request."""

    key: KeyField
    block: bytes
    layout: PinBlockFormat
    account: Account


def read_pin_key(body: Body) -> KeyField:
    """A PIN key after its key type: 001, 002, 70D or FFF.

    Raises:
        Refusal: 04, there is no such type.
    """
    role = _PIN_KEY_TYPES.get(body.take(3))
    if role is None:
        raise Refusal("04", "PIN keys are of types 001, 002, 70D and FFF")
    return body.key(using(role, DECIPHER))


def read_block(body: Body, key: KeyField) -> bytes:
    """A PIN block under a key that is still closed."""
    if block_bytes(key) == 16 and body.peek(34)[32:] == ISO_4.code:
        return body.hex_bytes(32)
    return body.hex_bytes(16)


def read_account(
    body: Body, layout: PinBlockFormat, other: PinBlockFormat | None = None
) -> Account:
    """The account number, or as much of the card number as one of the formats needs.

    Args:
        body: the request.
        layout: of the PIN block.
        other: the layout to translate to, in requests that end with the account number.

    Raises:
        Refusal: 22, or what ``account_check`` says.
    """
    if layout is ISO_4 or other is ISO_4:
        pan = body.card_number()
        return Account(body.account_number, pan[:-1][:ACCOUNT_DIGITS], pan)
    # A full 18 digits have no F to be known by, only the end of the request.
    if (layout is PLUS or other is PLUS) and (
        body.peek() == "F" or (other is not None and body.fits(LONG_ACCOUNT_PLACES))
    ):
        leading = body.long_account()[:ACCOUNT_DIGITS]
        return Account(body.account_number, leading)
    number = body.account()
    return Account(number, number)


def read_pin(body: Body, role: KeyRole) -> PinFields:
    """Key, block, format and account number, as they stand together in many requests."""
    key = body.key(using(role, DECIPHER))
    block, layout = read_block(body, key), body.pin_format()
    return PinFields(key, block, layout, read_account(body, layout))


def read_stored_pin(body: Body) -> str:
    """A PIN under the LMK, as long as the module's longest PIN and one digit."""
    return body.take(body.state.settings.pin_digits_max + 1)


def clear_pin(lmk: LocalMasterKey, pin: PinFields) -> str:
    """The PIN in a request's block.

    Raises:
        Refusal: the key does not open.
        PinBlockError: 20, 22, 23, 24.
    """
    return open_pin(lmk.key(pin.key).cipher, pin.block, pin.layout, pin.account)


def open_pin(cipher: BlockCipher, block: bytes, layout: PinBlockFormat, account: Account) -> str:
    """The PIN in a block under a cipher.

    Raises:
        PinBlockError: 20, 22, 23, 24.
    """
    if layout is ISO_4:
        return pinblock_iso4.decipher(cipher, block, account.pan)
    _check_cipher(cipher)
    return layout.decode(cipher.decrypt(block), _digits_for(layout, account))


def seal_pin(
    state: ModuleState, cipher: BlockCipher, pin: str, layout: PinBlockFormat, account: Account
) -> str:
    """A PIN as a block under a cipher, 16 or 32 digits.

    Raises:
        PinBlockError: 22, 23, 24.
    """
    if layout is ISO_4:
        fill = state.random(pinblock_iso4.FILL_BYTES)
        return pinblock_iso4.encipher(cipher, pin, account.pan, fill).hex().upper()
    _check_cipher(cipher)
    fill = state.random(layout.fill_bytes) if layout.fill_bytes else b""
    return cipher.encrypt(layout.encode(pin, _digits_for(layout, account), fill)).hex().upper()


def _check_cipher(cipher: BlockCipher) -> None:
    if cipher.block_bytes != 8:
        raise PinBlockError("23", "an AES key takes PIN blocks of format 48 only")


def _digits_for(layout: PinBlockFormat, account: Account) -> str:
    return account.leading if layout is PLUS else account.number


class PinTranslation(msgspec.Struct, frozen=True, gc=False):
    """A PIN block and what it shall become, as CA, CC and G0 end with it."""

    block: bytes
    source: PinBlockFormat
    destination: PinBlockFormat
    account: Account


def read_translation(body: Body, key: KeyField) -> PinTranslation:
    """A PIN block under a key that is still closed, both formats and the account number.

    Raises:
        Refusal: 15, 22, 23, or what ``account_check`` says.
    """
    block = read_block(body, key)
    source, destination = body.pin_format(), body.pin_format()
    account = read_account(body, source, destination)
    return PinTranslation(block, source, destination, account)


def translate_pin(
    state: ModuleState,
    lmk: LocalMasterKey,
    source: BlockCipher,
    destination: BlockCipher,
    asked: PinTranslation,
    digits_max: int = PIN_DIGITS_MAX,
) -> str:
    """The reply's fields: the PIN's length, its block under the other cipher, its format.

    A block that keeps its format, and has no random digits to renew, is enciphered as it is.

    Args:
        state: policy and randomness.
        lmk: the one that both keys stand under.
        source: opens the block.
        destination: closes it.
        asked: what to make of it.
        digits_max: the longest PIN that the request allows.

    Raises:
        Refusal: 69, the PIN may not leave its format for the other; 24, it is too long.
        PinBlockError: 20, 22, 23, 24.
    """
    layout, layout_out, account = asked.source, asked.destination, asked.account
    check_format(state, lmk, layout.code, layout_out.code)
    if layout is layout_out and layout is not ISO_4 and not layout.fill_bytes:
        _check_cipher(source)
        _check_cipher(destination)
        clear = source.decrypt(asked.block)
        pin = layout.decode(clear, _digits_for(layout, account))
        translated = destination.encrypt(clear).hex().upper()
    else:
        pin = open_pin(source, asked.block, layout, account)
        translated = seal_pin(state, destination, pin, layout_out, account)
    if len(pin) > digits_max:
        raise Refusal("24", "the PIN is longer than the request allows")
    return f"{len(pin):02}{translated}{layout_out.code}"


def check_format(state: ModuleState, lmk: LocalMasterKey, source: str, destination: str) -> None:
    """Refuse a translation that would make a PIN easier to learn, or to bring to another account.

    Args:
        state: policy.
        lmk: the one that the keys stand under; a published one protects no PIN.
        source: code of the format it came in, or :data:`~.pin_policy.UNDER_LMK`.
        destination: code of the format it shall have, or likewise.

    Raises:
        Refusal: 69.
    """
    if source == destination or state.settings.pin_format_downgrade:
        return
    if destination != UNDER_LMK and not translation_allowed(source, destination):
        raise Refusal("69", "a PIN does not leave ISO format 4 for a weaker format")
    if not (lmk.is_test or keeps_account(source, destination)):
        raise Refusal("69", "a PIN does not leave for a format that is not bound to its account so")


def same(expected: str, given: str) -> bool:
    """Compare without telling by time where they differ."""
    return hmac.compare_digest(expected.encode("latin-1"), given.encode("latin-1"))
