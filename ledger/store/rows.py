"""Values of the vocabulary to database rows and back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.errors import UnitRefused
from acquirer.ledger.journal.details import detail_of, detail_text
from acquirer.ledger.journal.entries import (
    CardRecord,
    CourierRow,
    Entry,
    Event,
    HandedKeys,
    OrderRow,
    Role,
    SafItem,
    State,
    TerminalRow,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.replies import reply_of, reply_text
from acquirer.ledger.journal.steps import (
    UpdateEntry,
)

Row = tuple[Any, ...]

encode_json = msgspec.json.Encoder().encode
_decode_fetched = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode
_decode_waiting = msgspec.json.Decoder(tuple[HandedKeys, ...]).decode


@dataclass(frozen=True, slots=True)
class BadRow:
    """A journal row that holds no entry any more: it was altered from outside.

    Attributes:
        bank: as the row has it.
        reason: what is wrong with it.
    """

    id: int
    bank: str
    reason: str


# What a read over many rows gives for each.
EntryRow = Entry | BadRow

# Columns of the journal in the order of entry_row; entry_of reads the same order.
ENTRY_COLUMNS = (
    "id",
    "rrn",
    "role",
    "kind",
    "mti",
    "processing_code",
    "transaction_type",
    "terminal_id",
    "merchant_id",
    "batch",
    "stan",
    "amount_minor",
    "currency_code",
    "fingerprint",
    "state",
    "owner",
    "lease_until_ms",
    "created_at_ms",
    "business_date",
    "pan_masked",
    "pan_token",
    "pan_cipher",
    "bank",
    "bank_stan",
    "transmission_at",
    "order_no",
    "courier_id",
    "original_id",
    "claimed_by",
    "response_code",
    "approval_code",
    "late_response_code",
    "detail",
    "reply",
    "epoch",
)

_CARD_COLUMNS = ("pan_masked", "pan_token", "pan_cipher")

# UpdateEntry's "leave it" and "do not check", which NULL cannot say.
ANY = -1
NONE = 0


def entry_row(entry: Entry) -> Row:
    """A journal row of an entry, in the order of :data:`ENTRY_COLUMNS`, and its ``key_version``.

    Drivers are slow to adapt an enum, hence its plain value.
    """
    card = entry.card
    return (
        entry.id,
        entry.rrn,
        entry.role._value_,
        entry.kind._value_,
        entry.mti,
        entry.processing_code,
        entry.transaction_type,
        entry.terminal_id,
        entry.merchant_id,
        entry.batch,
        entry.stan,
        entry.amount_minor,
        entry.currency_code,
        entry.fingerprint,
        entry.state._value_,
        entry.owner,
        entry.lease_until_ms,
        entry.created_at_ms,
        entry.business_date,
        card.pan_masked if card else None,
        card.pan_token if card else None,
        card.pan_cipher if card else None,
        entry.bank,
        entry.bank_stan,
        entry.transmission_at,
        entry.order_no,
        entry.courier_id,
        entry.original_id,
        entry.claimed_by,
        str(entry.response_code),
        entry.approval_code,
        entry.late_response_code,
        detail_text(entry.detail),
        reply_text(entry.reply),
        entry.epoch,
        entry.key_version,
    )


def entry_of(row: Row) -> Entry:
    """The entry that a journal row holds.

    Raises:
        UnitRefused: it holds none; the row was altered from outside.
    """
    fields = dict(zip(ENTRY_COLUMNS, row, strict=True))
    masked, token, cipher = (fields.pop(name) for name in _CARD_COLUMNS)
    try:
        fields["role"], fields["state"] = Role(fields["role"]), State(fields["state"])
        fields["kind"], fields["detail"] = Kind(fields["kind"]), detail_of(fields["detail"])
        fields["reply"] = reply_of(fields["reply"])
    except ValueError as error:
        raise UnitRefused(f"entry {row[0]} of the journal cannot be read: {error}") from error
    card = None if masked is None else CardRecord(masked, token, cipher)
    return Entry(card=card, **fields)


def entry_or_bad(row: Row) -> EntryRow:
    """The entry that a journal row holds, or why it holds none: others can be worked on."""
    try:
        return entry_of(row)
    except UnitRefused as error:
        return BadRow(row[0], row[ENTRY_COLUMNS.index("bank")], str(error))


_EXPECTED: dict[tuple[State, ...], str] = {}


def expected_text(expected: tuple[State, ...]) -> str:
    """States as one text that ``LIKE`` can look into.

    >>> expected_text((State.SENT, State.RECEIVED))
    '|sent|received|'
    """
    found = _EXPECTED.get(expected)
    if found is None:
        # At most one per combination that the code names.
        found = _EXPECTED[expected] = "".join(f"|{state.value}" for state in expected) + "|"
    return found


def update_row(step: UpdateEntry) -> Row:
    """Parameters of ``statements.UPDATE_ENTRIES`` for one compare-and-set."""
    claim = (step.claimed_by or NONE) if step.set_claim else ANY
    return (
        step.id,
        expected_text(step.expected),
        step.owner,
        (step.expected_claim or NONE) if step.check_claim else ANY,
        None if step.state is None else step.state._value_,
        claim,
        None if step.response_code is None else str(step.response_code),
        step.approval_code,
        step.late_response_code,
        None if step.reply is None else reply_text(step.reply),
        step.new_owner,
        step.lease_until_ms,
        step.amount_minor,
    )


def order_of(row: Row) -> OrderRow:
    """An order from its columns in the table's order."""
    return OrderRow(*row)


def terminal_of(row: Row) -> TerminalRow:
    """A terminal from its columns in the table's order."""
    terminal_id, batch, is_signed_on, tpk, tak, tdk, handed, version, *rest = row
    proved_at_ms, fetched, settling = rest
    waiting = _decode_waiting(handed) if handed else ()
    return TerminalRow(
        terminal_id,
        batch,
        bool(is_signed_on),
        tpk,
        tak,
        tdk,
        waiting,
        version,
        proved_at_ms,
        _decode_fetched(fetched) if fetched else (),
        bool(settling),
    )


def fetched_text(fetched: tuple[tuple[str, str], ...]) -> str:
    """What a terminal has fetched, as the database keeps it: JSON, or empty."""
    return encode_json(fetched).decode() if fetched else ""


def waiting_text(waiting: tuple[HandedKeys, ...]) -> str:
    """A terminal's waiting keys as the database keeps them: JSON, or empty."""
    return encode_json(waiting).decode() if waiting else ""


def courier_of(row: Row) -> CourierRow:
    """A courier from its columns in the table's order."""
    return CourierRow(row[0], row[1], row[2], bool(row[3]))


def saf_of(row: Row) -> SafItem:
    """A SAF item from its first ten columns and DE55."""
    return SafItem(row[0], row[1], BankMessage(row[2]), *row[3:11])


def event_of(row: Row) -> Event:
    """A notice from its columns id to attempts."""
    return Event(*row[:8])
