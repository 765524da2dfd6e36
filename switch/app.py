"""The switch as one program: opens the books, the module, links and ports, and runs them.

The only place where the parts of the switch are put together. Stops in order: no new request,
what is in flight answered, notices handed back, the writer emptied.
Source: ARCHITECTURE.md, "One payment, from wire to books".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog
import trio

from acquirer.config.loading import ConfigError, split_address
from acquirer.config.tls import expired
from acquirer.ledger.book import Book
from acquirer.ledger.errors import BookError
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.cards.completion import completion_reversed, completion_void_reversed
from acquirer.payments.cards.preauth import preauth_reversed, preauth_void_reversed
from acquirer.payments.cards.refund import refund_in_doubt, sale_reversed
from acquirer.payments.cards.void import void_reversed
from acquirer.payments.kernel.calendar import Calendar
from acquirer.payments.kernel.numbers import Numbers
from acquirer.payments.kernel.ports import InDoubt, Ports, RefundRule, Reversed
from acquirer.payments.kernel.vault import CardVault
from acquirer.payments.orders import given_back
from acquirer.payments.orders.cancellation import cancellation_reversed
from acquirer.payments.orders.shares import group_reversed, payment_reversed
from acquirer.payments.orders.unconfirmed import keep_looking
from acquirer.routing.banks.banks import Banks
from acquirer.routing.orders.client import Delivery, OrderSystems
from acquirer.routing.orders.outbox import OutboxEvent, OutboxSettings, Wake, run_outbox
from acquirer.switch.configuration.changes import SYSTEM
from acquirer.switch.configuration.checks import check_process, terminal_tls
from acquirer.switch.configuration.live import Live, open_configuration
from acquirer.switch.configuration.snapshot import Builder
from acquirer.switch.context import Context
from acquirer.switch.hsm.client import Hsm
from acquirer.switch.hsm.failover import FailoverTransport, ModuleStatus
from acquirer.switch.hsm.key_checks import new_key_faults
from acquirer.switch.hsm.link_security import HsmLinkSecurity
from acquirer.switch.hsm.modules import Execute, open_data_key, open_modules
from acquirer.switch.hsm.transport import HsmTransport
from acquirer.switch.open_work import check_open_work
from acquirer.switch.operators.access import Access
from acquirer.switch.operators.api import Desk, Outcome, operator_routes
from acquirer.switch.operators.event_secrets import ReadSettings, reload_secrets
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.steady_clock import FOLLOWED_MS, PLAUSIBLE_MS, SteadyClock
from acquirer.switch.surroundings import REAL_WORLD, Surroundings
from acquirer.switch.terminals.rate_limit import RateLimit
from acquirer.switch.terminals.server import TerminalServer
from acquirer.switch.terminals.session import Session
from acquirer.switch.terminals.terminals import Snapshot, Terminals
from acquirer.switch.watch.alarms import Alarms, keep_watching
from acquirer.switch.watch.collectors import HsmCollector, LinkCollector, SafCollector
from acquirer.switch.watch.metrics import Metrics
from acquirer.switch.watch.readiness import readiness
from acquirer.switch.workers.day_close import DayClose
from acquirer.switch.workers.expiry import keep_expiring
from acquirer.switch.workers.late_replies import LateReplies
from acquirer.switch.workers.old_batches import keep_closing
from acquirer.switch.workers.recovery import keep_recovering, recover, undo_own
from acquirer.switch.workers.saf import SafWorker

log = structlog.get_logger("acquirer.switch")

LINK_UP_WAIT_S = 10.0
# How a reversal gives back what an approved payment of a kind has changed beside the books.
REVERSALS: Mapping[Kind, Reversed] = {
    Kind.SALE: sale_reversed,
    Kind.INSTALMENT: sale_reversed,
    Kind.VOID: void_reversed,
    Kind.PREAUTH: preauth_reversed,
    Kind.PREAUTH_VOID: preauth_void_reversed,
    Kind.COMPLETION: completion_reversed,
    Kind.COMPLETION_VOID: completion_void_reversed,
    Kind.ORDER_PAYMENT: payment_reversed,
    Kind.ORDER_GROUP: group_reversed,
    Kind.ORDER_CANCELLATION: cancellation_reversed,
}
IN_DOUBT: Mapping[Kind, InDoubt] = {Kind.REFUND: refund_in_doubt}
REFUNDS: Mapping[Kind, RefundRule] = {Kind.ORDER_PAYMENT: given_back.RULE}
OUTBOX_CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Running:
    """Where a started switch listens, and what may be done to it from outside.

    Attributes:
        drain: ends the switch in order; it returns when all is answered and stored.
        reload: takes over the event secrets of the switch's file; what comes of it is in the log.
        terminals: serves their port.
    """

    pos: str
    http: str
    drain: Callable[[], None]
    reload: Callable[[], Awaitable[None]]
    terminals: TerminalServer


async def run_switch(
    settings: SwitchSettings,
    *,
    file: str = "switch.toml",
    execute: Execute | None = None,
    read: ReadSettings | None = None,
    around: Surroundings = REAL_WORLD,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a switch until drained or cancelled.

    Args:
        settings: the configuration.
        file: its name, for messages about it.
        execute: the embedded security module, where the transport is in_process.
        read: reads the configuration again, for new event secrets.
        around: clock, randomness, sockets and database, for simulation.

    Raises:
        ConfigError: the settings contradict each other or do not fit the security module.
        LedgerError: the books cannot be opened.
    """
    check_process(settings, file)
    clock = SteadyClock(around.wall_ms, trio.lowlevel.current_clock().current_time)
    _tell_expired(settings, around.wall_ms())
    async with (
        around.open_books(settings, clock.now_ms) as book,
        trio.open_nursery() as background,
        AsyncExitStack() as stack,
    ):
        _resume(clock, book)
        start = _Start(settings, file, around, clock, book, background, stack)
        switch = await _open(start, execute)
        await _begin_work(start, switch)
        await _serve(start, switch, read or (lambda: settings), task_status)
        await around.company.before_end()
        await undo_own(switch.context)
        switch.wake.stop()
        switch.module.close()
        background.cancel_scope.cancel()
    log.info("stopped")


