"""From a transaction's facts to the message that a bank core is sent, and back from DE54.

One table says which data elements each kind carries; nothing here knows framing, keys or MACs
(the link adds the MAC). Amounts are minor units.
Source: docs/interfaces/bank-link.md, "Messages"; ISO 8583:1987, 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from acquirer.codecs.bank_fields import De90
from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.codecs.private_fields import Balance, parse_balances

# DE39 of an approval of less than was asked for.
IN_PART = "10"
_ECHOED_IN_REPLIES = (3, 4, 7, 11, 37, 41, 42, 49)
# With the MAC, what a reply is about and what it says; and in messages of one class.
_DECIDING = frozenset({*_ECHOED_IN_REPLIES, 39, 64, 128})
_DECIDING_IN_CLASS = {"6": frozenset({48}), "8": frozenset({48, 53, 70})}


class OriginalData(msgspec.Struct, frozen=True):
    """The earlier transaction that this one refers to (DE90).

    Attributes:
        mti: 4 digits, as it was sent to the bank.
        stan: its DE11 on the bank link.
        transmission_at: its DE7, MMDDhhmmss.
        acquirer_id: its DE32.
    """

    mti: str
    stan: str
    transmission_at: str
    acquirer_id: str


class BankRequest(msgspec.Struct, frozen=True):
    """One transaction for a bank; ``repr`` shows the card number masked and no secrets.

    Attributes:
        kind: what it is; decides the MTI and the fields.
        rrn: DE37, 12 characters.
        stan: DE11 on the bank link, 6 digits.
        transmission_at: DE7, MMDDhhmmss, UTC.
        local_time: DE12, hhmmss, the terminal's.
        local_date: DE13, MMDD.
        acquirer_id: DE32, up to 11 digits.
        terminal_id: DE41, 8 characters.
        merchant_id: DE42, 15 characters.
        pan: DE2, where the kind carries one.
        processing_code: DE3; empty takes the kind's own. A reversal and an advice need the
            original's.
        amount_minor: DE4; None leaves it out.
        currency_code: DE49, 3 digits.
        expiry: DE14, YYMM.
        track2: DE35 with ``D`` or ``=`` as separator.
        entry_mode: DE22, 3 digits.
        card_sequence: DE23, 3 digits.
        condition_code: DE25, 2 digits.
        pin_block: DE52, 8 bytes under a link's ZPK, ISO 9564 format 0.
        zpk: the key, under the LMK, that it is under: only a link that knows it takes the request.
        icc: DE55, BER-TLV.
        mcc: DE18, 4 digits.
        merchant_name: DE43, cut to 40 characters; what is not ASCII is left out.
        additional: DE48 of a sale or pre-authorisation (``codecs/bank_items.py``).
        approval_code: DE38 of the original.
        original: DE90.
        reason: DE39 of a reversal (98 no answer, A0 bad MAC, 06 other) or an advice.
        repeat: whether it was sent before: MTI plus one for reversals and advices.
    """

    kind: BankMessage
    rrn: str
    stan: str
    transmission_at: str
    local_time: str
    local_date: str
    acquirer_id: str
    terminal_id: str
    merchant_id: str
    pan: Pan | None = None
    processing_code: str = ""
    amount_minor: int | None = None
    currency_code: str = "156"
    expiry: str = ""
    track2: str | None = None
    entry_mode: str = ""
    card_sequence: str = ""
    condition_code: str = "00"
    pin_block: bytes | None = None
    icc: bytes | None = None
    mcc: str = ""
    merchant_name: str = ""
    additional: str = ""
    approval_code: str = ""
    original: OriginalData | None = None
    reason: str = ""
    repeat: bool = False
    zpk: str = ""

    def __repr__(self) -> str:
        repeat = ", repeat" if self.repeat else ""
        return (
            f"BankRequest({self.kind}{repeat}, rrn={self.rrn!r}, stan={self.stan!r}, "
            f"terminal_id={self.terminal_id!r}, pan={self.pan!s}, amount_minor={self.amount_minor})"
        )


class CardFields(NamedTuple):
    """What a bank is sent of a card as it was presented; empty where it is not there.

    Attributes:
        pan, expiry, track2, entry_mode, card_sequence, condition_code: as in :class:`BankRequest`.
        icc: as the dialects hold it, hexadecimal.
    """

    pan: str = ""
    expiry: str = ""
    track2: str = ""
    entry_mode: str = ""
    card_sequence: str = ""
    condition_code: str = ""
    icc: str = ""


CARD_FIELD_NUMBERS = (2, 14, 35, 22, 23, 25, 55)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a kind looks: MTI, DE3 where the kind decides it, fields beyond the base."""

    mti: str
    processing_code: str
    fields: tuple[int, ...]
    repeatable: bool = False


_BASE = (3, 7, 11, 12, 13, 32, 37, 41, 42, 49)
_SALE = (2, 4, 14, 18, 22, 23, 25, 26, 35, 43, 48, 52, 53, 55)
_UNDO = (2, 4, 18, 25, 38, 90)

_SHAPES: dict[BankMessage, _Shape] = {
    BankMessage.BALANCE: _Shape("0200", "310000", (2, 14, 22, 25, 35, 52, 53)),
    BankMessage.SALE: _Shape("0200", "000000", _SALE),
    BankMessage.VOID: _Shape("0200", "200000", _UNDO),
    BankMessage.REFUND: _Shape("0220", "200000", _UNDO, repeatable=True),
    BankMessage.PREAUTH: _Shape(
        "0100", "030000", (2, 4, 14, 18, 22, 25, 35, 38, 48, 52, 53, 55, 90)
    ),
    BankMessage.COMPLETION: _Shape(
        "0220", "000000", (2, 4, 14, 18, 22, 25, 35, 38, 52, 53, 55, 90), repeatable=True
    ),
    BankMessage.ADVICE: _Shape("0220", "000000", (*_SALE, 38, 39, 90), repeatable=True),
    BankMessage.REVERSAL: _Shape("0400", "000000", (2, 4, 38, 39, 90), repeatable=True),
    BankMessage.INQUIRY: _Shape("0600", "330000", (90,)),
    BankMessage.SCRIPT_RESULT: _Shape("0620", "000000", (2, 38, 55, 90), repeatable=True),
}

