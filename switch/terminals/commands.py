"""From a terminal's message to a typed command: here data elements end.

Each builder reads what one command needs; what is missing or malformed is a format error (30).
Source: docs/interfaces/terminal.md, parts 2, 4 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import structlog

from acquirer.codecs import bertlv
from acquirer.codecs.de59 import BYTES_MAX, De59
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.icc import RESULT_WANTED, WANTED, check_agreement, check_wanted
from acquirer.codecs.order_codes import PROCESSING_CODES, REASON_TEXTS, Means, means_of
from acquirer.codecs.pan import Pan
from acquirer.codecs.private_fields import De53, De61
from acquirer.codecs.shown_text import one_line
from acquirer.codecs.track2 import Track2
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.cards.balance import BalanceRequested
from acquirer.payments.cards.refund import RefundRequested
from acquirer.payments.cards.reversal import ReversalRequested
from acquirer.payments.cards.script_result import ScriptResultTold
from acquirer.payments.cards.void import VoidRequested
from acquirer.payments.kernel.commands import (
    KEYED,
    MAIL_OR_TELEPHONE,
    Display,
    Named,
    PresentedCard,
    Shown,
)
from acquirer.payments.kernel.references import Reference
from acquirer.payments.orders.cancel_confirmation import CancellationConfirmed
from acquirer.payments.orders.cancellation import (
    OrderCancellationRequested,
)
from acquirer.payments.orders.confirmation import PaymentConfirmed, ReceiptConfirmed
from acquirer.payments.orders.couriers import CourierSignOffRequested, CourierSignOnRequested
from acquirer.payments.orders.exception import OrderNotDelivered
from acquirer.payments.orders.payment import OrderPaymentRequested
from acquirer.payments.orders.query import OrderQueried
from acquirer.routing.orders.messages import (
    ITEM_CODE_CHARACTERS_MAX,
    LINES_MAX,
    QUANTITY_MAX,
    OrderLine,
)
from acquirer.switch.terminals.request import Request

log = structlog.get_logger("acquirer.orders")

PIN_WITH_PAN, PIN_WITHOUT_PAN = 2, 1
# Items that people write and people read: a remark, a signature, what a merchant asks for.
FREE_TEXT = frozenset({"OD", "OR", "OV"})
PART_TAG, LINES_TAG = "PA", "IT"
MORE_TAGS = tuple(f"N{place}" for place in range(2, 10))
PART_DIGITS_MAX = 12
PIN_BLOCK_TAG, PIN_BLOCK_DIGITS = "PB", 32
HEXADECIMAL = frozenset("0123456789ABCDEFabcdef")
SEPARATOR, TIMES = "|", "*"
ITEM_HEAD_BYTES = 5
CARD = PROCESSING_CODES[Means.CARD]
# DE25 of an instalment and its void, and of an order by mail or telephone.
IN_PARTS, BY_MAIL = "64", "08"
# DE22 begins so where a customer shows a code, which is in this item; no card is there then.
CODE_SHOWN, CODE_TAG = "03", "A3"
CVN2_DIGITS = 3
# DE60.4 of a terminal that reads chips, DE60.5 of a chip that could not be read.
CHIP_READERS = frozenset({"5", "6"})
CHIP_UNREAD = "2"
# The first digits of DE22: by contact, without.
CHIP_ENTRY = frozenset({"05", "07"})
# DE60.1 of what asks a bank for money or a balance: balance, pre-authorisation, sale, order.
AUTHORISATIONS = frozenset({"01", "10", "22", "72"})
ASKING = frozenset({"0100", "0200"})


# --- what a message says ---------------------------------------------------------------------


def text_of(request: Request, tag: str) -> str:
    """A DE59 item's text, empty where it is absent; what people wrote, clean.

    Raises:
        RemoteFormatError: it is no text, or not of the item's shape.
    """
    text = request.de59.text(tag, request.terminal.profile.encoding)
    return one_line(text) if tag in FREE_TEXT else text


def digits_of(request: Request, tag: str, count: int) -> str:
    """An item of so many digits, empty where it is absent."""
    value = request.de59.get(tag)
    if value is None:
        return ""
    if len(value) != count or not value.isdigit():
        raise RemoteFormatError(f"the item is {count} digits", field=f"59.{tag}")
    return value.decode("ascii")


def _needed_text(request: Request, tag: str) -> str:
    request.de59.need(tag, request.terminal.profile.encoding)
    return text_of(request, tag)


def _named(request: Request) -> Named:
    """DE61, which must be there with batch and STAN."""
    original = De61.parse(request.message.need(61))
    if not original.original_stan:
        raise RemoteFormatError("the original's STAN is missing", field="61.2")
    return Named(original.original_batch, original.original_stan)


def _named_or_none(request: Request) -> Named | None:
    return _named(request) if request.message.get(61) else None


def reference_of(request: Request) -> Reference:
    """All that is said of an earlier transaction; zeros in DE61 say nothing.

    Raises:
        RemoteFormatError: DE61 is none.
    """
    message = request.message
    de61 = De61.parse(message.get(61)) if message.get(61) else De61("")
    is_named = bool((de61.original_batch + de61.original_stan).strip("0"))
    return Reference(
        Named(de61.original_batch, de61.original_stan) if is_named else None,
        message.get(37),
        de61.original_date if de61.original_date.strip("0") else "",
        message.get(38),
    )


def has_card(request: Request) -> bool:
    """Whether the card is there, by number or by track."""
    return bool(request.message.get(2) or request.message.get(35))


def card_of(request: Request) -> PresentedCard:
    """The card, from track 2 or keyed; both must agree where both are there.

    Raises:
        RemoteFormatError: no card, one that cannot be read, or one that is there though it is said
            to be ordered by mail or telephone.
    """
    message = request.message
    if message.get(25) in MAIL_OR_TELEPHONE and not message.get(22).startswith(KEYED):
        raise RemoteFormatError("an order by mail or telephone has entry mode 01x", field="22")
    pan, track = pan_of(request)
    icc = _icc_of(request, pan, track)
    pin_block = pin_block_of(request)
    de53 = De53.parse(message.get(53)) if message.get(53) else De53()
    is_unfit = de53.pin_format != PIN_WITH_PAN if pin_block else de53.pin_format == PIN_WITHOUT_PAN
    return PresentedCard(
        pan,
        track,
        (track.expiry if track else "") or message.get(14),
        message.get(22),
        message.get(23),
        message.get(25),
        icc,
        pin_block,
        is_unfit,
        cvn2=digits_of(request, "CV", CVN2_DIGITS),
        at_chip_reader=request.de60.terminal_capability in CHIP_READERS,
        is_chip_unread=request.de60.ic_condition == CHIP_UNREAD,
    )


def pin_block_of(request: Request) -> bytes:
    """The PIN block: DE52, or 16 bytes in DE59 where AES keys are derived; empty for none.

    Raises:
        RemoteFormatError: it is where it cannot be, or not as long as it must be.
    """
    message = request.message
    if request.terminal.profile.key_scheme != "dukpt_aes":
        return message.binary(52)
    if message.get(52):
        raise RemoteFormatError("a PIN block under AES stands in DE59 PB", field="52")
    text = request.de59.text(PIN_BLOCK_TAG)
    if text and not (len(text) == PIN_BLOCK_DIGITS and set(text) <= HEXADECIMAL):
        raise RemoteFormatError("a PIN block is 32 hexadecimal digits", field="59.PB")
    return bytes.fromhex(text)


def _icc_of(request: Request, pan: Pan, track: Track2 | None) -> bytes:
    """DE55, which agrees with the message; whole where a card is to be authorised by its chip."""
    message = request.message
    icc = message.binary(55)
    objects = bertlv.parse(icc)
    is_asked = request.de60.transaction_type in AUTHORISATIONS and message.mti in ASKING
    if is_asked and message.get(22)[:2] in CHIP_ENTRY:
        check_wanted(objects, WANTED)
    check_agreement(
        objects,
        pan=pan.digits,
        track2=track.format() if track else "",
        amount=message.get(4),
        currency=message.get(49),
    )
    return icc


def pan_of(request: Request) -> tuple[Pan, Track2 | None]:
    """The card's number, and its track 2 where that is there.

    Raises:
        RemoteFormatError: no card, or one that cannot be read.
    """
    message = request.message
    track = Track2.parse(message.get(35)) if message.get(35) else None
    if not message.get(2):
        if track is None:
            raise RemoteFormatError("neither PAN nor track 2", field="2")
        return track.pan, track
    pan = Pan(message.get(2))
    if track is not None and track.pan != pan:
        raise RemoteFormatError("PAN and track 2 are of different cards", field="35")
    return pan, track


def part_minor(text: str) -> int:
    """The amount of ``PA`` in minor units.

    >>> part_minor("5000")
    5000

    Raises:
        RemoteFormatError: not 1 to 12 digits, or zero.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= PART_DIGITS_MAX and int(text)):
        raise RemoteFormatError("a part is 1 to 12 digits, above zero", field="59.PA")
    return int(text)


