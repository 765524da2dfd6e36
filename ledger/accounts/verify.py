"""Proves that the books agree with themselves, or says exactly where they do not.

Everything is recomputed from the transfers: chains and anchors, each transfer's own rules, the
balances of all accounts, what the journal says happened, the queues. Stops at the first
difference. Reads one state of the books, beside a running switch too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, func, literal, select

from acquirer.ledger.accounts.anchors import anchor_link
from acquirer.ledger.accounts.transfers import GENESIS, Staged, chain_link, effect, normal_side
from acquirer.ledger.accounts.verify_payments import (
    EFFECTIVE,
    check_holds,
    check_refunds,
    differ,
)
from acquirer.ledger.errors import BooksDiffer
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.kinds import POSTING
from acquirer.ledger.store.columns import CHAIN_LENGTH_MAX
from acquirer.ledger.store.schema import (
    accounts,
    chain_anchors,
    chains,
    journal,
    orders,
    outbox,
    saf,
    transfers,
)

NEVER_POSTED = frozenset({State.DECLINED, State.REFUSED})

SUMS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")

_Heads = dict[int, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Verified:
    """How much was found to agree."""

    accounts: int
    transfers: int
    chains: int
    anchors: int
    entries: int


def verify(connection: Connection) -> Verified:
    """Check everything.

    Args:
        connection: of ``Database.read_only_engine``, so that all is read from one state.

    Raises:
        BooksDiffer: with the first difference in words.
    """
    names = _check_accounts(connection)
    anchors = _anchors(connection)
    wanted = {(chain, seq) for _, _, heads in anchors for chain, seq, _ in heads}
    balances, heads, at_anchor, count = _check_transfers(connection, names, wanted)
    _check_chains(connection, heads)
    _check_anchors(anchors, at_anchor)
    _check_balances(connection, balances)
    entries = _check_journal(connection)
    check_refunds(connection)
    check_holds(connection)
    _check_queues(connection)
    return Verified(len(names), count, len(heads), len(anchors), entries)


def _check_accounts(connection: Connection) -> dict[int, tuple[str, str]]:
    names = {}
    query = select(accounts).order_by(accounts.c.id)
    for row in connection.execute(query):
        try:
            side = normal_side(row.name)
        except ValueError as error:
            raise BooksDiffer(str(error)) from None
        differ(side != row.normal_side, f"account {row.name} is {row.normal_side}-normal")
        names[row.id] = (row.name, row.currency_code)
    return names


# --- transfers, each by itself and in its chain -----------------------------------------------


def _check_transfers(
    connection: Connection, names: dict[int, tuple[str, str]], wanted: set[tuple[int, int]]
) -> tuple[dict[int, list[int]], _Heads, dict[tuple[int, int], bytes], int]:
    balances = {id: [0, 0, 0, 0] for id in names}
    heads: _Heads = {}
    at_anchor: dict[tuple[int, int], bytes] = {}
    first = transfers.alias("first")
    query = (
        select(
            transfers,
            first.c.id.label("first_id"),
            first.c.debit_account_id.label("first_debit"),
            first.c.credit_account_id.label("first_credit"),
            first.c.amount_minor.label("first_amount"),
            first.c.phase.label("first_phase"),
        )
        .outerjoin(
            first, first.c.id == func.coalesce(transfers.c.pending_id, transfers.c.reverses_id)
        )
        .order_by(transfers.c.id)
    )
    count = 0
    for row in connection.execution_options(yield_per=1_000).execute(query):
        count += 1
        _check_transfer(row, names)
        staged = Staged(
            row.event_id,
            row.debit_account_id,
            names[row.debit_account_id][0],
            row.credit_account_id,
            names[row.credit_account_id][0],
            row.amount_minor,
            row.currency_code,
            row.code,
            row.phase,
            row.pending_id,
            row.reverses_id,
            row.expires_at_ms,
            row.business_date,
            row.first_amount or 0,
        )
        seq, link = heads.get(row.writer, (0, GENESIS))
        differ(row.chain_seq != seq + 1, f"chain {row.writer} has no transfer {seq + 1}")
        link = chain_link(link, staged, row.created_at_ms, row.writer)
        broken = link != bytes(row.chain_hash)
        differ(broken, f"transfer {row.id} was edited: its hash does not follow from its chain")
        heads[row.writer] = (row.chain_seq, link)
        if (row.writer, row.chain_seq) in wanted:
            at_anchor[row.writer, row.chain_seq] = link
        sides = zip((row.debit_account_id, row.credit_account_id), effect(staged), strict=True)
        for account_id, added in sides:
            balance = balances[account_id]
            for place, amount in enumerate(added):
                balance[place] += amount
    return balances, heads, at_anchor, count


def _check_transfer(row: Row[Any], names: dict[int, tuple[str, str]]) -> None:
    where = f"transfer {row.id}"
    for account_id in (row.debit_account_id, row.credit_account_id):
        differ(account_id not in names, f"{where} names account {account_id}, which is missing")
        currency = names[account_id][1]
        differ(
            currency != row.currency_code,
            f"{where} is in {row.currency_code}, its account {names[account_id][0]} in {currency}",
        )
    differ(row.debit_account_id == row.credit_account_id, f"{where} has one account only")
    differ(row.amount_minor <= 0, f"{where} has the amount {row.amount_minor}")
    differ(row.id != row.writer * CHAIN_LENGTH_MAX + row.chain_seq, f"{where} is not at its place")
    sides = (row.debit_account_id, row.credit_account_id)
    if row.pending_id is not None:
        differ(
            row.first_phase != "pending" or sides != (row.first_debit, row.first_credit),
            f"{where} resolves {row.pending_id}, which is no pending transfer of its accounts",
        )
        differ(row.amount_minor > row.first_amount, f"{where} posts more than was pending")
    if row.reverses_id is not None:
        opposite = (row.first_credit, row.first_debit, row.first_amount)
        differ(
            row.first_phase not in ("posted", "post") or (*sides, row.amount_minor) != opposite,
            f"{where} is not the opposite of {row.reverses_id}, which it reverses",
        )


def _check_chains(connection: Connection, heads: _Heads) -> None:
    stored = connection.execute(select(chains).order_by(chains.c.id)).all()
    known = {row.id for row in stored}
    for chain in sorted(heads):
        differ(chain not in known, f"chain {chain} belongs to no instance")
    for row in stored:
        seq, link = heads.get(row.id, (0, GENESIS))
        differ(
            row.chain_seq != seq,
            f"chain {row.id} of {row.instance} ends at {seq}, its head says {row.chain_seq}",
        )
        differ(bytes(row.chain_hash) != link, f"chain {row.id}'s head has another hash")


_Anchor = tuple[Row[Any], bytes, list[tuple[int, int, str]]]


def _anchors(connection: Connection) -> list[_Anchor]:
    found = []
    rows = connection.execute(select(chain_anchors).order_by(chain_anchors.c.id))
    for place, row in enumerate(rows, start=1):
        differ(row.id != place, f"anchor {place} is missing")
        heads = msgspec.json.decode(row.heads, type=list[tuple[int, int, str]])
        found.append((row, bytes(row.anchor_hash), heads))
    return found


def _check_anchors(anchors: Iterable[_Anchor], at_anchor: dict[tuple[int, int], bytes]) -> None:
    link = GENESIS
    for row, stored, heads in anchors:
        link = anchor_link(link, row.business_date, row.created_at_ms, row.heads)
        differ(link != stored, f"anchor {row.id} was edited")
        for chain, seq, head in heads:
            now = at_anchor.get((chain, seq), GENESIS if seq == 0 else b"")
            differ(
                now.hex() != head,
                f"chain {chain} is not what anchor {row.id} of {row.business_date} saw",
            )


def _check_balances(connection: Connection, balances: dict[int, list[int]]) -> None:
    totals: dict[str, int] = {}
    for row in connection.execute(select(accounts).order_by(accounts.c.id)):
        for name, computed in zip(SUMS, balances[row.id], strict=True):
            stored = getattr(row, name)
            differ(
                stored != computed,
                f"account {row.name} ({row.currency_code}): {name} is {stored},"
                f" its transfers sum to {computed}",
            )
        debits = row.debits_posted + (row.debits_pending if row.normal_side == "credit" else 0)
        credits = row.credits_posted + (row.credits_pending if row.normal_side == "debit" else 0)
        below = debits > credits if row.normal_side == "credit" else credits > debits
        differ(bool(row.no_negative) and below, f"account {row.name} is below zero")
        net = row.debits_posted - row.credits_posted
        totals[row.currency_code] = totals.get(row.currency_code, 0) + net
    for currency, net in sorted(totals.items()):
        differ(net != 0, f"debits and credits of {currency} differ by {net}")


# --- the journal against the transfers --------------------------------------------------------


def _undone(connection: Connection) -> dict[int, int]:
    """Per event, what its own transfers lost to reversals that stand, minor units."""
    reversed_by: dict[int, int] = {}
    query = select(transfers.c.id, transfers.c.reverses_id).where(
        transfers.c.reverses_id.is_not(None)
    )
    for id, first in connection.execute(query):
        reversed_by[first] = id
    later = transfers.alias("later")
    roots = (
        select(transfers.c.id, transfers.c.event_id, transfers.c.amount_minor)
        .join(later, later.c.reverses_id == transfers.c.id)
        .where(transfers.c.reverses_id.is_(None))
    )
    lost: dict[int, int] = {}
    for id, event_id, amount in connection.execute(roots):
        stands = True
        while id in reversed_by:
            id, stands = reversed_by[id], not stands
        if not stands:
            lost[event_id] = lost.get(event_id, 0) + amount
    return lost


def _check_journal(connection: Connection) -> int:
    undone = _undone(connection)
    own = transfers.c.reverses_id.is_(None)
    is_posted = transfers.c.phase.in_(["posted", "post"])
    posted = (
        select(
            transfers.c.event_id,
            func.sum(case((own & is_posted, transfers.c.amount_minor), else_=0)).label("gross"),
            func.sum(case((own & is_posted, literal(1)), else_=0)).label("owned"),
        )
        .group_by(transfers.c.event_id)
        .subquery()
    )
    query = (
        select(
            journal.c.id,
            journal.c.rrn,
            journal.c.kind,
            journal.c.state,
            journal.c.amount_minor,
            func.coalesce(posted.c.gross, 0).label("gross"),
            func.coalesce(posted.c.owned, 0).label("owned"),
        )
        .outerjoin(posted, posted.c.event_id == journal.c.id)
        .order_by(journal.c.id)
    )
    count = 0
    for row in connection.execution_options(yield_per=1_000).execute(query):
        count += 1
        _check_entry(row, int(row.gross) - undone.get(row.id, 0))
    stray = connection.execute(
        select(transfers.c.id, transfers.c.event_id)
        .outerjoin(journal, journal.c.id == transfers.c.event_id)
        .where(own, transfers.c.pending_id.is_(None), journal.c.id.is_(None))
        .limit(1)
    ).first()
    differ(stray is not None, f"transfer {stray and stray.id} belongs to no journal entry")
    return count


def _check_entry(row: Row[*tuple[Any, ...]], net: int) -> None:
    where = f"entry {row.id} (rrn {row.rrn}, {row.kind}, {row.state})"
    try:
        state = State(row.state)
    except ValueError:
        raise BooksDiffer(f"{where}: there is no such state") from None
    if state in NEVER_POSTED:
        differ(row.owned != 0, f"{where} has transfers")
    if state in EFFECTIVE:
        wrong = row.kind in POSTING and net != row.amount_minor
        differ(wrong, f"{where} is for {row.amount_minor}, its transfers come to {net}")
    else:
        differ(net != 0, f"{where} should have no effect, its transfers come to {net}")


# --- queues and orders ------------------------------------------------------------------------


def _check_queues(connection: Connection) -> None:
    for table, done in ((saf, saf.c.finished_at_ms), (outbox, outbox.c.delivered_at_ms)):
        both = connection.execute(
            select(table.c.id).where(done.is_not(None), table.c.dead_at_ms.is_not(None)).limit(1)
        ).first()
        differ(both is not None, f"{table.name} item {both and both.id} is both done and dead")
    stray = connection.execute(
        select(saf.c.id, saf.c.original_id)
        .outerjoin(journal, journal.c.id == saf.c.original_id)
        .where(journal.c.id.is_(None))
        .limit(1)
    ).first()
    differ(stray is not None, f"saf item {stray and stray.id} undoes an entry that is missing")
    for column in (orders.c.paying_id, orders.c.payment_id):
        entry = connection.execute(
            select(orders.c.merchant_id, orders.c.order_no, column.label("entry_id"))
            .outerjoin(
                journal,
                (journal.c.id == column)
                & (journal.c.order_no == orders.c.order_no)
                & (journal.c.merchant_id == orders.c.merchant_id),
            )
            .where(column.is_not(None), journal.c.id.is_(None))
            .limit(1)
        ).first()
        if entry is not None:
            raise BooksDiffer(
                f"order {entry.order_no} of {entry.merchant_id}: {column.name} is"
                f" {entry.entry_id}, which is no journal entry of that order"
            )
