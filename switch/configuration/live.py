"""The business configuration that counts now, taken over from the books while the switch runs.

Each process looks at the epoch every half second. What it finds it builds into an immutable value
and swaps by one assignment: whoever took the value before goes on with it to the end. Where the
newest cannot be built here, the last one stays, and the alarm ``config_stale`` stands.
Source: docs/configuration.md, "Business configuration".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
import structlog
import trio

from acquirer.ledger.book import Book
from acquirer.ledger.errors import BookBusy, BookError
from acquirer.ledger.store.configuration import ChangeConfiguration, ConfigVersion
from acquirer.payments.kernel.looking import look_for_ever
from acquirer.switch.configuration.changes import SYSTEM, Author, configuration_of, versions_for
from acquirer.switch.configuration.checks import FILE_TABLES, configuration_faults, refuse
from acquirer.switch.configuration.documents import Difference, Document, Fault, differences
from acquirer.switch.configuration.kinds import KINDS, ConfigKind, Configuration
from acquirer.switch.configuration.new_bodies import ProveKeys, new_faults, no_proof
from acquirer.switch.open_work import unserved
from acquirer.switch.settings import SwitchSettings

log = structlog.get_logger("acquirer.configuration")

EVERY_S = 0.5
TRIES_MAX = 20
FIRST_START = Author(SYSTEM, "first start")

T = TypeVar("T")
# Makes what the process works with, from epoch, configuration and what it made before.
Build = Callable[[int, Configuration, T | None], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a start begins with."""

    epoch: int
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that is stored; without versions where nothing was to change."""

    epoch: int
    versions: tuple[ConfigVersion, ...]


# From what is there to what shall be; faults where that cannot be said.
Wish = Callable[[Configuration], Document]


class Live(Generic[T]):
    """The configuration of one process.

    Args:
        build: makes what the process works with.
        prove: tries the keys of what an operator brings.

    Attributes:
        now: what was built of the newest configuration that could be.
        configuration: that configuration.
        epoch: its epoch.
        is_stale: whether there is a newer one, which could not be built.
    """

    def __init__(
        self,
        book: Book,
        settings: SwitchSettings,
        opened: Opened,
        build: Build[T],
        now: T,
        prove: ProveKeys = no_proof,
    ) -> None:
        self._prove = prove
        self._book = book
        self._settings = settings
        self._build = build
        self._taking = trio.Lock()
        self._refused = 0
        self.epoch, self.configuration = opened.epoch, opened.configuration
        self.now = now

    @classmethod
    async def start(
        cls,
        book: Book,
        settings: SwitchSettings,
        opened: Opened,
        build: Build[T],
        prove: ProveKeys = no_proof,
    ) -> Live[T]:
        """Begin with what a start has opened.

        Raises:
            BookError: it cannot be built, since the books cannot be read.
        """
        now = await build(opened.epoch, opened.configuration, None)
        return cls(book, settings, opened, build, now, prove)

    @property
    def is_stale(self) -> bool:
        """Whether there is a newer configuration that cannot be built here."""
        return self._refused > self.epoch

    async def keep_looking(self) -> None:
        """Take over every new epoch, for ever."""
        await look_for_ever(EVERY_S, self.look, log)

    async def look(self) -> None:
        """Take the newest epoch over, if there is a newer one than was looked at.

        Raises:
            BookError: the books cannot be read.
        """
        if await self._book.configuration_epoch() <= max(self.epoch, self._refused):
            return
        async with self._taking:
            stored = await self._book.configuration()
            if stored.epoch <= max(self.epoch, self._refused):
                return
            configuration, faults = configuration_of(stored)
            faults += configuration_faults(self._settings, configuration, {})
            if faults:
                self._refused = stored.epoch
                reasons = [str(fault) for fault in faults]
                log.error("config_stale", epoch=stored.epoch, kept=self.epoch, reasons=reasons)
                return
            try:
                self.now = await self._build(stored.epoch, configuration, self.now)
            except BookError:
                raise
            except Exception:
                # It would end every process alike, and each start of one.
                self._refused = stored.epoch
                log.exception("config_stale", epoch=stored.epoch, kept=self.epoch)
                return
            self.epoch, self.configuration = stored.epoch, configuration
            log.info("config_epoch", epoch=self.epoch)

    async def change(self, wish: Wish, author: Author, now_ms: int) -> Changed | list[Fault]:
        """Make a change, whole or not at all, and take it over here.

        Args:
            wish: told the configuration as it is; says all bodies of the kinds it is about.

        Returns:
            What was stored; or all that is wrong with what would have been, and nothing is.

        Raises:
            BookError: the books refuse; nothing is stored.
        """
        for _ in range(TRIES_MAX):
            stored = await self._book.configuration()
            before, _ = configuration_of(stored)
            wanted = wish(before)
            rest, faults = configuration_of(stored, without=wanted.bodies)
            faults = [*wanted.faults, *faults]
            after = rest.having(wanted.bodies)
            if not faults:
                faults += configuration_faults(self._settings, after, wanted.names)
            if not faults:
                faults += await self._unserved(after)
                faults += new_faults(self._settings, before, after, wanted.names)
                faults += await self._prove(before, after, wanted.names)
            if faults:
                return faults
            versions = versions_for(stored, wanted.bodies, author, now_ms)
            if not versions:
                return Changed(stored.epoch, ())
            epoch = stored.epoch + 1
            if await self._book.commit(ChangeConfiguration(epoch, versions)) is None:
                _tell(before, after, wanted.bodies, author, epoch)
                # It is stored; where it cannot be read now, the next look takes it.
                with suppress(BookError):
                    await self.look()
                return Changed(epoch, versions)
        raise BookBusy("the configuration kept changing")

    async def _unserved(self, after: Configuration) -> list[Fault]:
        """Those who are missing although something is open with them."""
        work = await self._book.open_work()
        return [Fault(key, reason) for key, reason in unserved(work, self._settings, after)]


async def open_configuration(
    book: Book, settings: SwitchSettings, file: str, now_ms: int
) -> Opened:
    """Epoch and configuration that a start begins with; the first start imports the file's.

    Raises:
        ConfigError: it cannot be served.
        BookError: the books refuse.
    """
    stored = await book.configuration()
    of_file = Configuration.of_file(settings)
    if not stored.epoch:
        refuse(configuration_faults(settings, of_file, FILE_TABLES), file)
        wanted = {kind: of_file.of_kind(kind) for kind in KINDS.values()}
        versions = versions_for(stored, wanted, FIRST_START, now_ms)
        # Where it does not hold, another process was first.
        await book.commit(ChangeConfiguration(1, versions))
        stored = await book.configuration()
    configuration, faults = configuration_of(stored)
    faults += configuration_faults(settings, configuration, {})
    refuse(faults, f"{file}, with the configuration in the books")
    if drift := drifted(settings, configuration):
        kinds = sorted({difference.kind for difference in drift})
        log.warning("config_drift", file=file, kinds=kinds, differences=len(drift))
    log.info("config_epoch", epoch=stored.epoch)
    return Opened(stored.epoch, configuration)


def drifted(settings: SwitchSettings, configuration: Configuration) -> list[Difference]:
    """How the switch's file differs from what counts, in the kinds that it has at all."""
    of_file = Configuration.of_file(settings)
    kinds = [kind for kind in KINDS.values() if of_file.of_kind(kind)]
    return differences(configuration, of_file, kinds)


def _tell(
    before: Configuration,
    after: Configuration,
    kinds: Mapping[ConfigKind, tuple[msgspec.Struct, ...]],
    author: Author,
    epoch: int,
) -> None:
    for difference in differences(before, after, list(kinds)):
        log.info(
            "config_changed",
            epoch=epoch,
            kind=difference.kind,
            key=difference.key,
            change=difference.change,
            members={name: list(pair) for name, pair in difference.members.items()},
            made_by=author.name,
            reason=author.reason,
        )
