"""A bank link with zone security against a scripted bank: keys, MACs, key changes in flight."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from acquirer.codecs.bank_fields import BankKeys
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.kcv import kcv
from acquirer.hsm_sim.crypto.mac import x919
from acquirer.routing.banks.messages import OriginalData
from acquirer.routing.outcomes import NoReply, NotSent, Replied

pytestmark = pytest.mark.anyio

DIALECT = load_dialect("iso87_ascii")
ZPK, ZAK = des.odd_parity(bytes(range(16))), des.odd_parity(bytes(range(16, 32)))
NEW_ZPK, NEW_ZAK = des.odd_parity(bytes(range(32, 48))), des.odd_parity(bytes(range(48, 64)))
Rig = Callable[..., Any]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Trio, with a clock that jumps when all wait."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@asynccontextmanager
async def running(rig: Any) -> AsyncIterator[trio.Nursery]:
    """The rig's links, until the block ends."""
    async with trio.open_nursery() as nursery:
        await nursery.start(rig.banks.run)
        yield nursery
        nursery.cancel_scope.cancel()


async def collect(results: dict[str, Any], name: str, awaitable: Any) -> None:
    """Keep what something awaited gives."""
    results[name] = await awaitable


def keys_under_zmk(rig: Any, zpk: bytes = ZPK, zak: bytes = ZAK) -> dict[str, str]:
    """DE48 and DE53 with both keys."""
    zmk = bytes.fromhex(rig.settings.zmk)
    under = ["X" + des.encrypt_ecb(zmk, key).hex().upper() for key in (zpk, zak)]
    de48, de53 = BankKeys(under[0], kcv(zpk), under[1], kcv(zak)).format()
    return {"de48": de48, "de53": de53}


def sealed(message: Message, zak: bytes = ZAK) -> bytes:
    """A message with its MAC."""
    message.fields[DIALECT.mac_field(message.fields)] = "0" * 16
    raw = DIALECT.encode(message)
    return DIALECT.with_mac(raw, x919(zak, DIALECT.mac_input(raw)))


async def zone_up(rig: Any) -> Any:
    """Accept, answer sign-on and key exchange."""
    bank = await rig.accept()
    await bank.answer()
    request = await bank.answer(**keys_under_zmk(rig))
    assert (request.get(70), request.get(48)) == ("101", "")
    await rig.banks.wait_up("demo")
    return bank


async def test_keys_come_with_the_reply(make_rig: Rig, reply_of: Any) -> None:
    """Up only with keys; requests carry a MAC, replies are checked."""
    rig = make_rig(security="zone")
    async with running(rig) as nursery:
        bank = await zone_up(rig)
        assert ZPK.hex().upper() == rig.banks.zpk("demo")
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "sale", rig.request())
        request = await bank.receive()
        assert x919(ZAK, DIALECT.mac_input(request.raw)) == request.binary(64)
        await bank.send_frames(sealed(reply_of(request)))
        await wait_all_tasks_blocked()
        assert isinstance(results["sale"], Replied)


async def test_a_message_with_a_second_bitmap_carries_its_mac_in_128(make_rig: Rig) -> None:
    """A reversal has DE90, so its MAC is DE128."""
    rig = make_rig(security="zone")
    async with running(rig) as nursery:
        bank = await zone_up(rig)
        original = OriginalData("0200", "000017", "0604123456", "85500")
        results: dict[str, Any] = {}
        request = rig.request("000019", kind="reversal", original=original, reason="98")
        nursery.start_soon(collect, results, "reversal", request)
        message = await bank.receive()
        assert (64 in message.fields, 128 in message.fields) == (False, True)
        assert x919(ZAK, DIALECT.mac_input(message.raw)) == message.binary(128)


@pytest.mark.parametrize("first", ["reply", "push"])
async def test_keys_may_be_pushed(make_rig: Rig, first: str) -> None:
    """A bank that promises keys sends them itself, before or after its reply."""
    rig = make_rig(security="zone")
    async with running(rig):
        bank = await rig.accept()
        await bank.answer()
        asked = await bank.receive()
        fields = {int(k[2:]): v for k, v in keys_under_zmk(rig).items()}
        push = Message("0800", {7: "0604123456", 11: "000001", 70: "101", **fields})
        promise = Message("0810", {**asked.fields, 39: "00"})
        await bank.send(*((promise, push) if first == "reply" else (push, promise)))
        assert ((reply := await bank.receive()).mti, reply.get(39)) == ("0810", "00")
        await rig.banks.wait_up("demo")
        assert ZPK.hex().upper() == rig.banks.zpk("demo")


