"""What terminals and banks send and the switch passes on: as it came, or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pos_terminal import de59
from structlog.testing import capture_logs
from world import OpenWorld, World

from acquirer.codecs.message import Message
from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank import connection
from acquirer.hosts_sim.bank.host import entry_of, reply_of
from acquirer.hosts_sim.orders.store import read_orders

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL = CARDS["sybil"]
ICC = "9F2701809A03261121"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The requests that reach the bank."""
    found: list[Message] = []

    def overheard(message: Message, *more: Any, **named: Any) -> Any:
        found.append(message)
        return entry_of(message, *more, **named)

    monkeypatch.setattr(connection, "entry_of", overheard)
    return found


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """Fields that the bank puts into its replies to requests for money, over its own."""
    fields: dict[int, str] = {}

    def altered(request: Message, *more: Any) -> Message:
        reply = reply_of(request, *more)
        if request.mti == "0200":
            reply.fields |= fields
        return reply

    monkeypatch.setattr(connection, "reply_of", altered)
    return fields


async def with_dialect(world: World, path: Path) -> None:
    """Restart the switch with another dialect on its bank link."""
    banks = msgspec.to_builtins((await world.settings()).banks)
    world.changes["banks"] = [banks[0] | {"dialect": str(path)}]
    await world.drain()
    await world.start_switch()


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
    patient_world: World, asked: list[Message], icc: str
) -> None:
    """Filler, long forms of lengths, private templates: for the issuer to read, byte for byte."""
    terminal = await patient_world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | terminal.chip_fields(SYBIL, 100)
    fields[55] += bytes.fromhex(icc)
    assert "00" == (await patient_world.ask(terminal.frame("0200", fields))).code
    assert [fields[55].hex().upper()] == [message.get(55) for message in asked]


@pytest.mark.parametrize("icc", ["9F", "9A80010000", "9A04FF", "71039A0218", "9F81818101FF"])
async def test_icc_data_that_are_no_objects(
    patient_world: World, asked: list[Message], icc: str
) -> None:
    """Cut off, indefinite, longer than what is left: a format error, and nothing is forwarded."""
    terminal = await patient_world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {22: "051", 55: bytes.fromhex(icc)}
    assert "30" == (await patient_world.ask(terminal.frame("0200", fields))).code
    assert [] == asked


async def test_a_merchants_text_steers_no_terminal(patient_world: World) -> None:
    """What the order system says is shown without control, C1 and bidi characters."""
    terminal = await patient_world.with_courier()
    text = "茶\x1b[2J\x9b31m\u202e[red]|\u2066x\x00"
    with closing(sqlite3.connect(patient_world.folder / "order-sim.sqlite3")) as books:
        books.execute("UPDATE orders SET text = ? WHERE order_no = 'SP20261121002'", (text,))
        books.commit()
    items = de59(ON="SP20261121002", OC="C1001")
    reply = await patient_world.ask(terminal.order("0200", "380000", "71", items))
    assert ("00", "茶 [2J 31m [red]| x ") == (reply.code, reply.items["OT"].decode("gb18030"))


async def test_an_order_number_that_cannot_be_seen(patient_world: World) -> None:
    """A number with a character that turns round what stands beside it is a format error."""
    terminal = await patient_world.with_courier()
    items = de59(ON="SP\u202e1", OC="C1001")
    assert "30" == (await patient_world.ask(terminal.order("0200", "380000", "71", items))).code


@pytest.mark.parametrize("code", ["\xc1\xe9\xbf\xf1\xe0\xe7", "\x9b2J\x1b[m", "A1234 ", "      "])
async def test_an_approval_code_that_cannot_be_shown(
    patient_world: World, brought: dict[int, str], code: str
) -> None:
    """The payment is approved, and answered; a code that fits the terminal's dialect is shown."""
    terminal = await patient_world.signed_on()
    brought[38] = code
    reply = await patient_world.ask(terminal.sale(SYBIL, 100))
    assert ("00", "approved") == (reply.code, patient_world.state(reply))
    assert ("A1234 " if code == "A1234 " else "") == reply.get(38)
    assert terminal.sealed(reply)


async def test_a_balance_that_cannot_be_shown(
    patient_world: World, brought: dict[int, str]
) -> None:
    """Left out; the answer comes all the same."""
    terminal = await patient_world.signed_on()
    for wrong in ("1002156C00000000125\xb2", "1002156X000000001250", "\x1b" * 20, "10"):
        brought[54] = wrong
        reply = await patient_world.ask(terminal.balance(SYBIL))
        assert ("00", "") == (reply.code, reply.get(54))


async def test_the_merchant_is_told_the_code_that_the_terminal_got(
    patient_world: World, brought: dict[int, str]
) -> None:
    """A notice holds no approval code that the terminal could not be shown."""
    terminal = await patient_world.with_courier()
    brought[38] = "\xc1\xe9\xbf\xf1\xe0\xe7"
    order = next(order for order in load_estate().orders if order.order_no == "SP20261121002")
    fields = terminal.card_fields(SYBIL, None) | {4: f"{order.amount_minor:012d}"}
    items = de59(ON=order.order_no, OC="C1001")
    reply = await patient_world.ask(terminal.order("0200", "000000", "72", items, fields))
    assert ("00", "") == (reply.code, reply.get(38))
    await patient_world.until(lambda: patient_world.events(order.order_no))
    (row,) = [row for row in read_orders(patient_world.folder) if row.order_no == order.order_no]
    assert ("paid", "") == (row.state, row.approval_code)


