"""Order transactions from the doorstep to the merchant's books. Source:
docs/interfaces/terminal.md, part 5.

Each test has orders of its own; the courier C1001 is signed on at terminal 10000001.
"""

from __future__ import annotations

from typing import Any

import pytest
from pos_terminal import PosTerminal, Reply, de59, pin_block
from world import OpenWorld, World

from acquirer.config.estate import Card, load_estate

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL = CARDS["sybil"]
ORDERS = {order.order_no: order for order in load_estate().orders}
CARD, CASH = "000000", "900000"


def due(order_no: str) -> str:
    """DE4 that pays an order."""
    return f"{ORDERS[order_no].amount_minor:012d}"


def query(terminal: PosTerminal, order_no: str, courier: str = "C1001") -> bytes:
    """0200, type 71."""
    return terminal.order("0200", "380000", "71", de59(ON=order_no, OC=courier))


def pay(terminal: PosTerminal, order_no: str, card: Card = SYBIL, **more: Any) -> bytes:
    """0200, type 72, by card."""
    amount = more.get("amount") or due(order_no)
    items = de59(ON=order_no, OC=more.get("courier", "C1001"))
    fields = {4: amount, **terminal.card_fields(card, more.get("pin"))}
    return terminal.order("0200", CARD, "72", items, fields, stan=more.get("stan", ""))


def confirm(terminal: PosTerminal, order_no: str, paid: Reply, stan: str = "") -> bytes:
    """0220, type 73."""
    names: dict[int, str | bytes] = {61: f"{terminal.batch}{paid[11]}{paid[13]}"}
    items = de59(ON=order_no, OC="C1001")
    return terminal.order("0220", CARD, "73", items, names, stan=stan)


def sign(terminal: PosTerminal, order_no: str, paid: Reply | None, by: str = "王芳") -> bytes:
    """0220, type 74."""
    names: dict[int, str | bytes] = {}
    if paid is not None:
        names[61] = f"{terminal.batch}{paid[11]}{paid[13]}"
    return terminal.order("0220", "920000", "74", de59(ON=order_no, OC="C1001", OR=by), names)


async def status(world: World, terminal: PosTerminal, order_no: str) -> tuple[str, str, bytes]:
    """Code, DE4 and OS of a query."""
    reply = await world.ask(query(terminal, order_no))
    return reply.code, reply.get(4), reply.items.get("OS", b"")


# --- query -------------------------------------------------------------------------------------


async def test_query(world: World) -> None:
    """A query brings amount due, status, ways of payment and the merchant's text."""
    terminal = await world.with_courier()
    order = ORDERS["SP20261121001"]
    reply = await world.ask(query(terminal, order.order_no))
    assert ("0210", "00", True) == (reply.mti, reply.code, terminal.sealed(reply))
    assert due(order.order_no) == reply[4]
    assert (b"00", b"123") == (reply.items["OS"], reply.items["OW"])
    assert order.text == reply.items["OT"].decode("gb18030")
    assert order.order_no.encode() == reply.items["ON"]
    assert "380000" == reply[3]


async def test_query_again(world: World) -> None:
    """The same query again gets the same answer."""
    terminal = await world.with_courier()
    frame = query(terminal, "SP20261121001")
    first, again = await world.ask(frame), await world.ask(frame)
    assert first.without(12, 13, 64) == again.without(12, 13, 64)


async def test_query_in_another_encoding(world: World) -> None:
    """Texts come in the encoding of the terminal's profile."""
    terminal = await world.with_courier("10000007", "C3002")
    reply = await world.ask(query(terminal, "HS20261121001", "C3002"))
    assert ORDERS["HS20261121001"].text == reply.items["OT"].decode("utf-8")


@pytest.mark.parametrize(
    ("order_no", "code"), [("NOSUCH", "25"), ("SP20261121009", "91"), ("SP20261121010", "68")]
)
async def test_no_order(world: World, order_no: str, code: str) -> None:
    """Unknown order 25, order system down 91, silent 68; for query and payment, both sealed."""
    terminal = await world.with_courier()
    replies = [
        await world.ask(query(terminal, order_no)),
        await world.ask(pay(terminal, order_no, amount="000000000100")),
    ]
    assert [(code, True)] * 2 == [(reply.code, terminal.sealed(reply)) for reply in replies]


async def test_order_of_another_merchant(world: World) -> None:
    """A merchant's terminal sees its own orders only."""
    terminal = await world.with_courier()
    assert "25" == (await world.ask(query(terminal, "CM20261121001"))).code


# --- couriers ----------------------------------------------------------------------------------


