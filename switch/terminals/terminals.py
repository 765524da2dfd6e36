"""Terminals as the switch knows them: who they are, and which working keys are good now.

The durable part is a row of the books; this module keeps a copy in memory and decides, as pure
functions, how sign-on and a first verified message change it. Sign-on is not authenticated, so the
keys it hands out wait beside the old ones until a message verifies, and neither it nor a sign-off
takes any away.
Source: docs/interfaces/terminal.md, part 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from acquirer.codecs.ksn import Ksn
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.config.business import MerchantSettings, ProfileSettings, TerminalSettings
from acquirer.ledger.book import Book
from acquirer.ledger.errors import BookError
from acquirer.ledger.journal.entries import (
    HandedKeys,
    TerminalRow,
)
from acquirer.ledger.journal.ksns import TakeKsn
from acquirer.ledger.journal.steps import (
    PutTerminal,
    Step,
)
from acquirer.payments.kernel.business import Business
from acquirer.payments.kernel.commands import PinKey
from acquirer.payments.kernel.turns import Turns
from acquirer.switch.terminals.catalogue import NO_DOWNLOADS, Catalogue

FIRST_BATCH = "000001"
# Of each network code; with them a terminal never has more than seven generations to try.
WAITING_PER_CODE_MAX = 2
# Keys that were handed out stay good for so long at the least, whoever signs on meanwhile.
HANDED_AGAIN_MS = 24 * 3_600_000


class Keys(msgspec.Struct, frozen=True):
    """One generation of a terminal's working keys, key strings under the LMK; empty is none.

    Attributes:
        ksn: where keys are derived, the serial number of those of one message; ``tpk`` and ``tak``
            are the base key then.
    """

    tpk: str = ""
    tak: str = ""
    tdk: str = ""
    ksn: Ksn | None = None


NO_KEYS = Keys()


def handed_again(row: TerminalRow, network_code: str, now_ms: int) -> HandedKeys | None:
    """The waiting keys that a sign-on gets once more, or None where it gets new ones.

    Whoever signs on in a terminal's name gets the same keys as the terminal: they push out nothing,
    and without the master key they are of no use to him.
    """
    mine = [keys for keys in row.waiting if keys.network_code == network_code]
    if len(mine) < WAITING_PER_CODE_MAX or abs(now_ms - mine[0].made_at_ms) >= HANDED_AGAIN_MS:
        return None
    return mine[0]


def signed_on(row: TerminalRow, fresh: HandedKeys) -> TerminalRow:
    """The row after a sign-on that got new keys: they wait beside the others.

    Of one network code only so many are kept. The oldest goes, which was handed out last a whole
    :data:`HANDED_AGAIN_MS` ago at the least.
    """
    alike = [keys for keys in row.waiting if keys.network_code == fresh.network_code]
    gone = alike[WAITING_PER_CODE_MAX - 1 :]
    kept = tuple(keys for keys in row.waiting if keys not in gone)
    return replace(row, signed_on=True, waiting=(fresh, *kept), key_version=row.key_version + 1)


def promoted(row: TerminalRow, keys: Keys, now_ms: int) -> TerminalRow:
    """The row once a message has verified under waiting keys: whatever is older is gone.

    Raises:
        ValueError: they do not wait.
    """
    index = [handed.tak for handed in row.waiting].index(keys.tak)
    proved = row.waiting[index]
    return replace(
        row,
        tpk=proved.tpk,
        tak=proved.tak,
        tdk=proved.tdk,
        waiting=row.waiting[:index],
        key_version=row.key_version + 1,
        proved_at_ms=now_ms,
    )


def without_keys(row: TerminalRow) -> TerminalRow:
    """The row of a terminal that must sign on before anything else."""
    return TerminalRow(
        row.terminal_id,
        row.batch,
        key_version=row.key_version + 1,
        fetched=row.fetched,
        settling=row.settling,
    )


@dataclass(slots=True)
class Terminal:
    """One terminal: settings that never change while running, and its row of the books."""

    settings: TerminalSettings
    profile: ProfileSettings
    merchant: MerchantSettings
    row: TerminalRow

    @property
    def terminal_id(self) -> str:
        """DE41."""
        return self.settings.terminal_id

    @property
    def is_derived(self) -> bool:
        """Whether each of its messages is under a key of its own (DUKPT)."""
        return self.profile.key_scheme != "tmk"

    @property
    def is_signed_on(self) -> bool:
        """Whether messages of it can count."""
        return self.row.signed_on if self.is_derived else bool(self.key_generations())

    def bears(self, keys: Keys) -> bool:
        """Whether keys that a message was verified with are still this terminal's."""
        if self.is_derived:
            return keys.ksn is not None and self.row.signed_on
        return keys in self.key_generations()

    def key_generations(self) -> tuple[Keys, ...]:
        """The keys a message may verify under, the likeliest first; empty before any sign-on.

        Of derived keys there are none: a message says itself which it is under.
        """
        row = self.row
        if self.is_derived:
            return ()
        confirmed = (Keys(row.tpk, row.tak, row.tdk),) if row.tak else ()
        return (*confirmed, *(Keys(one.tpk, one.tak, one.tdk) for one in row.waiting))

    def key_version_of(self, keys: Keys) -> int | None:
        """The version of the row that has these keys, 0 where none has; None for no keys."""
        if not keys.tak:
            return None
        return self.row.key_version if self.bears(keys) else 0

    def pin_key_of(self, keys: Keys) -> PinKey:
        """Under which a message's PIN block is."""
        if keys.ksn is None:
            return PinKey(keys.tpk)
        return PinKey(keys.tpk, keys.ksn.digits, self.profile)

    def use_of(self, keys: Keys) -> TakeKsn | None:
        """What a message takes of derived keys."""
        if keys.ksn is None:
            return None
        return TakeKsn(self.terminal_id, keys.ksn.initial, keys.ksn.counter)

    def awaits(self, keys: Keys) -> bool:
        """Whether these keys were handed out and wait for a message that bears them."""
        return keys.tak in [handed.tak for handed in self.row.waiting]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one request is decided by, from its beginning to its end.

    Attributes:
        business: the business configuration.
        terminals: by DE41, each with its merchant of the same configuration.
        downloads: what terminals may fetch.
    """

    business: Business
    terminals: Mapping[str, Terminal]
    downloads: Catalogue = NO_DOWNLOADS


class Terminals:
    """The terminals' rows in the books.

    Attributes:
        turns: sign-ons of one terminal.
        downloads_begun: terminal and kind to the version that it has begun to fetch.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self.turns = Turns()
        self.downloads_begun: dict[tuple[str, str], str] = {}

    async def join(
        self,
        terminals: Iterable[TerminalSettings],
        profiles: Iterable[ProfileSettings],
        merchants: Mapping[str, MerchantSettings],
        before: Mapping[str, Terminal],
    ) -> dict[str, Terminal]:
        """Join settings with the rows; a terminal without a row starts in the first batch.

        Args:
            before: those that were joined already; one that is as it was goes on.
        """
        terminals = list(terminals)
        by_name = {profile.name: profile for profile in profiles}
        rows: dict[str, TerminalRow] = {}
        if any(one.terminal_id not in before for one in terminals):
            rows = {row.terminal_id: row for row in await self._book.terminals()}
        joined: dict[str, Terminal] = {}
        for one in terminals:
            id, merchant, profile = (
                one.terminal_id,
                merchants[one.merchant_id],
                by_name[one.profile],
            )
            known = before.get(id)
            row = known.row if known else rows.get(id, TerminalRow(id, FIRST_BATCH))
            fresh = Terminal(one, profile, merchant, row)
            joined[id] = known if known == fresh else fresh
        return joined

    async def refresh(self, terminal: Terminal) -> None:
        """Read the row again, since another process may have changed it."""
        row = await self._book.terminal(terminal.terminal_id)
        if row is not None:
            _take(terminal, row)

    async def download_demand(self, terminal: Terminal, downloads: Catalogue) -> ProcessingDemand:
        """What a terminal is to fetch; another process may know that it has."""
        if downloads.demand(terminal.row) is not ProcessingDemand.NOTHING:
            with suppress(BookError):
                await self.refresh(terminal)
        return downloads.demand(terminal.row)

    async def save(self, terminal: Terminal, row: TerminalRow, *steps: Step) -> bool:
        """Store a changed row with further steps, if nobody changed the stored one in between.

        Returns:
            Whether it was stored; where not, the row has been read again.
        """
        failed = await self._book.commit(PutTerminal(row, row.key_version - 1), *steps)
        if failed:
            await self.refresh(terminal)
            return False
        _take(terminal, row)
        return True


def _take(terminal: Terminal, row: TerminalRow) -> None:
    """Keep a row, unless a newer one was read while it was on its way."""
    if row.key_version >= terminal.row.key_version:
        terminal.row = row