_VALUES: dict[int, Callable[[BankRequest], str]] = {
    2: lambda r: r.pan.digits if r.pan else "",
    4: lambda r: "" if r.amount_minor is None else f"{r.amount_minor:012d}",
    7: lambda r: r.transmission_at,
    11: lambda r: r.stan,
    12: lambda r: r.local_time,
    13: lambda r: r.local_date,
    14: lambda r: r.expiry,
    18: lambda r: r.mcc,
    22: lambda r: r.entry_mode,
    23: lambda r: r.card_sequence,
    25: lambda r: r.condition_code,
    26: lambda r: "12" if r.pin_block else "",
    32: lambda r: r.acquirer_id,
    35: lambda r: r.track2 or "",
    37: lambda r: r.rrn,
    38: lambda r: r.approval_code,
    39: lambda r: r.reason,
    41: lambda r: r.terminal_id.ljust(8),
    42: lambda r: r.merchant_id.ljust(15),
    43: lambda r: _merchant_name(r.merchant_name),
    48: lambda r: r.additional,
    49: lambda r: r.currency_code,
    52: lambda r: r.pin_block.hex().upper() if r.pin_block else "",
    53: lambda r: "2600000000000000" if r.pin_block else "",
    55: lambda r: r.icc.hex().upper() if r.icc else "",
    90: lambda r: _original(r.original),
}

_ROWS: dict[BankMessage, tuple[tuple[int, Callable[[BankRequest], str]], ...]] = {
    kind: tuple((n, _VALUES[n]) for n in sorted({*_BASE, *shape.fields}) if n != 3)
    for kind, shape in _SHAPES.items()
}
_CARRIED = {
    kind: tuple(
        (place, number)
        for place, number in enumerate(CARD_FIELD_NUMBERS)
        if number in _BASE or number in shape.fields
    )
    for kind, shape in _SHAPES.items()
}


def to_message(request: BankRequest, reversal_mti: str = "0400") -> Message:
    """The message for a bank, without MAC; fields that have no value are left out.

    Args:
        request: the facts.
        reversal_mti: ``0400`` or ``0420``, as the bank's dialect has it.
    """
    shape = _SHAPES[request.kind]
    fields = {3: request.processing_code or shape.processing_code}
    for number, value_of in _ROWS[request.kind]:
        value = value_of(request)
        if value:
            fields[number] = value
    return Message(request_mti(request.kind, request.repeat, reversal_mti), fields)


def card_fields_of(kind: BankMessage) -> tuple[tuple[int, int], ...]:
    """Which of a card's fields a kind carries: its place in ``CardFields``, and its number."""
    return _CARRIED[kind]


def request_mti(kind: BankMessage, repeat: bool = False, reversal_mti: str = "0400") -> str:
    """The MTI that a kind is sent under: what DE90 of its reversal must name.

    >>> request_mti(BankMessage.SALE), request_mti(BankMessage.REVERSAL, repeat=True)
    ('0200', '0401')
    """
    shape = _SHAPES[kind]
    mti = reversal_mti if kind is BankMessage.REVERSAL else shape.mti
    return mti[:3] + "1" if repeat and shape.repeatable else mti


def reply_balances(message: Message) -> tuple[Balance, ...]:
    """The balances of a reply's DE54; none where it brings none.

    Raises:
        RemoteFormatError: DE54 holds something else.
    """
    return parse_balances(message.get(54))


def _original(original: OriginalData | None) -> str:
    if original is None:
        return ""
    return De90.of(
        original.mti, original.stan, original.transmission_at, original.acquirer_id
    ).format()


def _merchant_name(name: str) -> str:
    text = " ".join(name.encode("ascii", "ignore").decode("ascii").split())
    return text[:40].ljust(40) if text else ""


def echoes(request: Message, reply: Message) -> bool:
    """Whether a reply that matches a request is about the same transaction.

    What the bank echoes must be what was asked; a field that it leaves out is not held against
    it. An approval of another amount is no approval of this one, but for one of a part of it (10).
    Source: docs/interfaces/bank-link.md, "Messages" (what a reply echoes).
    """
    asked, answered = request.fields, reply.fields
    for number in _ECHOED_IN_REPLIES:
        if number in asked and answered.get(number, "") not in ("", asked[number]):
            if number == 4 and _is_part(asked[4], reply):
                continue
            return False
    return True


def _is_part(asked: str, reply: Message) -> bool:
    granted = reply.get(4)
    is_amount = reply.get(39) == IN_PART and granted.isascii() and granted.isdigit()
    return is_amount and len(granted) == len(asked) and 0 < int(granted) < int(asked)


def decides(number: int, mti: str) -> bool:
    """Whether a field says what a message is about or what has happened: none may be missing.

    Any other can be left out where it cannot be read, and costs no payment.
    Source: docs/interfaces/bank-link.md, "Messages" (echoed fields; DE48 of an inquiry and of
    keys).

    >>> decides(39, "0210"), decides(44, "0210"), decides(48, "0210"), decides(48, "0610")
    (True, False, False, True)
    """
    return number in _DECIDING or number in _DECIDING_IN_CLASS.get(mti[1:2], ())
