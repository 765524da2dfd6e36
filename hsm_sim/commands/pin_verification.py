"""PIN verification: DC, EC by Visa PVV; DA, EA by IBM 3624 with offset.

The checks themselves serve the DUKPT commands as well. The error codes are those of the family: 10
PIN key parity, 11 PVK parity, 27 PVK not double length, 02 advisory that an IBM PVK is longer than
single length.
"""

from __future__ import annotations

from typing import NamedTuple

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.pin_fields import (
    PinFields,
    clear_pin,
    read_account,
    read_block,
    same,
)
from acquirer.hsm_sim.commands.reply import Advisory, Handler
from acquirer.hsm_sim.crypto import pin_verification
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import DECIPHER, PVK_IBM, PVK_VISA, VERIFY, KeyRole, using
from acquirer.hsm_sim.lmk import LocalMasterKey, WorkingKey
from acquirer.hsm_sim.pin_policy import is_even_table

_CHECK_LENGTHS = range(4, 13)


class IbmFields(NamedTuple):
    """What IBM 3624 takes beside key and PIN.

    Attributes:
        check_length: the shortest PIN.
        table: decimalisation table as it stands in the request, in clear or enciphered.
        data: validation data, 16 hexadecimal digits.
        tables: the only tables that are taken; none given, any.
    """

    check_length: int
    table: str
    data: str
    tables: tuple[str, ...]


def verify_pvv(role: KeyRole) -> Handler:
    """A handler that verifies a PIN by its PVV, from under a TPK (DC) or ZPK (EC)."""
    deciphering = using(role, DECIPHER)

    def handle(body: Body) -> str:
        key = body.key(deciphering)
        pvk = body.key(using(PVK_VISA, VERIFY))
        block = read_block(body, key)
        layout = body.pin_format()
        account = read_account(body, layout)
        index, pvv = body.digits(1), body.digits(4)
        lmk = body.end()
        pin = clear_pin(lmk, PinFields(key, block, layout, account))
        check_pvv(lmk.key(pvk, "11"), pin, account.number, index, pvv)
        return ""

    return handle


def verify_ibm(role: KeyRole) -> Handler:
    """A handler that verifies a PIN by IBM 3624, from under a TPK (DA) or ZPK (EA)."""
    deciphering = using(role, DECIPHER)

    def handle(body: Body) -> str | Advisory:
        key = body.key(deciphering)
        pvk = body.key(using(PVK_IBM, VERIFY))
        digits_max = body.number(2)
        block = read_block(body, key)
        layout = body.pin_format()
        check_length = body.number(2)
        account = read_account(body, layout)
        ibm = read_ibm(body, check_length, account.number)
        offset = body.take(12)
        lmk = body.end()
        pin = clear_pin(lmk, PinFields(key, block, layout, account))
        if len(pin) > digits_max:
            raise Refusal("24", "the PIN is longer than the request allows")
        return check_ibm(lmk, lmk.key(pvk, "11"), pin, ibm, offset)

    return handle


def read_ibm(body: Body, check_length: int, account_number: str) -> IbmFields:
    """Decimalisation table and validation data.

    Args:
        body: the request.
        check_length: as the request had it before.
        account_number: 12 digits.

    Raises:
        Refusal: 15, the check length or the validation data cannot be.
    """
    if check_length not in _CHECK_LENGTHS:
        raise Refusal("15", "the check length is 4 to 12")
    table = body.take(16)
    data = validation_data(body, account_number)
    return IbmFields(check_length, table, data, body.state.settings.decimalisation_tables)


def check_pvv(pvk: WorkingKey, pin: str, account_number: str, index: str, pvv: str) -> None:
    """Compare a PIN's PVV with the one given.

    Raises:
        Refusal: 01.
        KeyLengthError: the PVK is not double length.
    """
    if not same(pin_verification.pvv(pvk.clear, pin, account_number, index), pvv):
        raise Refusal("01", "the PVV differs")


def check_ibm(
    lmk: LocalMasterKey, pvk: WorkingKey, pin: str, ibm: IbmFields, offset: str
) -> str | Advisory:
    """Compare a PIN with the one that belongs to an offset.

    Args:
        lmk: opens an enciphered decimalisation table.
        pvk: the PVK.
        pin: the PIN.
        ibm: further fields.
        offset: 12 characters, ``F`` after its digits.

    Returns:
        No fields, with advisory 02 where the PVK is longer than single length.

    Raises:
        Refusal: 01 the PIN differs, 15 the offset cannot be, 25 nor can the table.
    """
    if not same(pin_of_offset(lmk, pvk, ibm, offset), pin[: len(offset.rstrip("Ff"))]):
        raise Refusal("01", "the PIN differs")
    return advised(pvk, "")


def pin_of_offset(lmk: LocalMasterKey, pvk: WorkingKey, ibm: IbmFields, offset: str) -> str:
    """The PIN that belongs to an offset, as long as the offset.

    Raises:
        Refusal: 15 the offset cannot be, 25 nor can the table.
    """
    digits = offset.rstrip("Ff")
    if not digits.isdecimal() or len(digits) < ibm.check_length:
        raise Refusal("15", "check length and offset do not fit")
    table = clear_table(lmk, ibm.table, ibm.tables)
    natural = pin_verification.natural_pin(pvk.clear, table, ibm.data, len(digits))
    return pin_verification.pin_from_offset(natural, digits)


def offset_of_pin(lmk: LocalMasterKey, pvk: WorkingKey, ibm: IbmFields, pin: str) -> str:
    """A PIN's offset, 12 characters, ``F`` after as many digits as the PIN has.

    Raises:
        Refusal: 24 the PIN is shorter than the check length, 25 the table cannot be.
    """
    if len(pin) < ibm.check_length:
        raise Refusal("24", "the PIN is shorter than the check length")
    table = clear_table(lmk, ibm.table, ibm.tables)
    natural = pin_verification.natural_pin(pvk.clear, table, ibm.data, len(pin))
    return pin_verification.offset(natural, pin).ljust(12, "F")


def advised(pvk: WorkingKey, fields: str) -> str | Advisory:
    """The fields, with advisory 02 where an IBM PVK is longer than single length."""
    return fields if len(pvk.clear) == 8 else Advisory("02", fields)


def clear_table(lmk: LocalMasterKey, text: str, tables: tuple[str, ...] = ()) -> str:
    """A decimalisation table in clear: 16 digits, at least 8 different, none more than 4 times.

    Args:
        lmk: opens tables that are enciphered.
        text: 16 digits in clear, or 16 hexadecimal digits under the LMK.
        tables: the only ones that are taken; none given, any.

    Raises:
        Refusal: 25.
    """
    clear = text
    if not is_even_table(text):
        try:
            cryptogram = bytes.fromhex(text)
        except ValueError:
            cryptogram = b""
        clear = lmk.decipher_table(cryptogram).hex() if len(cryptogram) == 8 else ""
        if not is_even_table(clear):
            raise Refusal("25", "the decimalisation table is no table, or too uneven")
    if tables and clear not in tables:
        raise Refusal("25", "the decimalisation table is none of those in the configuration")
    return clear


def validation_data(body: Body, account: str) -> str:
    """Validation data of 12 characters in which ``N`` stands for the account's last five digits.

    Raises:
        Refusal: 15.
    """
    template = body.take(12)
    data = template.replace("N", account[-5:], 1)
    if len(data) != 16 or not all(char in "0123456789ABCDEF" for char in data):
        raise Refusal("15", "validation data is 11 hexadecimal digits and one N")
    return data
