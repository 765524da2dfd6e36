"""Sign-on, sign-off and echo test of a terminal: MTI 0800 and 0820.

Anybody can send them in a terminal's name, so that they must not hurt it. Sign-on hands out working
keys under the terminal's master key; they wait beside the old ones until a message verifies under
them, and who asks again gets the same.
Source: docs/interfaces/terminal.md, parts 3 and 4; docs/pos.md, "Keys".
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from acquirer.codecs.private_fields import De60, WorkingKeys
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.errors import BookBusy
from acquirer.ledger.journal.entries import (
    HandedKeys,
)
from acquirer.payments.kernel.numbers import unnumbered_rrn
from acquirer.switch.context import Context
from acquirer.switch.terminals.request import Request, Told
from acquirer.switch.terminals.terminals import handed_again, signed_on, without_keys

log = structlog.get_logger("acquirer.switch")

SAVE_TRIES_MAX = 5
# 60.3 of a sign-on that brings no keys, where they are derived.
DERIVED_CODE = "001"


async def sign_on(context: Context, request: Request) -> Told:
    """Hand out working keys: those that wait already, or new ones made in the module.

    Raises:
        HsmRefused, HsmUnavailable: no keys were made; the old ones stay good.
        BookBusy, BookUnavailable: likewise.
    """
    terminal, code = request.terminal, request.de60.network_code
    if terminal.is_derived:
        return await _registered(context, request)
    fresh: HandedKeys | None = None
    # Side by side they would make keys that none of them could store.
    async with context.terminals.turns.of(terminal.terminal_id):
        for _ in range(SAVE_TRIES_MAX):
            # Another process may know of keys that were proved since, or handed out.
            await context.terminals.refresh(terminal)
            row = terminal.row
            if again := handed_again(row, code, request.origin.now_ms):
                return _handed_out(context, request, again)
            if fresh is None:
                if not await context.may_make_keys(request.address):
                    log.warning("too_many_sign_ons", address=request.address)
                    return Told(ResponseCode.SWITCH_FAULT, _times(context, request))
                fresh = await _new_keys(context, request)
            if await context.terminals.save(terminal, signed_on(row, fresh)):
                return _handed_out(context, request, fresh)
    raise BookBusy("the terminal's keys kept changing")


async def _registered(context: Context, request: Request) -> Told:
    """A sign-on of a terminal that has its keys: it learns the current batch."""
    terminal, code = request.terminal, request.de60.network_code
    if code != DERIVED_CODE:
        return Told(ResponseCode.NOT_SUPPORTED, _times(context, request))
    for _ in range(SAVE_TRIES_MAX):
        await context.terminals.refresh(terminal)
        row = terminal.row
        after = replace(row, signed_on=True, key_version=row.key_version + 1)
        if row.signed_on or await context.terminals.save(terminal, after):
            de60 = De60("00", terminal.row.batch, code).format()
            return Told(ResponseCode.APPROVED, {**numbered(context, request), 60: de60})
    raise BookBusy("the terminal's row kept changing")


async def _new_keys(context: Context, request: Request) -> HandedKeys:
    terminal, code = request.terminal, request.de60.network_code
    tmk = terminal.settings.tmk
    double = code != "001"
    pin = await context.hsm.new_pin_key(tmk, double=double)
    mac = await context.hsm.new_mac_key(tmk, double=double and terminal.profile.mac_key == "double")
    track = await context.hsm.new_track_key(tmk) if code == "004" else None
    sent = WorkingKeys(
        pin.under_tmk,
        pin.kcv,
        mac.under_tmk,
        mac.kcv,
        track.under_tmk if track else b"",
        track.kcv if track else b"",
    )
    return HandedKeys(
        pin.under_lmk,
        mac.under_lmk,
        track.under_lmk if track else "",
        code,
        sent.format(code).hex().upper(),
        request.origin.now_ms,
    )


def _handed_out(context: Context, request: Request, keys: HandedKeys) -> Told:
    return Told(
        ResponseCode.APPROVED,
        {
            **numbered(context, request),
            60: De60("00", request.terminal.row.batch, keys.network_code).format(),
            62: keys.de62,
        },
    )


async def sign_off(context: Context, request: Request) -> Told:
    """Take note. The working keys end only where the message bears their MAC.

    Raises:
        BookBusy, BookUnavailable: the keys stay good.
    """
    terminal = request.terminal
    taken = (request.origin.ksn,) if request.origin.ksn else ()
    for _ in range(SAVE_TRIES_MAX):
        if not terminal.bears(request.keys) or await context.terminals.save(
            terminal, without_keys(terminal.row), *taken
        ):
            return Told(ResponseCode.APPROVED, numbered(context, request))
    raise BookBusy("the terminal's keys kept changing")


async def echo(context: Context, request: Request) -> Told:
    """Say that the switch is there. It has no DE11."""
    return Told(ResponseCode.APPROVED, _times(context, request))


def _times(context: Context, request: Request) -> dict[int, str]:
    stamp = context.ports.calendar.stamp(request.origin.now_ms)
    return {12: stamp.local_time, 13: stamp.local_date}


def numbered(context: Context, request: Request) -> dict[int, str]:
    """Time, date and RRN of a management message's reply."""
    # No number of the books: whoever floods us with these would use a day's up.
    rrn_day = context.ports.calendar.stamp(request.origin.now_ms).rrn_day
    return {**_times(context, request), 37: unnumbered_rrn(request.origin.stan, rrn_day)}
