"""A terminal's settlement: 0500 says what its batch came to there, 0320 what it is made of.

Once a 0500 is taken, the terminal's row says so, and nothing new is stored under the keys' version
from before: so no payment comes in beside the sums, in whichever process it is. The end of the
upload closes the batch for good and opens the next.
Source: docs/interfaces/terminal.md, "The batch and its settlement".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import msgspec
import structlog
import trio

from acquirer.codecs import bertlv
from acquirer.codecs.batch_upload import parse_end_count, parse_items
from acquirer.codecs.pan import Pan
from acquirer.codecs.private_fields import BatchTotals, SettlementTotals
from acquirer.codecs.response_codes import ResponseCode
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.ledger.errors import BookBusy
from acquirer.ledger.journal.batches import (
    CLOSED,
    BatchItem,
    BatchLine,
    BatchRow,
    BatchState,
    PutBatch,
    PutBatchItem,
    PutCertificate,
    Sums,
    differences,
    next_batch,
    read_sums,
    totals,
)
from acquirer.ledger.journal.entries import TerminalRow
from acquirer.ledger.journal.kinds import ruled_as
from acquirer.ledger.journal.steps import Step
from acquirer.payments.kernel.errors import CardUnreadable
from acquirer.routing.banks.choice import Route, RouteFacts, choose
from acquirer.switch.context import Context
from acquirer.switch.terminals.management import numbered
from acquirer.switch.terminals.request import Request, Silence, Told
from acquirer.switch.terminals.terminals import Terminal, without_keys

log = structlog.get_logger("acquirer.switch")

TRIES_MAX = 20
POLL_FIRST_S, POLL_MAX_S = 0.02, 0.5
BALANCED, NOT_BALANCED = 1, 2
AMOUNT_MAX, COUNT_MAX = 10**12 - 1, 999
# Of a chip's data, card numbers and names are kept nowhere.
NOT_KEPT = frozenset({"57", "5A", "5F20"})


async def settlement(context: Context, request: Request) -> Told:
    """0500: the switch's own sums of the batch; the same again gets the same answer.

    Raises:
        Silence: something of the batch has no outcome yet.
        BookBusy, BookUnavailable: it is not taken.
    """
    terminal, batch = request.terminal, request.de60.batch
    asked = SettlementTotals.parse(request.message.get(48)).format()
    for _ in range(TRIES_MAX):
        await context.terminals.refresh(terminal)
        stored = await context.book.batch(terminal.terminal_id, batch)
        if stored is not None and (stored.asked == asked or stored.state in CLOSED):
            return _told(context, request, asked, stored.told)
        if batch != terminal.row.batch:
            return Told(ResponseCode.SIGN_ON_AGAIN, demand=ProcessingDemand.SIGN_ON)
        if not terminal.row.settling:
            settling = replace(
                terminal.row, settling=True, key_version=terminal.row.key_version + 1
            )
            if not await context.terminals.save(terminal, settling):
                continue
        await _none_in_flight(context, request)
        lines = await context.book.batch_lines(terminal.terminal_id, batch)
        row = BatchRow(
            terminal.terminal_id,
            batch,
            BatchState.SETTLING,
            _opened_at(lines, request.origin.now_ms),
            asked=asked,
            told=sums_text(context, terminal, lines),
        )
        if await context.book.commit(PutBatch(row, stored)) is None:
            return _told(context, request, asked, row.told)
    raise BookBusy("the batch kept changing")


async def _none_in_flight(context: Context, request: Request) -> None:
    """Wait until all of the batch has an outcome.

    Raises:
        Silence: it has none while the terminal waits; it asks again.
    """
    give_up_at = request.origin.started_at + context.ports.answer_within_s
    pause_s = POLL_FIRST_S
    await context.book.await_writers()
    while await context.book.batch_in_flight(request.terminal.terminal_id, request.de60.batch):
        if context.ports.monotonic() + pause_s > give_up_at:
            raise Silence
        await trio.sleep(pause_s)
        pause_s = min(pause_s * 2, POLL_MAX_S)


def _opened_at(lines: Sequence[BatchLine], now_ms: int) -> int:
    return min((line.created_at_ms for line in lines), default=now_ms)


def sums_text(context: Context, terminal: Terminal, lines: Sequence[BatchLine]) -> str:
    """The switch's sums as the books keep them."""

    def is_foreign(line: BatchLine) -> bool:
        card = line.counted_card
        if card is None:
            return False
        try:
            pan = context.ports.vault.open(card)
        except CardUnreadable:
            return False
        facts = RouteFacts(pan, ruled_as(line.kind), terminal.merchant.merchant_id)
        route = choose(facts, context.current().business.routes)
        return isinstance(route, Route) and route.foreign

    return msgspec.json.encode(totals(lines, is_foreign)).decode()


def _told(context: Context, request: Request, asked: str, told: str) -> Told:
    """The switch's sums, each half flagged by whether the terminal's are the same."""
    return Told("", {**numbered(context, request), 48: _flagged(asked, told).format()})


def _flagged(asked: str, told: str) -> SettlementTotals:
    theirs = SettlementTotals.parse(asked)
    domestic, foreign = read_sums(told)
    return SettlementTotals(_half(domestic, theirs.domestic), _half(foreign, theirs.foreign))


def _half(sums: Sums, his: BatchTotals) -> BatchTotals:
    """One half as it is told; a field holds no more than its digits."""
    mine = BatchTotals(
        min(sums.debit_minor, AMOUNT_MAX),
        min(sums.debit_count, COUNT_MAX),
        min(sums.credit_minor, AMOUNT_MAX),
        min(sums.credit_count, COUNT_MAX),
    )
    return replace(mine, flag=BALANCED if mine == replace(his, flag=0) else NOT_BALANCED)


