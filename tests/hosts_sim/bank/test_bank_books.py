"""What the bank does to money: decisions, voids, reversals, repeats, and their order."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from acquirer.codecs.message import Message
from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.errors import BooksError
from acquirer.hosts_sim.bank.schema import FILE_NAME, open_for_reading
from acquirer.hosts_sim.bank.settings import LimitSettings, Match, Rule

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]


async def test_a_sale_is_approved_and_debited(desk: Open, messages: Any) -> None:
    """Reply and row agree; the balance goes down by the amount."""
    async with desk() as bank:
        reply = await bank.ask(messages.sale(amount_minor=1250))
        assert (reply.mti, reply.get(39), reply.get(38)) == ("0210", "00", "000001")
        assert {3, 4, 7, 11, 12, 13, 32, 37, 38, 39, 41, 42, 49} == set(reply.fields)
        row = bank.rows()[0]
        assert (
            row["state"],
            row["kind"],
            row["amount_minor"],
            row["terminal_id"],
            row["pan"],
        ) == ("approved", "sale", 1250, "10000001", "622588*********0907")
        assert messages.card().balance_minor - 1250 == await bank.balance()


@pytest.mark.parametrize(
    ("name", "code"),
    [("ursula", "41"), ("victor", "43"), ("wendy", "62")],
)
async def test_a_card_with_a_status_is_refused(
    desk: Open, messages: Any, name: str, code: str
) -> None:
    """Lost, stolen, restricted."""
    async with desk() as bank:
        assert code == await bank.code(messages.sale(of=messages.card(name)))
        assert bank.states() == ["declined"]


async def test_other_refusals(desk: Open, messages: Any) -> None:
    """Unknown card 14, wrong or past expiry 54, no amount 13, funds 51, currency 12, unknown 40."""
    async with desk() as bank:
        alice = messages.card()
        assert await bank.code(messages.sale(1, de2="6225880000000007")) == "14"
        assert await bank.code(messages.sale(2, de14="3001")) == "54"
        assert await bank.code(messages.sale(3, 0)) == "13"
        assert await bank.code(messages.sale(4, alice.balance_minor + 1)) == "51"
        assert await bank.code(messages.sale(5, de49="840")) == "12"
        assert await bank.code(messages.sale(6, de3="990000")) == "40"
        assert await bank.code(messages.sale(7, alice.balance_minor)) == "00"
        assert await bank.code(messages.sale(8, 1)) == "51"
    async with desk(wall=lambda: datetime(2031, 7, 1)) as bank:
        assert await bank.code(messages.sale(9)) == "54"


async def test_wrong_pins_are_counted_across_restarts(desk: Open, messages: Any) -> None:
    """55, 55, then 75, and 75 for a right PIN too, until the next business date."""
    alice = messages.card()
    wrong, right = (messages.pin_block(pin, alice) for pin in ("0000", alice.pin))
    async with desk() as bank:
        assert await bank.code(messages.sale(1, de52=wrong)) == "55"
        assert await bank.code(messages.sale(2, de52=right)) == "00"
        assert await bank.code(messages.sale(3, de52=wrong)) == "55"
        assert await bank.code(messages.sale(4, de52=wrong)) == "55"
    async with desk() as bank:
        assert await bank.code(messages.sale(5, de52=wrong)) == "75"
        assert await bank.code(messages.sale(6, de52=right)) == "75"
    async with desk(wall=lambda: datetime(2026, 6, 5)) as bank:
        assert await bank.code(messages.sale(7, de52=right)) == "00"


async def test_a_pin_block_under_another_key_costs_no_try(desk: Open, messages: Any) -> None:
    """A block that decodes to no PIN is a security fault, not a wrong PIN."""
    alice = messages.card()
    odd = messages.pin_block(alice.pin, alice, bytes(range(16)))
    async with desk() as bank:
        assert [await bank.code(messages.sale(n, de52=odd)) for n in range(4)] == ["A7"] * 4
        right = messages.pin_block(alice.pin, alice)
        assert await bank.code(messages.sale(9, de52=right)) == "00"


async def test_limits(desk: Open, messages: Any) -> None:
    """Per transaction 61, per day by amount 61 and by count 65; a void gives room again."""
    limits = LimitSettings(amount_max_minor=1000, daily_amount_max_minor=1500, daily_count_max=2)
    async with desk(limits=limits) as bank:
        assert await bank.code(messages.sale(1, 1001)) == "61"
        assert await bank.code(first := messages.sale(2, 1000)) == "00"
        assert await bank.code(messages.sale(3, 501)) == "61"
        assert await bank.code(messages.sale(4, 10)) == "00"
        assert await bank.code(messages.sale(5, 10)) == "65"
        assert await bank.code(messages.undo(first, 6, "0200")) == "00"
        assert await bank.code(messages.sale(7, 501)) == "00"


async def test_a_repeat_gets_the_same_answer_once(desk: Open, messages: Any) -> None:
    """The same request again moves nothing; another under its identity gets 94."""
    async with desk() as bank:
        first = await bank.ask(messages.sale())
        assert first.fields == (await bank.ask(messages.sale())).fields
        assert await bank.code(messages.sale(amount_minor=1251)) == "94"
        assert await bank.code(messages.sale(of=messages.card("bob"))) == "94"
        assert len(bank.rows()) == 1


async def test_a_reversal_restores_the_balance_once(desk: Open, messages: Any) -> None:
    """0400, its repeat and a second message about the same original: one effect, 00 each time."""
    async with desk() as bank:
        sale = messages.sale()
        await bank.ask(sale)
        for stan, mti in ((2, "0400"), (2, "0401"), (3, "0420"), (3, "0421")):
            reply = await bank.ask(messages.undo(sale, stan, mti, de39="98"))
            expected = "0410" if mti < "0410" else "0430"
            assert (expected, "00") == (reply.mti, reply.get(39))
        assert bank.states() == ["reversed"]
        assert messages.card().balance_minor == await bank.balance()
        assert bank.totals()["reversals"] == {"count": 1, "unknown_count": 0}


async def test_an_early_reversal_keeps_the_original_out(desk: Open, messages: Any) -> None:
    """25 for what is unknown; the original that comes late gets 94 and moves nothing."""
    async with desk() as bank:
        sale = messages.sale()
        assert await bank.code(messages.undo(sale, 2, "0400")) == "25"
        assert await bank.code(sale) == "94"
        assert await bank.code(messages.undo(sale, 2, "0401")) == "25"
        assert (bank.states(), bank.totals()["reversals"]["unknown_count"]) == (["declined"], 1)


async def test_reversing_a_decline_has_no_effect(desk: Open, messages: Any) -> None:
    """00, and the row stays declined."""
    async with desk() as bank:
        sale = messages.sale(amount_minor=10**9)
        assert await bank.code(sale) == "51"
        assert await bank.code(messages.undo(sale, 2, "0400")) == "00"
        assert bank.states() == ["declined"]


async def test_a_void_undoes_a_sale_and_its_reversal_restores_it(desk: Open, messages: Any) -> None:
    """Sale, void, reversal of the void: the money is where it was after the sale."""
    async with desk() as bank:
        sale, opening = messages.sale(), messages.card().balance_minor
        await bank.ask(sale)
        void = messages.undo(sale, 2, "0200")
        assert await bank.code(void) == "00"
        assert (["voided", "approved"], opening) == (bank.states(), await bank.balance())
        assert await bank.code(messages.undo(void, 3, "0400", de3="200000")) == "00"
        assert bank.states() == ["approved", "reversed", "approved"]
        assert opening - 1250 == await bank.balance()


async def test_void_and_reversal_of_one_sale_move_the_money_once(desk: Open, messages: Any) -> None:
    """Whichever comes first; reversing the void afterwards brings no sale back."""
    async with desk() as bank:
        opening = messages.card().balance_minor
        sale = messages.sale(1)
        await bank.ask(sale)
        void = messages.undo(sale, 2, "0200")
        await bank.ask(void)
        assert await bank.code(messages.undo(sale, 3, "0400")) == "00"
        assert await bank.code(messages.undo(void, 4, "0400", de3="200000")) == "00"
        assert opening == await bank.balance()
        sale = messages.sale(5)
        await bank.ask(sale)
        assert await bank.code(messages.undo(sale, 6, "0400")) == "00"
        assert await bank.code(messages.undo(sale, 7, "0200")) == "00"
        assert opening == await bank.balance()


async def test_voids_that_do_not_fit(desk: Open, messages: Any) -> None:
    """Unknown 25, declined 12, other card 14, other amount 64; found by RRN where DE90 fails."""
    async with desk() as bank:
        sale = messages.sale(1)
        await bank.ask(sale)
        await bank.ask(declined := messages.sale(2, 10**9))
        assert await bank.code(messages.undo(messages.sale(99), 3, "0200")) == "25"
        assert await bank.code(messages.undo(declined, 4, "0200")) == "12"
        bob = messages.card("bob").pan
        assert await bank.code(messages.undo(sale, 5, "0200", de2=bob)) == "14"
        assert await bank.code(messages.undo(sale, 6, "0200", de4="000000000001")) == "64"
        by_rrn = messages.undo(messages.sale(99), 7, "0200", de37=sale.get(37))
        assert await bank.code(by_rrn) == "00"
        assert bank.states()[0] == "voided"


async def test_refunds_never_exceed_the_sale(desk: Open, messages: Any) -> None:
    """In parts up to the amount; then 61. A refunded sale cannot be voided."""
    async with desk() as bank:
        sale = messages.sale(1, 1000)
        await bank.ask(sale)
        for stan, amount, code in ((2, 600, "00"), (3, 500, "61"), (4, 400, "00"), (5, 1, "61")):
            refund = messages.undo(sale, stan, "0220", de4=f"{amount:012d}")
            assert code == await bank.code(refund)
        assert await bank.code(messages.undo(sale, 6, "0200")) == "12"
        assert messages.card().balance_minor == await bank.balance()
        assert bank.totals()["net_approved_minor"] == 0


async def test_an_inquiry_tells_the_earlier_result(desk: Open, messages: Any) -> None:
    """00 with the original's 39 and 38 in DE48; 25 where it is unknown."""
    async with desk() as bank:
        sale = messages.sale()
        await bank.ask(sale)
        reply = await bank.ask(messages.undo(sale, 2, "0600"))
        assert (reply.mti, reply.get(39), reply.get(48)) == ("0610", "00", "00000001")
        assert await bank.code(messages.undo(messages.sale(9), 3, "0600")) == "25"


