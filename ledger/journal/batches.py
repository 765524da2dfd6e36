"""A terminal's batch: what it comes to, and how the terminal's own list differs from it. Pure.

Debit is what was paid and not reversed, a tip's amount with it; credit is what a refund or a void
gave back. What a kind counts as says its row (``kinds.py``). Source: docs/interfaces/terminal.md,
"The batch and its settlement".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from acquirer.ledger.journal.entries import CardRecord, State
from acquirer.ledger.journal.kinds import KINDS, PAYMENTS, InBatch, Kind, in_batch

BATCHES = 999_999
# What a courier takes or a merchant lends is in no bank's settlement (DE3's first two digits).
NOT_BY_CARD = frozenset({"90", "91", "94"})
OF_THE_SWITCH = frozenset({"94", "96"})
_PAID = frozenset({State.APPROVED, State.VOIDED, State.REFUNDED})


def next_batch(batch: str) -> str:
    """The number after this one; 000001 follows 999999.

    >>> next_batch("999999"), next_batch("000009")
    ('000001', '000010')
    """
    return f"{int(batch) % BATCHES + 1:06d}"


class BatchState(StrEnum):
    """States of a batch; one that is not stored is open."""

    OPEN = "open"
    SETTLING = "settling"
    BALANCED = "balanced"
    UNBALANCED = "unbalanced"
    UNSETTLED = "unsettled"


CLOSED = frozenset({BatchState.BALANCED, BatchState.UNBALANCED, BatchState.UNSETTLED})


@dataclass(frozen=True, slots=True)
class Sums:
    """Minor units and counts of one batch, or of one half of it."""

    debit_minor: int = 0
    debit_count: int = 0
    credit_minor: int = 0
    credit_count: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.debit_minor + other.debit_minor,
            self.debit_count + other.debit_count,
            self.credit_minor + other.credit_minor,
            self.credit_count + other.credit_count,
        )


HALVES = msgspec.json.Decoder(tuple[Sums, Sums])


def read_sums(text: str) -> tuple[Sums, Sums]:
    """The sums of a batch as the books keep them: with domestic cards, and with foreign ones."""
    return HALVES.decode(text) if text else (Sums(), Sums())


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch that its terminal has asked to settle, or that was closed without.

    Attributes:
        asked: DE48 of its newest 0500, 62 digits; empty where there was none.
        told: the switch's sums that it was answered, see :func:`read_sums`.
        closed: those when it was closed; empty before.
        differences: JSON, a list of :class:`Difference`.
    """

    terminal_id: str
    batch: str
    state: BatchState
    opened_at_ms: int
    closed_at_ms: int | None = None
    asked: str = ""
    told: str = ""
    closed: str = ""
    differences: str = ""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One line of a terminal's own list: what stands there.

    Attributes:
        pan_token: of its card, as the journal has it; empty where it names none.
    """

    stan: str
    amount_minor: int
    pan_token: bytes
    pan_masked: str = ""
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class BatchLine:
    """What a batch must know of one original of the journal.

    Attributes:
        undone_kind: kind of the entry that it refers to, with that one's processing code and
            amount; None where it refers to none.
    """

    id: int
    rrn: str
    stan: str
    kind: Kind
    state: State
    amount_minor: int
    processing_code: str
    response_code: str
    card: CardRecord | None
    created_at_ms: int
    currency_code: str
    original_id: int | None = None
    undone_kind: Kind | None = None
    undone_code: str = ""
    undone_minor: int = 0
    undone_card: CardRecord | None = None

    @property
    def counted_card(self) -> CardRecord | None:
        """The card whose settlement it belongs to."""
        return self.card or self.undone_card


@dataclass(frozen=True, slots=True)
class PutBatch:
    """Compare-and-set on a batch, which one that is not stored yet has no ``expected`` of.

    Attributes:
        expected: as it was read; None where it is not stored.
    """

    row: BatchRow
    expected: BatchRow | None


@dataclass(frozen=True, slots=True)
class PutBatchItem:
    """Keep one item of a terminal's list; one that is there already stays as it is."""

    terminal_id: str
    batch: str
    item: BatchItem