async def test_courier_not_signed_on(world: World) -> None:
    """Without a courier who is signed on at this terminal: 58, for query and payment."""
    await world.with_courier("10000001", "C1001")
    other = await world.signed_on("10000009")
    assert "58" == (await world.ask(query(other, "SP20261121001"))).code
    assert "58" == (await world.ask(pay(other, "SP20261121001"))).code
    assert "58" == (await world.ask(query(other, "SP20261121001", "NOBODY"))).code


async def test_courier_of_another_merchant(world: World) -> None:
    """Another merchant's courier cannot sign on."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.courier("C2001", "6449"))
    assert ("0830", "58", True) == (reply.mti, reply.code, terminal.sealed(reply))


async def test_courier_moves(world: World) -> None:
    """The newest sign-on counts: a courier is at one terminal at a time."""
    first = await world.with_courier("10000004", "C3001")
    second = await world.with_courier("10000010", "C3001")
    assert "58" == (await world.ask(query(first, "HS20261121001", "C3001"))).code
    assert "00" == (await world.ask(query(second, "HS20261121001", "C3001"))).code


async def test_courier_sign_off(world: World) -> None:
    """After his sign-off a courier must sign on again."""
    terminal = await world.with_courier("10000003", "C2001")
    assert "00" == (await world.ask(terminal.courier("C2001", "", "403"))).code
    assert "58" == (await world.ask(query(terminal, "CM20261121001", "C2001"))).code


async def test_courier_password(world: World) -> None:
    """Wrong passwords get 55 and the third locks the courier; the right one is too late then."""
    terminal = await world.signed_on()
    codes = [
        (await world.ask(terminal.courier("C1002", password))).code
        for password in ("1111", "2222", "3333", "50680985")
    ]
    assert ["55", "55", "75", "75"] == codes


async def test_courier_passwords_guessed_at_once(open_world: OpenWorld) -> None:
    """Guesses sent side by side count like guesses one after another."""
    async with open_world() as world:
        terminal = await world.signed_on()
        frames = [terminal.courier("C1001", f"{n:04d}") for n in range(8)]
        replies = await world.ask_all(*frames)
        assert ["55"] * 2 + ["75"] * 6 == sorted(reply.code for reply in replies)
        assert "75" == (await world.ask(terminal.courier("C1001", "270475"))).code


async def test_courier_password_with_pan(world: World) -> None:
    """A courier's password is a PIN block without PAN; DE53 must say so (99)."""
    terminal = await world.signed_on()
    fields: dict[int, str | bytes] = {
        11: terminal.next_stan(),
        52: pin_block(terminal.keys.pin, "270475"),
        53: "2600000000000000",
        59: de59(OC="C1001"),
        60: f"00{terminal.batch}402",
    }
    assert "99" == (await world.ask(terminal.frame("0820", fields))).code


async def test_courier_with_wrong_mac(world: World) -> None:
    """Courier sign-on is sealed: a forged one is A0."""
    terminal = await world.signed_on()
    frame = terminal.courier("C1001", "270475")
    assert "A0" == (await world.ask(frame[:-8] + b"00000000")).code


# --- payment -----------------------------------------------------------------------------------


async def test_order_life(world: World) -> None:
    """Pay, confirm, sign: each is answered, shows in the next query and reaches the merchant."""
    terminal, order_no = await world.with_courier(), "SP20261121002"
    before = world.balances()
    paid = await world.ask(pay(terminal, order_no))
    assert ("0210", "00", True) == (paid.mti, paid.code, terminal.sealed(paid))
    assert {3, 4, 11, 12, 13, 15, 25, 37, 38, 39, 41, 42, 49, 60, 64} == set(paid.fields)
    assert ("00", "0" * 12, b"01") == await status(world, terminal, order_no)
    confirmed = await world.ask(confirm(terminal, order_no, paid))
    assert ("0230", "00", True) == (confirmed.mti, confirmed.code, terminal.sealed(confirmed))
    assert ("00", "0" * 12, b"02") == await status(world, terminal, order_no)
    signed = await world.ask(sign(terminal, order_no, paid))
    assert ("0230", "00") == (signed.mti, signed.code)
    assert ("00", "0" * 12, b"03") == await status(world, terminal, order_no)

    await world.until(lambda: world.order(order_no).state == "signed_for")
    assert [
        ("order.paid", "applied"),
        ("order.payment_confirmed", "applied"),
        ("order.signed_for", "applied"),
    ] == [(event.type, event.result) for event in world.events(order_no)]
    order = world.order(order_no)
    assert (paid[37], paid[11], paid[38], "王芳", "C1001", "card") == (
        order.rrn,
        order.stan,
        order.approval_code,
        order.signed_by,
        order.courier_id,
        order.means,
    )
    amount = ORDERS[order_no].amount_minor
    after = world.balances()
    assert before.get("assets:scheme:demo", 0) + amount == after["assets:scheme:demo"]


