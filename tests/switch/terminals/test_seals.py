"""Whose keys a message bears, while another process changes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from acquirer.config.business import MerchantSettings, ProfileSettings, TerminalSettings
from acquirer.ledger.journal.entries import (
    TerminalRow,
)
from acquirer.switch.terminals.seals import Seals
from acquirer.switch.terminals.terminals import Terminal, Terminals

pytestmark = pytest.mark.anyio

OLD = TerminalRow("10000001", "000001", True, "P1", "A1", key_version=1)
NEW = TerminalRow("10000001", "000001", True, "P2", "A2", key_version=2)


async def test_keys_are_looked_for_again_whoever_has_read_the_row() -> None:
    """Of tasks that fail under the old row side by side, each tries the new one."""
    terminal = Terminal(
        TerminalSettings("10000001", "M", "U0", "cup"),
        ProfileSettings("cup"),
        MerchantSettings("M", "Shop", "5411", 0, "whsec_"),
        OLD,
    )

    async def mac_ok(algorithm: str, key: str, data: bytes, mac: bytes) -> bool:
        await trio.lowlevel.checkpoint()
        return key == "A2"

    async def read(terminal_id: str) -> TerminalRow:
        await trio.lowlevel.checkpoint()
        return NEW

    book: Any = SimpleNamespace(terminal=read)
    context: Any = SimpleNamespace(hsm=SimpleNamespace(mac_ok=mac_ok), terminals=Terminals(book))
    dialect: Any = SimpleNamespace(mac_input=lambda raw: raw)
    message: Any = SimpleNamespace(raw=b"", get=lambda number: "00", binary=lambda number: b"\0")
    seals, found = Seals(context, dialect), []

    async def look() -> None:
        keys = await seals.keys_of(message, terminal, 0)
        found.append(keys.tak if keys else "")

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(look)
    assert ["A2"] * 8 == found


async def test_a_row_that_was_read_before_does_not_take_the_place_of_a_newer_one() -> None:
    """Two reads may end in the other order."""
    terminal = Terminal(
        TerminalSettings("10000001", "M", "U0", "cup"),
        ProfileSettings("cup"),
        MerchantSettings("M", "Shop", "5411", 0, "whsec_"),
        NEW,
    )

    async def read(terminal_id: str) -> TerminalRow:
        return OLD

    book: Any = SimpleNamespace(terminal=read)
    await Terminals(book).refresh(terminal)
    assert NEW == terminal.row
