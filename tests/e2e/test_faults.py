"""Parts that are away or broken: bank, security module, database; and stops and starts."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from pos_terminal import Line, PosTerminal, Reply, de59
from world import OpenWorld, World

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.settings import Match, Rule
from acquirer.ledger.book import Book, open_book
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.surroundings import Surroundings

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL = CARDS["sybil"]
SLOW = 6604


# --- bank --------------------------------------------------------------------------------------


async def test_bank_down(open_world: OpenWorld) -> None:
    """While no link is up a sale gets 91 at once; reversals are taken all the same, and kept."""
    async with open_world() as world:
        terminal = await world.signed_on()
        frame = terminal.sale(SYBIL, 1_000)
        sale = await world.ask(frame)
        await world.stop("bank")
        refused = await world.ask(terminal.sale(SYBIL, 2_000))
        assert ("91", True, "refused") == (
            refused.code,
            terminal.sealed(refused),
            world.state(refused),
        )
        assert "91" == (await world.ask(terminal.balance(SYBIL))).code
        assert "91" == (await world.ask(terminal.void(SYBIL, 1_000, sale))).code
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        assert ("reversing", 0) == (world.state(sale), world.receivable())
        await world.start("bank")
        await world.until(lambda: world.state(sale) == "reversed")
        await world.agree()
        assert "00" == (await world.ask(terminal.sale(SYBIL, 3_000))).code


async def test_bank_down_from_the_start(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A switch whose bank is away starts, signs terminals on and says 91."""
    monkeypatch.setattr("acquirer.switch.app.LINK_UP_WAIT_S", 0.1)
    async with open_world() as world:
        await world.drain()
        await world.stop("bank")
        await world.start_switch()
        terminal = await world.signed_on()
        assert "91" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
        await world.start("bank")
        await _until_approved(world, terminal)


async def _until_approved(world: World, terminal: PosTerminal) -> None:
    async def is_approved() -> bool:
        reply: Reply = await world.ask(terminal.sale(SYBIL, 1_000))
        return reply.code == "00"

    await world.until(is_approved)


# --- security module ---------------------------------------------------------------------------


async def test_security_module_down(open_world: OpenWorld) -> None:
    """Without the security module: 96 without MAC, nothing recorded; later all goes on."""
    changes = {"hsm": {"transport": "tcp", "header_length": 8, "deadline_s": 0.3}}
    async with open_world(changes=changes) as world:
        terminal = await world.signed_on()
        assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
        before = len(world.journal())
        await world.stop("hsm")
        frame = terminal.sale(SYBIL, 2_000)
        reply = await world.ask(frame)
        assert ("96", False) == (reply.code, 64 in reply.fields)
        assert "96" == (await world.ask(terminal.sign_on())).code
        assert "00" == (await world.ask(terminal.echo())).code
        assert before == len(world.journal())
        await world.start("hsm")
        assert "00" == (await world.ask(frame)).code
        await world.agree()


# --- database ----------------------------------------------------------------------------------


