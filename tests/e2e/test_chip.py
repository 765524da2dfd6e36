"""Chip cards: what a terminal must say of one, what the bank checks, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from pos_terminal import PosTerminal, Reply
from pyemv import ac, kd
from world import SCRIPT, SCRIPTED, World, card

from acquirer.codecs import bertlv
from acquirer.codecs.icc import WANTED
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

BOB, FRANK, SYBIL = card("bob"), card("frank"), card("sybil")
CHIP_READER = "5"
WITHOUT_FALLBACK = "10000004"


def key_of(one: Any, counter: bytes) -> bytes:
    """A card's key of one transaction, as pyemv derives it."""
    key = kd.derive_icc_mk_a(bytes.fromhex(one.icc_mk), one.pan, one.psn)
    return key if one.cvn == 10 else kd.derive_common_sk(key, counter + bytes(6))


def inserted(terminal: PosTerminal, one: Any, amount_minor: int) -> dict[int, Any]:
    """A sale by chip with a right cryptogram, computed here."""
    issuer = bytes.fromhex(f"0601{one.cvn:02X}03A00000")
    fields = terminal.sale_fields(one, amount_minor)
    drafted = terminal.chip_fields(one, amount_minor, x9F10=issuer)
    found = {item.tag: item.value for item in bertlv.parse(drafted[55])}
    order = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36")
    data = b"".join(found.get(tag, bytes(6)) for tag in order)
    padding = ac.PaddingType.VISA if one.cvn == 10 else ac.PaddingType.EMV
    data += issuer[3:7] if one.cvn == 10 else issuer
    arqc = ac.generate_ac(key_of(one, found["9F36"]), data, padding, 8)
    chip = terminal.chip_fields(one, amount_minor, x9F10=issuer, x9F26=arqc)
    reader = f"22{terminal.batch}000{CHIP_READER}0"
    return fields | chip | {22: "051", 60: reader}


def answered(reply: Reply) -> dict[str, bytes]:
    """Tag → value of a reply's DE55."""
    return {item.tag: item.value for item in bertlv.parse(reply[55])}


def texts(world: World, table: str, column: str) -> list[str]:
    """A column of the switch's books."""
    with Database(world.url).read_only_engine().connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT {column} FROM {table}")
        return [row[0] for row in rows]


@pytest.mark.parametrize("one", [BOB, FRANK], ids=["version 10", "version 18"])
async def test_a_right_cryptogram_is_answered(world: World, one: Any) -> None:
    """The bank takes it; its answer proves the bank to the card, and comes again with a copy."""
    terminal = await world.signed_on()
    frame = terminal.frame("0200", inserted(terminal, one, 250))
    reply = await world.ask(frame)
    assert ("00", True) == (reply.code, terminal.sealed(reply))
    arpc, code = answered(reply)["91"][:8], answered(reply)["91"][8:]
    counter = bytes.fromhex("001F")
    arqc = next(i.value for i in bertlv.parse(Reply.of(frame[2:])[55]) if i.tag == "9F26")
    assert (ac.generate_arpc_1(key_of(one, counter), arqc, b"00"), b"00") == (arpc, code)
    again = await world.ask(frame)
    assert reply[55] == again[55]
    assert not any(arpc.hex() in text.lower() for text in texts(world, "journal", "reply"))


async def test_a_wrong_cryptogram_is_refused(world: World) -> None:
    """05, with no answer for the card, and no money moves."""
    terminal, before = await world.signed_on(), world.balances()
    fields = inserted(terminal, BOB, 251)
    at = fields[55].index(bytes.fromhex("9F2608")) + 3
    fields[55] = fields[55][:at] + bytes([fields[55][at] ^ 1]) + fields[55][at + 1 :]
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("05", False, before) == (reply.code, 55 in reply.fields, world.balances())