@pytest.mark.parametrize(
    ("given", "told"),
    [("98", "98"), ("A0", "A0"), ("06", "06"), ("00", "06"), ("zZ", "06"), ("  ", "06")],
)
async def test_a_bank_is_told_no_reason_but_the_interfaces(
    patient_world: World, asked: list[Message], given: str, told: str
) -> None:
    """What a terminal gives as the reason of a reversal, and what its bank is told."""
    terminal = await patient_world.signed_on()
    frame = terminal.sale(SYBIL, 100)
    assert "00" == (await patient_world.ask(frame)).code
    assert "00" == (await patient_world.ask(terminal.reversal(frame, given))).code
    await patient_world.until(lambda: any(message.mti == "0400" for message in asked))
    assert [told] == [message.get(39) for message in asked if message.mti == "0400"]


async def test_a_reason_that_is_none(patient_world: World, asked: list[Message]) -> None:
    """Not two letters or digits: a format error, and nothing is undone."""
    terminal = await patient_world.signed_on()
    frame = terminal.sale(SYBIL, 100)
    sale = await patient_world.ask(frame)
    assert "30" == (await patient_world.ask(terminal.reversal(frame, "\x00\x01"))).code
    assert "approved" == patient_world.state(sale)
    assert "00" == (await patient_world.ask(terminal.reversal(frame))).code
    await patient_world.until(lambda: any(message.mti == "0400" for message in asked))


async def test_what_a_banks_dialect_cannot_hold(
    open_world: OpenWorld, tmp_path: Path, asked: list[Message]
) -> None:
    """A field without room there is a format error before anything is recorded as sent."""
    path = tmp_path / "small.toml"
    path.write_text(
        'extends = "iso87_ascii"\n[fields]\n'
        '55 = { type = "b", max = 8, prefix = 3 }\n'
        '35 = { type = "z", max = 30, prefix = 2 }\n'
    )
    async with open_world(bank_timeout_s=15.0) as world:
        await with_dialect(world, path)
        terminal = await world.signed_on()
        keyed = terminal.sale_fields(SYBIL, 100, pin="")
        keyed |= {2: SYBIL.pan, 14: SYBIL.expiry, 22: "012"}
        del keyed[35]
        for code, changes in (
            ("00", {55: bytes.fromhex("9F270180")}),
            ("30", {55: bytes.fromhex(ICC)}),
            ("30", {35: SYBIL.track2}),
        ):
            fields = {**keyed, **changes, 11: terminal.next_stan()}
            reply = await world.ask(terminal.frame("0200", fields))
            assert (code, True) == (reply.code, terminal.sealed(reply))
            assert ("approved" if code == "00" else "refused") == world.state(reply)
        assert 1 == len(asked)
        await world.agree()


async def test_a_text_that_is_cut_inside_a_character(
    open_world: OpenWorld, tmp_path: Path, brought: dict[int, str]
) -> None:
    """DE44 of an approval ends with half a character: nobody needs it, and the sale is approved."""
    path = tmp_path / "chinese.toml"
    path.write_text('extends = "iso87_ascii"\n[defaults]\ntext = "gb18030"\n')
    brought[44] = "A" * 23 + "\xc4"
    async with open_world(bank_timeout_s=15.0) as world:
        await with_dialect(world, path)
        terminal = await world.signed_on()
        reply = await world.ask(terminal.sale(SYBIL, 100))
        assert ("00", "approved") == (reply.code, world.state(reply))
        await world.agree()


async def test_a_reply_with_one_byte_too_many(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not count; the log says why, once, and the operator finds it among the unmatched."""
    sealed = connection.Connection._sealed

    def longer(self: Any, envelope: bytes, reply: Message, pair: Any) -> bytes:
        frame = sealed(self, envelope, reply, pair)
        if reply.mti != "0210":
            return frame
        return (len(frame) - 1).to_bytes(2, "big") + frame[2:] + b"\x00"

    monkeypatch.setattr(connection.Connection, "_sealed", longer)
    async with open_world(changes={"operator_token": "t"}) as world:
        terminal = await world.signed_on()
        with capture_logs() as logs:
            reply = await world.ask(terminal.sale(SYBIL, 100))
        assert "98" == reply.code
        (line,) = [line for line in logs if line["event"] == "link_message_malformed"]
        assert ("demo", "0210", "bytes left over behind it: 1") == (
            line["link"],
            line["mti"],
            line["reason"],
        )
        async with httpx.AsyncClient() as client:
            url = f"http://{world.http}/operator/links"
            found = await client.post(url, headers={"authorization": "Bearer t"}, content=b"{}")
        (kept,) = found.json()["unmatched"]
        assert (line["stan"], reply[37], "00") == (
            kept["stan"],
            kept["rrn"],
            kept["response_code"],
        )
        assert f"(at byte {line['offset']})" in kept["reason"]
        await world.agree()
