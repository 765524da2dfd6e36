"""Courier sign-on and sign-off at a terminal: MTI 0820, 60.3 = 402 and 403, with a MAC.

The password arrives as a PIN block without PAN and is compared inside the security module.
Three wrong ones in a row lock the courier; a try counts in the commit that stores its answer, under
the message's STAN, so that a copy is no second try. A courier is signed on at one terminal at a
time: the newest sign-on counts. Source: docs/interfaces/terminal.md, part 5, row 2.
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.private_fields import De53
from acquirer.config.business import CourierSettings
from acquirer.ledger.errors import BookBusy
from acquirer.ledger.journal.entries import CourierRow, InsertEntry, PutCourier, State
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.ports import Context
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.switch.terminals.request import APPROVED, Answer, Outcome, Repeat, Request

PASSWORDS_MAX = 3
COMMIT_TRIES_MAX = 5
PIN_WITHOUT_PAN = 1
# A management reply has no business date and no reference number.
UNNUMBERED = {15: "", 37: ""}


async def courier_sign_on(context: Context, request: Request) -> Outcome:
    """Check the password and sign the courier on at this terminal.

    Raises:
        RemoteFormatError: OC, DE52 or DE53 is missing.
        HsmRefused: the PIN block does not open (99); it counts as no try.
        BookBusy: the courier kept changing; nothing was stored.
    """
    courier_id = request.need_text("OC")
    request.message.need(52)
    if De53.parse(request.message.need(53)).pin_format != PIN_WITHOUT_PAN:
        return await _refuse(context, request, Kind.COURIER_SIGN_ON, "99")
    settings = context.couriers.get(courier_id)
    if settings is None or settings.merchant_id != request.terminal.settings.merchant_id:
        return await _refuse(context, request, Kind.COURIER_SIGN_ON, "58")
    # Side by side they would only fail each other's commits.
    async with context.courier_turns.of(courier_id):
        return await _try_password(context, request, settings)


async def _try_password(context: Context, request: Request, settings: CourierSettings) -> Outcome:
    right: bool | None = None
    for _ in range(COMMIT_TRIES_MAX):
        row = await _row(context, settings.courier_id)
        if row.locked:
            return await _refuse(context, request, Kind.COURIER_SIGN_ON, "75")
        if right is None:
            right = await context.hsm.password_ok(
                request.keys.tpk, request.message.binary(52), settings.password
            )
        code, after = _tried(row, request.terminal.terminal_id, right=right)
        outcome = await _commit(
            context, request, Kind.COURIER_SIGN_ON, code, PutCourier(after, row)
        )
        if outcome is not None:
            return outcome
    raise BookBusy("the courier kept changing")


def _tried(row: CourierRow, terminal_id: str, *, right: bool) -> tuple[str, CourierRow]:
    """The answer to a password, and the row after it."""
    if right:
        return APPROVED, CourierRow(row.courier_id, terminal_id)
    tries = row.password_tries + 1
    locked = tries >= PASSWORDS_MAX
    return "75" if locked else "55", replace(row, password_tries=tries, locked=locked)


async def courier_sign_off(context: Context, request: Request) -> Outcome:
    """Sign the courier off; one who is not signed on here stays as he was.

    Raises:
        RemoteFormatError: OC is missing.
        BookBusy: the courier kept changing; nothing was stored.
    """
    courier_id = request.need_text("OC")
    for _ in range(COMMIT_TRIES_MAX):
        row = await _row(context, courier_id)
        if row.terminal_id != request.terminal.terminal_id:
            return await _refuse(context, request, Kind.COURIER_SIGN_OFF, "58")
        step = PutCourier(replace(row, terminal_id=""), row)
        outcome = await _commit(context, request, Kind.COURIER_SIGN_OFF, APPROVED, step)
        if outcome is not None:
            return outcome
    raise BookBusy("the courier kept changing")


async def _row(context: Context, courier_id: str) -> CourierRow:
    return await context.book.courier(courier_id) or CourierRow(courier_id)


async def _refuse(context: Context, request: Request, kind: Kind, code: str) -> Outcome:
    return await refuse(context, request, kind, code, reply=UNNUMBERED)


async def _commit(
    context: Context, request: Request, kind: Kind, code: str, step: PutCourier
) -> Outcome | None:
    """Store the answer together with what it does; None where the courier changed meanwhile."""
    entry = await new_entry(
        context,
        request,
        kind,
        State.APPROVED if code == APPROVED else State.REFUSED,
        courier_id=step.row.courier_id,
        response_code=code,
        reply=UNNUMBERED,
    )
    failed = await context.book.commit(InsertEntry(entry), step)
    if failed is None:
        return Answer(code, entry.reply)
    return Repeat() if failed.is_taken else None
