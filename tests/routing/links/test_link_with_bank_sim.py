"""The link and the bank core simulator over real sockets, with and without zone security."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from limits import HANG_S

from acquirer.codecs.message import Message
from acquirer.codecs.pan import Pan
from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank.report import totals, transactions
from acquirer.hosts_sim.bank.server import open_bank, serve
from acquirer.hosts_sim.bank.settings import BankSimSettings, Match, Rule
from acquirer.hsm_sim.crypto import des
from acquirer.hsm_sim.crypto.pinblock import encode_iso0
from acquirer.routing.banks.banks import Banks
from acquirer.routing.banks.messages import OriginalData, reply_balances
from acquirer.routing.outcomes import NoReply, Replied
from acquirer.routing.settings import BankSettings, LinkSettings

pytestmark = pytest.mark.anyio

BANK = load_estate().banks[0]
ALICE = load_estate().cards[0]
SECURITIES = [("none", "reply"), ("zone", "reply"), ("zone", "push")]


def pin_block(banks: Banks, pin: str = ALICE.pin) -> bytes:
    """A PIN under the link's ZPK, whose key string is the clear key here."""
    zpk = banks.zpk("demo")
    assert zpk is not None
    account = Pan(ALICE.pan).account_number
    return des.encrypt_ecb(bytes.fromhex(zpk), encode_iso0(pin, account))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The bank's transactions."""
    with transactions(folder) as found:
        return list(found["transactions"])


@asynccontextmanager
async def linked(
    folder: Path,
    module: Any,
    keep: Callable[[Message], None] = lambda _: None,
    **settings: Any,
) -> AsyncIterator[Banks]:
    """A simulator on a free port and a link that is up."""
    sim = BankSimSettings(data=str(folder), **settings)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve, sim)
        bank = BankSettings(
            name="demo",
            address=address,
            acquirer_id=BANK.acquirer_id,
            dialect=sim.dialect,
            security=sim.security,
            zmk=BANK.zmk,
            zpk=BANK.zpk,
        )
        banks = Banks([bank], module, on_unmatched=lambda _, message: keep(message))
        await nursery.start(banks.run)
        with trio.fail_after(HANG_S):
            await banks.wait_up("demo")
        yield banks
        nursery.cancel_scope.cancel()


async def _ask(banks: Banks, request: Any, timeout_s: float = 10.0) -> Any:
    return await banks.request("demo", request, trio.current_time() + timeout_s)


@pytest.mark.parametrize(("security", "key_exchange"), SECURITIES)
async def test_a_day_on_the_link(
    tmp_path: Path,
    clear_security: Any,
    make_sale: Callable[..., Any],
    security: str,
    key_exchange: str,
) -> None:
    """Balance, sale with PIN, wrong PIN, void, reversal and inquiry, each as it should be."""
    async with linked(
        tmp_path, clear_security, security=security, key_exchange=key_exchange
    ) as banks:
        card = {"pan": Pan(ALICE.pan), "expiry": ALICE.expiry, "track2": ALICE.track2}
        ask = {"pin_block": pin_block(banks), **card}
        balance = await _ask(banks, make_sale("000001", kind="balance", amount_minor=None, **ask))
        assert ALICE.balance_minor == reply_balances(balance.message)[0].amount_minor
        sale = await _ask(banks, make_sale("000002", **ask))
        assert "00" == sale.message.get(39)
        wrong = ask | {"pin_block": pin_block(banks, "0000")}
        assert "55" == (await _ask(banks, make_sale("000003", **wrong))).message.get(39)
        original = OriginalData("0200", "000002", "0604123456", BANK.acquirer_id)
        undo = {"original": original, "pan": Pan(ALICE.pan)}
        void = await _ask(banks, make_sale("000004", kind="void", **undo))
        assert "00" == void.message.get(39)
        of_void = undo | {"original": OriginalData("0200", "000004", *_at()), "reason": "98"}
        for repeat in (False, True):
            reversal = make_sale("000005", kind="reversal", repeat=repeat, **of_void)
            assert "00" == (await _ask(banks, reversal)).message.get(39)
        inquiry = await _ask(banks, make_sale("000006", kind="inquiry", **undo))
        expected = "00" + sale.message.get(38)
        assert ("00", expected) == (inquiry.message.get(39), inquiry.message.get(48))
    states = [(row["kind"], row["state"]) for row in rows_of(tmp_path)]
    assert [
        ("balance", "approved"),
        ("sale", "approved"),
        ("sale", "declined"),
        ("void", "reversed"),
    ] == states