@dataclass(frozen=True, slots=True)
class _Start:
    """What every part of a switch is opened with.

    Attributes:
        background: runs what ends with the switch.
        stack: closes what must be closed.
    """

    settings: SwitchSettings
    file: str
    around: Surroundings
    clock: SteadyClock
    book: Book
    background: trio.Nursery
    stack: AsyncExitStack


@dataclass(frozen=True, slots=True)
class _Switch:
    """The parts of an opened switch.

    Attributes:
        live: the business configuration.
        module: the way to the security module.
        wake: for the outbox.
        workers: store and forward, one a bank.
        late: keeps replies that came too late.
    """

    context: Context
    live: Live[Snapshot]
    module: HsmTransport
    metrics: Metrics
    wake: Wake
    workers: list[SafWorker]
    late: LateReplies

    def modules(self) -> Sequence[ModuleStatus]:
        """The security modules; an embedded one answers as long as this process does."""
        return self.module.states() if isinstance(self.module, FailoverTransport) else ()


async def _open(start: _Start, execute: Execute | None) -> _Switch:
    """Open the module, links, order systems and the configuration."""
    settings, around, clock, book = start.settings, start.around, start.clock, start.book
    module = around.hsm or open_modules(settings, start.background, execute, start.file)
    if isinstance(module, FailoverTransport):
        start.background.start_soon(module.run)
    metrics = Metrics()
    hsm = Hsm(module, metrics.key_refused.inc)
    book.on_commit = metrics.tally.take
    late = LateReplies(metrics.late_replies.inc)
    banks = Banks(
        [*settings.banks, *settings.order_hosts],
        HsmLinkSecurity(hsm),
        on_unmatched=late.note,
        random=around.random,
        wall=lambda: datetime.fromtimestamp(clock.now_ms() / 1000, UTC),
        connect=around.connect_bank,
        place=around.company.place,
    )
    vault = CardVault(await open_data_key(hsm, settings, start.file), around.random_bytes)
    opened = await open_configuration(book, settings, start.file, clock.now_ms())
    await check_open_work(book, settings, opened.configuration, start.file)
    orders = await start.stack.enter_async_context(
        OrderSystems(
            opened.configuration.order_systems,
            wall_s=lambda: clock.now_ms() / 1000,
            connect=around.connect_orders,
            links=banks,
            on_fault=metrics.order_fault,
        )
    )
    terminals = Terminals(book)
    live = await Live.start(
        book,
        settings,
        opened,
        Builder(settings, terminals, orders),
        # A key that an operator mistypes is none of ours: no alarm.
        partial(new_key_faults, Hsm(module)),
    )
    wake = Wake()
    workers: list[SafWorker] = []
    ports = Ports(
        book=book,
        module=hsm,
        banks=banks,
        orders=orders,
        vault=vault,
        numbers=Numbers(book.next_block, start.background),
        business=lambda: live.now.business,
        bank_settings={bank.name: bank for bank in settings.banks},
        reversals=REVERSALS,
        in_doubt=IN_DOUBT,
        refunds=REFUNDS,
        calendar=Calendar(settings.business_day.zone),
        monotonic=trio.current_time,
        clock=clock,
        new_event_id=lambda: f"evt_{around.random_bytes(16).hex()}",
        day_ms=around.day_ms,
        answer_within_s=settings.limits.terminal_s,
        saf_queued=partial(_notify, workers),
        events_queued=wake.notify,
        stood_in=metrics.stood_in.inc,
        row_failed=metrics.failed_rows.inc,
    )
    context = Context(
        ports=ports,
        current=lambda: live.now,
        book=book,
        hsm=hsm,
        banks=banks,
        orders=orders,
        terminals=terminals,
        clock=clock,
        limits=settings.limits,
        may_make_keys=around.company.may_make_keys or _own_limit(settings),
        at_once=around.company.at_once(),
    )
    return _Switch(context, live, module, metrics, wake, workers, late)


