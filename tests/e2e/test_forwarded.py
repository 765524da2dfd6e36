"""What terminals and banks send and the switch passes on: as it came, or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from pos_terminal import de59

from acquirer.codecs.message import Message
from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank import connection

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL = CARDS["sybil"]
ICC = "9F2701809A03261121"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The requests that reach the bank."""
    found: list[Message] = []
    entry_of = connection.entry_of

    def overheard(message: Message, *more: Any, **named: Any) -> Any:
        found.append(message)
        return entry_of(message, *more, **named)

    monkeypatch.setattr(connection, "entry_of", overheard)
    return found


@pytest.mark.parametrize(
    "icc",
    [
        "FFFF" + ICC + "FF",
        "00" + ICC + "00FF00",
        "9F27810180" + "9A820003261121",
        "9F278300000180" + "9A8400000003261121",
        "FF8105059F27021122",
        "",
    ],
)
async def test_icc_data_are_forwarded_as_they_came(
    world: Any, asked: list[Message], icc: str
) -> None:
    """Filler, long forms of lengths, private templates: for the issuer to read, byte for byte."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {22: "051", 55: bytes.fromhex(icc)}
    assert "00" == (await world.ask(terminal.frame("0200", fields))).code
    assert [icc] == [message.get(55) for message in asked]


@pytest.mark.parametrize("icc", ["9F", "9A80010000", "9A04FF", "71039A0218", "9F81818101FF"])
async def test_icc_data_that_are_no_objects(world: Any, asked: list[Message], icc: str) -> None:
    """Cut off, indefinite, longer than what is left: a format error, and nothing is forwarded."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {22: "051", 55: bytes.fromhex(icc)}
    assert "30" == (await world.ask(terminal.frame("0200", fields))).code
    assert [] == asked


async def test_a_merchants_text_steers_no_terminal(world: Any) -> None:
    """What the order system says is shown without control, C1 and bidi characters."""
    terminal = await world.with_courier()
    text = "茶\x1b[2J\x9b31m\u202e[red]|\u2066x\x00"
    with closing(sqlite3.connect(world.folder / "order-sim.sqlite3")) as books:
        books.execute("UPDATE orders SET text = ? WHERE order_no = 'SP20261121002'", (text,))
        books.commit()
    items = de59(ON="SP20261121002", OC="C1001")
    reply = await world.ask(terminal.order("0200", "380000", "71", items))
    assert ("00", "茶 [2J 31m [red]| x ") == (reply.code, reply.items["OT"].decode("gb18030"))


async def test_an_order_number_that_cannot_be_seen(world: Any) -> None:
    """A number with a character that turns round what stands beside it is a format error."""
    terminal = await world.with_courier()
    items = de59(ON="SP\u202e1", OC="C1001")
    assert "30" == (await world.ask(terminal.order("0200", "380000", "71", items))).code
