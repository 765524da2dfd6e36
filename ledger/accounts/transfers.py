"""A transfer as a value: what it does to accounts, and how it is chained. Pure.

The chain is per writer: each transfer's hash covers the one before it, so that an edit of
history shows in every later link.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from acquirer.ledger.store.database import Row

GENESIS = bytes(32)

_DEBIT_ROOTS = frozenset({"assets", "expense"})
_CREDIT_ROOTS = frozenset({"liabilities", "income"})


def normal_side(name: str) -> str:
    """On which side an account grows, by the root of its name.

    Of a points book, what was issued is debit-normal; members and redemptions are credit-normal.

    Raises:
        ValueError: the root is none of the account tree.

    >>> normal_side("assets:scheme:demo"), normal_side("points:acme:member:7")
    ('debit', 'credit')
    """
    root, _, rest = name.partition(":")
    if rest and root in _DEBIT_ROOTS:
        return "debit"
    if rest and root in _CREDIT_ROOTS:
        return "credit"
    if root == "points" and rest.count(":"):
        return "debit" if rest.split(":")[1] == "issued" else "credit"
    raise ValueError(f"account {name!r} is not in the account tree")


class Staged(NamedTuple):
    """A transfer that still lacks its place in the chain."""

    event_id: int
    debit_id: int
    debit: str
    credit_id: int
    credit: str
    amount_minor: int
    currency_code: str
    code: str
    phase: str
    pending_id: int | None
    reverses_id: int | None
    expires_at_ms: int | None
    business_date: str
    released_minor: int = 0


def chain_link(previous: bytes, staged: Staged, created_at_ms: int, chain_id: int) -> bytes:
    """The hash of a transfer: SHA-256 over the one before it and all that the transfer says."""
    text = (
        f"{staged.event_id}|{staged.debit}|{staged.credit}|{staged.amount_minor}"
        f"|{staged.currency_code}|{staged.code}|{staged.phase}|{staged.pending_id}"
        f"|{staged.reverses_id}|{staged.expires_at_ms}|{staged.business_date}"
        f"|{created_at_ms}|{chain_id}"
    )
    return sha256(previous + text.encode()).digest()


def effect(staged: Staged) -> tuple[Row, Row]:
    """What a transfer adds to its debit and its credit account.

    Returns:
        Twice (debits posted, credits posted, debits pending, credits pending).
    """
    amount = staged.amount_minor
    if staged.phase == "posted":
        return (amount, 0, 0, 0), (0, amount, 0, 0)
    if staged.phase == "pending":
        return (0, 0, amount, 0), (0, 0, 0, amount)
    posted = amount if staged.phase == "post" else 0
    released = -staged.released_minor
    return (posted, 0, released, 0), (0, posted, 0, released)
