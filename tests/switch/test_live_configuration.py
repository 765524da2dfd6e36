"""The configuration of a running process: first import, changes, taking over, staleness."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import trio
from limits import HANG_S
from small_configuration import MERCHANT, ROUTE, SETTINGS, TERMINAL, WHOLE
from structlog.testing import capture_logs

from acquirer.config.loading import ConfigError
from acquirer.ledger.book import Book, open_book
from acquirer.ledger.errors import BookUnavailable
from acquirer.ledger.store.configuration import StoredConfiguration
from acquirer.switch.configuration.changes import Author
from acquirer.switch.configuration.documents import Document, read_document
from acquirer.switch.configuration.kinds import KINDS, Configuration, plain
from acquirer.switch.configuration.live import Live, Opened, open_configuration
from acquirer.switch.operators.configuration import (
    Unfit,
    add_body,
    change_body,
    import_configuration,
)
from acquirer.switch.operators.operations import Refused
from acquirer.switch.settings import SwitchSettings

pytestmark = pytest.mark.anyio

AUTHOR = Author("li", "a reason")
MERCHANTS, ROUTES = KINDS["merchant"], KINDS["route"]
DEARER = msgspec.structs.replace(MERCHANT, mdr_basis_points=70)
FILE = msgspec.structs.replace(SETTINGS, order_systems=list(WHOLE.order_systems))


@dataclass(frozen=True, slots=True)
class Built:
    """What a process makes of a configuration here."""

    epoch: int
    configuration: Configuration


@asynccontextmanager
async def process(
    url: str, instance: str = "one", settings: SwitchSettings = FILE
) -> AsyncIterator[Live[Built]]:
    """A process that looks for new epochs."""
    async with open_book(url, instance, clock_ms=lambda: 0) as book:
        live = await opened(book, settings)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(live.keep_looking)
            yield live
            nursery.cancel_scope.cancel()


async def opened(book: Book, settings: SwitchSettings = FILE) -> Live[Built]:
    """The configuration of a process that has just started."""

    async def build(epoch: int, configuration: Configuration, _: Built | None) -> Built:
        await trio.lowlevel.checkpoint()
        return Built(epoch, configuration)

    start = await open_configuration(book, settings, "switch.toml", 1_000)
    return await Live.start(book, settings, start, build)


@asynccontextmanager
async def alone(settings: SwitchSettings = FILE) -> AsyncIterator[tuple[Book, Live[Built]]]:
    """One process over books in memory."""
    async with open_book("sqlite://", "one", clock_ms=lambda: 0, driver="inline") as book:
        yield book, await opened(book, settings)


def dearer(_: Configuration) -> Document:
    """A wish: another fee."""
    return Document({MERCHANTS: (DEARER,)}, {}, ())


async def until(condition: Any) -> None:
    """Wait until something holds that another task brings about."""
    with trio.fail_after(HANG_S):
        while True:
            if condition():
                return
            await trio.sleep(0.02)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_first_start_imports_the_file(
    kind: str, tmp_path: Any, request: pytest.FixtureRequest
) -> None:
    """As version 1 by system; a later start takes what is in the books, and tells of drift."""
    url = (
        f"sqlite:///{tmp_path / 'switch.sqlite3'}"
        if kind == "sqlite"
        else request.getfixturevalue("postgresql_url")
    )
    async with open_book(url, "one", clock_ms=lambda: 0) as book:
        assert Opened(1, WHOLE) == await open_configuration(book, FILE, "switch.toml", 1_000)
        versions = (await book.configuration()).versions
        assert {(1, 1, "system", "first start", 1_000)} == {
            (one.version, one.epoch, one.made_by, one.reason, one.valid_from) for one in versions
        }
    changed = msgspec.structs.replace(FILE, merchants=[DEARER], couriers=[], terminals=[])
    async with open_book(url, "one", clock_ms=lambda: 0) as book:
        with capture_logs() as logs:
            assert Opened(1, WHOLE) == await open_configuration(book, changed, "switch.toml", 2_000)
        (drift,) = (one for one in logs if one["event"] == "config_drift")
        assert (["merchant"], 1) == (drift["kinds"], drift["differences"])


async def test_a_first_start_with_a_faulty_file_imports_nothing() -> None:
    """The books stay without a configuration, so that the mended file is the first."""
    async with open_book("sqlite://", "one", clock_ms=lambda: 0, driver="inline") as book:
        bad = msgspec.structs.replace(FILE, merchants=[])
        with pytest.raises(ConfigError, match=r"terminals\[0\].merchant_id: no such merchant"):
            await open_configuration(book, bad, "switch.toml", 1_000)
        assert StoredConfiguration(0, ()) == await book.configuration()


async def test_a_start_that_cannot_serve_the_books_is_refused() -> None:
    """A bank that the routes of the books name is missing from the process's file."""
    async with alone() as (book, _):
        bad = msgspec.structs.replace(FILE, banks=[])
        with pytest.raises(ConfigError, match="route 1: bank: no bank 'demo'; configured: none"):
            await open_configuration(book, bad, "switch.toml", 2_000)


