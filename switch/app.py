"""The switch as one program: opens the books, the module, links and ports, and runs them.

The only place where the parts of the switch are put together. Stops in order: no new request,
what is in flight answered, notices handed back, the writer emptied.
Source: ARCHITECTURE.md, "One payment, from wire to books".
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import structlog
import trio

from acquirer.config.loading import ConfigError, split_address
from acquirer.config.tls import expired, server_context
from acquirer.ledger.book import Book
from acquirer.ledger.errors import BookError
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.cards.void import void_reversed
from acquirer.payments.kernel.business import Business
from acquirer.payments.kernel.calendar import Calendar
from acquirer.payments.kernel.numbers import Numbers
from acquirer.payments.kernel.ports import Ports, Reversed
from acquirer.payments.kernel.vault import CardVault
from acquirer.payments.orders.cancellation import cancellation_reversed
from acquirer.payments.orders.shares import group_reversed, payment_reversed
from acquirer.payments.orders.types import OrderTypes
from acquirer.payments.orders.unconfirmed import keep_looking
from acquirer.routing.banks.banks import Banks
from acquirer.routing.banks.choice import route_table
from acquirer.routing.errors import RoutingError
from acquirer.routing.links.link_traffic import wire_format
from acquirer.routing.orders.client import Delivery, OrderSystems
from acquirer.routing.orders.iso_system import check_host
from acquirer.routing.orders.outbox import OutboxEvent, OutboxSettings, Wake, run_outbox
from acquirer.routing.settings import BankSettings
from acquirer.switch.context import Context
from acquirer.switch.hsm.client import Hsm
from acquirer.switch.hsm.failover import FailoverTransport
from acquirer.switch.hsm.link_security import HsmLinkSecurity
from acquirer.switch.hsm.modules import Execute, open_data_key, open_modules
from acquirer.switch.open_work import check_open_work
from acquirer.switch.operators.api import operator_routes
from acquirer.switch.operators.event_secrets import EventSecrets, ReadSettings, check_secrets
from acquirer.switch.settings import SwitchSettings
from acquirer.switch.steady_clock import FOLLOWED_MS, PLAUSIBLE_MS, SteadyClock
from acquirer.switch.surroundings import REAL_WORLD, Surroundings
from acquirer.switch.terminals.rate_limit import RateLimit
from acquirer.switch.terminals.server import TerminalServer
from acquirer.switch.terminals.session import Session
from acquirer.switch.terminals.terminals import Terminals
from acquirer.switch.watch.alarms import Alarms, keep_watching
from acquirer.switch.watch.collectors import HsmCollector, LinkCollector, SafCollector
from acquirer.switch.watch.metrics import Metrics
from acquirer.switch.watch.readiness import readiness
from acquirer.switch.workers.day_close import DayClose
from acquirer.switch.workers.late_replies import LateReplies
from acquirer.switch.workers.recovery import keep_recovering, recover, undo_own
from acquirer.switch.workers.saf import SafWorker

log = structlog.get_logger("acquirer.switch")

LINK_UP_WAIT_S = 10.0
# How a reversal gives back what an approved payment of a kind has changed beside the books.
REVERSALS: Mapping[Kind, Reversed] = {
    Kind.VOID: void_reversed,
    Kind.ORDER_PAYMENT: payment_reversed,
    Kind.ORDER_GROUP: group_reversed,
    Kind.ORDER_CANCELLATION: cancellation_reversed,
}
OUTBOX_CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class Running:
    """Where a started switch listens, and what may be done to it from outside.

    Attributes:
        drain: ends the switch in order; it returns when all is answered and stored.
        secrets: what signs notices; reads the switch's file again.
    """

    pos: str
    http: str
    drain: Callable[[], None]
    secrets: EventSecrets


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
    check(settings, file)
    clock = SteadyClock(around.wall_ms, trio.lowlevel.current_clock().current_time)
    _tell_expired(settings, around.wall_ms())
    async with (
        around.open_books(settings, clock.now_ms) as book,
        trio.open_nursery() as background,
        AsyncExitStack() as stack,
    ):
        _resume(clock, book)
        transport = around.hsm or open_modules(settings, background, execute, file)
        if isinstance(transport, FailoverTransport):
            background.start_soon(transport.run)
        metrics = Metrics()
        hsm = Hsm(transport, metrics.key_refused.inc)
        book.on_commit = metrics.tally.take
        late = LateReplies(metrics.late_replies.inc)
        banks = Banks(
            [*settings.banks, *settings.order_hosts],
            HsmLinkSecurity(hsm),
            on_unmatched=late.note,
            random=around.random,
            wall=lambda: datetime.fromtimestamp(clock.now_ms() / 1000, UTC),
            connect=around.connect_bank,
        )
        orders = await stack.enter_async_context(
            OrderSystems(
                settings.order_systems,
                wall_s=lambda: clock.now_ms() / 1000,
                connect=around.connect_orders,
                links=banks,
            )
        )
        vault = CardVault(await open_data_key(hsm, settings, file), around.random_bytes)
        secrets = EventSecrets(settings, file, lambda: _checked(read() if read else settings, file))
        wake = Wake()
        workers: list[SafWorker] = []
        business = business_of(settings)
        context = Context(
            ports=Ports(
                book=book,
                module=hsm,
                banks=banks,
                orders=orders,
                vault=vault,
                numbers=Numbers(book.next_block, background),
                business=lambda: business,
                bank_settings={bank.name: bank for bank in settings.banks},
                reversals=REVERSALS,
                calendar=Calendar(settings.utc_offset_minutes),
                monotonic=trio.current_time,
                clock=clock,
                new_event_id=lambda: f"evt_{around.random_bytes(16).hex()}",
                event_secrets=secrets,
                answer_within_s=settings.limits.terminal_s,
                saf_queued=partial(_notify, workers),
                events_queued=wake.notify,
                stood_in=metrics.stood_in.inc,
                row_failed=metrics.failed_rows.inc,
            ),
            book=book,
            hsm=hsm,
            banks=banks,
            orders=orders,
            terminals=await Terminals.load(
                book, settings.terminals, settings.profiles, settings.merchants
            ),
            event_secrets=secrets,
            clock=clock,
            limits=settings.limits,
            sign_ons=RateLimit(settings.limits.sign_ons_per_minute),
        )
        metrics.registry.register(LinkCollector(banks.states))
        # An embedded module answers as long as this process does.
        modules = transport.states if isinstance(transport, FailoverTransport) else tuple
        metrics.registry.register(HsmCollector(modules))
        metrics.registry.register(SafCollector(workers))
        await check_open_work(book, settings, file)
        await background.start(banks.run)
        day = DayClose(context, book.past.open_date)
        await day.look()
        await recover(context)
        for bank in settings.banks:
            worker = SafWorker(context, bank.name, around.random, settings.saf)
            workers.append(worker)
            background.start_soon(worker.run)
        background.start_soon(keep_recovering, context)
        background.start_soon(late.run, book)
        background.start_soon(day.run)
        background.start_soon(keep_looking, context.ports, settings.orders)
        background.start_soon(_deliver_events, context, around, wake)
        await _wait_for_links(settings, banks)
        alarms = Alarms()
        background.start_soon(keep_watching, context, metrics, modules, alarms)
        server = TerminalServer(
            Session(context, metrics),
            settings.limits,
            metrics,
            terminal_tls(settings, file),
        )
        pos_host, pos_port = split_address(settings.listen.pos, file, "listen.pos")
        split_address(settings.listen.http, file, "listen.http")
        serve = partial(
            around.serve_http,
            settings.listen.http,
            ready=readiness(lambda: banks.states_of(settings.banks), modules, alarms),
            registry=metrics.registry,
            operator=operator_routes(context, settings.operator_token),
        )
        with _binding(file, "listen.http", settings.listen.http):
            http = await background.start(serve)
        async with trio.open_nursery() as serving:
            with _binding(file, "listen.pos", settings.listen.pos):
                pos, listener = await around.listen(pos_host, pos_port)
            await serving.start(server.serve, listener)
            log.info("ready", pos=pos, http=http)
            task_status.started(Running(pos, http, server.drain, secrets))
        await undo_own(context)
        wake.stop()
        transport.close()
        background.cancel_scope.cancel()
    log.info("stopped")


def check(settings: SwitchSettings, file: str) -> None:
    """Check what the types of the settings cannot say.

    Raises:
        ConfigError: names the key and what would be right.
    """
    terminal_tls(settings, file)
    merchants = {merchant.merchant_id for merchant in settings.merchants}
    profiles = {profile.name for profile in settings.profiles}
    for index, terminal in enumerate(settings.terminals):
        if terminal.merchant_id not in merchants:
            raise ConfigError(file, f"terminals[{index}].merchant_id", "no such merchant")
        if terminal.profile not in profiles:
            raise ConfigError(file, f"terminals[{index}].profile", "no such profile")
    for index, merchant in enumerate(settings.merchants):
        try:
            check_secrets(merchant)
        except ValueError as error:
            raise ConfigError(file, f"merchants[{index}].event_secret", str(error)) from None
    for index, courier in enumerate(settings.couriers):
        if courier.merchant_id not in merchants:
            raise ConfigError(file, f"couriers[{index}].merchant_id", "no such merchant")
    try:
        OrderTypes(settings.order_types, settings.merchants)
    except ValueError as error:
        raise ConfigError(file, "order_types, merchants.order_text", str(error)) from None
    for profile in settings.profiles:
        try:
            "".encode(profile.encoding)
        except LookupError:
            raise ConfigError(
                file, "profiles.encoding", f"no encoding {profile.encoding!r}"
            ) from None
    try:
        route_table(settings.routes, [bank.name for bank in settings.banks])
        for bank in settings.banks:
            bank.check()
            _check_carried(settings, bank, file)
        for order_host in settings.order_hosts:
            check_host(order_host)
    except RoutingError as error:
        raise ConfigError(file, "", str(error)) from None
    hosts = {"", *(host.name for host in settings.order_hosts)}
    for index, system in enumerate(settings.order_systems):
        if system.host not in hosts:
            raise ConfigError(file, f"order_systems[{index}].host", "no such order host")


def _check_carried(settings: SwitchSettings, bank: BankSettings, file: str) -> None:
    """Check that a bank's dialect can hold what it is told of merchants and terminals.

    Raises:
        ConfigError: names the key and the field.
        BankSettingsError: there is no such dialect.
    """
    dialect, _ = wire_format(bank)
    said = [(f"banks.{bank.name}.acquirer_id", 32, bank.acquirer_id)]
    for index, merchant in enumerate(settings.merchants):
        said.append((f"merchants[{index}].merchant_id", 42, merchant.merchant_id.ljust(15)))
        said.append((f"merchants[{index}].mcc", 18, merchant.mcc))
    for index, terminal in enumerate(settings.terminals):
        said.append((f"terminals[{index}].terminal_id", 41, terminal.terminal_id.ljust(8)))
    for key, number, value in said:
        if value and not dialect.fits(number, value):
            reason = f"does not fit field {number} of bank {bank.name!r}, dialect {dialect.name}"
            raise ConfigError(file, key, reason)


def _resume(clock: SteadyClock, book: Book) -> None:
    """Hold the clock against what the books know of it."""
    gap_ms = clock.resume(book.past)
    if not -FOLLOWED_MS <= gap_ms <= PLAUSIBLE_MS:
        log.warning("clock_gap", last_seen_s_ago=gap_ms // 1000)


def _checked(settings: SwitchSettings, file: str) -> SwitchSettings:
    check(settings, file)
    return settings


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


def terminal_tls(settings: SwitchSettings, file: str) -> ssl.SSLContext | None:
    """The certificates of the terminals' port, or None where it is plain TCP.

    Raises:
        ConfigError: a file of theirs cannot be used.
    """
    if settings.listen.tls is None:
        return None
    try:
        return server_context(settings.listen.tls)
    except OSError as error:
        raise ConfigError(file, "listen.tls", str(error)) from None


def _notify(workers: Sequence[SafWorker]) -> None:
    for worker in workers:
        worker.notify()


def business_of(settings: SwitchSettings) -> Business:
    """The business configuration that the settings hold."""
    return Business(
        merchants={merchant.merchant_id: merchant for merchant in settings.merchants},
        couriers={courier.courier_id: courier for courier in settings.couriers},
        routes=route_table(settings.routes, [bank.name for bank in settings.banks]),
        order_types=OrderTypes(settings.order_types, settings.merchants),
        stand_in=tuple(settings.stand_in),
    )


async def _deliver_events(context: Context, around: Surroundings, wake: Wake) -> None:
    orders, secrets = context.orders, context.event_secrets

    async def deliver(event: OutboxEvent) -> Delivery:
        return await orders.deliver(event, *secrets.of(event.merchant_id))

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
