"""Order payments whose confirmation does not come: asked of the terminal, then decided.

A look every few seconds. From a first age on the terminal is asked in each reply (processing
demand 2); from a second age on the payment is decided without it, by the word of the bank (0600)
and the rule of the settings, so that nothing stays open. The decision commits by compare-and-set
on the order: a confirmation or reversal that comes at the same moment wins or finds it decided.
Source: docs/interfaces/terminal.md, part 5, last paragraph; docs/interfaces/bank-link.md,
"inquiry".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.config.business import OrderSettings
from acquirer.ledger.accounts.transfer_steps import PostReversed
from acquirer.ledger.journal.entries import (
    Entry,
    OrderRow,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
    QueueEvent,
    Step,
    UpdateEntry,
)
from acquirer.ledger.store.rows import BadRow, EntryRow
from acquirer.payments.kernel.bank_codes import reading_of
from acquirer.payments.kernel.commits import original_data
from acquirer.payments.kernel.errors import SwitchError, reason_of
from acquirer.payments.kernel.giving_back import none_refunded
from acquirer.payments.kernel.holds import NO_ANSWER, move_order, unpay_step
from acquirer.payments.kernel.looking import look_for_ever
from acquirer.payments.kernel.numbers import bank_stan_of
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.records import own_entry
from acquirer.payments.kernel.undo import queue_reversal
from acquirer.payments.orders.events import order_event
from acquirer.payments.orders.life import CONFIRMED, PAID
from acquirer.routing.banks.messages import BankRequest
from acquirer.routing.outcomes import Replied

log = structlog.get_logger("acquirer.orders")

LOOK_MAX = 500
DECIDED_A_LOOK_MAX = 20
BY_RULE = "SWITCH"
FOUND, UNKNOWN = "00", "25"


async def keep_looking(ports: Ports, settings: OrderSettings) -> None:
    """Look for unconfirmed payments for ever."""
    await look_for_ever(settings.look_every_s, partial(look, ports, settings), log)


async def look(ports: Ports, settings: OrderSettings) -> None:
    """Note whom to ask, and decide what is old enough.

    Raises:
        BookError: the books cannot be read or written now; the next look goes on.
    """
    now_ms = ports.clock.now_ms()
    ask_after_ms, decide_after_ms = _ms(settings.ask_after_s), _ms(settings.decide_after_s)
    waiting = await ports.book.unconfirmed(now_ms - ask_after_ms, now_ms, LOOK_MAX)
    ports.to_ask.clear()
    left = DECIDED_A_LOOK_MAX
    for payment in waiting:
        if isinstance(payment, BadRow):
            _failed(ports, payment, payment.reason)
            continue
        age_ms = ports.clock.age_ms(payment.created_at_ms)
        if age_ms >= ask_after_ms:
            ports.to_ask.add(payment.terminal_id)
        if age_ms < decide_after_ms or not left:
            continue
        late = age_ms >= 2 * decide_after_ms
        try:
            await _decide(ports, payment, settings.unconfirmed, now_ms, late=late)
            left -= 1
        except Exception as error:
            _failed(ports, payment, reason_of(error))


def _failed(ports: Ports, payment: EntryRow, reason: str) -> None:
    """This payment stays open, and others are decided."""
    log.error("unconfirmed_payment_failed", entry=payment.id, reason=reason)
    ports.row_failed()


async def _decide(ports: Ports, payment: Entry, rule: str, now_ms: int, *, late: bool) -> None:
    known = await known_at_the_bank(ports, payment, now_ms) if payment.bank else True
    if known is None and not late:
        return
    order = await ports.book.order(payment.merchant_id, payment.order_no)
    if order is None or (order.status, order.paying_id, order.payment_id) != (
        PAID,
        None,
        payment.id,
    ):
        return
    # An order's share of a payment cannot be undone alone: it stands.
    is_undone = known is False or (rule == "reverse" and payment.kind is not Kind.ORDER_SHARE)
    kept = await none_refunded(ports, payment) if is_undone else ""
    if isinstance(kept, str):
        # So does what was given back in part.
        is_undone = False
        steps = await _confirm(ports, order, payment, now_ms)
    else:
        steps = (*await _reverse(ports, order, payment, now_ms), *kept)
    failed = await ports.book.commit(*steps)
    if failed is None:
        ports.saf_queued()
        ports.events_queued()
    log.info(
        "unconfirmed_payment",
        rrn=payment.rrn,
        known_at_the_bank=known,
        decided="" if failed else ("reverse" if is_undone else "confirm"),
    )


async def known_at_the_bank(ports: Ports, payment: Entry, now_ms: int) -> bool | None:
    """Whether the bank has approved this payment; None where it did not say.

    Raises:
        SwitchError: the bank is not in the configuration, so that nobody can be asked or told.
    """
    settings = ports.bank_settings.get(payment.bank)
    if settings is None:
        raise SwitchError(f"its bank {payment.bank!r} is not in the configuration")
    number = await ports.numbers.take()
    inquiry = BankRequest(
        kind=BankMessage.INQUIRY,
        rrn=payment.rrn,
        stan=bank_stan_of(number),
        transmission_at=ports.calendar.stamp(now_ms).transmission_at,
        local_time=payment.reply.local_time,
        local_date=payment.reply.local_date,
        acquirer_id=settings.acquirer_id,
        terminal_id=payment.terminal_id,
        merchant_id=payment.merchant_id,
        currency_code=payment.currency_code,
        original=original_data(payment, settings.acquirer_id),
    )
    deadline = ports.monotonic() + settings.timeout_s
    outcome = await ports.banks.request(payment.bank, inquiry, deadline)
    if not isinstance(outcome, Replied):
        return None
    code = outcome.response_code
    if code == UNKNOWN:
        return False
    reading = reading_of(outcome.found_code) if code == FOUND else "in_doubt"
    return None if reading == "in_doubt" else reading == "approved"


async def _confirm(ports: Ports, order: OrderRow, payment: Entry, now_ms: int) -> Sequence[Step]:
    """The payment stands, as if its terminal had confirmed it."""
    entry = await own_entry(
        ports,
        Kind.ORDER_CONFIRMATION,
        now_ms,
        key=(BY_RULE, "confirm", str(payment.id)),
        merchant_id=payment.merchant_id,
        amount_minor=0,
        currency_code=payment.currency_code,
        order_no=payment.order_no,
        courier_id=payment.courier_id,
        original_id=payment.id,
    )
    notice = order_event(
        ports, "order.payment_confirmed", order, payment, entry, order_status=CONFIRMED
    )
    return (
        InsertEntry(entry),
        UpdateEntry(payment.id, (State.APPROVED, State.REFUNDED), check_claim=True),
        move_order(order, (CONFIRMED, None, payment.id)),
        QueueEvent(notice),
    )


async def _reverse(ports: Ports, order: OrderRow, payment: Entry, now_ms: int) -> Sequence[Step]:
    """The payment is undone, as if by its terminal: a 0400 that comes later gets 00."""
    entry = await own_entry(
        ports,
        Kind.REVERSAL,
        now_ms,
        key=(payment.terminal_id, payment.batch, payment.stan),
        role=Role.REVERSAL,
        merchant_id=payment.merchant_id,
        amount_minor=payment.amount_minor,
        currency_code=payment.currency_code,
        order_no=payment.order_no,
        courier_id=payment.courier_id,
        original_id=payment.id,
    )
    after = State.REVERSING if payment.bank else State.REVERSED
    take = UpdateEntry.unclaimed(payment.id, after)
    unpay = unpay_step(order)
    notice = order_event(
        ports,
        "order.cancelled",
        order,
        payment,
        entry,
        order_status=unpay.new[0],
        reason="unconfirmed",
    )
    to_bank: tuple[Step, ...] = ()
    if payment.bank:
        to_bank = (await queue_reversal(ports, payment, NO_ANSWER, now_ms),)
    return (
        InsertEntry(entry),
        take,
        *to_bank,
        PostReversed(payment.id, entry.id, entry.business_date),
        unpay,
        QueueEvent(notice),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