@pytest.mark.parametrize("tag", WANTED)
async def test_each_wanted_object(world: World, tag: str) -> None:
    """A chip's authorisation that lacks one gets 30, and goes nowhere."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 252) | terminal.chip_fields(
        SYBIL, 252, **{f"x{tag}": None}
    )
    assert "30" == (await world.ask(terminal.frame("0200", fields))).code
    assert 252 not in {row["amount_minor"] for row in world.bank_rows()}


@pytest.mark.parametrize(
    "changed",
    [
        {"x5A": bytes.fromhex("4000121185519754")},
        {"x57": bytes.fromhex("6225887005967337977D30121010000000000F")},
        {"x9F02": bytes(6)},
        {"x5F2A": bytes.fromhex("0840")},
    ],
    ids=["card", "track", "amount", "currency"],
)
async def test_a_chip_that_says_something_else(world: World, changed: dict[str, bytes]) -> None:
    """Another card, track, amount or currency than the message's: 30."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 253) | terminal.chip_fields(SYBIL, 253, **changed)
    assert "30" == (await world.ask(terminal.frame("0200", fields))).code
    assert 253 not in {row["amount_minor"] for row in world.bank_rows()}


async def test_what_no_chip_says(world: World) -> None:
    """Broken TLV, and a chip's entry without DE55, get 30."""
    terminal = await world.signed_on()
    sale = terminal.sale_fields(SYBIL, 254) | terminal.chip_fields(SYBIL, 254)
    for icc in (sale[55][:-1], b"\x9f"):
        broken = sale | {11: terminal.next_stan(), 55: icc}
        assert "30" == (await world.ask(terminal.frame("0200", broken))).code
    without = {**sale, 11: terminal.next_stan()}
    del without[55]
    assert "30" == (await world.ask(terminal.frame("0200", without))).code


@pytest.mark.parametrize(
    ("terminal_id", "reader", "condition", "code"),
    [
        ("10000001", "2", "0", "00"),
        ("10000001", "5", "0", "45"),
        ("10000001", "6", "1", "45"),
        ("10000001", "6", "2", "00"),
        (WITHOUT_FALLBACK, "5", "2", "45"),
    ],
)
async def test_the_stripe_of_a_chip_card(
    world: World, terminal_id: str, reader: str, condition: str, code: str
) -> None:
    """45 where chips can be read, but where this one cannot and the merchant may swipe it."""
    terminal = await world.signed_on(terminal_id)
    fields = terminal.sale_fields(BOB, 255)
    fields[60] = f"22{terminal.batch}000{reader}{condition}"
    frame = terminal.frame("0200", fields)
    assert code == (await world.ask(frame)).code
    assert code == (await world.ask(frame)).code


@pytest.mark.parametrize(
    ("amount_minor", "pin", "code"),
    [(100_000, "", "00"), (100_001, "", "55"), (100_001, None, "00")],
)
async def test_contactless(world: World, amount_minor: int, pin: str | None, code: str) -> None:
    """Without a PIN up to the profile's ``no_pin_minor``; above it the bank wants one."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, amount_minor, pin=pin)
    fields |= terminal.chip_fields(SYBIL, amount_minor) | {22: "072" if pin == "" else "071"}
    assert code == (await world.ask(terminal.frame("0200", fields))).code


async def test_a_script_reaches_the_card(world: World) -> None:
    """What the issuer wants done to the card comes beside its cryptogram."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.frame("0200", inserted(terminal, FRANK, SCRIPTED)))
    assert ("00", bytes.fromhex(SCRIPT)) == (reply.code, reply[55][-17:])


async def test_an_advice_brings_what_may_be_kept(world: World) -> None:
    """An offline sale's chip data wait sealed, without card number, and go when the bank has it."""
    terminal = await world.signed_on()
    await world.stop("bank")
    pan = bytes.fromhex(SYBIL.pan + "F")
    chip = terminal.chip_fields(SYBIL, 256, x5A=pan)
    fields = Reply.of(terminal.offline_sale(SYBIL, 256)[2:]).fields
    fields = {n: value for n, value in fields.items() if n not in (0, 64)} | chip
    sale = await world.ask(terminal.frame("0220", fields))
    assert "00" == sale.code
    (sealed,) = (text for text in texts(world, "saf", "icc") if text)
    assert chip[55].hex() not in sealed.lower()
    assert SYBIL.pan not in sealed
    await world.start("bank")
    await world.until(lambda: world.bank_rows(sale[37]))
    await world.until(lambda: not any(texts(world, "saf", "icc")))