async def test_an_import_replaces_the_kinds_that_it_names() -> None:
    """Those alone, by one new epoch, which counts here at once; the same again changes nothing."""
    async with alone() as (_, live):
        before = live.now
        document = {"merchant": [plain(DEARER)], "route": [plain(ROUTE), {"bank": "demo"}]}
        done = await import_configuration(live, document, (), AUTHOR, 2_000)
        assert {
            "epoch": 2,
            "repeated": False,
            "versions": [
                {"kind": "merchant", "key": MERCHANT.merchant_id, "version": 2, "replaces": 1},
                {"kind": "route", "key": "2", "version": 1, "replaces": None},
            ],
        } == done
        assert (2, (DEARER,), (TERMINAL,)) == (
            live.now.epoch,
            live.now.configuration.merchants,
            live.now.configuration.terminals,
        )
        assert ((1, WHOLE)) == (before.epoch, before.configuration)
        again = await import_configuration(live, document, (), AUTHOR, 3_000)
        assert {"epoch": 2, "repeated": True, "versions": []} == again


async def test_an_import_is_done_whole_or_not_at_all() -> None:
    """One fault anywhere, in it or in what it would leave behind, and nothing is stored."""
    async with alone() as (book, live):
        stored = await book.configuration()
        for document, places in (
            ({"merchant": [plain(DEARER)], "route": [{"bank": "away"}]}, ["route[0].bank"]),
            ({"merchant": [plain(DEARER)], "route": [{"bnak": "demo"}]}, ["route[0].bnak"]),
            ({"merchant": []}, [f"terminal {TERMINAL.terminal_id}: merchant_id"]),
            ({}, [""]),
        ):
            refused = await import_configuration(live, document, (), AUTHOR, 2_000)
            assert isinstance(refused, Unfit)
            assert places == [fault.place for fault in refused.faults]
        assert stored == await book.configuration()
        assert 1 == live.now.epoch


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201])
async def test_a_change_needs_a_reason(reason: str) -> None:
    """Of 1 to 200 characters, else R12."""
    async with alone() as (_, live):
        author = Author("li", reason)
        refused = await import_configuration(live, {"merchant": []}, (), author, 2_000)
        assert isinstance(refused, Refused)
        assert "R12" == refused.code


async def test_one_body_is_added_or_changed() -> None:
    """Without the rest of its kind; a key that is taken by another, or not there, is refused."""
    async with alone() as (_, live):
        second = msgspec.structs.replace(MERCHANT, merchant_id="898110053310002")
        done = await add_body(live, "merchant", plain(second), AUTHOR, 2_000)
        assert isinstance(done, dict)
        assert (2, False) == (done["epoch"], done["repeated"])
        again = await add_body(live, "merchant", plain(second), AUTHOR, 2_000)
        assert isinstance(again, dict)
        assert again["repeated"]
        other = plain(second) | {"name": "Other"}
        refused = await add_body(live, "merchant", other, AUTHOR, 2_000)
        assert isinstance(refused, Refused)
        assert "R04" == refused.code

        key, members = MERCHANT.merchant_id, {"suspended": True}
        assert isinstance(await change_body(live, "merchant", key, members, AUTHOR, 3_000), dict)
        assert [True, False] == [one.suspended for one in live.now.configuration.merchants]
        refused = await change_body(live, "merchant", "nobody", members, AUTHOR, 3_000)
        assert isinstance(refused, Refused)
        assert "R05" == refused.code
        unfit = await change_body(live, "merchant", key, {"moon": 1}, AUTHOR, 3_000)
        assert isinstance(unfit, Unfit)
        assert 3 == live.now.epoch


