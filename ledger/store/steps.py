"""One step of a unit against one row: a table from step to function.

Each function runs inside the writer's transaction and says whether the step held; a step that
did not hold has written nothing of its own. :data:`RUN` is the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from acquirer.ledger.accounts.accounting import Accounting
from acquirer.ledger.accounts.transfer_steps import (
    LimitBalance,
    OpenAccount,
    Post,
    PostPending,
    PostPendingResolve,
    PostReversed,
)
from acquirer.ledger.journal.batches import PutBatch, PutBatchItem, PutCertificate
from acquirer.ledger.journal.ksns import TakeKsn
from acquirer.ledger.journal.limits import LimitDaily
from acquirer.ledger.journal.steps import (
    WRITTEN_OFF,
    FinishSaf,
    InsertEntry,
    PutCourier,
    PutOrder,
    PutTerminal,
    QueueEvent,
    QueueSaf,
    ReviveSaf,
    UpdateEntry,
    UpdateOrder,
    WriteOffSaf,
)
from acquirer.ledger.owed.advices import (
    LimitAdvised,
    LimitRefunded,
    LimitTipped,
    limit_advised,
    limit_refunded,
    limit_tipped,
)
from acquirer.ledger.store import statements as sql
from acquirer.ledger.store.batches import put_batch, put_certificate, put_item
from acquirer.ledger.store.configuration import ChangeConfiguration, change_configuration
from acquirer.ledger.store.database import Session
from acquirer.ledger.store.ksns import take_ksn
from acquirer.ledger.store.limit_counts import limit_daily
from acquirer.ledger.store.rows import entry_row, fetched_text, update_row, waiting_text


def _insert_entry(session: Session, _accounting: Accounting, step: InsertEntry) -> bool:
    return session.run_rows(sql.INSERT_ENTRIES, [entry_row(step.entry)]) == 1


def _update_entry(session: Session, _accounting: Accounting, step: UpdateEntry) -> bool:
    return session.run_rows(sql.UPDATE_ENTRIES, [update_row(step)]) == 1


def _post(_session: Session, accounting: Accounting, step: Post | PostPending) -> bool:
    return accounting.post(step)


def _put_order(session: Session, _accounting: Accounting, step: PutOrder) -> bool:
    order = step.order
    session.run(
        sql.PUT_ORDER,
        merchant_id=order.merchant_id,
        order_no=order.order_no,
        status=order.status,
        amount_minor=order.amount_minor,
        currency_code=order.currency_code,
        pay_ways=order.pay_ways,
        text=order.text,
        queried_at_ms=order.queried_at_ms,
        paying_id=order.paying_id,
        payment_id=order.payment_id,
        changes=order.changes,
        part_of=order.part_of,
    )
    return True


def _update_order(session: Session, _accounting: Accounting, step: UpdateOrder) -> bool:
    status, paying_id, payment_id = step.expected
    new_status, new_paying_id, new_payment_id = step.new
    changed = session.changed(
        sql.UPDATE_ORDER,
        key_merchant_id=step.merchant_id,
        key_order_no=step.order_no,
        old_status=status,
        old_paying_id=paying_id or 0,
        old_payment_id=payment_id or 0,
        old_changes=step.expected_changes,
        new_status=new_status,
        new_paying_id=new_paying_id,
        new_payment_id=new_payment_id,
    )
    return changed == 1


def _put_terminal(session: Session, _accounting: Accounting, step: PutTerminal) -> bool:
    row = step.row
    fields = {
        "batch": row.batch,
        "signed_on": row.signed_on,
        "tpk": row.tpk,
        "tak": row.tak,
        "tdk": row.tdk,
        "waiting": waiting_text(row.waiting),
        "key_version": row.key_version,
        "proved_at_ms": row.proved_at_ms,
        "fetched": fetched_text(row.fetched),
        "settling": row.settling,
    }
    if step.expected_version is None:
        return session.changed(sql.PUT_TERMINAL, terminal_id=row.terminal_id, **fields) == 1
    if step.expected_version == 0:
        return session.changed(sql.PUT_NEW_TERMINAL, terminal_id=row.terminal_id, **fields) == 1
    changed = session.changed(
        sql.CHANGE_TERMINAL,
        key_terminal_id=row.terminal_id,
        expected_version=step.expected_version,
        **fields,
    )
    return changed == 1


def _put_courier(session: Session, _accounting: Accounting, step: PutCourier) -> bool:
    row, expected = step.row, step.expected
    changed = session.changed(
        sql.PUT_COURIER,
        courier_id=row.courier_id,
        terminal_id=row.terminal_id,
        password_tries=row.password_tries,
        locked=row.locked,
        old_terminal_id=expected.terminal_id,
        old_password_tries=expected.password_tries,
        old_locked=expected.locked,
    )
    return changed == 1


def _queue_saf(session: Session, _accounting: Accounting, step: QueueSaf) -> bool:
    item = step.item
    changed = session.changed(
        sql.QUEUE_SAF,
        id=item.id,
        bank=item.bank,
        kind=item.kind._value_,
        original_id=item.original_id,
        reason=item.reason,
        created_at_ms=item.created_at_ms,
        next_at_ms=item.next_at_ms,
        attempts=item.attempts,
        stan=item.stan,
        transmission_at=item.transmission_at,
        icc=item.icc,
    )
    return changed == 1


def _finish_saf(session: Session, _accounting: Accounting, step: FinishSaf) -> bool:
    session.run(
        sql.FINISH_SAF,
        key_id=step.id,
        new_response_code=step.response_code,
        new_finished_at_ms=step.finished_at_ms,
    )
    return True


def _revive_saf(session: Session, _accounting: Accounting, step: ReviveSaf) -> bool:
    return session.changed(sql.REVIVE_SAF, key_id=step.id, new_next_at_ms=step.at_ms) == 1


def _write_off_saf(session: Session, _accounting: Accounting, step: WriteOffSaf) -> bool:
    changed = session.changed(
        sql.WRITE_OFF_SAF,
        key_id=step.id,
        new_response_code=WRITTEN_OFF,
        new_finished_at_ms=step.at_ms,
    )
    return changed == 1


def _queue_event(session: Session, _accounting: Accounting, step: QueueEvent) -> bool:
    event = step.event
    session.run(
        sql.QUEUE_EVENT,
        id=event.id,
        merchant_id=event.merchant_id,
        order_no=event.order_no,
        type=event.type,
        body=event.body,
        created_at_ms=event.created_at_ms,
        next_at_ms=event.next_at_ms,
        attempts=event.attempts,
    )
    return True


RUN: Mapping[type[Any], Callable[[Session, Accounting, Any], bool]] = MappingProxyType(
    {
        InsertEntry: _insert_entry,
        UpdateEntry: _update_entry,
        Post: _post,
        PostPending: _post,
        PostReversed: lambda _session, accounting, step: accounting.reverse(step),
        PostPendingResolve: lambda _session, accounting, step: accounting.resolve(step),
        LimitBalance: lambda _session, accounting, step: accounting.limit_balance(step),
        OpenAccount: lambda _session, accounting, step: accounting.open(step),
        PutOrder: _put_order,
        UpdateOrder: _update_order,
        PutTerminal: _put_terminal,
        PutCourier: _put_courier,
        PutBatch: lambda session, _accounting, step: put_batch(session, step),
        PutBatchItem: lambda session, _accounting, step: put_item(session, step),
        PutCertificate: lambda session, _accounting, step: put_certificate(session, step),
        QueueSaf: _queue_saf,
        FinishSaf: _finish_saf,
        ReviveSaf: _revive_saf,
        WriteOffSaf: _write_off_saf,
        LimitRefunded: lambda session, _accounting, step: limit_refunded(session, step),
        LimitTipped: lambda session, _accounting, step: limit_tipped(session, step),
        LimitAdvised: lambda session, _accounting, step: limit_advised(session, step),
        LimitDaily: lambda session, _accounting, step: limit_daily(session, step),
        TakeKsn: lambda session, _accounting, step: take_ksn(session, step),
        QueueEvent: _queue_event,
        ChangeConfiguration: lambda session, _accounting, step: change_configuration(session, step),
    }
)

# A posting holds unless an account has a limit; then the group is surprised, and runs in turn.
ALWAYS_HOLD = frozenset({PutOrder, FinishSaf, QueueEvent, Post, PostPending})
# Steps that may have written a part before they turn out not to hold.
SEVERAL_ROWS = frozenset({Post, PostPending, PostReversed, PostPendingResolve, ChangeConfiguration})
