"""An entry of the journal, for tests and for ``ledger_crash_child.py``, which has no fixtures."""

from typing import Any

from acquirer.ledger.journal.entries import (
    CardRecord,
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.replies import Reply

NOW_MS = 1_767_312_000_000


def sale_entry(number: int, **changes: Any) -> Entry:
    """A sale that is at the bank; entries differ by their number and what the caller says."""
    fields: dict[str, Any] = {
        "id": number,
        "rrn": f"{number:012d}",
        "role": Role.ORIGINAL,
        "kind": "sale",
        "mti": "0200",
        "processing_code": "000000",
        "transaction_type": "22",
        "terminal_id": "00000001",
        "merchant_id": "M1",
        "batch": "000001",
        "stan": f"{number:06d}",
        "amount_minor": 10_000,
        "currency_code": "156",
        "fingerprint": bytes(16),
        "state": State.SENT,
        "owner": "test#1.0",
        "lease_until_ms": NOW_MS + 60_000,
        "created_at_ms": NOW_MS,
        "business_date": "2026-01-02",
        "card": CardRecord("622588******0007", bytes(16), bytes(44)),
        "bank": "demo",
        "bank_stan": f"{number:06d}",
        "transmission_at": "0102030405",
        "reply": Reply(rrn=f"{number:012d}"),
    }
    values = fields | changes
    return Entry(**{**values, "kind": Kind(values["kind"])})
