"""Terminals as the switch knows them: who they are, and which working keys are good now.

The durable part is a row of the books; this module keeps a copy in memory and decides, as pure
functions, how sign-on, a first verified message and sign-off change it. Sign-on is not
authenticated, so the keys it hands out wait beside the old ones until a message verifies.
Source: terminal interface, part 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from acquirer.ledger.accounts.postings import FeeRate
from acquirer.ledger.book import Book
from acquirer.ledger.journal.entries import PutTerminal, TerminalRow
from acquirer.switch.settings import MerchantSettings, ProfileSettings, TerminalSettings

FIRST_BATCH = "000001"
WAITING_MAX = 3
_BETWEEN = ","


@dataclass(frozen=True, slots=True)
class Keys:
    """One generation of a terminal's working keys, key strings under the LMK; empty is none."""

    tpk: str = ""
    tak: str = ""


def signed_on(row: TerminalRow, tpk: str, tak: str, tdk: str) -> TerminalRow:
    """The row after a sign-on: new keys beside the old ones, and beside others that wait.

    A stranger can sign on in a terminal's name; he must not push out the keys that the terminal
    itself has just been given. The newest stand first, and only so many are kept.
    """
    return replace(
        row,
        signed_on=True,
        next_tpk=_in_front(tpk, row.next_tpk, row),
        next_tak=_in_front(tak, row.next_tak, row),
        next_tdk=_in_front(tdk, row.next_tdk, row),
        key_version=row.key_version + 1,
    )


def promoted(row: TerminalRow, keys: Keys) -> TerminalRow:
    """The row once a message has verified under waiting keys: whatever is older is gone."""
    index = row.next_tak.split(_BETWEEN).index(keys.tak)
    tdks = row.next_tdk.split(_BETWEEN)
    return replace(
        row,
        tpk=keys.tpk,
        tak=keys.tak,
        tdk=tdks[index],
        next_tpk=_BETWEEN.join(row.next_tpk.split(_BETWEEN)[:index]),
        next_tak=_BETWEEN.join(row.next_tak.split(_BETWEEN)[:index]),
        next_tdk=_BETWEEN.join(tdks[:index]),
        key_version=row.key_version + 1,
    )


def _in_front(key: str, waiting: str, row: TerminalRow) -> str:
    """A key before those that wait; where one kind has no key, its place is kept empty."""
    if not row.next_tak:
        return key
    return _BETWEEN.join([key, *waiting.split(_BETWEEN)][:WAITING_MAX])


def signed_off(row: TerminalRow) -> TerminalRow:
    """The row after a sign-off: no keys until the next sign-on."""
    return TerminalRow(row.terminal_id, row.batch, key_version=row.key_version + 1)


@dataclass(slots=True)
class Terminal:
    """One terminal: settings that never change while running, and its row of the books."""

    settings: TerminalSettings
    profile: ProfileSettings
    merchant: MerchantSettings
    fee_rate: FeeRate
    row: TerminalRow

    @property
    def terminal_id(self) -> str:
        """DE41."""
        return self.settings.terminal_id

    def key_generations(self) -> tuple[Keys, ...]:
        """The keys a message may verify under, the newest first; empty before any sign-on."""
        row = self.row
        if not row.next_tak:
            return (Keys(row.tpk, row.tak),) if row.tak else ()
        waiting = zip(row.next_tpk.split(_BETWEEN), row.next_tak.split(_BETWEEN), strict=True)
        confirmed = (Keys(row.tpk, row.tak),) if row.tak else ()
        return (*(Keys(tpk, tak) for tpk, tak in waiting), *confirmed)


class Terminals:
    """All terminals of the configuration, with their rows read from the books."""

    def __init__(self, book: Book, terminals: dict[str, Terminal]) -> None:
        self._book = book
        self._terminals = terminals

    @classmethod
    async def load(
        cls,
        book: Book,
        terminals: list[TerminalSettings],
        profiles: list[ProfileSettings],
        merchants: dict[str, MerchantSettings],
    ) -> Terminals:
        """Join settings with the rows; a terminal without a row starts in the first batch."""
        by_name = {profile.name: profile for profile in profiles}
        rows = {row.terminal_id: row for row in await book.terminals()}
        joined = {
            t.terminal_id: Terminal(
                t,
                by_name[t.profile],
                merchants[t.merchant_id],
                FeeRate(merchants[t.merchant_id].mdr_basis_points),
                rows.get(t.terminal_id, TerminalRow(t.terminal_id, FIRST_BATCH)),
            )
            for t in terminals
        }
        return cls(book, joined)

    def get(self, terminal_id: str) -> Terminal | None:
        """A terminal by DE41, or None."""
        return self._terminals.get(terminal_id)

    async def refresh(self, terminal: Terminal) -> None:
        """Read the row again, since another process may have changed it."""
        row = await self._book.terminal(terminal.terminal_id)
        if row is not None:
            _take(terminal, row)

    async def save(self, terminal: Terminal, row: TerminalRow) -> bool:
        """Store a changed row, if nobody changed the stored one in between.

        Returns:
            Whether it was stored; where not, the row has been read again.
        """
        failed = await self._book.commit(PutTerminal(row, row.key_version - 1))
        if failed:
            await self.refresh(terminal)
            return False
        _take(terminal, row)
        return True


def _take(terminal: Terminal, row: TerminalRow) -> None:
    """Keep a row, unless a newer one was read while it was on its way."""
    if row.key_version >= terminal.row.key_version:
        terminal.row = row