class BrokenBooks:
    """Opens the books as the switch does, with a short wait for locks, and can fill them up."""

    def __init__(self) -> None:
        self.book: Book | None = None

    def around(self) -> Surroundings:
        """For ``run_switch``."""
        return Surroundings(open_books=self.open)

    @asynccontextmanager
    async def open(
        self, settings: SwitchSettings, wall_ms: Callable[[], int]
    ) -> AsyncIterator[Book]:
        """The books that the settings name."""
        async with open_book(
            settings.database.url, settings.instance, clock_ms=wall_ms, lock_wait_ms=100
        ) as book:
            self.book = book
            yield book

    async def limit_pages(self, pages: int) -> None:
        """Let the file grow to so many pages only; 0: no further than it is."""
        assert self.book is not None
        await self.book._read(
            lambda session: session.cursor.execute(f"PRAGMA max_page_count = {pages or 1}")
        )


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Somebody else holds the database."""
    held = sqlite3.connect(world.url.removeprefix("sqlite:///"), isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        held.execute("ROLLBACK")
        held.close()


async def test_database_locked(open_world: OpenWorld) -> None:
    """While somebody else holds the database nothing can be stored, so a sale gets no answer."""
    books = BrokenBooks()
    async with open_world(around=books.around()) as world:
        terminal = await world.signed_on()
        assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
        before = world.journal()
        frame = terminal.sale(SYBIL, 2_000)
        with locked(world):
            assert await world.is_silent(frame)
            reply = await world.ask(terminal.reversal(frame))
            assert ("96", True) == (reply.code, terminal.sealed(reply)), "to be sent again"
            assert "96" == (await world.ask(terminal.sign_on())).code
        assert before == world.journal()
        assert 1_000 == world.receivable()
        assert "25" == (await world.ask(terminal.reversal(frame))).code
        assert "94" == (await world.ask(frame)).code, "a late copy"
        assert "00" == (await world.ask(terminal.sale(SYBIL, 3_000))).code
        await world.agree()


async def test_other_content_under_a_stan_whose_first_request_comes_to_nothing(
    open_world: OpenWorld,
) -> None:
    """It is not told 94 before the STAN is stored: a copy of it could still be approved."""
    books = BrokenBooks()
    async with open_world(around=books.around()) as world:
        terminal = await world.signed_on()
        fields = terminal.sale_fields(SYBIL, 1_000)
        other = terminal.frame("0200", fields | {4: "000000002000"})
        async with world.line() as line:
            with locked(world):
                await line.send(terminal.frame("0200", fields), other)
                await line.finish()
                assert await line.is_closed(), "neither is answered"
        assert "00" == (await world.ask(other)).code
        await world.agree()


async def test_database_full(open_world: OpenWorld) -> None:
    """On a full disk sales get no answer, none is half-written, and all goes on with room."""
    books = BrokenBooks()
    async with open_world(around=books.around()) as world:
        terminal = await world.signed_on()
        assert "00" == (await world.ask(terminal.sale(SYBIL, 1_000))).code
        await books.limit_pages(0)
        for n in range(60):
            if await world.is_silent(terminal.sale(SYBIL, 100 + n)):
                break
        else:
            pytest.fail("the disk is not full")
        assert await world.is_silent(terminal.sale(SYBIL, 99))
        await books.limit_pages(1_000_000)
        await _until_approved(world, terminal)
        approved = [line for line in world.journal() if line.state == "approved"]
        assert sum(line.amount_minor for line in approved) == world.receivable()


async def test_database_lost_between_the_commits(open_world: OpenWorld) -> None:
    """A sale that the bank approved and the books could not take: no answer, and it is undone."""
    books = BrokenBooks()
    async with open_world(around=books.around()) as world:
        terminal = await world.signed_on()
        frame = terminal.sale(SYBIL, SLOW)
        stan = Reply.of(frame[2:])[11]
        async with world.line() as line:
            await line.send(frame)
            await line.finish()
            await world.until(lambda: any(entry.stan == stan for entry in world.journal()))
            with locked(world):
                assert await line.is_closed()
        assert "00" == (await world.ask(terminal.reversal(frame))).code
        await world.agree()
        assert 0 == world.receivable()


# --- stops and starts --------------------------------------------------------------------------


async def test_drain(open_world: OpenWorld) -> None:
    """A stop answers what is in flight, takes nothing new and then closes."""
    async with open_world() as world:
        terminal = await world.signed_on()
        async with world.line() as busy, world.line() as idle:
            await busy.send(terminal.sale(SYBIL, SLOW))
            await world.until(lambda: any(e.amount_minor == SLOW for e in world.journal()))
            world.parts.drain()
            assert "00" == (await busy.receive()).code
            assert await idle.is_closed()
            assert await busy.is_closed()
        with pytest.raises(OSError):  # noqa: PT011 — which one is the system's choice
            await Line.open(world.pos)
        await world.drain()
        assert SLOW == world.receivable()
        await world.start_switch()


async def test_restart_goes_on(open_world: OpenWorld) -> None:
    """After a stop in order: the same keys, batch, couriers, answers; nothing is asked again."""
    async with open_world() as world:
        terminal = await world.with_courier()
        frame = terminal.sale(SYBIL, 1_000)
        first = await world.ask(frame)
        fresh = terminal.keys
        await world.ask(terminal.sign_on())
        await world.drain()
        await world.start_switch()
        again = await world.ask(frame)
        assert (first[37], True) == (again[37], terminal.sealed(again, fresh))
        assert "00" == (await world.ask(terminal.sale(SYBIL, 2_000))).code
        query = terminal.order("0200", "380000", "71", de59(ON="SP20261121001", OC="C1001"))
        assert "00" == (await world.ask(query)).code
        rrns = [line.rrn for line in world.journal()]
        assert len(rrns) == len(set(rrns))
        await world.agree()


async def test_killed_with_a_sale_in_flight(open_world: OpenWorld) -> None:
    """A sale in flight when the switch dies is undone after the restart; it never stands alone."""
    async with open_world() as world:
        terminal = await world.signed_on()
        frame = terminal.sale(SYBIL, SLOW)
        async with world.line() as line:
            await line.send(frame)
            await world.until(lambda: any(e.amount_minor == SLOW for e in world.journal()))
            await world.stop("switch")
        await world.start_switch()
        assert (await world.ask(frame)).code in ("98", "94")
        await world.agree()
        assert 0 == world.receivable()
        assert ["reversed"] == [
            row["state"] for row in world.bank_rows() if row["amount_minor"] == SLOW
        ]


async def test_reversals_survive_a_restart(open_world: OpenWorld) -> None:
    """What the bank is owed when the switch stops, it gets from the next one."""
    async with open_world() as world:
        terminal = await world.signed_on()
        frames = [terminal.sale(SYBIL, 1_000 + n) for n in range(12)]
        sales = [await world.ask(frame) for frame in frames]
        await world.stop("bank")
        for frame in frames:
            assert "00" == (await world.ask(terminal.reversal(frame))).code
        await world.stop("switch")
        await world.start("bank")
        await world.start_switch()
        await world.until(lambda: {"reversed"} == {world.state(sale) for sale in sales})
        for sale in sales:
            assert 1 == len(world.bank_reversals(sale[37]))
        await world.agree()


async def test_events_survive_a_restart(open_world: OpenWorld) -> None:
    """What a merchant is owed when the switch stops, he gets from the next one, in order."""
    async with open_world() as world:
        terminal, order_no = await world.with_courier(), "SP20261121002"
        items = de59(ON=order_no, OC="C1001")
        amount = {4: "000000024551", **terminal.card_fields(SYBIL, None)}
        query = terminal.order("0200", "380000", "71", items)
        assert "00" == (await world.ask(query)).code
        paid = await world.ask(terminal.order("0200", "000000", "72", items, amount))
        await world.until(lambda: world.order(order_no).state == "paid")
        await world.stop("orders")
        names: dict[int, str | bytes] = {61: f"{terminal.batch}{paid[11]}{paid[13]}"}
        confirmed = await world.ask(terminal.order("0220", "000000", "73", items, names))
        assert "00" == confirmed.code
        await world.stop("switch")
        await world.start("orders")
        await world.start_switch()
        await world.until(lambda: world.order(order_no).state == "confirmed")


async def test_health(open_world: OpenWorld) -> None:
    """The switch says over HTTP that it is alive, whether it is ready, and what it counts."""
    import httpx

    async with open_world() as world, httpx.AsyncClient() as client:
        terminal = await world.signed_on()
        await world.ask(terminal.sale(SYBIL, 1_000))
        base = f"http://{world.http}"
        assert 200 == (await client.get(f"{base}/healthz")).status_code
        assert 200 == (await client.get(f"{base}/readyz")).status_code
        metrics = (await client.get(f"{base}/metrics")).text
        assert 'acquirer_transactions_total{kind="sale",response_code="00"} 1.0' in metrics
        await world.stop("bank")

        async def is_not_ready() -> bool:
            return (await client.get(f"{base}/readyz")).status_code != 200

        await world.until(is_not_ready)
        await world.start("bank")


@pytest.mark.parametrize("code", ["A0", "77"])
async def test_what_a_bank_says_of_its_link_is_not_told_to_a_terminal(
    open_world: OpenWorld, code: str
) -> None:
    """A MAC error or a sign-on between us and the bank is 96 at the till, not the till's own."""
    rule = Rule(Match(processing_code="00"), response_code=code)
    async with open_world(bank_rules=[rule]) as world:
        terminal = await world.signed_on()
        reply = await world.ask(terminal.sale(SYBIL, 1_000))
        assert ("96", "declined") == (reply.code, world.state(reply))
        assert 0 == world.receivable()
