"""Courier sign-on and sign-off at a terminal: MTI 0820, 60.3 = 402 and 403, with a MAC.

The password arrives as a PIN block without PAN and is compared inside the security module.
Three wrong ones in a row lock the courier. A courier is signed on at one terminal at a time:
the newest sign-on counts. Source: terminal interface, part 5, row 2.
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.private_fields import De53
from acquirer.ledger.journal.entries import CourierRow, PutCourier
from acquirer.switch.context import Context
from acquirer.switch.settings import CourierSettings
from acquirer.switch.terminals.request import Answer, Outcome, Request

TRIES_MAX = 3
PIN_WITHOUT_PAN = 1


async def courier_sign_on(context: Context, request: Request) -> Outcome:
    """Check the password and sign the courier on at this terminal.

    Raises:
        RemoteFormatError: OC, DE52 or DE53 is missing.
        HsmRefused: the PIN block does not open (99); it counts as no try.
    """
    courier_id = request.need_text("OC")
    request.message.need(52)
    if De53.parse(request.message.need(53)).pin_format != PIN_WITHOUT_PAN:
        return _answer(context, request, "99")
    settings = context.couriers.get(courier_id)
    if settings is None or settings.merchant_id != request.terminal.settings.merchant_id:
        return _answer(context, request, "58")
    # One try at a time, lest tries side by side all count as the first.
    async with context.courier_turns.of(courier_id):
        return _answer(context, request, await _try_password(context, request, settings))


async def _try_password(context: Context, request: Request, settings: CourierSettings) -> str:
    courier_id = settings.courier_id
    row = await context.book.courier(courier_id) or CourierRow(courier_id)
    if row.locked:
        return "75"
    right = await context.hsm.password_ok(
        request.keys.tpk, request.message.binary(52), settings.password
    )
    if right:
        code, row = "00", CourierRow(courier_id, request.terminal.terminal_id)
    else:
        tries = row.password_tries + 1
        row = replace(row, password_tries=tries, locked=tries >= TRIES_MAX)
        code = "75" if row.locked else "55"
    await context.book.commit(PutCourier(row))
    return code


async def courier_sign_off(context: Context, request: Request) -> Outcome:
    """Sign the courier off; one who is not signed on here stays as he was."""
    courier_id = request.need_text("OC")
    row = await context.book.courier(courier_id)
    if row is None or row.terminal_id != request.terminal.terminal_id:
        return _answer(context, request, "58")
    await context.book.commit(PutCourier(replace(row, terminal_id="")))
    return _answer(context, request, "00")


def _answer(context: Context, request: Request, code: str) -> Answer:
    stamp = context.calendar.stamp(request.now_ms)
    return Answer(code, {12: stamp.local_time, 13: stamp.local_date})
