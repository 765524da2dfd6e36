"""Courier sign-on and sign-off at a terminal.

The password arrives as a PIN block without PAN and is compared inside the security module.
Three wrong ones in a row lock the courier; a try counts in the commit that stores its answer, under
the message's STAN, so that a copy is no second try. A courier is signed on at one terminal at a
time: the newest sign-on counts. Source: docs/interfaces/terminal.md, part 5, row 2.
"""

from __future__ import annotations

from dataclasses import replace

from acquirer.codecs.response_codes import ResponseCode
from acquirer.config.business import CourierSettings
from acquirer.ledger.errors import BookBusy
from acquirer.ledger.journal.entries import (
    CourierRow,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    PutCourier,
)
from acquirer.payments.kernel.commands import (
    APPROVED,
    Command,
    Origin,
    Outcome,
    Repeat,
    answer_of,
)
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import new_entry, refuse

PASSWORDS_MAX = 3
COMMIT_TRIES_MAX = 5
# Its reply has no business date and no reference number.
UNNUMBERED = {"settlement_date": "", "rrn": ""}


class CourierSignOnRequested(Command, frozen=True):
    """A courier wants to work at the origin's terminal; ``repr`` shows no secret.

    Attributes:
        pin_block: his password, 8 bytes under the origin's PIN key, without card.
        is_pin_unfit: whether it is in another form.
    """

    courier_id: str
    pin_block: bytes
    is_pin_unfit: bool = False

    def __repr__(self) -> str:
        return f"CourierSignOnRequested({self.courier_id!r})"


class CourierSignOffRequested(Command, frozen=True):
    """A courier leaves the origin's terminal."""

    courier_id: str


async def courier_sign_on(ports: Ports, command: CourierSignOnRequested) -> Outcome:
    """Check the password and sign the courier on at this terminal.

    Raises:
        HsmRefused: the PIN block does not open (99); it counts as no try.
        BookBusy: the courier kept changing; nothing was stored.
    """
    origin = command.origin
    if command.is_pin_unfit:
        return await _refuse(ports, origin, Kind.COURIER_SIGN_ON, ResponseCode.PIN_FORMAT)
    settings = origin.business.couriers.get(command.courier_id)
    if settings is None or settings.merchant_id != origin.merchant_id:
        return await _refuse(
            ports, origin, Kind.COURIER_SIGN_ON, ResponseCode.NOT_PERMITTED_TO_TERMINAL
        )
    # Side by side they would only fail each other's commits.
    async with ports.courier_turns.of(command.courier_id):
        return await _try_password(ports, command, settings)


async def _try_password(
    ports: Ports, command: CourierSignOnRequested, settings: CourierSettings
) -> Outcome:
    origin = command.origin
    right: bool | None = None
    for _ in range(COMMIT_TRIES_MAX):
        row = await _row(ports, settings.courier_id)
        if row.locked:
            return await _refuse(
                ports, origin, Kind.COURIER_SIGN_ON, ResponseCode.PASSWORD_TRIES_EXCEEDED
            )
        if right is None:
            right = await ports.module.password_ok(
                origin.pin_key, command.pin_block, settings.password
            )
        code, after = _tried(row, origin.terminal_id, right=right)
        step = PutCourier(after, row)
        outcome = await _commit(ports, origin, Kind.COURIER_SIGN_ON, code, step)
        if outcome is not None:
            return outcome
    raise BookBusy("the courier kept changing")


def _tried(row: CourierRow, terminal_id: str, *, right: bool) -> tuple[str, CourierRow]:
    """The answer to a password, and the row after it."""
    if right:
        return APPROVED, CourierRow(row.courier_id, terminal_id)
    tries = row.password_tries + 1
    locked = tries >= PASSWORDS_MAX
    code = ResponseCode.PASSWORD_TRIES_EXCEEDED if locked else ResponseCode.WRONG_PIN
    return code, replace(row, password_tries=tries, locked=locked)


async def courier_sign_off(ports: Ports, command: CourierSignOffRequested) -> Outcome:
    """Sign the courier off; one who is not signed on here stays as he was.

    Raises:
        BookBusy: the courier kept changing; nothing was stored.
    """
    origin = command.origin
    for _ in range(COMMIT_TRIES_MAX):
        row = await _row(ports, command.courier_id)
        if row.terminal_id != origin.terminal_id:
            return await _refuse(
                ports, origin, Kind.COURIER_SIGN_OFF, ResponseCode.NOT_PERMITTED_TO_TERMINAL
            )
        step = PutCourier(replace(row, terminal_id=""), row)
        outcome = await _commit(ports, origin, Kind.COURIER_SIGN_OFF, APPROVED, step)
        if outcome is not None:
            return outcome
    raise BookBusy("the courier kept changing")


async def _row(ports: Ports, courier_id: str) -> CourierRow:
    return await ports.book.courier(courier_id) or CourierRow(courier_id)


async def _refuse(ports: Ports, origin: Origin, kind: Kind, code: str) -> Outcome:
    return await refuse(ports, origin, kind, code, said=UNNUMBERED)


async def _commit(
    ports: Ports, origin: Origin, kind: Kind, code: str, step: PutCourier
) -> Outcome | None:
    """Store the answer together with what it does; None where the courier changed meanwhile."""
    entry = await new_entry(
        ports,
        origin,
        kind,
        State.APPROVED if code == APPROVED else State.REFUSED,
        courier_id=step.row.courier_id,
        response_code=code,
        said=UNNUMBERED,
    )
    failed = await ports.book.commit(InsertEntry(entry), step)
    if failed is None:
        return answer_of(entry)
    return Repeat() if failed.is_taken else None