def order_lines(text: str) -> tuple[OrderLine, ...]:
    """The lines of ``IT``.

    >>> order_lines("1001*2|2000000000022*1")[1]
    OrderLine(code='2000000000022', quantity=1)

    Raises:
        RemoteFormatError: no such lines, or too many.
    """
    lines = []
    for part in text.split(SEPARATOR):
        code, _, digits = part.rpartition(TIMES)
        is_code = 1 <= len(code) <= ITEM_CODE_CHARACTERS_MAX and code.isprintable()
        is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(QUANTITY_MAX))
        if not (is_code and is_number):
            raise RemoteFormatError("a line is an item, * and 1 to 5 digits", field="59.IT")
        lines.append(OrderLine(code, int(digits)))
    if len(lines) > LINES_MAX:
        raise RemoteFormatError(f"more than {LINES_MAX} lines", field="59.IT")
    return tuple(lines)


# --- commands --------------------------------------------------------------------------------


def balance_requested(request: Request) -> BalanceRequested:
    """MTI 0200, DE3 310000, type 01."""
    return BalanceRequested(request.origin, card_of(request))


def void_requested(request: Request) -> VoidRequested:
    """MTI 0200, DE3 200000, type 23."""
    message = request.message
    return VoidRequested(
        request.origin,
        _named(request),
        message.need(37),
        pan_of(request)[0] if has_card(request) else None,
        message.get(38),
        message.get(25),
        Kind.INSTALMENT if message.get(25) == IN_PARTS else Kind.SALE,
    )


