"""Sign-on, sign-off and echo test of a terminal: MTI 0800 and 0820.

Sign-on hands out working keys under the terminal's master key; they wait beside the old ones
until a message verifies under them. Source: terminal interface, parts 3 and 4.
"""

from __future__ import annotations

from acquirer.codecs.private_fields import De60, WorkingKeys
from acquirer.switch.context import Context
from acquirer.switch.numbers import rrn_of
from acquirer.switch.terminals.request import Answer, Outcome, Request
from acquirer.switch.terminals.terminals import signed_off, signed_on

SAVE_TRIES_MAX = 5


async def sign_on(context: Context, request: Request) -> Outcome:
    """Make working keys in the module, keep them under the LMK, send them under the TMK.

    Raises:
        HsmRefused, HsmUnavailable: no keys were made; the old ones stay good.
        BookBusy, BookUnavailable: likewise.
    """
    terminal, code = request.terminal, request.de60.network_code
    tmk = terminal.settings.tmk
    double = code != "001"
    pin = await context.hsm.new_pin_key(tmk, double=double)
    mac = await context.hsm.new_mac_key(tmk, double=double and terminal.profile.mac_key == "double")
    track = await context.hsm.new_pin_key(tmk, double=True) if code == "004" else None
    keys = WorkingKeys(
        pin.under_tmk,
        pin.kcv,
        mac.under_tmk,
        mac.kcv,
        track.under_tmk if track else b"",
        track.kcv if track else b"",
    )
    for _ in range(SAVE_TRIES_MAX):
        row = signed_on(
            terminal.row, pin.under_lmk, mac.under_lmk, track.under_lmk if track else ""
        )
        if await context.terminals.save(terminal, row):
            return Answer(
                "00",
                {
                    **_times(context, request),
                    37: await _rrn(context, request),
                    60: De60("00", terminal.row.batch, code).format(),
                    62: keys.format(code).hex().upper(),
                },
            )
    return Answer("96")


async def sign_off(context: Context, request: Request) -> Outcome:
    """Forget the working keys; the next transaction needs a sign-on."""
    terminal = request.terminal
    for _ in range(SAVE_TRIES_MAX):
        if await context.terminals.save(terminal, signed_off(terminal.row)):
            return Answer("00", {**_times(context, request), 37: await _rrn(context, request)})
    return Answer("96")


async def echo(context: Context, request: Request) -> Outcome:
    """Say that the switch is there. It has no DE11."""
    return Answer("00", _times(context, request))


def _times(context: Context, request: Request) -> dict[int, str]:
    stamp = context.calendar.stamp(request.now_ms)
    return {12: stamp.local_time, 13: stamp.local_date}


async def _rrn(context: Context, request: Request) -> str:
    number = await context.numbers.take()
    return rrn_of(number, context.calendar.stamp(request.now_ms).rrn_day)
