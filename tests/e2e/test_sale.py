"""Sale and balance inquiry: what is answered, what is echoed, what the books say afterwards."""

from __future__ import annotations

import pytest
from pos_terminal import pin_block
from world import World

from acquirer.config.estate import Card, load_estate

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL = CARDS["sybil"]
STRANGE = Card("strange", "4999990000000004", "3001", "101", "1234", 0)
DROP, LATE, REFUSED, GARBAGE, CLOSE, WRONG_STAN, TWICE, STUBBORN = (
    6601,
    6602,
    6603,
    6605,
    6606,
    6607,
    6608,
    6609,
)


async def test_approved(world: World) -> None:
    """An approved sale echoes what it must, adds what it must, is sealed, and is in all books."""
    terminal = await world.signed_on()
    before = world.balances()
    fields = terminal.sale_fields(SYBIL, 10_050)
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("0210", "00") == (reply.mti, reply.code)
    assert terminal.sealed(reply)
    assert {3, 4, 11, 12, 13, 15, 25, 37, 38, 39, 41, 42, 49, 60, 64} == set(reply.fields)
    assert {n: fields[n] for n in (3, 4, 11, 25, 49, 60)} == {
        n: reply[n] for n in (3, 4, 11, 25, 49, 60)
    }
    assert bytes.fromhex("6001020003") == reply.tpdu
    assert (bytes.fromhex("603100310000"), 0) == (reply.header, reply.demand)
    after = world.balances()
    moved = {name: after[name] - before.get(name, 0) for name in after}
    assert {
        "assets:scheme:demo": 10_050,
        "liabilities:merchant:898110053310001": -(10_050 - 121),
        "income:mdr": -121,
    } == {name: moved[name] for name in moved if moved[name]}
    (row,) = world.bank_rows(reply[37])
    assert ("approved", 10_050, reply[38]) == (
        row["state"],
        row["amount_minor"],
        row["approval_code"],
    )


async def test_pan_is_echoed(world: World) -> None:
    """DE2 of the request is echoed; tracks, PIN, DE26 and DE53 never are."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 300) | {2: SYBIL.pan, 14: SYBIL.expiry}
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("00", SYBIL.pan) == (reply.code, reply[2])
    assert not {14, 22, 26, 35, 36, 52, 53} & set(reply.fields)


async def test_keyed_card(world: World) -> None:
    """A card given by DE2 and DE14 alone is sold to as well."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 400) | {2: SYBIL.pan, 14: SYBIL.expiry, 22: "011"}
    del fields[35]
    assert "00" == (await world.ask(terminal.frame("0200", fields))).code


async def test_chip(world: World) -> None:
    """A chip sale brings DE55 and DE23; both go to the bank, neither comes back."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 500) | terminal.chip_fields(SYBIL, 500)
    fields |= {22: "051", 32: "00085500"}
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("00", "00085500", True) == (reply.code, reply[32], terminal.sealed(reply))
    assert not {23, 55} & set(reply.fields)


async def test_without_pin(world: World) -> None:
    """A sale without PIN is the bank's to judge: DE52, 53 and 26 may be absent."""
    terminal = await world.signed_on()
    assert "00" == (await world.ask(terminal.sale(SYBIL, 600, pin=""))).code


async def test_two_cards_in_one_message(world: World) -> None:
    """DE2 and track 2 of different cards are a format error."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 400) | {2: CARDS["alice"].pan}
    assert "30" == (await world.ask(terminal.frame("0200", fields))).code


async def test_wrong_pin(world: World) -> None:
    """Wrong PINs get 55 and then 75; nothing is posted, and there is no approval code."""
    terminal = await world.signed_on()
    before = world.balances()
    replies = [await world.ask(terminal.sale(CARDS["mallory"], 100, pin="9999")) for _ in range(3)]
    assert ["55", "55", "75"] == [reply.code for reply in replies]
    assert [True] * 3 == [terminal.sealed(reply) for reply in replies]
    assert not any(38 in reply.fields for reply in replies)
    assert before == world.balances()
    assert "declined" == world.state(replies[0])


@pytest.mark.parametrize(("name", "code"), [("ursula", "41"), ("victor", "43"), ("wendy", "62")])
async def test_bad_cards(world: World, name: str, code: str) -> None:
    """A card that its bank refuses gets the bank's code."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.sale(CARDS[name], 100))
    assert code == reply.code


async def test_insufficient_funds(world: World) -> None:
    """More than the card holds gets 51."""
    terminal = await world.signed_on()
    assert "51" == (await world.ask(terminal.sale(CARDS["frank"], 999_999_999))).code


async def test_refused_by_the_bank(world: World) -> None:
    """A refusal by rule arrives as it is, and the bank has no money either."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.sale(SYBIL, REFUSED))
    assert "05" == reply.code
    assert ["declined"] == [row["state"] for row in world.bank_rows(reply[37])]


async def test_amount_zero(world: World) -> None:
    """A sale of nothing gets 13."""
    terminal = await world.signed_on()
    assert "13" == (await world.ask(terminal.sale(SYBIL, 0))).code


async def test_no_route(world: World) -> None:
    """A card of no known range gets 92, sealed, and is on record."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.sale(STRANGE, 100))
    assert ("92", True, "refused") == (reply.code, terminal.sealed(reply), world.state(reply))


