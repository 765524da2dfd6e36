"""The double-entry part of one transaction: accounts, transfers, their chain, their balances.

Used by the writer inside a transaction; holds what the transaction has staged but not written.
Transfers are staged, then flushed in one statement; their effect on accounts is folded, one
update per account at the end, except on accounts with a limit, which are updated at once and
only as far as the limit allows. Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from acquirer.ledger.accounts.transfer_steps import (
    LimitBalance,
    OpenAccount,
    Post,
    PostPending,
    PostPendingResolve,
    PostReversed,
    Resolution,
)
from acquirer.ledger.accounts.transfers import GENESIS, Staged, chain_link, effect, normal_side
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.store import statements as sql
from acquirer.ledger.store.columns import CHAIN_LENGTH_MAX
from acquirer.ledger.store.database import Row, Session, Sql

ACCOUNTS_CACHED_MAX = 50_000
REVERSALS_IN_A_ROW_MAX = 100


@dataclass(slots=True)
class _Account:
    id: int
    limited: bool


class Mark(NamedTuple):
    """Where to go back to when a unit does not hold."""

    staged: int
    flushed: int
    opened: int
    chain_seq: int
    chain_hash: bytes


class Accounting:
    """Accounts and chain of one writer; survives transactions, forgets rolled-back ones."""

    def __init__(self, session: Session, instance: str) -> None:
        self._session = session
        self._instance = instance
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._opened: list[tuple[str, str]] = []
        self.limited: set[int] = set()
        self._staged: list[Staged] = []
        self._flushed: list[Staged] = []
        self._now_ms = 0
        self._chain_id, self._stored_seq, self._stored_hash = 0, 0, GENESIS
        self._chain_seq, self._chain_hash = 0, GENESIS

    def load_chain(self) -> None:
        """Find this instance's chain, or start it; outside a group, on a new connection."""
        self._session.run(sql.OPEN_CHAIN, instance=self._instance, chain_hash=GENESIS)
        row = self._session.row(sql.FIND_CHAIN, instance=self._instance)
        assert row is not None
        self._chain_id, self._stored_seq, self._stored_hash = row[0], row[1], bytes(row[2])
        self._chain_seq, self._chain_hash = self._stored_seq, self._stored_hash

    def is_behind(self, earlier: Accounting) -> bool:
        """Whether the chain is not as far as an earlier connection has taken it."""
        return self._stored_seq < earlier._stored_seq

    # --- life of a transaction ----------------------------------------------------------------

    def begin(self, now_ms: int) -> None:
        """A transaction has begun."""
        self._now_ms = now_ms
        if len(self._accounts) > ACCOUNTS_CACHED_MAX:
            self._accounts.clear()
            self.limited.clear()

    def mark(self) -> Mark:
        """Remember what is staged now."""
        return Mark(
            len(self._staged),
            len(self._flushed),
            len(self._opened),
            self._chain_seq,
            self._chain_hash,
        )

    def back_to(self, mark: Mark) -> None:
        """Forget what was staged since; the caller has rolled back to its savepoint."""
        del self._staged[mark.staged :]
        del self._flushed[mark.flushed :]
        self._forget_opened(mark.opened)
        self._chain_seq, self._chain_hash = mark.chain_seq, mark.chain_hash

    def finish(self) -> None:
        """Write all that is staged, fold it into the balances, move the chain on.

        Raises:
            BookUnavailable: somebody else has moved this instance's chain.
        """
        self.flush()
        if not self._flushed:
            return
        self._fold()
        moved = self._session.changed(
            sql.MOVE_CHAIN,
            chain_id=self._chain_id,
            from_seq=self._stored_seq,
            to_seq=self._chain_seq,
            to_hash=self._chain_hash,
        )
        if moved != 1:
            raise BookUnavailable("another process writes under this instance's name")

    def committed(self) -> None:
        """The transaction is durable."""
        self._stored_seq, self._stored_hash = self._chain_seq, self._chain_hash
        self._flushed.clear()
        self._opened.clear()

    def rolled_back(self) -> None:
        """The transaction is undone: forget what it staged and the accounts that it opened."""
        self._chain_seq, self._chain_hash = self._stored_seq, self._stored_hash
        self._staged.clear()
        self._flushed.clear()
        self._forget_opened(0)

    def _forget_opened(self, start: int) -> None:
        for key in self._opened[start:]:
            account = self._accounts.pop(key, None)
            if account is not None:
                self.limited.discard(account.id)
        del self._opened[start:]

    # --- steps --------------------------------------------------------------------------------

    def post(self, step: Post | PostPending) -> bool:
        """Stage the transfers of an event; false where an account's limit forbids one."""
        if isinstance(step, Post):
            phase, expires_at_ms = "posted", None
        else:
            phase, expires_at_ms = "pending", step.expires_at_ms
        currency, date, event_id = step.currency_code, step.business_date, step.event_id
        accounts = self._accounts
        for posting in step.postings:
            debit = accounts.get((posting.debit, currency)) or self._open(posting.debit, currency)
            credit = accounts.get((posting.credit, currency)) or self._open(
                posting.credit, currency
            )
            staged = Staged(
                event_id,
                debit.id,
                posting.debit,
                credit.id,
                posting.credit,
                posting.amount_minor,
                currency,
                posting.code,
                phase,
                None,
                None,
                expires_at_ms,
                date,
            )
            if not self._stage(staged):
                return False
        return True

    def reverse(self, step: PostReversed) -> bool:
        """Stage the opposite of an event; false where it stands reversed already."""
        self.flush()
        rows = self._named(sql.POSTED_OF_EVENT, event_id=step.event_id)
        reversed_now = False
        for _ in range(REVERSALS_IN_A_ROW_MAX):
            later = [
                row for first in rows for row in self._named(sql.REVERSAL_OF, transfer_id=first[0])
            ]
            if not later:
                break
            rows, reversed_now = later, not reversed_now
        if reversed_now:
            return False
        return all(
            self._stage(
                Staged(
                    step.by_event_id,
                    credit_id,
                    credit,
                    debit_id,
                    debit,
                    amount,
                    currency,
                    code,
                    "posted",
                    None,
                    transfer_id,
                    None,
                    step.business_date,
                )
            )
            for transfer_id, debit_id, debit, credit_id, credit, amount, currency, code in rows
        )

    def resolve(self, step: PostPendingResolve) -> bool:
        """Stage the second phase of an event; false where there is none left to resolve.

        Raises:
            ValueError: the amounts do not fit the pending transfers.
        """
        self.flush()
        rows = self._named(sql.PENDING_OF_EVENT, event_id=step.event_id)
        if not rows:
            return False
        amounts: Iterable[int] = [row[5] for row in rows]
        if step.resolution is not Resolution.POST:
            amounts = [0] * len(rows)
        elif step.amounts_minor is not None:
            amounts = step.amounts_minor
        for row, posted in zip(rows, amounts, strict=True):
            transfer_id, debit_id, debit, credit_id, credit, held, currency, code = row
            if not 0 <= posted <= held:
                raise ValueError("a pending transfer is posted for 0 up to its own amount")
            expired = step.resolution is Resolution.EXPIRE
            staged = Staged(
                step.by_event_id,
                debit_id,
                debit,
                credit_id,
                credit,
                posted or held,
                currency,
                "expire" if expired else code,
                "post" if posted else "void",
                transfer_id,
                None,
                None,
                step.business_date,
                released_minor=held,
            )
            if not self._stage(staged):
                return False
        return True

    def open(self, step: OpenAccount) -> bool:
        """Open an account; false where it exists with another limit."""
        account = self._open(step.name, step.currency_code, no_negative=step.no_negative)
        return account.limited == step.no_negative

    def limit_balance(self, step: LimitBalance) -> bool:
        """Whether an account's balance is within bounds, with what is staged here already."""
        account = self._open(step.name, step.currency_code)
        row = self._session.row(sql.LOCK_BALANCE, account_id=account.id)
        assert row is not None
        balance = row[0]
        if account.id not in self.limited:
            for staged in (*self._flushed, *self._staged):
                for account_id, added in zip(staged[1:4:2], effect(staged), strict=True):
                    if account_id == account.id:
                        balance += added[0] - added[1] + added[2]
        is_low = step.low_minor is not None and balance < step.low_minor
        is_high = step.high_minor is not None and balance > step.high_minor
        return not is_low and not is_high

    # --- inside -------------------------------------------------------------------------------

    def _named(self, statement: Sql, **parameters: int) -> list[Row]:
        """Transfers with the names of their accounts, whose limits are noted on the way."""
        rows = self._session.rows(statement, **parameters)
        for row in rows:
            self.limited.update(row[place] for place, limit in ((1, 8), (3, 9)) if row[limit])
        return [row[:8] for row in rows]

    def _open(self, name: str, currency_code: str, *, no_negative: bool = False) -> _Account:
        key = (name, currency_code)
        found = self._accounts.get(key)
        if found is not None:
            return found
        session = self._session
        row = session.row(sql.FIND_ACCOUNT, name=name, currency_code=currency_code)
        if row is None:
            session.run(
                sql.OPEN_ACCOUNT,
                name=name,
                currency_code=currency_code,
                normal_side=normal_side(name),
                no_negative=no_negative if session.is_postgresql else int(no_negative),
            )
            self._opened.append(key)
            row = session.row(sql.FIND_ACCOUNT, name=name, currency_code=currency_code)
            assert row is not None
        account = self._accounts[key] = _Account(row[0], bool(row[1]))
        if account.limited:
            self.limited.add(account.id)
        return account

    def _stage(self, staged: Staged) -> bool:
        if self.limited:
            debit_effect, credit_effect = effect(staged)
            if not self._add_if_limited(staged.debit_id, debit_effect):
                return False
            if not self._add_if_limited(staged.credit_id, credit_effect):
                return False
        self._staged.append(staged)
        return True

    def _add_if_limited(self, account_id: int, sums: Row) -> bool:
        if account_id not in self.limited:
            return True
        names = ("add_debits_posted", "add_credits_posted", "add_debits_pending")
        changed = self._session.changed(
            sql.ADD_WITHIN_LIMIT,
            account_id=account_id,
            add_credits_pending=sums[3],
            **dict(zip(names, sums, strict=False)),
        )
        return changed == 1

    def flush(self) -> None:
        """Write the staged transfers, each linked to the one before it."""
        if not self._staged:
            return
        seq, link, chain_id, now_ms = (
            self._chain_seq,
            self._chain_hash,
            self._chain_id,
            self._now_ms,
        )
        base = chain_id * CHAIN_LENGTH_MAX
        rows: list[tuple[Any, ...]] = []
        for staged in self._staged:
            seq += 1
            link = chain_link(link, staged, now_ms, chain_id)
            event_id, debit_id, _, credit_id, _, *said = staged[:13]
            rows.append(
                (base + seq, event_id, debit_id, credit_id, *said, now_ms, chain_id, seq, link)
            )
        self._session.run_rows(sql.INSERT_TRANSFERS, rows)
        self._chain_seq, self._chain_hash = seq, link
        self._flushed += self._staged
        self._staged.clear()

    def _fold(self) -> None:
        sums: dict[int, list[int]] = {}
        for staged in self._flushed:
            for account_id, added in zip(staged[1:4:2], effect(staged), strict=True):
                into = sums.get(account_id)
                if into is None:
                    sums[account_id] = list(added)
                else:
                    for place, amount in enumerate(added):
                        into[place] += amount
        # In the order of ids, so that two writers on PostgreSQL cannot block each other.
        rows = [(id, *sums[id]) for id in sorted(sums) if id not in self.limited]
        self._session.run_rows(sql.ADD_TO_ACCOUNTS, rows)