async def test_a_rule_answers_instead_of_the_bank(desk: Open, messages: Any) -> None:
    """A code other than 00 declines; 00 approves what would be declined."""
    rules = [
        Rule(Match(amount_minor=501), "05"),
        Rule(Match(amount_minor=99999999), "00"),
    ]
    async with desk(rules=rules) as bank:
        assert await bank.code(messages.sale(1, 501)) == "05"
        assert await bank.code(messages.sale(2, 99999999)) == "00"
        assert bank.states() == ["declined", "approved"]


async def test_cut_over_opens_the_next_date_once(desk: Open, messages: Any) -> None:
    """A repeated 201 does not run ahead of the calendar."""
    async with desk() as bank:
        await bank.ask(messages.sale(1))
        for stan in ("000001", "000002"):
            assert await bank.code(Message("0800", {7: "0604123456", 11: stan, 70: "201"})) == "00"
        await bank.ask(messages.sale(2))
        assert [row["business_date"] for row in bank.rows()] == ["2026-06-04", "2026-06-05"]


async def test_what_was_cleared_is_refunded_not_voided(desk: Open, messages: Any) -> None:
    """After the cut-over a void gets 12; the refund, and its repeat, give the money back once."""
    async with desk() as bank:
        sale = messages.sale(1)
        await bank.ask(sale)
        await bank.ask(Message("0800", {7: "0604123456", 11: "000001", 70: "201"}))
        assert await bank.code(messages.undo(sale, 2, "0200")) == "12"
        refund = messages.undo(sale, 3, "0220")
        assert await bank.code(refund) == "00"
        assert await bank.code(Message("0221", refund.fields)) == "00"
        assert messages.card().balance_minor == await bank.balance()