async def test_every_process_takes_an_epoch_over(postgresql_url: str) -> None:
    """Two on one PostgreSQL: a change made at either counts in both, and both told the same."""
    async with process(postgresql_url, "one") as one, process(postgresql_url, "two") as two:
        assert (1, 1) == (one.now.epoch, two.now.epoch)
        await one.change(dearer, AUTHOR, 2_000)
        assert 2 == one.now.epoch
        await until(lambda: two.now.epoch == 2)
        assert (DEARER,) == two.now.configuration.merchants
        await two.change(lambda _: read_document({"merchant": [plain(MERCHANT)]}), AUTHOR, 3_000)
        await until(lambda: one.now.epoch == 3)
        assert one.now.configuration == two.now.configuration == WHOLE


async def test_changes_of_two_processes_at_once_both_count(postgresql_url: str) -> None:
    """The one that comes second is decided anew on what the first has left."""
    async with process(postgresql_url, "one") as one, process(postgresql_url, "two") as two:
        ids = [f"8981100533100{number:02d}" for number in range(10, 30)]

        async def add(live: Live[Built], merchant_id: str) -> None:
            members = plain(MERCHANT) | {"merchant_id": merchant_id}
            assert isinstance(await add_body(live, "merchant", members, AUTHOR, 2_000), dict)

        async with trio.open_nursery() as nursery:
            for live, some in ((one, ids[:10]), (two, ids[10:])):
                for merchant_id in some:
                    nursery.start_soon(add, live, merchant_id)
        await until(lambda: one.now.epoch == two.now.epoch == 21)
        found = {merchant.merchant_id for merchant in one.now.configuration.merchants}
        assert {MERCHANT.merchant_id, *ids} == found


async def test_what_cannot_be_built_here_leaves_the_last(postgresql_url: str) -> None:
    """A process without the bank keeps its routes and says so; the next good epoch it takes."""
    banks = [*FILE.banks, msgspec.structs.replace(FILE.banks[0], name="second")]
    more = msgspec.structs.replace(FILE, banks=banks)
    async with process(postgresql_url, "one", more) as one, process(postgresql_url, "two") as two:
        document = {"route": [{"bank": "second"}]}
        assert isinstance(await import_configuration(one, document, (), AUTHOR, 2_000), dict)
        await until(lambda: two.is_stale)
        assert ((2, False), (1, True)) == (
            (one.now.epoch, one.is_stale),
            (two.now.epoch, two.is_stale),
        )
        # From there the configuration can be mended too.
        document = {"route": [{"bank": "demo"}]}
        assert isinstance(await import_configuration(two, document, (), AUTHOR, 3_000), dict)
        await until(lambda: one.now.epoch == two.now.epoch == 3)
        assert not two.is_stale


async def test_what_fails_while_it_is_built_leaves_the_last() -> None:
    """A bug in what a configuration is built into ends no process, nor keeps the next out."""
    async with alone() as (book, live):

        async def fail(epoch: int, configuration: Configuration, _: Built | None) -> Built:
            await trio.lowlevel.checkpoint()
            if epoch == 2:
                raise RuntimeError("a bug")
            return Built(epoch, configuration)

        start = Opened(live.epoch, live.configuration)
        other = await Live.start(book, FILE, start, fail)
        await live.change(dearer, AUTHOR, 2_000)
        await other.look()
        assert (1, True) == (other.now.epoch, other.is_stale)
        await live.change(lambda _: read_document({"merchant": [plain(MERCHANT)]}), AUTHOR, 3_000)
        await other.look()
        assert (3, False) == (other.now.epoch, other.is_stale)


async def test_books_that_refuse_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is told; what counts stays."""

    async def refuse(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise BookUnavailable("the database refuses")

    async with alone() as (book, live):
        monkeypatch.setattr(book, "commit", refuse)
        with pytest.raises(BookUnavailable):
            await live.change(dearer, AUTHOR, 2_000)
        assert (1, WHOLE) == (live.now.epoch, live.now.configuration)