async def test_repeated_confirmations(world: World) -> None:
    """Confirmations and receipts come as often as they like: 00 each time, one event each."""
    terminal, order_no = await world.with_courier(), "SP20261121003"
    paid = await world.ask(pay(terminal, order_no))
    frame = confirm(terminal, order_no, paid)
    replies = await world.ask_all(frame, frame, confirm(terminal, order_no, paid))
    replies.append(await world.ask(confirm(terminal, order_no, paid)))
    receipt = sign(terminal, order_no, paid)
    replies += await world.ask_all(receipt, receipt, sign(terminal, order_no, paid))
    replies.append(await world.ask(confirm(terminal, order_no, paid)))
    assert ["00"] * 8 == [reply.code for reply in replies]
    await world.until(lambda: world.order(order_no).state == "signed_for")
    assert ["order.paid", "order.payment_confirmed", "order.signed_for"] == [
        event.type for event in world.events(order_no)
    ]


async def test_confirmation_of_an_earlier_batch(world: World) -> None:
    """A confirmation may itself carry another batch; its DE61 names the payment."""
    terminal, order_no = await world.with_courier(), "SP20261121004"
    paid = await world.ask(pay(terminal, order_no))
    fields: dict[int, str | bytes] = {
        3: CARD,
        11: terminal.next_stan(),
        59: de59(ON=order_no),
        60: "73000099000",
        61: f"{terminal.batch}{paid[11]}{paid[13]}",
    }
    assert "00" == (await world.ask(terminal.frame("0220", fields))).code


async def test_refusals_of_a_payment(world: World) -> None:
    """Amount unlike the one due 64, a way that the merchant does not accept 57, no PAN 30."""
    terminal, order_no = await world.with_courier(), "SP20261121005"
    other = f"{ORDERS[order_no].amount_minor - 1:012d}"
    assert "64" == (await world.ask(pay(terminal, order_no, amount=other))).code
    only_card = "SP20261121002"
    items = de59(ON="CM20261121004", OC="C2001")
    corner = await world.with_courier("10000003", "C2001")
    cash = corner.order("0200", CASH, "72", items, {4: due("CM20261121004")})
    assert "57" == (await world.ask(cash)).code
    bare = terminal.order(
        "0200", CARD, "72", de59(ON=order_no, OC="C1001"), {4: due(order_no), 22: "021"}
    )
    assert "30" == (await world.ask(bare)).code
    assert "1" == ORDERS[only_card].pay_ways


async def test_declined_payment(world: World) -> None:
    """A declined card leaves the order to be paid with another."""
    terminal, order_no = await world.with_courier(), "SP20261121005"
    assert "43" == (await world.ask(pay(terminal, order_no, CARDS["victor"]))).code
    assert ("00", due(order_no), b"00") == await status(world, terminal, order_no)
    assert "00" == (await world.ask(pay(terminal, order_no))).code


async def test_paying_a_paid_order(world: World) -> None:
    """A paid order gets 94 with the first payment's RRN; the same payment again its answer."""
    terminal, order_no = await world.with_courier(), "SP20261121006"
    frame = pay(terminal, order_no)
    paid = await world.ask(frame)
    assert paid.without(12, 13, 64) == (await world.ask(frame)).without(12, 13, 64)
    second = await world.ask(pay(terminal, order_no))
    assert ("94", paid[37]) == (second.code, second[37])
    rows = [row for row in world.bank_rows() if row["rrn"] == second[37]]
    assert 1 == len(rows)


async def test_payment_times_out(world: World) -> None:
    """A payment without an answer is undone at the bank, and the order can be paid again."""
    terminal, order_no = await world.with_courier(), "SP20261121007"
    first = await world.ask(pay(terminal, order_no))
    assert "98" == first.code
    second = await world.ask(pay(terminal, order_no))
    assert "00" == second.code
    await world.until(lambda: world.state(first) == "reversed")
    assert "12" == (await world.ask(confirm(terminal, order_no, first))).code
    assert "00" == (await world.ask(confirm(terminal, order_no, second))).code
    await world.until(lambda: world.order(order_no).rrn == second[37])