async def test_the_books_outlive_the_program(desk: Open, messages: Any) -> None:
    """After a restart repeats, voids and balances go on."""
    async with desk(inline=False) as bank:
        first = await bank.ask(messages.sale(1))
    async with desk(inline=False) as bank:
        assert first.fields == (await bank.ask(messages.sale(1))).fields
        assert await bank.code(messages.undo(messages.sale(1), 2, "0200")) == "00"
        assert messages.card().balance_minor == await bank.balance()


async def test_no_card_number_and_no_pin_is_written(desk: Open, messages: Any) -> None:
    """The folder's files hold neither PANs nor tracks; only tokens and masked numbers."""
    alice = messages.card()
    async with desk() as bank:
        block = messages.pin_block(alice.pin, alice)
        await bank.ask(messages.sale(1, de52=block, de35=alice.track2))
        await bank.ask(messages.sale(2, de2="6225880000000007"))
        written = b"".join(file.read_bytes() for file in bank.folder.iterdir())
        for card in load_estate().cards:
            assert card.pan.encode() not in written
        assert b"6225880000000007" not in written
        assert bytes.fromhex(block) not in written


async def test_a_locked_database_answers_96(desk: Open, messages: Any) -> None:
    """A unit that cannot be written is refused and leaves nothing."""
    async with desk() as bank:
        await bank.ask(messages.sale(1))
        other = sqlite3.connect(bank.folder / FILE_NAME, isolation_level=None)
        other.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON transactions"
            " BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        assert await bank.code(messages.sale(2)) == "96"
        other.execute("DROP TRIGGER refuse")
        other.close()
        assert await bank.code(messages.sale(2)) == "00"
        assert messages.card().balance_minor - 2500 == await bank.balance()


def test_there_must_be_books_to_read(tmp_path: Any) -> None:
    """An empty folder is an error, not empty totals."""
    with pytest.raises(BooksError, match=FILE_NAME):
        open_for_reading(tmp_path)
