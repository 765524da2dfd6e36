"""The conversation that ``docs/interfaces/terminal.md`` shows, byte for byte.

The independent terminal of ``tests/e2e`` talks to the real switch of a simulated day without
faults, so that clock, keys and numbers are the same each time. Run this file to write the frames
into the page.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import trio
from dukpt_terminal import DukptTerminal
from pos_terminal import (
    FIELDS,
    Line,
    PosTerminal,
    Reply,
    de59,
    des,
    pack,
    pin_block,
    sealed_track,
    unpack,
    x919,
)

from acquirer.config.estate import Card

__all__ = ["des", "x919"]

from acquirer.simulation.day import Day
from acquirer.simulation.network import Host
from acquirer.simulation.parties import couriers
from acquirer.simulation.process import SWITCH
from acquirer.simulation.run import run_day
from acquirer.simulation.world import World

PAGE = Path(__file__).parents[2] / "docs" / "interfaces" / "terminal.md"
NAMES = {
    2: "PAN", 3: "processing code", 4: "amount", 11: "STAN", 12: "local time", 13: "local date",
    14: "expiry", 15: "business date", 22: "entry mode", 25: "condition code",
    26: "PIN capture code", 35: "track 2", 37: "RRN", 38: "approval code", 39: "response code",
    41: "terminal", 42: "merchant", 48: "private", 49: "currency", 52: "PIN block",
    53: "security control",
    23: "card sequence number", 55: "chip",
    54: "balances", 59: "items", 60: "type, batch, network code", 61: "original", 62: "private",
    63: "private",
    64: "MAC",
}  # fmt: skip
# Of the day's own clock, by when the switch listens.
STARTED_S = 1.0
Frames = dict[str, str]


def shown(body: bytes) -> str:
    """A frame without its length: a line a data element, as it stands on the wire."""
    mti, fields = unpack(body[11:])
    lines = [
        f"{len(body):04X} {body[:5].hex().upper()} {body[5:11].hex().upper()}"
        f"  length {len(body)}, TPDU, header",
        f"{mti} {body[13:21].hex().upper()}  MTI, bitmap",
    ]
    for number, value in fields.items():
        wire = pack(number, value).hex().upper()
        parts = [wire[at : at + 64] for at in range(0, len(wire), 64)]
        lines.append(f"DE{number:<3} {parts[0]}  {_words(number, value)}")
        lines += [f"      {part}" for part in parts[1:]]
    return "\n".join(lines)


def _words(number: int, value: Any) -> str:
    kind = FIELDS[number][0]
    name = NAMES[number]
    if number == 59:
        return f"{name}: {bytes(value).decode('gb18030')}"
    if kind[0] == "b":
        text = bytes(value)
        if number == 64 and not text.isalnum():
            return f"{name} {text.hex().upper()}"
        return f"{name} {text.decode()}" if number == 64 else name
    return f"{name} {value}"


class Desk:
    """One terminal at work; keeps each frame by the name that the page gives it."""

    def __init__(self, world: World, line: Line, pos: PosTerminal) -> None:
        self.world, self.line, self.pos = world, line, pos
        self.frames: Frames = {}
        self.courier = next(one for one in couriers() if one.courier_id[1:] == pos.terminal_id)

    async def ask(self, name: str, frame: bytes) -> Reply:
        reply = await self.line.ask(frame)
        self.frames[f"{name}, request"] = shown(frame[2:])
        self.frames[f"{name}, reply"] = shown(reply.tpdu + reply.header + reply.raw)
        return reply

    def order(self, means: str) -> Any:
        """An order of this merchant that can be paid so and has not been used."""
        merchant = self.pos.merchant_id
        return next(
            order
            for order in self.world.estate.orders
            if order.merchant_id == merchant and means in order.pay_ways and order.amount_minor
        )


async def _talk(desk: Desk) -> None:
    pos = desk.pos
    card = next(card for card in desk.world.estate.cards if not card.status)
    desk.frames["keys"] = f"TMK    {pos.tmk.hex().upper()}"
    reply = await desk.ask("sign-on", pos.sign_on("003"))
    keys = pos.take_keys(reply)
    desk.frames["working keys"] = (
        f"PIN key  {keys.pin.hex().upper()}\nMAC key  {keys.mac.hex().upper()}"
    )
    block = pin_block(keys.pin, card.pin, card.pan)
    desk.frames["PIN block"] = (
        f"PAN        {card.pan}, PIN {card.pin}\n"
        f"PIN field  {f'0{len(card.pin):X}{card.pin}'.ljust(16, 'F')}\n"
        f"PAN field  0000{card.pan[:-1][-12:]}\n"
        f"under key  {block.hex().upper()}"
    )
    await desk.ask("echo test", pos.echo())
    await desk.ask("balance inquiry", pos.balance(card))
    sale = pos.sale(card, 1251)
    sold = await desk.ask("sale", sale)
    await desk.ask("sale void", pos.void(card, 1251, sold))
    second = pos.sale(card, 1333)
    await desk.ask("sale that is reversed", second)
    await desk.ask("reversal", pos.reversal(second))
    await _orders(desk, card)
    third = await desk.ask("sale that is refunded", pos.sale(card, 1444))
    await desk.ask("refund", pos.refund(card, 444, third))
    chip = pos.sale_fields(card, 1500) | pos.chip_fields(card, 1500)
    chip |= {60: f"22{pos.batch}00050"}
    by_chip = await desk.ask("chip sale", pos.frame("0200", chip))
    await desk.ask("IC script result", pos.script_result(by_chip))
    await desk.ask("offline sale", pos.offline_sale(card, 1555))
    await _otherwise(desk, card)
    await _preauths(desk, card)
    await desk.ask("sign-off", pos.sign_off())
    await _with_enciphered_track(desk, card)
    await _with_derived_keys(desk, card)
    await _settlement(desk, card)


async def _settlement(desk: Desk, card: Card) -> None:
    """A batch of one sale, which the terminal takes for more."""
    pos = _other(desk, "10000003")
    pos.take_keys(await desk.line.ask(pos.sign_on()))
    sold = await desk.line.ask(pos.sale(card, 1888))
    await desk.ask("settlement", pos.settlement((2888, 2)))
    items = [(sold[11], card.pan, 1888), ("000777", card.pan, 1000)]
    await desk.ask("batch upload", pos.upload(*items))
    await desk.ask("end of the upload", pos.upload_end(len(items)))


def _other(desk: Desk, terminal_id: str) -> PosTerminal:
    """Another terminal of the estate on the same line."""
    estate = desk.world.estate
    one = next(found for found in estate.terminals if found.terminal_id == terminal_id)
    profile = next(found for found in estate.profiles if found.name == one.profile)
    tmk = bytes.fromhex(one.tmk)
    return PosTerminal(one.terminal_id, one.merchant_id, tmk, profile.mac)


async def _with_enciphered_track(desk: Desk, card: Card) -> None:
    pos = _other(desk, "10000011")
    desk.frames["TMK of 10000011"] = f"TMK    {pos.tmk.hex().upper()}"
    reply = await desk.ask("sign-on with a track key", pos.sign_on("004"))
    keys = pos.take_keys(reply, "004")
    desk.frames["enciphered track"] = (
        f"track key   {keys.track.hex().upper()}\n"
        f"track 2     {card.track2}, {len(card.track2)} digits\n"
        f"16 digits   {card.track2[20:36]} (from the 21st to the 36th)\n"
        f"enciphered  {sealed_track(keys.track, card.track2)[20:36]}"
    )
    await desk.ask("sale with an enciphered track", pos.sale(card, 1666))


async def _otherwise(desk: Desk, card: Card) -> None:
    """Sales to a card that is not there, or that pays in parts."""
    pos = desk.pos
    terms = b"03P03A" + b" " * 26 + b"0"
    paid = await desk.ask("instalment", pos.instalment(card, 100_001, terms))
    await desk.ask("instalment void", pos.void(card, 100_001, paid, condition="64"))
    code = await desk.world.bank.new_code(card.name)
    await desk.ask("sale to a code", pos.code_sale(code, 1666))
    await desk.ask("sale by telephone", pos.mail_sale(card, 1777, card.cvn2))


async def _preauths(desk: Desk, card: Card) -> None:
    pos = desk.pos
    sale = await desk.line.ask(pos.sale(card, 8_000))
    await desk.ask("tip adjustment", pos.tip(card, 8_000, 800, sale))
    given_up = await desk.line.ask(pos.preauth(card, 20_001))
    void = pos.about("preauth_void", card, 20_001, given_up)
    await desk.ask("void of a pre-authorisation", void)
    held = await desk.ask("pre-authorisation", pos.preauth(card, 20_001))
    made = await desk.ask("completion", pos.about("completion", card, 18_251, held))
    void = pos.about("completion_void", card, 18_251, made)
    await desk.ask("void of a completion", void)
    advice = pos.about("completion_advice", card, 21_000, held)
    await desk.ask("completion advice", advice)


def derived(desk: Desk, terminal_id: str) -> DukptTerminal:
    """A terminal whose keys are derived, before its first message."""
    estate = desk.world.estate
    one = next(found for found in estate.terminals if found.terminal_id == terminal_id)
    profile = next(found for found in estate.profiles if found.name == one.profile)
    bdk, ksn = bytes.fromhex(profile.bdk), bytes.fromhex(one.ksn)
    pos = DukptTerminal(one.terminal_id, one.merchant_id, b"", bdk=bdk, initial=ksn)
    desk.frames[f"base key of {terminal_id}"] = (
        f"BDK          {profile.bdk}\n"
        f"KSN          {one.ksn}\n"
        f"initial key  {pos.dukpt.initial.hex().upper()}"
    )
    return pos


async def _with_derived_keys(desk: Desk, card: Card) -> None:
    for name, terminal_id in (("TDES", "10000014"), ("AES", "10000015")):
        pos = derived(desk, terminal_id)
        if name == "TDES":
            pos.take_keys(await desk.ask("sign-on (DUKPT)", pos.sign_on("001")))
        else:
            pos.take_keys(await desk.line.ask(pos.sign_on("001")))
        frame = pos.sale(card, 1777)
        keys = pos.dukpt.keys(pos.ksn)
        desk.frames[f"keys of the {name} sale"] = (
            f"KSN           {pos.ksn.hex().upper()}\n"
            f"PIN key       {keys.pin.hex().upper()}\n"
            f"MAC, request  {keys.request.hex().upper()}\n"
            f"MAC, reply    {keys.response.hex().upper()}"
        )
        await desk.ask(f"sale (DUKPT {name})", frame)


async def _orders(desk: Desk, card: Card) -> None:
    pos, courier = desk.pos, desk.courier
    who = courier.courier_id
    await desk.ask("courier sign-on", pos.courier(who, courier.password))
    order = desk.order("1")
    no = order.order_no
    await desk.ask("order query", pos.order("0200", "380000", "71", de59(ON=no, OC=who)))
    due: dict[int, str | bytes] = {4: f"{order.amount_minor:012d}"}
    by_card = due | {22: "021", **pos.card_fields(card, None)}
    items = de59(ON=no, OC=who)
    paid = await desk.ask("order payment", pos.order("0200", "000000", "72", items, by_card))
    named: dict[int, Any] = {61: f"{pos.batch}{paid[11]}{paid[13]}"}
    items = de59(ON=no)
    await desk.ask("payment confirmation", pos.order("0220", "000000", "73", items, named))
    back = named | {37: paid[37], 38: paid[38]}
    await desk.ask("order cancellation", pos.order("0200", "200000", "75", items, back))
    await desk.ask("cancellation confirmation", pos.order("0220", "200000", "76", items, named))
    other = next(
        one
        for one in desk.world.estate.orders
        if one.merchant_id == pos.merchant_id and one.order_no != no and "2" in one.pay_ways
    )
    items = de59(ON=other.order_no, OC=who)
    await desk.ask("order query (cash)", pos.order("0200", "380000", "71", items))
    due = {4: f"{other.amount_minor:012d}"}
    cash = await desk.ask("order payment in cash", pos.order("0200", "900000", "72", items, due))
    named = {61: f"{pos.batch}{cash[11]}{cash[13]}"}
    signed = de59(ON=other.order_no, OR="Li Wei")
    await desk.ask("receipt confirmation", pos.order("0220", "920000", "74", signed, named))
    third = next(
        one
        for one in desk.world.estate.orders
        if one.merchant_id == pos.merchant_id and one.order_no not in (no, other.order_no)
    )
    told = de59(ON=third.order_no, OX="02")
    await desk.ask("order exception", pos.order("0220", "930000", "77", told))
    await desk.ask("courier sign-off", pos.courier(who, "", "403"))


def conversation() -> Frames:
    """All frames by name."""
    return conversation_and_link()[0]


def record(world: World, party: str, note: Callable[[Any, bytes, bool], None]) -> None:
    """Have whatever the switch's connections to a party carry noted.

    Args:
        note: gets the connection, the bytes, and whether the switch has sent them.
    """
    connect = world.network.open

    def listening(name: str, host: Host) -> Any:
        near = connect(name, host)
        if name == party:
            send, receive = near.send_all, near.receive_some

            async def send_all(data: Any) -> None:
                note(near, bytes(data), True)
                await send(data)

            async def receive_some(max_bytes: int | None = None) -> bytes:
                data = bytes(await receive(max_bytes))
                if data:
                    note(near, data, False)
                return data

            near.send_all, near.receive_some = send_all, receive_some  # type: ignore[method-assign]
        return near

    world.network.open = listening  # type: ignore[method-assign]


async def talk_at(world: World, more: Callable[[Desk], Awaitable[None]] | None = None) -> Desk:
    """The conversation with a day's switch, and what else is to be said after it."""
    terminal = world.estate.terminals[0]
    await trio.sleep(STARTED_S)
    stream = await world.network.connect(SWITCH, Host("counter"))
    pos = PosTerminal(terminal.terminal_id, terminal.merchant_id, bytes.fromhex(terminal.tmk))
    desk = Desk(world, Line(stream), pos)
    await _talk(desk)
    if more is not None:
        await more(desk)
    await stream.aclose()
    return desk


