"""What a message means to the bank: from a decoded request to an entry, from a result to a reply.

Pure: it neither sends nor stores. ``connection.py`` asks it and does both.
Source: docs/interfaces/bank-link.md, "Messages".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from acquirer.codecs import bertlv
from acquirer.codecs.bank_fields import De90
from acquirer.codecs.bank_items import build_items, parse_items
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message, reply_mti
from acquirer.codecs.pan import mask_digits
from acquirer.codecs.private_fields import Balance
from acquirer.config.estate import Estate
from acquirer.hosts_sim.bank.cards import CardFile, IssuedCard
from acquirer.hosts_sim.bank.chip import IssuerModule
from acquirer.hosts_sim.bank.entries import Entry, EntryKind, OriginalKey, Result
from acquirer.hosts_sim.bank.plans import KNOWN, Plans, repayment_of

_CONTACTLESS = "07"
SCRIPT_RESULT = "062"
_ECHOED = (3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49)
# Whose DE48 consists of items.
_WITH_ITEMS = frozenset({"sale", "preauth", "tip"})
_KINDS: dict[tuple[str, str], EntryKind] = {
    ("0100", "03"): "preauth",
    ("0200", "00"): "sale",
    ("0200", "20"): "void",
    ("0200", "31"): "balance",
    ("0220", "00"): "advice",
    ("0220", "20"): "refund",
}


@dataclass(frozen=True, slots=True)
class CardTerms:
    """What the bank holds a card to when it pays.

    Attributes:
        issuer: checks chips.
        no_pin_minor: by terminal, the most that a contactless card pays without a PIN.
    """

    issuer: IssuerModule
    no_pin_minor: Mapping[str, int]

    @classmethod
    def of(cls, estate: Estate) -> CardTerms:
        """What the estate's cards and profiles say."""
        most = {profile.name: profile.no_pin_minor for profile in estate.profiles}
        by_terminal = {
            one.terminal_id: minor
            for one in estate.terminals
            if (minor := most.get(one.profile)) is not None
        }
        return cls(IssuerModule(estate.cards), by_terminal)

    def refusal(self, card: IssuedCard, message: Message, icc: bytes) -> str:
        """The code of a card whose chip is wrong (05), or that needs a PIN (55); or empty."""
        if self.issuer.check(card.estate, icc) == "wrong":
            return "05"
        most_minor = self.no_pin_minor.get(message.get(41).strip())
        needs_pin = message.get(22).startswith(_CONTACTLESS) and not message.get(52)
        above = most_minor is not None and int(message.get(4) or 0) > most_minor
        return "55" if needs_pin and above else ""

    def answer(self, card: IssuedCard | None, message: Message, code: str, script: bytes) -> bytes:
        """DE55 of the reply: the issuer's cryptogram where the chip's was right, and a script."""
        icc = message.binary(55)
        if card is None or not icc:
            return b""
        said = b""
        if self.issuer.check(card.estate, icc) == "right":
            said = bertlv.build([("91", self.issuer.answer(card.estate, icc, code))])
        return said + script


