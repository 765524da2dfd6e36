"""``acquirer demo``: a working day, told as it happens, ending in balanced books.

Starts the whole estate (``up.py``), plays terminals against it, then asks every party on its own
what it believes and compares. Exit code 0 only where all agree.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import trio
import typer
from rich.text import Text

from acquirer.cli.agreement import compare
from acquirer.cli.demo_books import (
    ask_json,
    read_books,
    run_command,
    show_agreement,
    show_trial_balance,
    until_quiet,
)
from acquirer.cli.demo_shop import DEALS, LOOKED_UP, Deal
from acquirer.cli.logs import configure_logging
from acquirer.cli.process import run_service
from acquirer.cli.screen import Screen, styled
from acquirer.cli.up import UpOptions, running_estate
from acquirer.codecs.instalments import InstalmentTerms
from acquirer.codecs.response_codes import in_words
from acquirer.config.estate import Card, Estate, load_estate
from acquirer.hosts_sim.bank.control import ask_code
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.identity import card, courier, identity
from acquirer.terminals_sim.link import TerminalLink, tcp
from acquirer.terminals_sim.results import Result
from acquirer.terminals_sim.shop import TODAY, deal
from acquirer.terminals_sim.state import TerminalState
from acquirer.terminals_sim.store import FileStore
from acquirer.terminals_sim.terminal import Terminal

COURIER_TERMINAL, SHOP_TERMINAL, HOMESHOP_TERMINAL = "10000001", "10000003", "10000004"
HOME_COURIER, HOME_ORDER = "C3001", "HS20261121001"
COURIER, CLERK = "C1001", "C2001"
DROPPED_MINOR = 6668
PIPE_COLUMNS = 110


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    data: Annotated[
        Path | None, typer.Option("--data", help="Keep the books here; a new folder if absent.")
    ] = None,
) -> None:
    """Play a day of payments on the demo estate and prove that all books agree.

    Example: acquirer demo --data day-1
    """
    configure_logging("error")
    folder = data or Path(tempfile.mkdtemp(prefix="acquirer-demo-"))
    agreed: list[bool] = []
    try:
        run_service(_demo, folder.resolve(), agreed.append)
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(0 if agreed == [True] else 1)


async def _demo(data: Path, report: Callable[[bool], None]) -> None:
    console = Screen(PIPE_COLUMNS)
    console.rule(styled("acquirer demo: a day of payments", "bold"))
    console.print("Starting switch, security module, bank core and order system …", style="dim")
    estate = load_estate()
    options = UpOptions(data)
    async with running_estate(options) as addresses:
        console.print(
            f"  terminals → {addresses['pos']}   bank {addresses['bank']}"
            f"   orders {addresses['orders']}",
            style="dim",
        )
        async with AsyncExitStack() as stack:
            day = _Day(console, estate, data, addresses["pos"], stack)
            await day.play()
            await until_quiet(data)
            shop = identity(estate, SHOP_TERMINAL).merchant_id
            books = await trio.to_thread.run_sync(read_books, data, estate, day.clients, shop)
        agreement = compare(books)
        show_trial_balance(console, books)
        show_agreement(console, agreement)
        report(agreement.holds)


class _Day:
    """The script of the day, and the terminals that play it."""

    def __init__(
        self, console: Screen, estate: Estate, data: Path, pos: str, stack: AsyncExitStack
    ) -> None:
        self._console = console
        self._estate = estate
        self._data = data
        self._pos = pos
        self._stack = stack
        self.clients: dict[str, TerminalClient] = {}

    async def play(self) -> None:
        """The whole day."""
        await self._open_terminals()
        await self._shop_hours()
        await self._other_ways_to_pay()
        await self._a_bank_that_does_not_answer()
        await self._deliveries()
        await self._homeshop()
        await self._bills()
        await self._till()
        await self._cash_up()

    async def _open_terminals(self) -> None:
        self._chapter("Morning: three terminals sign on and get their working keys")
        for terminal_id in (COURIER_TERMINAL, SHOP_TERMINAL, HOMESHOP_TERMINAL):
            client = await self._client(terminal_id)
            self._say(terminal_id, "sign-on", await client.sign_on())

    async def _shop_hours(self) -> None:
        self._chapter("Shop hours: sales, declines, a wrong PIN, a void")
        shop, home = self.clients[SHOP_TERMINAL], self.clients[HOMESHOP_TERMINAL]
        self._say(SHOP_TERMINAL, "sale, alice", await shop.sale(12850, self._card("alice")))
        self._say(SHOP_TERMINAL, "sale, bob", await shop.sale(4999, self._card("bob")))
        poor = self._card("frank")
        self._say(SHOP_TERMINAL, "sale, frank has too little", await shop.sale(80000, poor))
        self._say(
            HOMESHOP_TERMINAL, "sale, a lost card", await home.sale(1500, self._card("ursula"))
        )
        carol = self._card("carol")
        wrong = str((int(carol.pin) + 1) % 10 ** len(carol.pin)).zfill(len(carol.pin))
        self._say(HOMESHOP_TERMINAL, "sale, wrong PIN", await home.sale(25900, carol, pin=wrong))
        self._say(HOMESHOP_TERMINAL, "sale, right PIN", await home.sale(25900, carol))
        self._say(SHOP_TERMINAL, "balance, alice", await shop.balance(self._card("alice")))
        mistake = await shop.sale(9900, self._card("grace"))
        self._say(SHOP_TERMINAL, "sale, grace", mistake)
        self._say(SHOP_TERMINAL, "… void of it", await shop.void(mistake.rrn))

    async def _other_ways_to_pay(self) -> None:
        self._chapter("At the counter: in six parts, by a code on a telephone, by a call")
        counter = self.clients[COURIER_TERMINAL]
        terms = InstalmentTerms(6, "P06", False)
        parts = await counter.instalment(60000, self._card("kate"), terms)
        self._say(COURIER_TERMINAL, "instalment, kate", parts)
        if parts.repayment is not None:
            first = _plain(parts.repayment.first_minor)
            self._console.print(f"            │ first repayment {first}", style="dim")
        code = await trio.to_thread.run_sync(ask_code, self._data, "grace")
        shown = await counter.qr(4550, code)
        self._say(COURIER_TERMINAL, "sale, grace shows a code", shown)
        self._say(COURIER_TERMINAL, "… once more", await counter.qr(4550, code))
        self._say(
            COURIER_TERMINAL, "… a part given back", await counter.refund(1550, None, shown.rrn)
        )
        ivan = self._card("ivan")
        called = await counter.moto(12900, ivan, ivan.cvn2)
        self._say(COURIER_TERMINAL, "order by telephone, ivan", called)

    async def _a_bank_that_does_not_answer(self) -> None:
        self._chapter("Noon: the bank takes the money and loses the answer")
        home = self.clients[HOMESHOP_TERMINAL]
        result = await home.sale(DROPPED_MINOR, self._card("heidi"))
        self._say(HOMESHOP_TERMINAL, "sale, heidi", result)
        owed = "the switch owes the bank a reversal and sends it until answered"
        self._console.print(f"            {owed}", style="dim")

    async def _deliveries(self) -> None:
        self._chapter("Afternoon: a courier at the door")
        client = self.clients[COURIER_TERMINAL]
        password = courier(self._estate, COURIER).password
        self._say(
            COURIER_TERMINAL, f"courier {COURIER}", await client.courier_sign_on(COURIER, password)
        )
        orders = [
            order
            for order in self._estate.orders
            if order.merchant_id == client.terminal.identity.merchant_id and "1" in order.pay_ways
        ]
        await self._deliver(client, orders[0].order_no, ["dave"], "Li Wei")
        await self._deliver(client, orders[1].order_no, ["frank", "ivan"], "Zhang San")
        await self._without_card(client, "2", "cash", "Wang Fang")
        await self._without_card(client, "3", "delivery", "Liu Yang")
        await self._a_change_of_mind(client, orders[2].order_no)
        await self._nobody_there(client, orders[3].order_no)
        await self._two_in_one_swipe(client, [order.order_no for order in orders[4:6]])

    async def _without_card(
        self, client: TerminalClient, ways: str, way: str, signed_by: str
    ) -> None:
        """An order that can be paid in this one way only."""
        merchant_id = client.terminal.identity.merchant_id
        order_no = next(
            order.order_no
            for order in self._estate.orders
            if order.merchant_id == merchant_id and order.pay_ways == ways
        )
        due = await self._ask(client, order_no)
        paid = await client.order_payment(order_no, due, way)
        words = {"cash": "… paid in cash", "delivery": "… delivered, nothing to pay"}
        self._say(COURIER_TERMINAL, words[way], paid)
        self._say(COURIER_TERMINAL, "… confirmed", await client.order_confirm(order_no))
        signed = await client.order_receipt(order_no, signed_by)
        self._say(COURIER_TERMINAL, f"… signed for by {signed_by}", signed)

    async def _a_change_of_mind(self, client: TerminalClient, order_no: str) -> None:
        """Paid and confirmed, then refused at the door: the card gets its money back."""
        due = await self._ask(client, order_no)
        paid = await client.order_payment(order_no, due, card=self._card("grace"))
        self._say(COURIER_TERMINAL, "… paid by card, grace", paid)
        self._say(COURIER_TERMINAL, "… confirmed", await client.order_confirm(order_no))
        self._console.print(
            "            the customer opens the parcel and wants none of it", style="dim"
        )
        self._say(COURIER_TERMINAL, "… cancelled", await client.order_cancel(order_no))
        confirmed = await client.order_cancel_confirm(order_no)
        self._say(COURIER_TERMINAL, "… cancellation confirmed", confirmed)

    async def _two_in_one_swipe(self, client: TerminalClient, numbers: list[str]) -> None:
        """Two parcels for one house: one authorisation, then each goes its own way."""
        due = [await self._ask(client, order_no) for order_no in numbers]
        paid = await client.order_payment(
            numbers[0], sum(due), card=self._card("bob"), more=numbers[1:]
        )
        self._say(COURIER_TERMINAL, "… both in one swipe, bob", paid)
        for order_no in numbers:
            self._say(COURIER_TERMINAL, "… confirmed", await client.order_confirm(order_no))
            signed = await client.order_receipt(order_no, "Zhao Lei")
            self._say(COURIER_TERMINAL, "… signed for by Zhao Lei", signed)

    async def _nobody_there(self, client: TerminalClient, order_no: str) -> None:
        await self._ask(client, order_no)
        told = await client.order_exception(order_no, "06", "nobody there, again tomorrow")
        self._say(COURIER_TERMINAL, "… exception: rescheduled", told)

    async def _ask(self, client: TerminalClient, order_no: str) -> int:
        """Ask for an order, show it, give the amount due."""
        query = await client.order_query(order_no)
        self._say(client.terminal.identity.terminal_id, f"order {order_no}", query)
        self._show_text(query)
        return (query.order.amount_minor if query.order else None) or 0

    async def _deliver(
        self, client: TerminalClient, order_no: str, cards: list[str], signed_by: str
    ) -> None:
        terminal_id = client.terminal.identity.terminal_id
        due = await self._ask(client, order_no)
        for name in cards:
            payment = await client.order_payment(order_no, due, card=self._card(name))
            self._say(terminal_id, f"… paid by card, {name}", payment)
            if payment.approved:
                break
        self._say(terminal_id, "… confirmed", await client.order_confirm(order_no))
        signed = await client.order_receipt(order_no, signed_by)
        self._say(terminal_id, f"… signed for by {signed_by}", signed)

    async def _homeshop(self) -> None:
        self._chapter("Homeshop: its orders live behind an ISO 8583 order host")
        client = self.clients[HOMESHOP_TERMINAL]
        await client.courier_sign_on(HOME_COURIER, courier(self._estate, HOME_COURIER).password)
        await self._deliver(client, HOME_ORDER, ["judy"], "Chen Jie")

    async def _bills(self) -> None:
        self._chapter("At the counter: an electricity bill and an insurance premium")
        shop = self.clients[SHOP_TERMINAL]
        password = courier(self._estate, CLERK).password
        await shop.courier_sign_on(CLERK, password)
        for prefix, payer in (("UB", "judy"), ("IP", "alice")):
            order_no = next(
                order.order_no for order in self._estate.orders if order.order_no.startswith(prefix)
            )
            due = await self._ask(shop, order_no)
            paid = await shop.order_payment(order_no, due, card=self._card(payer))
            self._say(SHOP_TERMINAL, f"… paid by card, {payer}", paid)
            self._say(SHOP_TERMINAL, "… confirmed", await shop.order_confirm(order_no))

    async def _till(self) -> None:
        self._chapter("At the till: sales from the price list, goods taken in, a count")
        shop = self.clients[SHOP_TERMINAL]
        item = await shop.order_query(LOOKED_UP)
        self._say(SHOP_TERMINAL, f"item {LOOKED_UP}", item)
        self._show_text(item)
        for one in DEALS:
            await self._deal(shop, one)
        today = await shop.order_query(TODAY)
        self._say(SHOP_TERMINAL, "takings of today", today)
        self._show_text(today)

    async def _deal(self, shop: TerminalClient, one: Deal) -> None:
        payer = self._card(one.card) if one.card else None
        done = await deal(shop, one.product, one.lines, one.way, payer)
        self._say(SHOP_TERMINAL, one.what, done)
        self._show_text(done)
        if one.taken_back:
            self._say(SHOP_TERMINAL, "… brought back", await shop.order_cancel(done.order_no))
            confirmed = await shop.order_cancel_confirm(done.order_no)
            self._say(SHOP_TERMINAL, "… cancellation confirmed", confirmed)

    async def _cash_up(self) -> None:
        self._chapter("Evening: courier and clerk hand the cash in")
        owed = await trio.to_thread.run_sync(ask_json, "couriers", "list", self._data)
        for one in owed["couriers"]:
            if one["cash_minor"]:
                name, amount = one["courier_id"], _plain(one["cash_minor"])
                arguments = ("couriers", "hand-in", name, "--amount", amount)
                done = await trio.to_thread.run_sync(
                    run_command, *arguments, "--data", str(self._data)
                )
                for line in done.stdout.decode().splitlines():
                    self._console.print(f"  {line}")

    async def _client(self, terminal_id: str) -> TerminalClient:
        path = self._data / "terminals" / f"{terminal_id}.json"
        store = self._stack.enter_context(FileStore(path))
        host, _, port = self._pos.rpartition(":")
        terminal = Terminal(
            identity(self._estate, terminal_id), store.load() or TerminalState(terminal_id)
        )
        client = TerminalClient(terminal, store, TerminalLink(tcp(host, int(port))))
        self.clients[terminal_id] = await self._stack.enter_async_context(client)
        return client

    def _card(self, name: str) -> Card:
        return card(self._estate, name)

    def _chapter(self, title: str) -> None:
        self._console.print()
        self._console.print(title, style="bold cyan")

    def _show_text(self, result: Result) -> None:
        for line in result.order.text if result.order else ():
            self._console.print(f"            │ {line}", style="dim")

    def _say(self, terminal_id: str, what: str, result: Result) -> None:
        colour = "green" if result.approved else "yellow" if result.answered else "red"
        amount = f"{result.amount_minor / 100:>10,.2f}" if result.amount_minor else " " * 10
        if result.kind == "balance" and result.balances:
            amount = f"{result.balances[0].amount_minor / 100:>10,.2f}"
        code = result.response_code or "--"
        words = in_words(code) if result.response_code else result.message
        self._console.print(
            Text.assemble(
                styled(f"  {terminal_id}", "dim"),
                styled(f"  {what:<32}{amount}   "),
                styled(f"{code} {words}", colour),
                styled("  reversed by the terminal" if result.reversed else "", "dim"),
            )
        )


def _plain(amount_minor: int) -> str:
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"