def run(play: Callable[[World], Awaitable[None]]) -> None:
    """A simulated day without faults, the same each time."""
    report = run_day(Day(2, terminals=1, faults=frozenset()), play=play)
    assert not any(
        finding.startswith(("exception", "time", "tasks")) for finding in report.findings
    )


def _frames_in(data: bytes) -> Iterator[bytes]:
    """The frames of what was carried at once, without their lengths."""
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        yield data[2:end]
        data = data[end:]


def conversation_and_link() -> tuple[Frames, list[bytes], Any]:
    """All frames by name, what was said on the bank's link meanwhile, and the estate."""
    desks: list[Desk] = []
    said: list[bytes] = []

    def note(_near: Any, data: bytes, _sent: bool) -> None:
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            said.append(data[2:end])
            data = data[end:]

    async def play(world: World) -> None:
        record(world, "bank", lambda _near, data, _sent: said.extend(_frames_in(data)))
        desks.append(await talk_at(world))

    run(play)
    return desks[0].frames, said, desks[0].world.estate


MARK = re.compile(r"```frame ([^\n]+)\n(.*?)```", re.S)


def page_with(frames: Frames, text: str) -> str:
    """The page with its frames made anew."""
    return MARK.sub(lambda found: f"```frame {found[1]}\n{frames[found[1]]}\n```", text)


if __name__ == "__main__":
    PAGE.write_text(page_with(conversation(), PAGE.read_text("utf-8")), "utf-8")