async def upload(context: Context, request: Request) -> Told:
    """0320 with items (201) or chip certificates (203 to 206): each is kept once.

    Raises:
        RemoteFormatError: it holds none.
        BookBusy, BookUnavailable: it is not taken.
    """
    is_items = request.de60.network_code == "201"
    keep = _items(context, request) if is_items else _certificates(context, request)
    for _ in range(TRIES_MAX):
        stored = await context.book.batch(request.terminal.terminal_id, request.de60.batch)
        if stored is None:
            return _answer(context, request, ResponseCode.INVALID_TRANSACTION)
        if stored.state in CLOSED:
            return _answer(context, request)
        if await context.book.commit(PutBatch(stored, stored), *keep) is None:
            return _answer(context, request)
    raise BookBusy("the batch kept changing")


def _items(context: Context, request: Request) -> list[Step]:
    terminal_id, batch, vault = (
        request.terminal.terminal_id,
        request.de60.batch,
        context.ports.vault,
    )
    steps: list[Step] = []
    for item in parse_items(request.message.get(48)):
        pan = Pan(item.pan) if item.pan else None
        kept = BatchItem(
            item.stan,
            item.amount_minor,
            vault.token(pan) if pan else b"",
            pan.masked if pan else "",
            item.is_foreign,
        )
        steps.append(PutBatchItem(terminal_id, batch, kept))
    return steps


def _certificates(context: Context, request: Request) -> list[Step]:
    message, vault = request.message, context.ports.vault
    objects = bertlv.parse(bytes.fromhex(message.need(55)))
    kept = bertlv.build(one for one in objects if one.tag not in NOT_KEPT)
    about = (message.get(number) for number in (2, 4, 11, 48, 55, 61, 62))
    mark = vault.fingerprint(request.de60.network_code, *about)
    sealed = vault.seal_bytes(kept, mark)
    return [PutCertificate(request.terminal.terminal_id, request.de60.batch, mark, sealed)]


async def upload_end(context: Context, request: Request) -> Told:
    """0320 207 or 202: the batch is closed for good, with every difference.

    Raises:
        BookBusy, BookUnavailable: it is not closed.
    """
    terminal, batch = request.terminal, request.de60.batch
    count = parse_end_count(request.message.get(48))
    for _ in range(TRIES_MAX):
        await context.terminals.refresh(terminal)
        stored = await context.book.batch(terminal.terminal_id, batch)
        if stored is None:
            return _answer(context, request, ResponseCode.INVALID_TRANSACTION)
        if stored.state in CLOSED:
            return _answer(context, request)
        lines = await context.book.batch_lines(terminal.terminal_id, batch)
        items = await context.book.batch_items(terminal.terminal_id, batch)
        flagged = _flagged(stored.asked, stored.told)
        is_balanced = flagged.domestic.flag == flagged.foreign.flag == BALANCED
        if not is_balanced and count != len(items):
            log.warning("batch_items_differ", terminal_id=terminal.terminal_id, told=count)
        found = [] if is_balanced else differences(lines, items)
        closed = replace(
            stored,
            state=BatchState.BALANCED if is_balanced else BatchState.UNBALANCED,
            closed_at_ms=request.origin.now_ms,
            closed=sums_text(context, terminal, lines),
            differences=msgspec.json.encode([asdict(one) for one in found]).decode(),
        )
        if await context.terminals.save(terminal, _next(terminal), PutBatch(closed, stored)):
            tell(closed, len(found))
            return _answer(context, request, demand=ProcessingDemand.SIGN_ON)
    raise BookBusy("the batch kept changing")


async def close_unsettled(context: Context, terminal: Terminal, now_ms: int) -> str | None:
    """Close a terminal's batch that it has not settled; the next is open then.

    Returns:
        The batch's number, or None where none is open.

    Raises:
        BookBusy, BookUnavailable: it is not closed.
    """
    for _ in range(TRIES_MAX):
        await context.terminals.refresh(terminal)
        batch = terminal.row.batch
        stored = await context.book.batch(terminal.terminal_id, batch)
        lines = await context.book.batch_lines(terminal.terminal_id, batch)
        if stored is None and not lines:
            return None
        sums = sums_text(context, terminal, lines)
        opened = stored or BatchRow(
            terminal.terminal_id,
            batch,
            BatchState.UNSETTLED,
            _opened_at(lines, now_ms),
            told=sums,
        )
        closed = replace(opened, state=BatchState.UNSETTLED, closed_at_ms=now_ms, closed=sums)
        if await context.terminals.save(terminal, _next(terminal), PutBatch(closed, stored)):
            tell(closed, 0)
            return batch
    raise BookBusy("the batch kept changing")


def _next(terminal: Terminal) -> TerminalRow:
    """The terminal's row in its next batch."""
    row = replace(terminal.row, batch=next_batch(terminal.row.batch), settling=False)
    if terminal.settings.keys_each_batch:
        return without_keys(row)
    return replace(row, key_version=row.key_version + 1)


def tell(row: BatchRow, found: int) -> None:
    """Log how a batch ended."""
    log.info(
        "batch_closed",
        terminal_id=row.terminal_id,
        batch=row.batch,
        state=row.state.value,
        differences=found,
    )


def _answer(
    context: Context,
    request: Request,
    code: str = ResponseCode.APPROVED,
    demand: ProcessingDemand = ProcessingDemand.NOTHING,
) -> Told:
    return Told(code, numbered(context, request), demand)