async def _begin_work(start: _Start, switch: _Switch) -> None:
    """Start links and workers, end what an earlier process left, and wait a moment for links."""
    settings, context, background = start.settings, switch.context, start.background
    for collector in (
        LinkCollector(context.banks.states_here),
        HsmCollector(switch.modules),
        SafCollector(switch.workers),
    ):
        switch.metrics.registry.register(collector)
    await background.start(context.banks.run)
    day = DayClose(context, start.book.past.open_date)
    await day.look()
    await recover(context)
    for bank in settings.banks:
        worker = SafWorker(context, bank.name, start.around.random, settings.saf)
        switch.workers.append(worker)
        background.start_soon(worker.run)
    background.start_soon(keep_recovering, context)
    background.start_soon(keep_expiring, context)
    background.start_soon(switch.late.run, start.book)
    background.start_soon(day.run)
    background.start_soon(keep_closing, context)
    background.start_soon(keep_looking, context.ports, settings.orders)
    background.start_soon(_deliver_events, context, start.around, switch.wake)
    background.start_soon(switch.live.keep_looking)
    await _wait_for_links(settings, context.banks)


async def _serve(
    start: _Start,
    switch: _Switch,
    read: ReadSettings,
    task_status: trio.TaskStatus[Running],
) -> None:
    """Serve terminals, operators and watchers until drained."""
    settings, file, context, live = start.settings, start.file, switch.context, switch.live
    alarms, metrics = Alarms(), switch.metrics
    start.background.start_soon(
        keep_watching, context, metrics, switch.modules, alarms, lambda: live.is_stale
    )

    async def reload(by: str) -> Outcome:
        return await reload_secrets(live, read, settings, by, start.clock.now_ms())

    async def reload_unasked() -> None:
        try:
            await reload(SYSTEM)
        except BookError as error:
            log.error("secrets_not_reloaded", reason=str(error))

    tls = terminal_tls(settings, file)
    server = TerminalServer(Session(context, metrics), settings.limits, metrics, tls)
    pos_host, pos_port = split_address(settings.listen.pos, file, "listen.pos")
    split_address(settings.listen.http, file, "listen.http")
    access = Access(settings.operator_token, settings.operators)
    links = partial(context.banks.states_of, settings.banks)
    serve_http = partial(
        start.around.serve_http,
        settings.listen.http,
        ready=readiness(links, switch.modules, alarms, lambda: live.epoch),
        registry=metrics.registry,
        operator=operator_routes(Desk(context, live, reload), access),
        trusts=access.knows,
    )
    with _binding(file, "listen.http", settings.listen.http):
        http = await start.background.start(serve_http)
    async with trio.open_nursery() as serving:
        with _binding(file, "listen.pos", settings.listen.pos):
            pos, listener = await start.around.listen(pos_host, pos_port)
        await serving.start(server.serve, listener)
        log.info("ready", pos=pos, http=http)
        task_status.started(Running(pos, http, server.drain, reload_unasked, server))


def _resume(clock: SteadyClock, book: Book) -> None:
    """Hold the clock against what the books know of it."""
    gap_ms = clock.resume(book.past)
    if not -FOLLOWED_MS <= gap_ms <= PLAUSIBLE_MS:
        log.warning("clock_gap", last_seen_s_ago=gap_ms // 1000)


@contextmanager
def _binding(file: str, key: str, address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(file, key, f"cannot listen on {address}: {reason}") from None


def _tell_expired(settings: SwitchSettings, now_ms: int) -> None:
    """Say which certificates of our own peers are bound to refuse; links say theirs themselves."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    for key, tls in (("listen.tls", settings.listen.tls), ("hsm.tls", settings.hsm.tls)):
        reason = expired(tls, now) if tls else ""
        if reason:
            log.error("certificate_expired", key=key, reason=reason)


def _own_limit(settings: SwitchSettings) -> Callable[[str], Awaitable[bool]]:
    """The sign-ons of each address, counted in this process."""
    limit = RateLimit(settings.limits.sign_ons_per_minute)

    async def may_make_keys(address: str) -> bool:
        return limit.take(address, trio.current_time())

    return may_make_keys


def _notify(workers: Sequence[SafWorker]) -> None:
    for worker in workers:
        worker.notify()


async def _deliver_events(context: Context, around: Surroundings, wake: Wake) -> None:
    orders = context.orders

    async def deliver(event: OutboxEvent) -> Delivery:
        merchant = context.current().business.merchants.get(event.merchant_id)
        return await orders.deliver(event, *(merchant.secrets if merchant else ()))

    await run_outbox(
        context.book,
        deliver,
        wake=wake,
        clock_ms=context.clock.now_ms,
        age_ms=context.clock.age_ms,
        random=around.random,
        settings=OutboxSettings(concurrency=OUTBOX_CONCURRENCY),
        lane=lambda event: orders.system_name(event.merchant_id, event.order_no),
        store_errors=(BookError,),
    )


async def _wait_for_links(settings: SwitchSettings, banks: Banks) -> None:
    """Give links a moment to come up, so that a ready switch is one that can sell."""
    with trio.move_on_after(LINK_UP_WAIT_S):
        for bank in settings.banks:
            await banks.wait_up(bank.name)
