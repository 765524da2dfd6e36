"""Courier sign-on and sign-off that come again: the first answer, and no second effect."""

from __future__ import annotations

import pytest
import trio
from pos_terminal import PosTerminal, Reply, de59, pin_block
from world import OpenWorld, World

from acquirer.config.estate import load_estate

pytestmark = pytest.mark.anyio

SYBIL = next(card for card in load_estate().cards if card.name == "sybil")
HERE, THERE = "10000001", "10000009"
RIGHT = next(c.password for c in load_estate().couriers if c.courier_id == "C1001")


async def is_here(world: World, terminal: PosTerminal) -> bool:
    """Whether the courier may work at a terminal."""
    items = de59(ON="SP20261121001", OC="C1001")
    code = (await world.ask(terminal.order("0200", "380000", "71", items))).code
    assert code in ("00", "58")
    return bool(code == "00")


async def test_a_captured_sign_on_signs_nobody_on(open_world: OpenWorld) -> None:
    """Sent again it gets the first answer; the courier stays where he has gone since, or off."""
    async with open_world() as world:
        here, there = await world.signed_on(HERE), await world.signed_on(THERE)
        captured = here.courier("C1001", RIGHT)
        first = await world.ask(captured)
        assert ("00", True) == (first.code, here.sealed(first))
        assert "00" == (await world.ask(there.courier("C1001", RIGHT))).code
        again = await world.ask(captured)
        assert (first.without(64), True) == (again.without(64), here.sealed(again))
        assert (False, True) == (await is_here(world, here), await is_here(world, there))
        assert "00" == (await world.ask(there.courier("C1001", "", "403"))).code
        assert "00" == (await world.ask(captured)).code
        assert (False, False) == (await is_here(world, here), await is_here(world, there))


async def test_a_captured_sign_off_signs_nobody_off(open_world: OpenWorld) -> None:
    """Sent again once the courier is back it has no effect."""
    async with open_world() as world:
        terminal = await world.with_courier()
        captured = terminal.courier("C1001", "", "403")
        assert "00" == (await world.ask(captured)).code
        assert "00" == (await world.ask(terminal.courier("C1001", RIGHT))).code
        assert "00" == (await world.ask(captured)).code
        assert await is_here(world, terminal)


async def test_a_mistyped_password_counts_once(open_world: OpenWorld) -> None:
    """However often its message comes, side by side or later, and in the next process too."""
    async with open_world() as world:
        terminal = await world.signed_on()
        mistyped = terminal.courier("C1001", "1111")
        replies = await world.ask_all(*[mistyped] * 4)
        replies += [await world.ask(mistyped) for _ in range(4)]
        await world.drain()
        await world.start_switch()
        replies.append(await world.ask(mistyped))
        assert {"55"} == {reply.code for reply in replies}
        assert "55" == (await world.ask(terminal.courier("C1001", "2222"))).code
        assert "00" == (await world.ask(terminal.courier("C1001", RIGHT))).code


@pytest.mark.parametrize("change", ["password", "courier", "kind"])
async def test_other_content_under_its_stan(world: World, change: str) -> None:
    """Another password, courier or message under the STAN of a sign-on gets 94."""
    terminal = await world.signed_on()
    first = terminal.courier("C1001", RIGHT)
    assert "00" == (await world.ask(first)).code
    fields = Reply.of(first[2:]).without(64)
    if change == "password":
        fields[52] = pin_block(terminal.keys.pin, "1111")
    elif change == "courier":
        fields[59] = de59(OC="C1002")
    else:
        fields[60] = f"00{terminal.batch}403"
    reply = await world.ask(terminal.frame("0820", fields))
    assert ("94", True) == (reply.code, terminal.sealed(reply))
    assert await is_here(world, terminal)


async def test_a_payment_may_have_its_stan(world: World) -> None:
    """Management is exempt from the STANs of financial messages, and they from its."""
    terminal = await world.signed_on()
    sign_on = terminal.courier("C1001", RIGHT)
    stan = Reply.of(sign_on[2:])[11]
    assert "00" == (await world.ask(sign_on)).code
    sale = terminal.sale(SYBIL, 100, stan=stan)
    assert "00" == (await world.ask(sale)).code
    assert "00" == (await world.ask(terminal.reversal(sale))).code
    assert "00" == (await world.ask(sign_on)).code
    assert "94" == (await world.ask(sale)).code


async def test_copies_and_guesses_over_two_processes(
    open_world: OpenWorld, postgresql_url: str
) -> None:
    """A copy at the sibling is a copy; guesses at both count like guesses one after another."""
    async with open_world(url=postgresql_url) as world, world.sibling() as other:
        terminal = await world.signed_on()
        mistyped = terminal.courier("C1002", "1111")
        assert {"55"} == {(await one.ask(mistyped)).code for one in (world, other, world)}
        codes: list[str] = []

        async def guess(one: World, frame: bytes) -> None:
            codes.append((await one.ask(frame)).code)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                frame = terminal.courier("C1001", f"{number:04d}")
                nursery.start_soon(guess, (world, other)[number % 2], frame)
        assert ["55"] * 2 + ["75"] * 6 == sorted(codes)
        assert "75" == (await other.ask(terminal.courier("C1001", RIGHT))).code