def refund_requested(request: Request) -> RefundRequested:
    """MTI 0220, DE3 200000, type 25; DE61 may name no payment (zeros), DE37 one of any terminal."""
    message, said = request.message, reference_of(request)
    is_by_code = message.get(22).startswith(CODE_SHOWN) and not message.get(2)
    return RefundRequested(
        request.origin,
        None if is_by_code else pan_of(request)[0],
        said.named,
        said.rrn,
        said.date,
        said.approval_code,
        message.get(25),
    )


def script_result_told(request: Request) -> ScriptResultTold:
    """MTI 0620, DE60.3 951; DE61 and DE37 name the payment whose answer brought the script."""
    message = request.message
    icc = message.binary(55)
    check_wanted(bertlv.parse(icc), RESULT_WANTED)
    return ScriptResultTold(request.origin, _named(request), message.need(37), icc)


def reversal_requested(request: Request) -> ReversalRequested:
    """MTI 0400."""
    return ReversalRequested(request.origin, request.message.get(39))


def order_queried(request: Request) -> OrderQueried:
    """MTI 0200, DE3 380000, type 71."""
    order_no, _ = _needed_text(request, "ON"), _needed_text(request, "OC")
    has_lines, is_part = LINES_TAG in request.de59, PART_TAG in request.de59
    return OrderQueried(
        request.origin,
        order_no,
        order_lines(text_of(request, LINES_TAG)) if has_lines else (),
        part_minor(text_of(request, PART_TAG)) if is_part else None,
    )