@pytest.mark.parametrize("de53", ["1600000000000000", "0000000000000000"])
async def test_pin_without_pan(world: World, de53: str) -> None:
    """A card transaction whose DE53 does not say "with PAN" gets 99."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {53: de53}
    assert "99" == (await world.ask(terminal.frame("0200", fields))).code


async def test_pin_block_garbage(world: World) -> None:
    """A PIN block that does not open gets 99; the bank hears nothing of it."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100) | {52: bytes(range(8))}
    rows = len(world.bank_rows())
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("99", True) == (reply.code, terminal.sealed(reply))
    assert rows == len(world.bank_rows())


async def test_garbled_pin_of_a_sale_that_was_answered(world: World) -> None:
    """A used STAN is found before the PIN is looked at: the same sale gets its first answer."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    first = await world.ask(terminal.frame("0200", fields))
    again = await world.ask(terminal.frame("0200", fields | {52: bytes(range(8))}))
    assert (first.code, first[37]) == ("00", again[37])
    assert "00" == again.code


async def test_refused_pin_uses_up_the_stan(world: World) -> None:
    """The answer 99 is an answer: the same request again gets it again, whatever its PIN."""
    terminal = await world.signed_on()
    fields = terminal.sale_fields(SYBIL, 100)
    broken = await world.ask(terminal.frame("0200", fields | {52: bytes(range(8))}))
    again = await world.ask(terminal.frame("0200", fields))
    assert ("99", "99", broken[37]) == (broken.code, again.code, again[37])


async def test_no_pin_where_the_pin_block_is_for_another_card(world: World) -> None:
    """A PIN block made for another card's number never leads to an approval."""
    terminal = await world.signed_on()
    block = pin_block(terminal.keys.pin, SYBIL.pin, CARDS["nina"].pan)
    fields = terminal.sale_fields(SYBIL, 100) | {52: block}
    assert (await world.ask(terminal.frame("0200", fields))).code in ("55", "99")


async def test_balance(world: World) -> None:
    """A balance inquiry brings DE54 in its form, and posts nothing."""
    terminal = await world.signed_on()
    before = world.balances()
    reply = await world.ask(terminal.balance(CARDS["carol"]))
    assert ("0210", "00", True) == (reply.mti, reply.code, terminal.sealed(reply))
    assert "156C000001000000" == reply[54][4:]
    assert before == world.balances()


async def test_bank_drops_the_reply(world: World) -> None:
    """No answer of the bank: 98, and a reversal reaches the bank, which had approved."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.sale(SYBIL, DROP))
    assert ("98", True) == (reply.code, terminal.sealed(reply))
    assert 38 not in reply.fields
    await world.until(lambda: world.state(reply) == "reversed")
    assert ["reversed"] == [row["state"] for row in world.bank_rows(reply[37])]
    assert ["98"] == [row["reason"] for row in world.bank_reversals(reply[37])]


async def test_bank_is_late(world: World) -> None:
    """An approval after the deadline changes nothing: 98 and a reversal."""
    terminal = await world.signed_on()
    before = world.receivable()
    reply = await world.ask(terminal.sale(SYBIL, LATE))
    assert "98" == reply.code
    await world.until(lambda: world.state(reply) == "reversed")
    assert before == world.receivable()


@pytest.mark.parametrize("amount_minor", [GARBAGE, CLOSE, WRONG_STAN])
async def test_bank_answers_nonsense(world: World, amount_minor: int) -> None:
    """Garbage, a cut link, an answer under another STAN: none is an answer, all are undone."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.sale(SYBIL, amount_minor))
    assert "98" == reply.code
    await world.until(lambda: world.state(reply) == "reversed")
    assert ["reversed"] == [row["state"] for row in world.bank_rows(reply[37])]


async def test_bank_answers_twice(world: World) -> None:
    """A doubled reply counts once."""
    terminal = await world.signed_on()
    before = world.receivable()
    assert "00" == (await world.ask(terminal.sale(SYBIL, TWICE))).code
    assert before + TWICE == world.receivable()


async def test_reversal_is_repeated_until_answered(world: World) -> None:
    """A reversal that the bank does not answer goes out again as a repeat; it counts once."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.sale(SYBIL, STUBBORN))
    assert "98" == reply.code
    await world.until(lambda: world.state(reply) == "reversed")
    assert [2] == [row["attempts"] for row in world.bank_reversals(reply[37])]


async def test_unsupported(world: World) -> None:
    """A transaction that is not in the table gets 40, sealed; all it does is use up its STAN."""
    terminal = await world.signed_on()
    before = world.balances()
    fields = terminal.sale_fields(SYBIL, 100) | {3: "770000"}
    reply = await world.ask(terminal.frame("0200", fields))
    assert ("40", True) == (reply.code, terminal.sealed(reply))
    assert ("unsupported", "refused") == (world.journal()[-1].kind, world.journal()[-1].state)
    assert before == world.balances()