async def test_promised_keys_that_do_not_come_end_the_connection(make_rig: Rig) -> None:
    """The wait is bounded."""
    rig = make_rig(security="zone", key_wait_s=10.0)
    async with running(rig):
        bank = await rig.accept()
        await bank.answer()
        await bank.answer()
        await rig.accept()
        assert pytest.approx(rig.connects[1] - rig.connects[0]) == 10.0


@pytest.mark.parametrize("fault", ["kcv", "length", "module"])
async def test_bad_keys_are_refused(make_rig: Rig, fault: str) -> None:
    """A wrong KCV, no key at all or a module that is down: answered, counted, keys unchanged."""
    rig = make_rig(security="zone")
    async with running(rig):
        bank = await zone_up(rig)
        fields = {int(k[2:]): v for k, v in keys_under_zmk(rig, NEW_ZPK, NEW_ZAK).items()}
        expected = {"kcv": "A7", "length": "30", "module": "96"}[fault]
        if fault == "kcv":
            fields[48] = fields[48][:-6] + "000000"
        elif fault == "length":
            fields[48] = fields[48][:20]
        else:
            rig.security.is_down = True
        await bank.send(Message("0800", {7: "0604123456", 11: "000001", 70: "101", **fields}))
        assert expected == (await bank.receive()).get(39)
        assert (1, ZPK.hex().upper()) == (rig.counters.key_errors, rig.banks.zpk("demo"))


async def test_a_reply_with_a_bad_mac_counts_as_none(make_rig: Rig, reply_of: Any) -> None:
    """The request goes on waiting: a right reply still counts, without one there is NoReply."""
    rig = make_rig(security="zone")
    async with running(rig) as nursery:
        bank = await zone_up(rig)
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "saved", rig.request("000001"))
        request = await bank.receive()
        await bank.send_frames(sealed(reply_of(request), NEW_ZAK))
        await wait_all_tasks_blocked()
        assert results == {}
        await bank.send_frames(sealed(reply_of(request)))
        await wait_all_tasks_blocked()
        assert isinstance(results["saved"], Replied)
        nursery.start_soon(collect, results, "lost", rig.request("000002"))
        await bank.send(reply_of(await bank.receive()))
        await trio.sleep(4)
        assert NoReply("bad mac") == results["lost"]
        assert rig.counters.mac_errors == 2


async def test_a_forged_late_reply_is_not_handed_on(make_rig: Rig, reply_of: Any) -> None:
    """Unmatched replies count only with a right MAC."""
    rig = make_rig(security="zone")
    async with running(rig):
        bank = await zone_up(rig)
        await rig.request()
        late = reply_of(await bank.receive())
        await bank.send_frames(sealed(late, NEW_ZAK), sealed(late))
        await wait_all_tasks_blocked()
        assert (len(rig.unmatched), rig.counters.mac_errors) == (1, 1)


async def test_a_key_change_leaves_what_is_in_flight_alone(make_rig: Rig, reply_of: Any) -> None:
    """A reply under the old ZAK still counts; what is sent afterwards is under the new one."""
    rig = make_rig(security="zone")
    async with running(rig) as nursery:
        bank = await zone_up(rig)
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "before", rig.request("000001"))
        request = await bank.receive()
        fields = {int(k[2:]): v for k, v in keys_under_zmk(rig, NEW_ZPK, NEW_ZAK).items()}
        await bank.send(Message("0800", {7: "0604123456", 11: "000001", 70: "101", **fields}))
        assert (await bank.receive()).get(39) == "00"
        assert NEW_ZPK.hex().upper() == rig.banks.zpk("demo")
        await bank.send_frames(sealed(reply_of(request), ZAK))
        nursery.start_soon(collect, results, "after", rig.request("000002"))
        request = await bank.receive()
        assert x919(NEW_ZAK, DIALECT.mac_input(request.raw)) == request.binary(64)
        await bank.send_frames(sealed(reply_of(request), NEW_ZAK))
        await wait_all_tasks_blocked()
        assert {"before", "after"} == {n for n, o in results.items() if isinstance(o, Replied)}
        await trio.sleep(4)
        nursery.start_soon(collect, results, "old key", rig.request("000003"))
        await bank.send_frames(sealed(reply_of(await bank.receive()), ZAK))
        await trio.sleep(4)
        assert NoReply("bad mac") == results["old key"]


async def test_a_security_module_that_is_down_sends_nothing(make_rig: Rig) -> None:
    """No MAC, no message."""
    rig = make_rig(security="zone")
    async with running(rig):
        await zone_up(rig)
        rig.security.is_down = True
        assert NotSent("security") == await rig.request()
