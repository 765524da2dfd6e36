"""A terminal's messages at two switches: its keys, and STANs that only one of them refuses."""

from __future__ import annotations

from functools import partial

import pytest
from limits import ROUNDS
from pos_terminal import PosTerminal, Reply
from race_estate import OpenPair
from served import ServedWorld, asked, at_once

from acquirer.hosts_sim.bank.settings import Match, Rule

pytestmark = pytest.mark.anyio

TERMINAL = "10000001"
END_KEYS = f"terminals/{TERMINAL}/end-keys"
SLOW_MINOR = 6604


def sale(switch: ServedWorld, terminal: PosTerminal, amount_minor: int = 100) -> bytes:
    """A sale without a PIN."""
    return terminal.sale(switch.estate.cards[0], amount_minor, pin="")


async def test_keys_that_an_operator_ends_are_good_nowhere(open_pair: OpenPair) -> None:
    """Beside sales at both; afterwards neither takes them, and a sign-on helps at both."""
    async with open_pair() as (one, other):
        approved = 0
        for turn in range(ROUNDS):
            near, far = ((one, other), (other, one))[turn % 2]
            terminal = await signed_on(near)
            assert ["00", "00"] == await codes(near, far, terminal)
            beside = [(switch, sale(one, terminal)) for switch in (near, far) * 2]
            ended, *replies = await at_once(
                partial(end_keys, near), *[partial(one_code, *each) for each in beside]
            )
            assert "200" == ended
            assert set(replies) <= {"00", "77"}
            approved += 2 + replies.count("00")
            assert ["77", "77"] == await codes(far, near, terminal)
        await one.agree()
        assert 100 * approved == one.receivable()


async def test_a_sign_off_and_a_sign_on_beside_each_other(open_pair: OpenPair) -> None:
    """Whichever is later counts, at both switches alike; the keys signed off are good nowhere."""
    async with open_pair() as (one, other):
        for turn in range(ROUNDS):
            near, far = ((one, other), (other, one))[turn % 2]
            terminal = await signed_on(near)
            assert ["00", "00"] == await codes(near, far, terminal)
            off = terminal.frame(
                "0820", {11: terminal.next_stan(), 60: f"00{terminal.batch}002"}, mac=True
            )
            signed_off, handed = await asked((near, off), (far, terminal.sign_on()))
            assert ("00", "00") == (signed_off.code, handed.code)
            assert set(await codes(far, near, terminal)) <= {"77", "A0"}
            terminal.take_keys(handed)
            found = set(await codes(far, near, terminal))
            assert found in ({"00"}, {"77"})
        await one.agree()


async def test_what_one_switch_refuses_the_other_does_not_take(open_pair: OpenPair) -> None:
    """A sale that is one too many at one and not at the other has one answer, given by both."""
    slow = Rule(Match(amount_minor=SLOW_MINOR), fault="delay", delay_s=0.2)
    limits = {"per_terminal_max": 1, "terminal_s": 120.0}
    async with open_pair({"limits": limits}, bank_rules=[slow]) as (one, other):
        terminal = await signed_on(one)
        approved = 0
        for turn in range(ROUNDS):
            near, far = ((one, other), (other, one))[turn % 2]
            busy, tried = sale(one, terminal, SLOW_MINOR), sale(one, terminal)
            kept, at_near, at_far = await asked((near, busy), (near, tried), (far, tried))
            assert "00" in (kept.code, at_near.code)
            assert at_near.code == at_far.code == (await far.ask(tried)).code
            assert at_near.code in ("00", "96")
            approved += SLOW_MINOR * (kept.code == "00") + 100 * (at_near.code == "00")
        await one.agree()
        assert approved == one.receivable()


async def signed_on(switch: ServedWorld) -> PosTerminal:
    """The terminal with fresh keys."""
    terminal = switch.terminal(TERMINAL)
    terminal.take_keys(await switch.ask(terminal.sign_on()))
    return terminal


async def codes(near: ServedWorld, far: ServedWorld, terminal: PosTerminal) -> list[str]:
    """What a sale of each gets."""
    return [await one_code(switch, sale(near, terminal)) for switch in (near, far)]


async def one_code(switch: ServedWorld, frame: bytes) -> str:
    """The answer's code."""
    reply: Reply = await switch.ask(frame)
    return str(reply.code)


async def end_keys(switch: ServedWorld) -> str:
    """The status of an operator's word that the terminal's keys end."""
    status, _ = await switch.operate(END_KEYS)
    return str(status)