@dataclass(frozen=True, slots=True)
class PutCertificate:
    """Keep one enciphered chip certificate, once."""

    terminal_id: str
    batch: str
    fingerprint: bytes
    cipher: bytes


def sums_of(line: BatchLine) -> Sums:
    """What one entry adds to its batch."""
    if line.state not in _PAID:
        return Sums()
    counts = in_batch(line.kind)
    if KINDS[line.kind].undoes:
        if not _is_undone_debit(line):
            return Sums()
        return Sums(credit_minor=line.amount_minor or line.undone_minor, credit_count=1)
    if counts is InBatch.NOWHERE or line.processing_code[:2] in NOT_BY_CARD:
        return Sums()
    if counts is InBatch.CREDIT:
        return Sums(credit_minor=line.amount_minor, credit_count=1)
    return Sums(debit_minor=line.amount_minor, debit_count=int(counts is InBatch.DEBIT))


def _is_undone_debit(line: BatchLine) -> bool:
    is_paid = line.undone_kind in PAYMENTS or line.undone_kind is Kind.ORDER_SHARE
    return is_paid and line.undone_code[:2] not in NOT_BY_CARD


def totals(
    lines: Iterable[BatchLine], is_foreign: Callable[[BatchLine], bool] = lambda line: False
) -> tuple[Sums, Sums]:
    """What the entries of a batch come to: with domestic cards, and with foreign ones."""
    domestic, foreign = Sums(), Sums()
    for line in lines:
        added = sums_of(line)
        if added != Sums() and is_foreign(line):
            foreign += added
        else:
            domestic += added
    return domestic, foreign


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a terminal's list and the journal do not agree; the side that has nothing is None."""

    kind: str
    stan: str
    rrn: str | None = None
    terminal_minor: int | None = None
    switch_minor: int | None = None


def standing(lines: Sequence[BatchLine]) -> dict[str, BatchLine]:
    """By STAN, what stands of a batch, tips added to what they were given for; no voids."""
    undone = {one.original_id for one in lines if KINDS[one.kind].undoes and one.state in _PAID}
    found = {
        line.id: line
        for line in lines
        if line.state in (State.APPROVED, State.REFUNDED)
        and line.id not in undone
        and not KINDS[line.kind].undoes
        and in_batch(line.kind) in (InBatch.DEBIT, InBatch.CREDIT)
        and sums_of(line) != Sums()
    }
    for line in lines:
        paid = found.get(line.original_id or 0)
        if in_batch(line.kind) is InBatch.AMOUNT and line.state in _PAID and paid is not None:
            found[paid.id] = replace(paid, amount_minor=paid.amount_minor + line.amount_minor)
    return {line.stan: line for line in found.values()}


def differences(lines: Sequence[BatchLine], items: Sequence[BatchItem]) -> list[Difference]:
    """Every difference between a terminal's list and what stands here, by STAN.

    What the switch itself has refused (94, 96) is none.
    """
    stands = standing(lines)
    known: Mapping[str, BatchLine] = {line.stan: line for line in lines}
    found: list[Difference] = []
    for item in items:
        line, other = stands.get(item.stan), known.get(item.stan)
        if line is not None:
            both = Difference("", item.stan, line.rrn, item.amount_minor, line.amount_minor)
            if item.amount_minor != line.amount_minor:
                found.append(replace(both, kind="amount_differs"))
            if item.pan_token != (line.card.pan_token if line.card else b""):
                found.append(replace(both, kind="card_differs"))
        elif other is None:
            found.append(Difference("missing_here", item.stan, None, item.amount_minor))
        elif other.response_code not in OF_THE_SWITCH:
            both = Difference("", item.stan, other.rrn, item.amount_minor, other.amount_minor)
            found.append(replace(both, kind="state_differs"))
    uploaded = {item.stan for item in items}
    found += [
        Difference("missing_at_terminal", stan, line.rrn, None, line.amount_minor)
        for stan, line in stands.items()
        if stan not in uploaded
    ]
    return sorted(found, key=lambda one: (one.stan, one.kind))