def entry_of(
    message: Message,
    cards: CardFile,
    zpks: Iterable[bytes],
    *,
    forced: str,
    currency_code: str,
    now: datetime,
    terms: CardTerms,
    approved_minor: int = 0,
    plans: Plans = KNOWN,
) -> Entry | str:
    """What a request asks of the books.

    Args:
        message: a decoded request of class 02, 04 or 06.
        cards: the bank's cards.
        zpks: keys that DE52 may be under, 16 bytes each.
        forced: a rule's response code, or empty.
        currency_code: the accounts' currency.
        now: local time.
        terms: what cards are held to beside.
        approved_minor: of a sale above it, the part that a rule wants approved.
        plans: for instalments.

    Returns:
        An entry, or the response code of a message that asks for nothing the bank knows.
    """
    kind = _kind(message)
    if kind is None:
        return "40"
    try:
        original = _original(message)
        amount_minor = int(message.get(4) or 0)
        digits = message.get(2) or message.get(35).partition("D")[0]
        block, icc = message.binary(52), message.binary(55)
        items = parse_items(message.get(48)) if kind in _WITH_ITEMS else {}
        amount_minor = int(items.get("TP", amount_minor))
    except (RemoteFormatError, ValueError):
        return "30"
    if kind in ("reversal", "inquiry", "script_result") and original is None:
        return "30"
    card = cards.find(digits) if digits else None
    code = "" if digits else items.get("QR", "")
    is_named = code or original or kind in ("void", "inquiry")
    refusal = "14" if card is None and (digits or not is_named) else ""
    if card is not None and kind in ("sale", "preauth", "balance"):
        refusal = card.refusal(message.get(14), f"{now:%y%m}")
        if not refusal and message.get(49) not in ("", currency_code):
            refusal = "12"
        if not refusal and items.get("CV", card.cvn2) != card.cvn2:
            refusal = "05"
        refusal = refusal or terms.refusal(card, message, icc)
    if not refusal and "IN" in items:
        known = repayment_of(items["IN"], amount_minor, currency_code, plans)
        refusal = "" if known else "57"
    return Entry(
        kind=kind,
        mti=message.mti,
        key=_own_key(message),
        rrn=message.get(37),
        merchant_id=message.get(42).strip(),
        token=cards.token(digits) if digits else "",
        masked=mask_digits(digits),
        amount_minor=amount_minor,
        currency_code=message.get(49) or currency_code,
        pin=card.check_pin(block, zpks) if card is not None else "absent",
        refusal=refusal,
        forced=forced,
        original=original,
        reason=message.get(39),
        at=now.isoformat(timespec="seconds"),
        business_day=now.date().isoformat(),
        approved_minor=approved_minor if kind == "sale" and approved_minor < amount_minor else 0,
        told_approval=message.get(38) if kind == "advice" else "",
        code=code,
    )


def reply_of(
    request: Message,
    result: Result,
    currency_code: str,
    plans: Plans = KNOWN,
    icc_answer: bytes = b"",
) -> Message:
    """The reply to a request, without MAC.

    Args:
        request: what was asked.
        result: what the books say, or a result made from a response code alone.
        currency_code: the accounts' currency.
        plans: for instalments.
        icc_answer: DE55, BER-TLV, empty for none.
    """
    fields = {n: request.fields[n] for n in _ECHOED if n in request.fields}
    fields[39] = result.response_code
    if result.granted_minor:
        fields[4] = f"{result.granted_minor:012d}"
    if result.approval_code:
        fields[38] = result.approval_code
    if result.balance_minor is not None:
        account_type = request.processing_code[2:4] or "00"
        balance = Balance(account_type, "02", currency_code, result.balance_minor)
        fields[54] = balance.format()
    if result.response_code == "00" and request.mti == "0200" and request.get(48):
        terms = parse_items(request.get(48)).get("IN", "")
        told = repayment_of(terms, int(request.get(4) or 0), currency_code, plans)
        if told is not None:
            fields[48] = build_items({"IR": told.format()})
    if result.original_code:
        fields[48] = result.original_code + result.original_approval
    if icc_answer:
        fields[55] = icc_answer.hex().upper()
    return Message(reply_mti(request.mti), fields)


def _kind(message: Message) -> EntryKind | None:
    mti_class = message.mti[:2]
    if mti_class == "04":
        return "reversal"
    if message.mti[:3] == SCRIPT_RESULT:
        return "script_result"
    if mti_class == "06":
        return "inquiry"
    kind = _KINDS.get((message.mti[:3] + "0", message.processing_code[:2]))
    if kind != "advice" or not message.get(90):
        return kind
    # What is told of an earlier transaction, and not of itself, adds to it or completes it.
    return "tip" if message.get(48).startswith("TP") else "completion"


def _own_key(message: Message) -> OriginalKey:
    return OriginalKey(
        message.mti[:2],
        message.get(11),
        message.get(7),
        message.get(32).zfill(11),
        message.get(41).strip(),
    )


def _original(message: Message) -> OriginalKey | None:
    if not message.get(90):
        return None
    original = De90.parse(message.get(90))
    return OriginalKey(
        original.mti[:2],
        original.stan,
        original.transmission_at,
        original.acquirer_id,
        message.get(41).strip(),
    )