def order_payment_requested(request: Request) -> OrderPaymentRequested:
    """MTI 0200, DE3 000000, 900000 or 910000, type 72."""
    order_no, _ = _needed_text(request, "ON"), _needed_text(request, "OC")
    means, keyed = means_of(request.message.processing_code), text_of(request, "OV")
    by_card = means is Means.CARD
    more = [number for tag in MORE_TAGS if (number := text_of(request, tag))] if by_card else []
    return OrderPaymentRequested(
        request.origin,
        order_no,
        means,
        tuple(more),
        tuple(keyed.split(SEPARATOR)),
        card_of(request) if by_card else None,
    )


def payment_confirmed(request: Request) -> PaymentConfirmed:
    """MTI 0220, type 73."""
    return PaymentConfirmed(request.origin, _needed_text(request, "ON"), _named(request))


def receipt_confirmed(request: Request) -> ReceiptConfirmed:
    """MTI 0220, DE3 920000, type 74."""
    order_no, signed_by = _needed_text(request, "ON"), _needed_text(request, "OR")
    return ReceiptConfirmed(request.origin, order_no, signed_by, _named_or_none(request))


def order_cancellation_requested(request: Request) -> OrderCancellationRequested:
    """MTI 0200, DE3 200000, type 75."""
    message = request.message
    return OrderCancellationRequested(
        request.origin,
        _needed_text(request, "ON"),
        _named(request),
        message.need(37),
        message.get(25),
    )


def cancellation_confirmed(request: Request) -> CancellationConfirmed:
    """MTI 0220, DE3 200000, type 76."""
    return CancellationConfirmed(request.origin, _needed_text(request, "ON"), _named(request))


def order_not_delivered(request: Request) -> OrderNotDelivered:
    """MTI 0220, DE3 930000, type 77."""
    order_no, reason = _needed_text(request, "ON"), _needed_text(request, "OX")
    if reason not in REASON_TEXTS:
        raise RemoteFormatError("no reason of the interface", field="59.OX")
    _named_or_none(request)
    return OrderNotDelivered(request.origin, order_no, reason, text_of(request, "OD"))


def courier_sign_on_requested(request: Request) -> CourierSignOnRequested:
    """MTI 0820, DE60.3 402."""
    message = request.message
    courier_id, pin_block = _needed_text(request, "OC"), pin_block_of(request)
    if not pin_block:
        raise RemoteFormatError("a courier signs on with a password", field="52")
    is_unfit = De53.parse(message.need(53)).pin_format != PIN_WITHOUT_PAN
    return CourierSignOnRequested(request.origin, courier_id, pin_block, is_unfit)


def courier_sign_off_requested(request: Request) -> CourierSignOffRequested:
    """MTI 0820, DE60.3 403."""
    return CourierSignOffRequested(request.origin, _needed_text(request, "OC"))


# --- what a terminal is shown ----------------------------------------------------------------


@lru_cache(maxsize=16)
def display_in(encoding: str) -> Display:
    """Puts what is shown of an order into DE59 of a terminal with this character set."""

    def display(shown: Shown) -> str:
        items = {
            "ON": shown.order_no,
            "OS": shown.status,
            "OW": shown.pay_ways,
            "OP": shown.reference,
            "OI": SEPARATOR.join(shown.asked),
            "OX": shown.reason,
        }
        return fitted({tag: text for tag, text in items.items() if text}, shown.text, encoding)

    return display


def fitted(texts: Mapping[str, str], text: str | None, encoding: str) -> str:
    """Items with a text to show, cut to what fits, never inside a character; hexadecimal.

    An item that the terminal's encoding lacks, or DE59 has no room for, is left out and logged.
    """
    items: dict[str, str | bytes] = {}
    room = BYTES_MAX - ITEM_HEAD_BYTES
    for tag, one in texts.items():
        value = _encoded(one, encoding)
        if value is None or ITEM_HEAD_BYTES + len(value) > room:
            log.warning("order_item_left_out", order_no=texts["ON"], tag=tag)
            continue
        items[tag] = value
        room -= ITEM_HEAD_BYTES + len(value)
    if text is not None:
        items["OT"] = text.encode(encoding, "replace")[:room].decode(encoding, "ignore")
    return De59.build(items, encoding).hex


def _encoded(text: str, encoding: str) -> bytes | None:
    """The text in the terminal's encoding; None where that lacks a character."""
    try:
        return text.encode(encoding)
    except UnicodeError:
        return None
