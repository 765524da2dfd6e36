"""A bank whose links several processes use, and that move from one to another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from acquirer.codecs.bank_fields import BankKeys
from acquirer.codecs.message import Message
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.kcv import kcv
from acquirer.routing.links.shared_link import MOVE_S, BankPlace
from acquirer.routing.outcomes import BankOutcome, NoReply, NotSent, Replied

pytestmark = pytest.mark.anyio

PIN_BLOCK = bytes(range(8))
ZAK = des.odd_parity(bytes(range(16, 32)))
Rig = Callable[..., Any]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Trio, with a clock that jumps when all wait."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Direct:
    """A relay without anything between."""

    def __init__(self, place: BankPlace) -> None:
        self.place = place

    async def exchange(
        self, bank: str, link: str, message: Message, deadline: float
    ) -> BankOutcome:
        """At the process that has the link."""
        return await self.place.serve(link, message, deadline)


class Two:
    """Two processes at one bank; the first has its link."""

    def __init__(self, make_rig: Rig, **changes: Any) -> None:
        self.places = [
            BankPlace("demo", lambda place: self.show(place, 1)),
            BankPlace("demo", lambda place: self.show(place, 0)),
        ]
        self.one, self.other = (make_rig(place, **changes) for place in self.places)
        self.to_one, self.to_other = map(Direct, self.places)
        self.places[0].take()
        self.places[1].follow(self.to_one)

    def show(self, place: BankPlace, to: int) -> None:
        """What a process says of its links reaches the other."""
        self.places[to].see((self.to_one, self.to_other)[1 - to], place.views())


@asynccontextmanager
async def running(two: Two) -> AsyncIterator[trio.Nursery]:
    """Both processes' links, until the block ends."""
    async with trio.open_nursery() as nursery:
        await nursery.start(two.one.banks.run)
        await nursery.start(two.other.banks.run)
        yield nursery
        nursery.cancel_scope.cancel()


async def collect(results: dict[str, Any], name: str, awaitable: Any) -> None:
    """Keep what something awaited gives."""
    results[name] = await awaitable


async def test_a_link_elsewhere_is_used_like_ones_own(make_rig: Rig) -> None:
    """Its state and key are known, its answers come, and only its own process counts them."""
    two = Two(make_rig)
    async with running(two) as nursery:
        bank = await two.one.bring_up()
        assert (two.other.banks.is_up("demo"), two.other.banks.zpk("demo")) == (True, "UZPK")
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "sale", two.other.request())
        await bank.answer(de38="000123")
        await wait_all_tasks_blocked()
        assert results["sale"].message.get(38) == "000123"
        assert [] == two.other.banks.states_here()
        assert (1, 0) == (len(two.one.connects), len(two.other.connects))


async def test_a_move_in_order_refuses_nothing(make_rig: Rig) -> None:
    """What is in flight is answered first; what comes meanwhile waits for the link's new place."""
    two = Two(make_rig)
    async with running(two) as nursery:
        bank = await two.one.bring_up()
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "flies", two.other.request("000001"))
        in_flight = await bank.receive()
        two.places[1].follow(None)
        nursery.start_soon(two.places[0].give_up)
        await wait_all_tasks_blocked()
        nursery.start_soon(collect, results, "waits", two.one.request("000002", timeout_s=9.0))
        nursery.start_soon(
            collect, results, "waits too", two.other.request("000003", timeout_s=9.0)
        )
        await wait_all_tasks_blocked()
        assert {} == results
        assert two.other.banks.is_up("demo")
        await bank.send(bank.reply_to(in_flight, "00"))
        assert "002" == (await bank.receive()).get(70)
        two.places[1].take()
        two.places[0].follow(two.to_other)
        bank = await two.other.bring_up()
        assert {"000002", "000003"} == {(await bank.answer()).get(11) for _ in range(2)}
        await wait_all_tasks_blocked()
        assert {"flies", "waits", "waits too"} == set(results)
        assert all(isinstance(outcome, Replied) for outcome in results.values())


async def test_where_nobody_takes_the_links_over_the_bank_is_down_after_a_while(
    make_rig: Rig,
) -> None:
    """Requests wait for so long and no longer, and not beyond their own deadline."""
    two = Two(make_rig)
    async with running(two):
        await two.one.bring_up()
        two.places[1].follow(None)
        assert NotSent("link down") == await two.other.request(timeout_s=2.0)
        assert two.other.banks.is_up("demo")
        began = trio.current_time()
        assert NotSent("link down") == await two.other.request(timeout_s=60.0)
        assert trio.current_time() - began == pytest.approx(MOVE_S - 2.0)
        assert not two.other.banks.is_up("demo")


async def test_a_pin_under_the_key_of_the_link_before_is_translated(make_rig: Rig) -> None:
    """The new link has keys of its own, and the payment does not notice."""
    two = Two(make_rig, security="zone")
    keys = [des.odd_parity(bytes(range(at, at + 16))) for at in (0, 32)]
    async with running(two) as nursery:
        await zone_up(two.one, keys[0])
        zpk = two.other.banks.zpk("demo")
        assert keys[0].hex().upper() == zpk
        two.places[1].follow(None)
        results: dict[str, Any] = {}
        block = des.encrypt_ecb(keys[0], PIN_BLOCK)
        request = two.other.request(pin_block=block, zpk=zpk, timeout_s=9.0)
        nursery.start_soon(collect, results, "sale", request)
        two.places[1].take()
        bank = await zone_up(two.other, keys[1])
        sale = await bank.receive()
        assert PIN_BLOCK == des.decrypt_ecb(keys[1], sale.binary(52))
        # No reply, so no MAC to be right: the request has left, which is what counts.
        await trio.sleep(10.0)
        assert NoReply("timeout") == results["sale"]


async def test_a_hold_moves_with_the_link(make_rig: Rig) -> None:
    """An operator's word is not forgotten because a process died."""
    two = Two(make_rig)
    async with running(two) as nursery:
        bank = await two.one.bring_up()
        nursery.start_soon(two.one.banks.link("demo").hold)
        await bank.answer()
        await wait_all_tasks_blocked()
        assert not two.other.banks.is_up("demo")
        two.places[1].follow(None)
        two.places[1].take()
        await two.other.accept()
        await wait_all_tasks_blocked()
        assert two.other.banks.states()[0].is_held
        assert not two.other.banks.is_up("demo")


async def zone_up(rig: Any, zpk: bytes) -> Any:
    """Accept, answer sign-on and key exchange."""
    zmk = bytes.fromhex(rig.settings.zmk)
    under = ["X" + des.encrypt_ecb(zmk, key).hex().upper() for key in (zpk, ZAK)]
    de48, de53 = BankKeys(under[0], kcv(zpk), under[1], kcv(ZAK)).format()
    bank = await rig.accept()
    await bank.answer()
    await bank.answer(de48=de48, de53=de53)
    await rig.banks.wait_up("demo")
    return bank
