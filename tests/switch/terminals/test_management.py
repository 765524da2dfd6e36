"""Sign-on: how often new keys are made, for whom, and what happens where others sign on beside."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from origins import an_origin

from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60
from acquirer.config.business import MerchantSettings, ProfileSettings, TerminalSettings
from acquirer.ledger.journal.entries import (
    TerminalRow,
)
from acquirer.ledger.journal.steps import (
    PutTerminal,
)
from acquirer.payments.kernel.calendar import Calendar
from acquirer.switch.hsm.client import WorkingKey
from acquirer.switch.terminals.management import sign_on
from acquirer.switch.terminals.rate_limit import RateLimit
from acquirer.switch.terminals.request import Request
from acquirer.switch.terminals.terminals import NO_KEYS, Terminal, Terminals

pytestmark = pytest.mark.anyio

NAMES = ("10000001", "10000002", "10000003")


class Parties:
    """Books of terminals and a module, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, TerminalRow] = {}
        self.made = 0

    async def terminal(self, terminal_id: str) -> TerminalRow | None:
        """See ``Book.terminal``."""
        await trio.lowlevel.checkpoint()
        return self.rows.get(terminal_id)

    async def commit(self, step: PutTerminal) -> bool:
        """See ``Book.commit``: whether it failed."""
        await trio.lowlevel.checkpoint()
        stored = self.rows.get(step.row.terminal_id)
        if (stored.key_version if stored else 0) != step.expected_version:
            return True
        self.rows[step.row.terminal_id] = step.row
        return False

    async def new_key(self, tmk: str, *, double: bool) -> WorkingKey:
        """See ``Hsm.new_pin_key``."""
        await trio.lowlevel.checkpoint()
        self.made += 1
        return WorkingKey(bytes(16), f"U{self.made}", bytes(4))


def world(parties: Parties, per_minute: int) -> tuple[Any, dict[str, Terminal]]:
    """A context for sign-ons, and its terminals."""
    profile, merchant = ProfileSettings("cup"), MerchantSettings("M", "Shop", "5411", 0, "whsec_")
    terminals = {
        name: Terminal(
            TerminalSettings(name, "M", "U0", "cup"),
            profile,
            merchant,
            TerminalRow(name, "000001"),
        )
        for name in NAMES
    }
    books: Any = parties
    limit = RateLimit(per_minute)

    async def may_make_keys(address: str) -> bool:
        return limit.take(address, 0.0)

    return SimpleNamespace(
        terminals=Terminals(books),
        hsm=SimpleNamespace(new_pin_key=parties.new_key, new_mac_key=parties.new_key),
        ports=SimpleNamespace(calendar=Calendar("Asia/Shanghai"), monotonic=lambda: 0.0),
        may_make_keys=may_make_keys,
    ), terminals


async def ask(context: Any, terminal: Terminal, address: str) -> str:
    """The code of a sign-on's answer."""
    request = Request(
        Message("0800", {11: "000001"}),
        De60("00", "000001", "003"),
        terminal,
        NO_KEYS,
        an_origin(terminal_id=terminal.terminal_id, now_ms=0),
        address=address,
    )
    answer: Any = await sign_on(context, request)
    return str(answer.response_code)


async def test_an_address_has_new_keys_made_so_often_only() -> None:
    """Over it it gets 96, but where keys wait; another address gets new ones still."""
    parties = Parties()
    context, terminals = world(parties, per_minute=3)
    one, two, three = (terminals[name] for name in NAMES)
    assert ["00"] * 3 == [await ask(context, t, "192.0.2.1") for t in (one, one, two)]
    assert "96" == await ask(context, three, "192.0.2.1")
    assert "00" == await ask(context, one, "192.0.2.1")
    assert "00" == await ask(context, three, "192.0.2.2")
    assert 2 * 4 == parties.made


async def test_sign_ons_side_by_side_all_get_keys() -> None:
    """However many come at once for one terminal, two generations are made and all are answered."""
    parties = Parties()
    context, terminals = world(parties, per_minute=600)
    codes: list[str] = []

    async def one() -> None:
        codes.append(await ask(context, terminals[NAMES[0]], "192.0.2.1"))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one)
    assert ["00"] * 50 == codes
    assert 2 * 2 == parties.made
