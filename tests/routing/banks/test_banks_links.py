"""Several links to one bank: failover, keys of their own, holds, key changes, ports of ours."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
import trio
from limits import HANG_S
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from acquirer.codecs.message import Message
from acquirer.config.tls import TlsSettings, client_context, server_context
from acquirer.routing.banks.banks import Banks
from acquirer.routing.errors import BankSettingsError
from acquirer.routing.links.link_states import LinkState
from acquirer.routing.outcomes import NoReply, NotSent, Replied
from acquirer.routing.settings import BankSettings, LinkSettings

pytestmark = pytest.mark.anyio

FAST: dict[str, Any] = {"timeout_s": 0.3, "reconnect_first_s": 0.01, "echo_s": 30.0}


class Far:
    """The bank's end of several links, by address; a closed one refuses connections."""

    def __init__(self, bank_at: Callable[[Any], Any]) -> None:
        self._bank_at = bank_at
        self.closed: set[str] = set()
        self.ends: dict[str, Any] = {}
        self.silent: set[str] = set()
        self.nursery: trio.Nursery | None = None

    async def connect(self, settings: BankSettings) -> trio.abc.Stream:
        """Give a stream that is served."""
        if settings.address in self.closed:
            raise OSError("refused")
        near, far = memory_stream_pair()
        self.ends[settings.address] = self._bank_at(far)
        assert self.nursery is not None
        self.nursery.start_soon(self._serve, settings.address, self.ends[settings.address])
        return near

    async def _serve(self, address: str, bank: Any) -> None:
        try:
            while True:
                request = await bank.receive()
                if request.mti == "0800" or address not in self.silent:
                    await bank.send(bank.reply_to(request, "00", de38="A" + address[1:2] * 5))
        except (EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def cut(self, address: str) -> None:
        """Lose one connection, and refuse the next ones."""
        self.closed.add(address)
        await self.ends[address].stream.aclose()


def three(strategy: str, **changes: Any) -> BankSettings:
    """A bank with three links."""
    links = [
        LinkSettings(name=f"link{n}", address=f"h{n}:1", priority=n, weight=n) for n in (1, 2, 3)
    ]
    values: dict[str, Any] = {"name": "demo", "acquirer_id": "00085500", "zpk": "UZPK"}
    return BankSettings(**(values | FAST | {"strategy": strategy, "links": links} | changes))


@asynccontextmanager
async def running(
    settings: BankSettings, far: Far, unmatched: list[Message] | None = None
) -> AsyncIterator[Banks]:
    """Banks whose links are all up."""
    kept: list[Message] = [] if unmatched is None else unmatched
    async with trio.open_nursery() as nursery:
        far.nursery = nursery
        banks = Banks(
            [settings], None, on_unmatched=lambda _, m: kept.append(m), connect=far.connect
        )
        await nursery.start(banks.run)
        with trio.fail_after(HANG_S):
            for link in settings.each_link():
                await banks.link(link.name).wait_up()
        yield banks
        nursery.cancel_scope.cancel()


@pytest.fixture
def far(scripted_bank: Callable[[Any], Any]) -> Far:
    """The bank's end."""
    return Far(scripted_bank)


async def ask(banks: Banks, request: Any, **more: Any) -> Any:
    """A request with plenty of time."""
    return await banks.request("demo", request, trio.current_time() + 0.3, **more)


async def used(banks: Banks, make_sale: Any, count: int, start: int = 0) -> list[str]:
    """By the approval code, which links took so many sales."""
    codes = []
    for number in range(start, start + count):
        outcome = await ask(banks, make_sale(f"{number:06d}"))
        assert isinstance(outcome, Replied)
        codes.append(outcome.message.get(38)[1])
    return codes


async def test_priority_fails_over_and_comes_back(far: Far, make_sale: Any) -> None:
    """All on the first link; when it is cut on the second; and again on the first."""
    async with running(three("priority"), far) as banks:
        assert list("111") == await used(banks, make_sale, 3)
        await far.cut("h1:1")
        await wait_all_tasks_blocked()
        assert list("222") == await used(banks, make_sale, 3, 10)
        far.closed.clear()
        with trio.fail_after(HANG_S):
            await banks.link("link1").wait_up()
        assert list("111") == await used(banks, make_sale, 3, 20)


async def test_round_robin_spreads_a_dead_links_share(far: Far, make_sale: Any) -> None:
    """Three in turn, then two in turn."""
    async with running(three("round_robin"), far) as banks:
        assert list("112233") == sorted(await used(banks, make_sale, 6))
        await far.cut("h2:1")
        await wait_all_tasks_blocked()
        assert list("111333") == sorted(await used(banks, make_sale, 6, 10))


async def test_a_full_window_goes_to_the_next_link(far: Far, make_sale: Any) -> None:
    """Each link takes its window; then nothing leaves."""
    far.silent = {"h1:1", "h2:1", "h3:1"}
    async with running(three("priority", window=1), far) as banks:
        outcomes: list[Any] = []

        async def pay(stan: str) -> None:
            outcomes.append(await ask(banks, make_sale(stan)))

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(pay, f"{number:06d}")
        assert [NotSent("window full"), *[NoReply("timeout")] * 3] == outcomes


async def test_equal_keys_are_refused_on_any_link(far: Far, make_sale: Any) -> None:
    """The same message is not sent on a second link while the first one waits."""
    far.silent = {"h1:1"}
    async with running(three("priority"), far) as banks, trio.open_nursery() as nursery:
        nursery.start_soon(ask, banks, make_sale())
        await wait_all_tasks_blocked()
        assert NotSent("duplicate key") == await ask(banks, make_sale(), attempt=1)


async def test_each_attempt_takes_another_link(far: Far, make_sale: Any) -> None:
    """What is repeated does not insist on a link that leaves it unanswered."""
    async with running(three("priority"), far) as banks:
        codes = [(await ask(banks, make_sale(), attempt=n)).message.get(38)[1] for n in range(4)]
        assert list("1231") == codes


async def test_a_pin_goes_only_where_its_key_is_known(far: Far, make_sale: Any) -> None:
    """No link takes a PIN under a key that it does not know."""
    async with running(three("priority"), far) as banks:
        assert "UZPK" == banks.zpk("demo")
        assert isinstance(await ask(banks, make_sale(pin_block=b"8bytes..", zpk="UZPK")), Replied)
        other = make_sale("000018", pin_block=b"8bytes..", zpk="UOTHER")
        assert NotSent("link down") == await ask(banks, other)


async def test_a_held_link_takes_nothing_until_released(far: Far, make_sale: Any) -> None:
    """The operator signs one link off: it stays so when the connection is lost, too."""
    async with running(three("priority"), far) as banks:
        await banks.link("link1").hold()
        assert (LinkState.HELD, True) == (banks.states()[0].state, banks.states()[0].is_held)
        assert ["2"] == await used(banks, make_sale, 1)
        await far.ends["h1:1"].stream.aclose()
        await wait_all_tasks_blocked()
        assert (LinkState.HELD, 2) == (
            banks.states()[0].state,
            banks.states()[0].counters.connects,
        )
        banks.link("link1").release()
        with trio.fail_after(HANG_S):
            await banks.link("link1").wait_up()
        assert ["1"] == await used(banks, make_sale, 1, 10)


async def test_cut_over_from_our_side(far: Far) -> None:
    """The bank agrees; without zone security there are no keys to change."""
    async with running(three("priority"), far) as banks:
        assert await banks.link("link1").cut_over()
        assert not await banks.link("link1").change_keys()


async def test_late_replies_are_kept_for_the_operator(
    far: Far, make_sale: Any, reply_of: Any
) -> None:
    """With link, numbers and codes, and without the card."""
    far.silent = {"h1:1"}
    unmatched: list[Message] = []
    async with running(three("priority"), far, unmatched) as banks:
        assert NoReply("timeout") == await ask(banks, make_sale())
        late = Message("0210", {4: "000000001250", 11: "000017", 37: "615512000017", 39: "00"})
        late.fields |= {7: "0604123456", 32: "00085500", 41: "10000001", 42: "8" * 15, 49: "156"}
        late.fields |= {2: "6225882202982730907", 3: "000000"}
        await far.ends["h1:1"].send(late)
        await wait_all_tasks_blocked()
        (kept,) = banks.unmatched
        assert ("link1", "615512000017", "00", 1250) == (
            kept.link,
            kept.rrn,
            kept.response_code,
            kept.amount_minor,
        )
        assert "6225882202982730907" not in repr(kept)
        assert 1 == len(unmatched)


def test_settings_that_contradict_each_other_are_refused() -> None:
    """Names used twice, an address beside links, no certificate to listen with."""
    one = LinkSettings(name="link1", address="h:1")
    tls = LinkSettings(name="link1", address="h:1", mode="listen", tls=TlsSettings())
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("two links", {"links": [one, one]}),
        ("beside", {"links": [one], "address": "h:2"}),
        ("certificate", {"links": [tls]}),
        ("host:port", {"links": [LinkSettings(name="a", address="h")]}),
    ]
    for reason, changes in wrong:
        with pytest.raises(BankSettingsError, match=reason):
            Banks([three("priority", **changes)], None, on_unmatched=lambda *_: None)


