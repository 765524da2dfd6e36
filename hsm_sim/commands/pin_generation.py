"""What an issuer keeps of a PIN: FW, BK make PVV and offset from a block; DG, DE from a PIN under
the LMK; CU, DU change a PIN that has been verified; EE gives the PIN that belongs to an offset.

A PIN never leaves in clear. Error codes as in :mod:`.pin_verification`.
"""

from __future__ import annotations

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.pin_fields import (
    PinFields,
    clear_pin,
    open_pin,
    read_account,
    read_block,
    read_pin_key,
    read_stored_pin,
)
from acquirer.hsm_sim.commands.pin_verification import (
    advised,
    check_ibm,
    check_pvv,
    offset_of_pin,
    pin_of_offset,
    read_ibm,
)
from acquirer.hsm_sim.commands.reply import Advisory
from acquirer.hsm_sim.crypto.pin_verification import pvv
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import GENERATE, PVK_IBM, PVK_VISA, using

_BOTH = "CN"
"""Modes of use that allow making as well as verifying."""


def pvv_of_block(body: Body) -> str:
    """FW: the PVV of a PIN in a block."""
    key = read_pin_key(body)
    pvk = body.key(using(PVK_VISA, GENERATE))
    block, layout = read_block(body, key), body.pin_format()
    account = read_account(body, layout)
    index = body.digits(1)
    lmk = body.end()
    pin = clear_pin(lmk, PinFields(key, block, layout, account))
    return pvv(lmk.key(pvk, "11").clear, pin, account.number, index)


def pvv_of_stored_pin(body: Body) -> str:
    """DG: the PVV of a PIN under the LMK."""
    pvk = body.key(using(PVK_VISA, GENERATE))
    stored, account, index = read_stored_pin(body), body.account(), body.digits(1)
    lmk = body.end()
    key = lmk.key(pvk)
    return pvv(key.clear, lmk.decipher_pin(stored, account), account, index)


def change_pvv(body: Body) -> str:
    """CU: verify a PIN by its PVV, and the PVV of a new PIN for the same account."""
    key = read_pin_key(body)
    pvk = body.key(using(PVK_VISA, _BOTH))
    block, layout = read_block(body, key), body.pin_format()
    account = read_account(body, layout)
    index, given = body.digits(1), body.digits(4)
    new_block = body.hex_bytes(2 * len(block))
    lmk = body.end()
    cipher = lmk.key(key).cipher
    verifier = lmk.key(pvk, "11")
    pin = open_pin(cipher, block, layout, account)
    check_pvv(verifier, pin, account.number, index, given)
    new_pin = open_pin(cipher, new_block, layout, account)
    return pvv(verifier.clear, new_pin, account.number, index)


def offset_of_block(body: Body) -> str | Advisory:
    """BK: the IBM offset of a PIN in a block."""
    key = read_pin_key(body)
    pvk = body.key(using(PVK_IBM, GENERATE))
    block, layout = read_block(body, key), body.pin_format()
    check_length = body.number(2)
    account = read_account(body, layout)
    ibm = read_ibm(body, check_length, account.number)
    lmk = body.end()
    pin = clear_pin(lmk, PinFields(key, block, layout, account))
    maker = lmk.key(pvk, "11")
    return advised(maker, offset_of_pin(lmk, maker, ibm, pin))


def offset_of_stored_pin(body: Body) -> str | Advisory:
    """DE: the IBM offset of a PIN under the LMK."""
    pvk = body.key(using(PVK_IBM, GENERATE))
    stored, check_length, account = read_stored_pin(body), body.number(2), body.account()
    ibm = read_ibm(body, check_length, account)
    lmk = body.end()
    maker = lmk.key(pvk)
    return advised(maker, offset_of_pin(lmk, maker, ibm, lmk.decipher_pin(stored, account)))


def change_offset(body: Body) -> str | Advisory:
    """DU: verify a PIN by its IBM offset, and the offset of a new PIN for the same account.

    Sources disagree: some give DU the fields of CU. A request that has just these is taken so.
    """
    if _has_fields_of_cu(body.ahead()):
        return change_pvv(body)
    key = read_pin_key(body)
    pvk = body.key(using(PVK_IBM, _BOTH))
    block, layout = read_block(body, key), body.pin_format()
    check_length = body.number(2)
    account = read_account(body, layout)
    ibm = read_ibm(body, check_length, account.number)
    offset = body.take(12)
    new_block = body.hex_bytes(2 * len(block))
    lmk = body.end()
    cipher = lmk.key(key).cipher
    maker = lmk.key(pvk, "11")
    check_ibm(lmk, maker, open_pin(cipher, block, layout, account), ibm, offset)
    new_pin = open_pin(cipher, new_block, layout, account)
    return advised(maker, offset_of_pin(lmk, maker, ibm, new_pin))


def pin_of_ibm_offset(body: Body) -> str | Advisory:
    """EE: the PIN that belongs to an IBM offset, under the LMK."""
    pvk = body.key(using(PVK_IBM, GENERATE))
    offset, check_length, account = body.take(12), body.number(2), body.account()
    ibm = read_ibm(body, check_length, account)
    lmk = body.end()
    maker = lmk.key(pvk)
    pin = pin_of_offset(lmk, maker, ibm, offset)
    return advised(maker, lmk.encipher_pin(pin, account))


def _has_fields_of_cu(body: Body) -> bool:
    try:
        key = read_pin_key(body)
        body.key(using(PVK_VISA, _BOTH))
        block, layout = read_block(body, key), body.pin_format()
        read_account(body, layout)
    except Refusal:
        return False
    return body.fits(1 + 4 + 2 * len(block))