def _at() -> tuple[str, str]:
    return "0604123456", BANK.acquirer_id


@pytest.mark.parametrize("security", ["none", "zone"])
async def test_many_at_once_with_keys_changing(
    tmp_path: Path, clear_security: Any, make_sale: Callable[..., Any], security: str
) -> None:
    """300 sales with PINs in flight while the bank changes keys: each approved once."""
    rekey: dict[str, Any] = {"rekey_s": 0.02} if security == "zone" else {}
    outcomes: Counter[str] = Counter()
    async with linked(tmp_path, clear_security, security=security, **rekey) as banks:

        async def pay(number: int) -> None:
            await trio.sleep(number % 5 * 0.01)
            block = pin_block(banks)
            request = make_sale(f"{number:06d}", pin_block=block, amount_minor=1)
            outcome = await _ask(banks, request)
            outcomes[
                outcome.message.get(39) if isinstance(outcome, Replied) else repr(outcome)
            ] += 1

        for start in range(0, 300, 50):
            async with trio.open_nursery() as nursery:
                for number in range(start, start + 50):
                    nursery.start_soon(pay, number)
        counters = banks.states()[0].counters
    assert {"00": 300} == dict(outcomes)
    assert 300 == totals(tmp_path)["totals"]["net_approved_minor"]
    assert (0, 0, 0) == (counters.mac_errors, counters.key_errors, counters.malformed)
    assert (counters.key_changes > 1) == (security == "zone")


@pytest.mark.parametrize("security", ["none", "zone"])
async def test_faults_of_the_bank(
    tmp_path: Path, clear_security: Any, make_sale: Callable[..., Any], security: str
) -> None:
    """Drop, late, wrong STAN, double, garbage and close: outcomes and counters tell them apart."""
    names = ["drop", "late_reply", "wrong_stan", "duplicate_reply", "garbage", "close"]
    rules = [
        Rule(Match(amount_minor=100 + n), fault=name, delay_s=0.25)  # type: ignore[arg-type]
        for n, name in enumerate(names)
    ]
    unmatched: set[str] = set()
    is_late = trio.Event()

    def keep(message: Message) -> None:
        unmatched.add(message.get(11))
        if message.get(11) == "000001":
            is_late.set()

    async with linked(tmp_path, clear_security, keep, security=security, rules=rules) as banks:
        outcomes: dict[str, Any] = {}
        for n, name in enumerate(names):
            if name == "close":
                await is_late.wait()
            timeout_s = 10.0 if name in ("duplicate_reply", "close") else 0.2
            outcomes[name] = await _ask(
                banks, make_sale(f"{n:06d}", amount_minor=100 + n), timeout_s
            )
        assert outcomes.pop("duplicate_reply").message.get(39) == "00"
        expected = {n: NoReply("timeout") for n in names if n != "duplicate_reply"}
        assert expected | {"close": NoReply("link lost")} == outcomes
        with trio.fail_after(HANG_S):
            await banks.wait_up("demo")
        assert (await _ask(banks, make_sale("000099"))).message.get(39) == "00"
        counters = banks.states()[0].counters
        assert (1, 2, 4) == (counters.malformed, counters.connects, counters.timed_out)
        assert {"000001", "000003"} == unmatched
    assert len(rows_of(tmp_path)) == 7


@pytest.mark.parametrize("dialect", ["iso87_ascii_hex", "iso87_bcd", "iso87_ebcdic"])
async def test_other_dialects(
    tmp_path: Path, clear_security: Any, make_sale: Callable[..., Any], dialect: str
) -> None:
    """Zone security and a reversal with its MAC in DE128 work in every shipped dialect."""
    async with linked(tmp_path, clear_security, security="zone", dialect=dialect) as banks:
        sale = await _ask(banks, make_sale("000001", pin_block=pin_block(banks)))
        assert "00" == sale.message.get(39)
        original = OriginalData("0200", "000001", *_at())
        reversal = make_sale("000002", kind="reversal", original=original, reason="98")
        assert "00" == (await _ask(banks, reversal)).message.get(39)