async def test_being_paid_elsewhere(world: World) -> None:
    """While one terminal pays an order, another gets 94 without RRN."""
    terminal, order_no = await world.with_courier(), "SP20261121008"
    frame = pay(terminal, order_no)
    async with world.line() as line:
        await line.send(frame)
        stan = Reply.of(frame[2:])[11]
        await world.until(lambda: any(entry.stan == stan for entry in world.journal()))
        other = await world.ask(pay(terminal, order_no))
        paid = await line.receive()
    assert ("94", False) == (other.code, 37 in other.fields)
    assert "00" == paid.code


async def test_reversed_payment(world: World) -> None:
    """A reversed payment cannot be confirmed; its order is to be paid again."""
    corner, order_no = await world.with_courier("10000003", "C2001"), "CM20261121002"
    frame = pay(corner, order_no, courier="C2001")
    paid = await world.ask(frame)
    assert "00" == paid.code
    assert "00" == (await world.ask(corner.reversal(frame))).code
    assert "12" == (await world.ask(confirm(corner, order_no, paid))).code
    assert "94" == (await world.ask(frame)).code
    await world.until(
        lambda: ["order.paid", "order.cancelled"] == [e.type for e in world.events(order_no)]
    )
    assert "to_pay" == world.order(order_no).state
    again = await world.ask(pay(corner, order_no, courier="C2001"))
    assert "00" == again.code
    assert "00" == (await world.ask(confirm(corner, order_no, again))).code


async def test_confirmed_payment_is_not_reversible(world: World) -> None:
    """A payment is reversible until it is confirmed."""
    corner, order_no = await world.with_courier("10000003", "C2001"), "CM20261121007"
    frame = pay(corner, order_no, courier="C2001")
    paid = await world.ask(frame)
    assert "00" == (await world.ask(confirm(corner, order_no, paid))).code
    assert "12" == (await world.ask(corner.reversal(frame))).code
    assert "approved" == world.state(paid)


async def test_confirmation_of_nothing(world: World) -> None:
    """Unknown payments, and payments of another order, get 25."""
    corner = await world.with_courier("10000003", "C2001")
    paid = await world.ask(pay(corner, "CM20261121010", courier="C2001"))
    stranger = Reply(paid.tpdu, paid.header, paid.mti, {**paid.fields, 11: "987654"}, paid.raw)
    assert "25" == (await world.ask(confirm(corner, "CM20261121010", stranger))).code
    assert "25" == (await world.ask(confirm(corner, "CM20261121009", paid))).code


async def test_receipt_of_an_unpaid_order(world: World) -> None:
    """What is not paid cannot be signed for."""
    corner, order_no = await world.with_courier("10000003", "C2001"), "CM20261121005"
    assert "00" == (await world.ask(query(corner, order_no, "C2001"))).code
    assert "12" == (await world.ask(sign(corner, order_no, None))).code


async def test_receipt_of_an_order_with_nothing_to_pay(world: World) -> None:
    """An order with nothing to pay is signed for without a payment."""
    terminal, order_no = await world.with_courier(), "SP20261121012"
    assert ("00", "0" * 12, b"06") == await status(world, terminal, order_no)
    assert "00" == (await world.ask(sign(terminal, order_no, None, "张三"))).code
    await world.until(lambda: world.order(order_no).state == "signed_for")


async def test_order_system_down_when_it_is_told(world: World) -> None:
    """Confirmations are taken while the order system is away, and reach it when it is back."""
    corner, order_no = await world.with_courier("10000003", "C2001"), "CM20261121008"
    paid = await world.ask(pay(corner, order_no, courier="C2001"))
    await world.until(lambda: world.order(order_no).state == "paid")
    await world.stop("orders")
    try:
        assert "91" == (await world.ask(query(corner, "CM20261121009", "C2001"))).code
        assert "00" == (await world.ask(confirm(corner, order_no, paid))).code
        assert "00" == (await world.ask(sign(corner, order_no, paid))).code
    finally:
        await world.start("orders")
    await world.until(lambda: world.order(order_no).state == "signed_for")
    assert ["order.paid", "order.payment_confirmed", "order.signed_for"] == [
        event.type for event in world.events(order_no)
    ]


@pytest.mark.parametrize("items", [b"", b"ON", b"ON999X", b"ON003A\xff\xff", de59(ON="X" * 41)])
async def test_broken_items(world: World, items: bytes) -> None:
    """DE59 that is missing, cut off, over-long or no text gets 30 and leaves no trace."""
    terminal = await world.with_courier()
    before = len(world.journal())
    whole = items or de59(XX="1")
    assert "30" == (await world.ask(terminal.order("0200", "380000", "71", whole))).code
    assert before == len(world.journal())
