"""From a command to a journal entry: the row of commit 1, and refusals that go nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from acquirer.codecs.pan import Pan
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.journal.details import Detail
from acquirer.ledger.journal.entries import (
    Entry,
    Role,
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.replies import Reply
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.payments.kernel.calendar import Stamp
from acquirer.payments.kernel.commands import Answer, Origin, Repeat, answer_of
from acquirer.payments.kernel.numbers import bank_stan_of, rrn_of
from acquirer.payments.kernel.ports import Ports

LEASE_MS = 60_000


def usual_reply(stamp: Stamp, rrn: str, said: Mapping[str, str] | None = None) -> Reply:
    """What every answer says of itself, and what one says beside or instead."""
    usual = Reply(
        local_time=stamp.local_time,
        local_date=stamp.local_date,
        settlement_date=stamp.local_date,
        rrn=rrn,
    )
    return msgspec.structs.replace(usual, **said) if said else usual


async def new_entry(
    ports: Ports,
    origin: Origin,
    kind: Kind,
    state: State,
    *,
    pan: Pan | None = None,
    bank: str = "",
    order_no: str = "",
    courier_id: str = "",
    original_id: int | None = None,
    role: Role | None = None,
    amount_minor: int | None = None,
    response_code: str = "",
    detail: Detail | None = None,
    said: Mapping[str, str] | None = None,
) -> Entry:
    """A journal row for a command, with numbers of its own; nothing is stored yet.

    Args:
        role: the origin's own where it is None.
        amount_minor: what the origin names where it is None.
        said: members of its reply that are not as usual.
    """
    number = await ports.numbers.take()
    stamp = ports.calendar.stamp(origin.now_ms)
    rrn = rrn_of(number, stamp.rrn_day)
    entry = Entry(
        id=number,
        rrn=rrn,
        role=role or origin.role,
        kind=kind,
        mti=origin.mti,
        processing_code=origin.processing_code,
        transaction_type=origin.transaction_type,
        terminal_id=origin.terminal_id,
        merchant_id=origin.merchant_id,
        batch=origin.batch,
        stan=origin.stan,
        amount_minor=origin.named_minor if amount_minor is None else amount_minor,
        currency_code=origin.currency_code or origin.merchant.currency_code,
        fingerprint=origin.fingerprint,
        state=state,
        owner=ports.book.owner,
        lease_until_ms=origin.now_ms + LEASE_MS,
        created_at_ms=origin.now_ms,
        business_date=stamp.business_date,
        card=ports.vault.seal(pan) if pan else None,
        bank=bank,
        bank_stan=bank_stan_of(number) if bank else "",
        transmission_at=stamp.transmission_at if bank else "",
        order_no=order_no,
        courier_id=courier_id,
        original_id=original_id,
        response_code=response_code,
        detail=detail,
        reply=usual_reply(stamp, rrn, said),
        key_version=origin.key_version,
        ksn=origin.ksn,
        epoch=origin.business.epoch,
    )
    limits = origin.business.limits
    if limits and state is not State.REFUSED:
        return replace(entry, limits=limits.daily(entry, origin.merchant))
    return entry


async def own_entry(
    ports: Ports,
    kind: Kind,
    now_ms: int,
    *,
    key: tuple[str, str, str],
    merchant_id: str,
    amount_minor: int,
    currency_code: str,
    role: Role = Role.ORIGINAL,
    order_no: str = "",
    courier_id: str = "",
    original_id: int | None = None,
    detail: Detail | None = None,
) -> Entry:
    """A journal row of something that nobody asked for by command: an operator, or a rule, did it.

    Args:
        key: terminal id, batch and STAN, which name it once together with the role.
    """
    number = await ports.numbers.take()
    stamp = ports.calendar.stamp(now_ms)
    terminal_id, batch, stan = key
    rrn = rrn_of(number, stamp.rrn_day)
    return Entry(
        id=number,
        rrn=rrn,
        role=role,
        kind=kind,
        mti="",
        processing_code="",
        transaction_type="",
        terminal_id=terminal_id,
        merchant_id=merchant_id,
        batch=batch,
        stan=stan,
        amount_minor=amount_minor,
        currency_code=currency_code,
        fingerprint=b"",
        state=State.APPROVED,
        owner=ports.book.owner,
        lease_until_ms=now_ms,
        created_at_ms=now_ms,
        business_date=stamp.business_date,
        order_no=order_no,
        courier_id=courier_id,
        original_id=original_id,
        response_code=ResponseCode.APPROVED,
        detail=detail,
        reply=usual_reply(stamp, rrn),
        epoch=ports.business().epoch,
    )


async def refuse(
    ports: Ports,
    origin: Origin,
    kind: Kind,
    response_code: str,
    *,
    pan: Pan | None = None,
    order_no: str = "",
    said: Mapping[str, str] | None = None,
) -> Answer | Repeat:
    """Record a command that is answered without going anywhere, and answer it.

    Its number is used up: the same command again gets the same refusal.
    """
    entry = await new_entry(
        ports,
        origin,
        kind,
        State.REFUSED,
        pan=pan,
        order_no=order_no,
        response_code=response_code,
        said=said,
    )
    if await ports.book.commit(InsertEntry(entry)):
        return Repeat()
    return answer_of(entry)