# --- ports of ours, and TLS ------------------------------------------------------------------


async def dial(address: str, tls: ssl.SSLContext | None = None) -> trio.abc.Stream:
    """Connect as the bank."""
    host, _, port = address.rpartition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    if tls is None:
        return stream
    secured = trio.SSLStream(stream, tls, server_hostname="switch.test")
    await secured.do_handshake()
    return secured


@asynccontextmanager
async def listening(**link: Any) -> AsyncIterator[tuple[Banks, str]]:
    """Banks with one link that waits for the bank, and its address."""
    terms = LinkSettings(name="in", address="127.0.0.1:0", mode="listen", **link)
    settings = BankSettings(
        name="demo", acquirer_id="1", zpk="UZPK", links=[terms], **(FAST | {"timeout_s": 5.0})
    )
    async with trio.open_nursery() as nursery:
        banks = Banks([settings], None, on_unmatched=lambda *_: None)
        await nursery.start(banks.run)
        while not (address := banks.states()[0].address):
            await trio.lowlevel.checkpoint()
        yield banks, address
        nursery.cancel_scope.cancel()


async def test_the_bank_connects_to_us(scripted_bank: Any, make_sale: Any) -> None:
    """It is signed on, serves, and replaces its own half-open connection by a new one."""
    async with listening() as (banks, address):
        for number in range(2):
            bank = scripted_bank(await dial(address))
            with trio.fail_after(HANG_S):
                assert "001" == (await bank.answer()).get(70)
                await banks.wait_up("demo")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(bank.answer)
                    assert isinstance(await ask(banks, make_sale(f"{number:06d}")), Replied)
        assert 2 == banks.states()[0].counters.connects


