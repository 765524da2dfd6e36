"""PIN verification: DC, EC by Visa PVV; DA, EA by IBM 3624 with offset.

The error codes are those of the family: 10 PIN key parity, 11 PVK parity, 27 PVK not double
length, 02 advisory that an IBM PVK is longer than single length.
"""

from __future__ import annotations

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.pins import clear_pin, same
from acquirer.hsm_sim.commands.reply import Advisory, Handler
from acquirer.hsm_sim.crypto import pin_verification
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import PVK_IBM, PVK_VISA, KeyRole


def verify_pvv(role: KeyRole) -> Handler:
    """A handler that verifies a PIN by its PVV, from under a TPK (DC) or ZPK (EC)."""

    def handle(body: Body) -> str:
        key = body.key(role)
        pvk_text = body.key(PVK_VISA)
        block = body.hex_bytes(16)
        layout = body.pin_format()
        account = body.account()
        index = body.digits(1)
        pvv = body.digits(4)
        lmk = body.end()
        pin = clear_pin(lmk, key, block, layout, account)
        pvk = lmk.key(pvk_text, "11")
        if not same(pin_verification.pvv(pvk.clear, pin, account, index), pvv):
            raise Refusal("01", "the PVV differs")
        return ""

    return handle


def verify_ibm(role: KeyRole) -> Handler:
    """A handler that verifies a PIN by IBM 3624, from under a TPK (DA) or ZPK (EA)."""

    def handle(body: Body) -> str | Advisory:
        key = body.key(role)
        pvk_text = body.key(PVK_IBM)
        digits_max = body.number(2)
        block = body.hex_bytes(16)
        layout = body.pin_format()
        check_length = body.number(2)
        account = body.account()
        table = decimalisation_table(body)
        data = validation_data(body, account)
        offset = body.take(12).rstrip("F")
        lmk = body.end()
        pin = clear_pin(lmk, key, block, layout, account)
        if len(pin) > digits_max:
            raise Refusal("24", "the PIN is longer than the request allows")
        if not 4 <= check_length <= 12 or not offset.isdecimal() or len(offset) < check_length:
            raise Refusal("15", "check length and offset do not fit")
        pvk = lmk.key(pvk_text, "11")
        natural = pin_verification.natural_pin(pvk.clear, table, data, len(offset))
        if not same(pin_verification.pin_from_offset(natural, offset), pin[: len(offset)]):
            raise Refusal("01", "the PIN differs")
        return "" if len(pvk.clear) == 8 else Advisory("02", "")

    return handle


def decimalisation_table(body: Body) -> str:
    """A decimalisation table in clear: 16 digits, at least 8 different, none more than 4 times.

    Raises:
        Refusal: 25.
    """
    table = body.digits(16, "25")
    if len(set(table)) < 8 or max(table.count(digit) for digit in table) > 4:
        raise Refusal("25", "the decimalisation table is too uneven")
    return table


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