async def test_the_link_comes_back_after_a_restart_of_the_bank(
    tmp_path: Path, make_sale: Callable[..., Any]
) -> None:
    """The same port, new process life: signed on again, the books go on."""
    settings = BankSimSettings(data=str(tmp_path))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    bank = BankSettings(
        name="demo",
        address=f"127.0.0.1:{port}",
        acquirer_id=BANK.acquirer_id,
        zpk=BANK.zpk,
        reconnect_first_s=0.05,
    )
    banks = Banks([bank], None, on_unmatched=lambda *_: None, wall=lambda: datetime.now(UTC))
    async with trio.open_nursery() as links:
        await links.start(banks.run)
        for stan in ("000001", "000002"):
            async with open_bank(settings) as sim, trio.open_nursery() as life:
                life.start_soon(trio.serve_listeners, sim.serve_stream, listeners)
                with trio.fail_after(HANG_S):
                    await banks.wait_up("demo")
                assert "00" == (await _ask(banks, make_sale(stan))).message.get(39)
                life.cancel_scope.cancel()
            listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        links.cancel_scope.cancel()
    for listener in listeners:
        await listener.aclose()
    assert 2 == len(rows_of(tmp_path))


async def test_the_bank_may_be_the_one_that_connects(
    tmp_path: Path, clear_security: Any, make_sale: Callable[..., Any]
) -> None:
    """A link that listens and a simulator that dials: keys, a sale with a PIN, keys again."""
    terms = LinkSettings(name="in", address="127.0.0.1:0", mode="listen", peers=["127.0.0.1"])
    bank = BankSettings(
        name="demo",
        acquirer_id=BANK.acquirer_id,
        security="zone",
        zmk=BANK.zmk,
        links=[terms],
        rekey_s=0.05,
    )
    banks = Banks([bank], clear_security, on_unmatched=lambda *_: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(banks.run)
        while not (address := banks.states()[0].address):
            await trio.lowlevel.checkpoint()
        sim = BankSimSettings(data=str(tmp_path), security="zone", connect=[address])
        await nursery.start(serve, sim)
        with trio.fail_after(HANG_S):
            await banks.wait_up("demo")
        card = {"pan": Pan(ALICE.pan), "expiry": ALICE.expiry, "track2": ALICE.track2}
        for number in range(20):
            zpk = banks.zpk("demo")
            block = pin_block(banks)
            request = make_sale(f"{number:06d}", pin_block=block, zpk=zpk, amount_minor=1, **card)
            await trio.sleep(0.01)
            assert "00" == (await _ask(banks, request)).message.get(39)
        assert banks.states()[0].counters.key_changes > 1
        nursery.cancel_scope.cancel()


async def test_each_of_several_links_has_keys_of_its_own(
    tmp_path: Path, clear_security: Any, make_sale: Callable[..., Any]
) -> None:
    """PINs by turns on three links whose keys change all the time: all approved, each link used."""
    async with trio.open_nursery() as nursery:
        sim = BankSimSettings(data=str(tmp_path), security="zone", rekey_s=0.02)
        address = await nursery.start(serve, sim)
        links = [LinkSettings(name=name, address=address) for name in "abc"]
        bank = BankSettings(
            name="demo",
            acquirer_id=BANK.acquirer_id,
            security="zone",
            zmk=BANK.zmk,
            links=links,
            strategy="round_robin",
        )
        banks = Banks([bank], clear_security, on_unmatched=lambda *_: None)
        await nursery.start(banks.run)
        with trio.fail_after(HANG_S):
            for link in links:
                await banks.link(link.name).wait_up()
        codes: Counter[str] = Counter()
        card = {"pan": Pan(ALICE.pan), "expiry": ALICE.expiry, "track2": ALICE.track2}

        async def pay(number: int) -> None:
            zpk = banks.zpk("demo")
            request = make_sale(
                f"{number:06d}", pin_block=pin_block(banks), zpk=zpk, amount_minor=1, **card
            )
            await trio.sleep(number % 5 * 0.01)
            codes[(await _ask(banks, request)).message.get(39)] += 1

        for start in range(0, 90, 30):
            async with trio.open_nursery() as paying:
                for number in range(start, start + 30):
                    paying.start_soon(pay, number)
        assert {"00": 90} == codes
        assert all(status.counters.sent > 10 for status in banks.states())
        assert len({banks.link(link.name).zpk for link in links}) == 3
        nursery.cancel_scope.cancel()