async def test_an_address_that_is_not_listed_is_cut_off() -> None:
    """And disturbs nothing."""
    async with listening(peers=["192.0.2.1"]) as (banks, address):
        stream = await dial(address)
        with trio.fail_after(HANG_S):
            assert b"" == await stream.receive_some(1)
        assert 0 == banks.states()[0].counters.connects


async def test_a_listening_link_under_tls_wants_the_banks_certificate(
    certificates: Callable[[str], TlsSettings], scripted_bank: Any
) -> None:
    """The bank's own is taken; none, and one of another authority, are not."""
    ours = certificates("switch.test")
    async with listening(tls=ours) as (banks, address):
        stranger = TlsSettings(ca=ours.ca)
        with trio.fail_after(HANG_S):
            stream = await dial(address, client_context(stranger))
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some(1)
            assert 0 == banks.states()[0].counters.connects
            bank = scripted_bank(await dial(address, client_context(certificates("bank.test"))))
            await bank.answer()
            await banks.wait_up("demo")


async def test_a_connecting_link_under_tls_checks_the_banks_name(
    certificates: Callable[[str], TlsSettings], scripted_bank: Any
) -> None:
    """Up with the right name, unreachable with a wrong one."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
    context = server_context(certificates("bank.test"))

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, EOFError):
            await scripted_bank(trio.SSLStream(stream, context, server_side=True)).answer()
            await trio.sleep_forever()

    links = [
        LinkSettings(
            name=name,
            address=address,
            tls=msgspec.structs.replace(certificates("switch.test"), server_name=f"{name}.test"),
        )
        for name in ("bank", "other")
    ]
    settings = BankSettings(name="demo", acquirer_id="1", zpk="U", links=links, **FAST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        banks = Banks([settings], None, on_unmatched=lambda *_: None)
        await nursery.start(banks.run)
        with trio.fail_after(HANG_S):
            await banks.link("bank").wait_up()
        await trio.sleep(0.05)
        assert (LinkState.DOWN, 0) == (
            banks.states()[1].state,
            banks.states()[1].counters.connects,
        )
        nursery.cancel_scope.cancel()
