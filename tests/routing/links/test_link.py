"""A bank link against a scripted bank, on memory streams and a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.hsm_sim.crypto import des
from acquirer.routing.banks.banks import Banks
from acquirer.routing.errors import BankSettingsError
from acquirer.routing.links.link_states import LinkState
from acquirer.routing.outcomes import NoReply, NotSent, Replied
from acquirer.routing.settings import BankSettings

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


async def test_it_signs_on_and_carries_a_request(make_rig: Rig) -> None:
    """Sign-on first; then a sale gets its reply."""
    rig = make_rig()
    async with running(rig) as nursery:
        assert NotSent("link down") == await rig.request()
        bank = await rig.accept()
        sign_on = await bank.answer()
        assert (
            sign_on.mti,
            sign_on.fields,
        ) == ("0800", {7: "0604123456", 11: "000001", 70: "001"})
        await rig.banks.wait_up("demo")
        assert (rig.banks.is_up("demo"), rig.banks.zpk("demo")) == (True, "UZPK")
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "sale", rig.request())
        sale = await bank.answer(de38="000123")
        await wait_all_tasks_blocked()
        assert (sale.mti, sale.get(4)) == ("0200", "000000001250")
        assert results["sale"].message.get(38) == "000123"


async def test_replies_may_come_in_any_order(make_rig: Rig, reply_of: Any) -> None:
    """Each reply finds its request."""
    rig = make_rig()
    async with running(rig) as nursery:
        bank = await rig.bring_up()
        results: dict[str, Any] = {}
        for number in range(5):
            stan = f"{number:06d}"
            nursery.start_soon(collect, results, stan, rig.request(stan))
        requests = [await bank.receive() for _ in range(5)]
        await bank.send(*(reply_of(request) for request in reversed(requests)))
        await wait_all_tasks_blocked()
        assert {stan: stan for stan in results} == {
            stan: outcome.message.get(11) for stan, outcome in results.items()
        }
        assert len(results) == 5


async def test_equal_keys_and_a_full_window_are_refused(make_rig: Rig) -> None:
    """Neither leaves; the first request is not disturbed."""
    rig = make_rig(window=1)
    async with running(rig) as nursery:
        bank = await rig.bring_up()
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "first", rig.request("000001"))
        await wait_all_tasks_blocked()
        assert NotSent("duplicate key") == await rig.request("000001")
        assert NotSent("window full") == await rig.request("000002")
        await bank.answer()
        await wait_all_tasks_blocked()
        assert isinstance(results["first"], Replied)
        assert (rig.counters.refused_duplicate, rig.counters.refused_window) == (1, 1)


async def test_a_sent_request_times_out_and_its_late_reply_is_handed_on(
    make_rig: Rig, reply_of: Any
) -> None:
    """NoReply after the deadline; the late approval reaches the callback, so does a double."""
    rig = make_rig()
    async with running(rig):
        bank = await rig.bring_up()
        started = trio.current_time()
        assert NoReply("timeout") == await rig.request(timeout_s=3.0)
        assert pytest.approx(trio.current_time() - started) == 3.0
        late = reply_of(await bank.receive())
        await bank.send(late, late)
        await wait_all_tasks_blocked()
        assert [message.get(11) for message in rig.unmatched] == ["000017", "000017"]
        assert (rig.counters.timed_out, rig.counters.unmatched) == (1, 2)


async def test_a_reply_with_another_stan_matches_nothing(make_rig: Rig, reply_of: Any) -> None:
    """The request goes on waiting."""
    rig = make_rig()
    async with running(rig) as nursery:
        bank = await rig.bring_up()
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "sale", rig.request())
        request = await bank.receive()
        await bank.send(reply_of(request, de11="000018"))
        await wait_all_tasks_blocked()
        assert results == {}
        await bank.send(reply_of(request))
        await wait_all_tasks_blocked()
        assert isinstance(results["sale"], Replied)


async def test_what_never_left_needs_no_reversal(make_rig: Rig) -> None:
    """While the peer does not read, later requests expire before they are sent."""
    rig = make_rig()
    async with running(rig) as nursery:
        bank = await rig.bring_up()
        blocked = trio.Event()

        async def stuck() -> None:
            await blocked.wait()

        rig.near_ends[-1].send_stream.send_all_hook = stuck
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "first", rig.request("000001"))
        await wait_all_tasks_blocked()
        nursery.start_soon(collect, results, "second", rig.request("000002"))
        await trio.sleep(3.5)
        assert {"first": NoReply("timeout"), "second": NotSent("expired")} == results
        assert (rig.counters.timed_out, rig.counters.expired_unsent) == (1, 1)
        blocked.set()
        assert (await bank.receive()).get(11) == "000001"
        assert (await bank.receive()).mti == "0800"


async def test_cancelling_releases_the_slot(make_rig: Rig, reply_of: Any) -> None:
    """The reply of a cancelled request is unmatched; the key can be used again."""
    rig = make_rig()
    async with running(rig) as nursery:
        bank = await rig.bring_up()
        with trio.move_on_after(0.5):
            await rig.request()
        assert rig.banks.states()[0].in_flight == 0
        await bank.send(reply_of(await bank.receive()))
        await wait_all_tasks_blocked()
        assert len(rig.unmatched) == 1
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "again", rig.request())
        await bank.answer()
        await wait_all_tasks_blocked()
        assert isinstance(results["again"], Replied)


async def test_a_lost_link_ends_what_is_in_flight(make_rig: Rig) -> None:
    """What was sent gets NoReply at once, and the link comes back by itself."""
    rig = make_rig()
    async with running(rig) as nursery:
        bank = await rig.bring_up()
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "sale", rig.request())
        await bank.receive()
        await bank.stream.aclose()
        bank = await rig.bring_up()
        assert NoReply("link lost") == results["sale"]
        nursery.start_soon(collect, results, "next", rig.request("000018"))
        await bank.answer()
        await wait_all_tasks_blocked()
        assert isinstance(results["next"], Replied)


async def test_reconnecting_is_at_once_then_backs_off(make_rig: Rig) -> None:
    """A steady link that is lost is tried at once, then after 0.5 s, doubling to the cap."""
    rig = make_rig(reconnect_cap_s=4.0)
    async with running(rig):
        bank = await rig.bring_up()
        await trio.sleep(20)
        rig.refuse = 6
        lost_at = trio.current_time()
        await bank.stream.aclose()
        await rig.bring_up()
        pauses = [round(at - lost_at, 3) for at in rig.connects[1:]]
        assert pauses == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5]


async def test_a_refused_sign_on_backs_off(make_rig: Rig) -> None:
    """A bank that refuses is asked again later, not in a loop."""
    rig = make_rig()
    async with running(rig):
        bank = await rig.accept()
        await bank.answer("91")
        again = await rig.accept()
        await again.answer("91")
        last = await rig.accept()
        assert [round(at - rig.connects[0], 3) for at in rig.connects] == [0.0, 0.0, 0.5]
        await last.answer()
        await rig.banks.wait_up("demo")


async def test_a_malformed_message_fails_alone(make_rig: Rig) -> None:
    """Garbage in a frame is counted; its neighbours get through and the link stays."""
    rig = make_rig()
    async with running(rig) as nursery:
        bank = await rig.bring_up()
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "sale", rig.request())
        await bank.receive()
        await bank.send_frames(b"garbage", b"0210" + bytes(8), b"\x00" * 300)
        nursery.start_soon(collect, results, "next", rig.request("000018"))
        await bank.answer()
        await wait_all_tasks_blocked()
        assert isinstance(results["next"], Replied)
        assert (rig.counters.malformed, rig.counters.connects) == (3, 1)


async def test_a_frame_beyond_the_limit_ends_the_connection(make_rig: Rig) -> None:
    """A length that cannot be right means that the stream cannot be followed."""
    rig = make_rig(frame_bytes_max=512)
    async with running(rig):
        bank = await rig.bring_up()
        await bank.stream.send_all(b"\x02\x01")
        await rig.bring_up()
        assert rig.counters.connects == 2


async def test_silence_is_asked_and_a_dead_peer_left(make_rig: Rig) -> None:
    """After echo_s comes a 301; unanswered, the connection is given up."""
    rig = make_rig(echo_s=60.0)
    async with running(rig):
        bank = await rig.bring_up()
        started = trio.current_time()
        echo = await bank.answer()
        assert echo.get(70) == "301"
        assert pytest.approx(trio.current_time() - started) == 60.0
        assert (await bank.receive()).get(70) == "301"
        await rig.bring_up()
        assert pytest.approx(trio.current_time() - started) == 123.0


@pytest.mark.parametrize("code", ["91", "58", "ZZ"])
async def test_an_echo_that_is_not_answered_well_signs_on_again(make_rig: Rig, code: str) -> None:
    """The bank is there and does not say that it serves; once it signs us on, it does."""
    rig = make_rig(echo_s=60.0)
    async with running(rig):
        bank = await rig.bring_up()
        assert (await bank.answer(code)).get(70) == "301"
        assert (await bank.receive()).get(70) == "001"
        assert not rig.banks.is_up("demo")
        await trio.sleep(3.5)
        again = await rig.accept()
        assert (await again.answer()).get(70) == "001"
        await rig.banks.wait_up("demo")


async def test_a_timeout_on_a_silent_link_is_asked_at_once(make_rig: Rig) -> None:
    """A half-open connection is found long before the echo is due."""
    rig = make_rig(echo_s=600.0)
    async with running(rig):
        await rig.bring_up()
        started = trio.current_time()
        assert NoReply("timeout") == await rig.request()
        await rig.bring_up()
        assert pytest.approx(trio.current_time() - started) == 6.0


async def test_the_peers_network_messages_are_answered(make_rig: Rig) -> None:
    """Echo, cut-over and sign-on get 00, an unknown code 40, keys without zone security 40."""
    rig = make_rig()
    async with running(rig):
        bank = await rig.bring_up()
        for code, expected in (
            ("301", "00"),
            ("201", "00"),
            ("001", "00"),
            ("999", "40"),
            ("101", "40"),
        ):
            await bank.send(Message("0800", {7: "0604123456", 11: "000009", 70: code}))
            reply = await bank.receive()
            assert ("0810", code, expected) == (reply.mti, reply.get(70), reply.get(39))
        assert rig.counters.cutovers == 1


async def test_a_signed_off_link_is_down_until_the_peer_signs_on(make_rig: Rig) -> None:
    """002 takes the link out of service, 001 brings it back; what is in flight is answered."""
    rig = make_rig()
    async with running(rig) as nursery:
        bank = await rig.bring_up()
        results: dict[str, Any] = {}
        nursery.start_soon(collect, results, "sale", rig.request())
        request = await bank.receive()
        await bank.send(Message("0800", {7: "0604123456", 11: "000001", 70: "002"}))
        assert (await bank.receive()).get(39) == "00"
        assert NotSent("link down") == await rig.request("000018")
        await bank.send(Message("0210", {**request.fields, 39: "00"}))
        await bank.send(Message("0800", {7: "0604123456", 11: "000002", 70: "001"}))
        await rig.banks.wait_up("demo")
        assert isinstance(results["sale"], Replied)


async def test_stopping_signs_off(make_rig: Rig) -> None:
    """Cancelling the links says goodbye to the bank and ends the requests."""
    rig = make_rig()
    results: dict[str, Any] = {}
    async with trio.open_nursery() as outer:
        async with running(rig):
            bank = await rig.bring_up()
            outer.start_soon(collect, results, "sale", rig.request())
            await bank.receive()
        assert (await bank.receive()).get(70) == "002"
    assert NoReply("link lost") == results["sale"]
    assert LinkState.DOWN is rig.banks.states()[0].state


async def test_a_value_that_does_not_fit_is_not_sent(make_rig: Rig) -> None:
    """A bug or a wrong configuration is an outcome, too."""
    rig = make_rig()
    async with running(rig):
        await rig.bring_up()
        assert NotSent("format") == await rig.request(amount_minor=10**12)
        assert NotSent("unknown bank") == await rig.banks.request("other", None, 0.0)
        assert (rig.banks.zpk("other"), rig.banks.is_up("other")) == (None, False)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"address": "nowhere"}, "address"),
        ({"address": "host:99999"}, "address"),
        ({"dialect": "nonsense"}, "dialect"),
        ({"length_header": "binary9"}, "dialect"),
        ({"security": "zone"}, "zmk"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, str], key: str) -> None:
    """The error names bank and key."""
    values: dict[str, Any] = {"name": "demo", "address": "h:1", "acquirer_id": "1"} | changes
    with pytest.raises(BankSettingsError, match=f"'demo': {key}:"):
        Banks([BankSettings(**values)], None, on_unmatched=lambda *_: None)


def test_a_bank_is_named_once() -> None:
    """Two banks of one name are refused."""
    bank = BankSettings(name="demo", address="h:1", acquirer_id="1")
    with pytest.raises(BankSettingsError, match="two banks"):
        Banks([bank, bank], None, on_unmatched=lambda *_: None)
