"""Terminals as the switch knows them: who they are, and which working keys are good now.

The durable part is a row of the books; this module keeps a copy in memory and decides, as pure
functions, how sign-on, a first verified message and sign-off change it. Sign-on is not
authenticated, so the keys it hands out wait beside the old ones until a message verifies.
Source: terminal interface, part 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from acquirer.ledger.book import Book
from acquirer.ledger.entries import PutTerminal, TerminalRow
from acquirer.ledger.postings import FeeRate
from acquirer.switch.settings import MerchantSettings, ProfileSettings, TerminalSettings

FIRST_BATCH = "000001"


@dataclass(frozen=True, slots=True)
class Keys:
    """One generation of a terminal's working keys, key strings under the LMK; empty is none."""

    tpk: str = ""
    tak: str = ""


def signed_on(row: TerminalRow, tpk: str, tak: str, tdk: str) -> TerminalRow:
    """The row after a sign-on: new keys beside the old ones."""
    return replace(
        row,
        signed_on=True,
        next_tpk=tpk,
        next_tak=tak,
        next_tdk=tdk,
        key_version=row.key_version + 1,
    )


def promoted(row: TerminalRow) -> TerminalRow:
    """The row once a message has verified under the new keys: the old ones are gone."""
    return replace(
        row,
        tpk=row.next_tpk,
        tak=row.next_tak,
        tdk=row.next_tdk,
        next_tpk="",
        next_tak="",
        next_tdk="",
        key_version=row.key_version + 1,
    )


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
        both = (Keys(row.next_tpk, row.next_tak), Keys(row.tpk, row.tak))
        return tuple(keys for keys in both if keys.tak)


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

    async def refresh(self, terminal: Terminal) -> bool:
        """Read the row again, since another process may have changed it.

        Returns:
            Whether it had changed.
        """
        row = await self._book.terminal(terminal.terminal_id)
        changed = row is not None and row.key_version != terminal.row.key_version
        if row is not None:
            terminal.row = row
        return changed

    async def save(self, terminal: Terminal, row: TerminalRow) -> bool:
        """Store a changed row, if nobody changed the stored one in between.

        Returns:
            Whether it was stored; where not, the row has been read again.
        """
        failed = await self._book.commit(PutTerminal(row, terminal.row.key_version))
        if failed:
            await self.refresh(terminal)
            return False
        terminal.row = row
        return True
