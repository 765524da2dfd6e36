"""``acquirer orders events show|listen|trigger``: what a merchant is told, from both ends.

``show`` reads the books. ``listen`` and ``trigger`` need no switch: one takes the place of an order
system, the other that of a switch.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
import trio
import typer

from acquirer.cli.books import AsJson, Config, Data, open_books, show_merchant, show_time
from acquirer.cli.lists import Column, print_table
from acquirer.cli.order_trial import (
    EstateFile,
    Merchant,
    OrderNo,
    Secret,
    Url,
    origin_of,
    sample_of,
)
from acquirer.cli.process import fail, print_ready, run_service, until_signalled
from acquirer.cli.screen import counted, print_json, say
from acquirer.codecs.order_codes import Means, OrderStatus
from acquirer.config.estate import load_estate
from acquirer.config.loading import ConfigError
from acquirer.hosts_sim.orders.app import Reply, Request
from acquirer.hosts_sim.orders.server import OrderServer
from acquirer.ledger.reports.orders import EventAttempt, EventStory, event_story
from acquirer.routing.orders.adapter import Delivery, Rejected
from acquirer.routing.orders.errors import OrderSettingsError, SignatureError
from acquirer.routing.orders.http1 import open_http
from acquirer.routing.orders.http_system import HttpOrderSystem
from acquirer.routing.orders.messages import EventBody, EventData, EventType, build_event
from acquirer.routing.orders.settings import OrderSystemSettings
from acquirer.routing.orders.webhooks import verify

LOOPBACK = "127.0.0.1"
LISTEN_IDLE_S, LISTEN_CONNECTIONS_MAX = 60.0, 16
NAMES: dict[str, tuple[EventType, OrderStatus]] = {
    "paid": ("order.paid", OrderStatus.PAID),
    "payment_confirmed": ("order.payment_confirmed", OrderStatus.CONFIRMED),
    "signed_for": ("order.signed_for", OrderStatus.SIGNED_FOR),
    "cancelled": ("order.cancelled", OrderStatus.CANCELLED),
    "cancel_confirmed": ("order.cancel_confirmed", OrderStatus.CANCELLED),
    "refunded": ("order.refunded", OrderStatus.CONFIRMED),
    "exception": ("order.exception", OrderStatus.EXCEPTION),
}
ATTEMPTS: list[Column[EventAttempt]] = [
    Column("time", lambda one: show_time(one.at_ms)),
    Column("status", lambda one: one.status),
    Column("reason", lambda one: one.reason),
    Column("answer", lambda one: one.answer),
]


def register(events_app: typer.Typer) -> None:
    """Add the commands."""
    events_app.command("show")(show)
    events_app.command("listen")(listen)
    events_app.command("trigger")(trigger)


def show(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="As `events list` shows it.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print one notice: its document, and each attempt with status, reason, answer and time.

    Example: acquirer orders events show evt_5b0e --data shop
    """
    with open_books(data, config) as connection:
        story = event_story(connection, event_id)
        if story is None:
            fail(f"there is no notice {event_id}; `acquirer orders events list` shows them")
        if as_json:
            print_json({"event": {**asdict(story), "body": msgspec.json.decode(story.body)}})
        else:
            _tell(story)


def _tell(story: EventStory) -> None:
    say(f"{story.type} of order {story.order_no}, merchant {show_merchant(story.merchant_id)}")
    say(f"queued {show_time(story.created_at_ms)}, {_standing(story)}")
    say(story.body)
    if story.attempts:
        print_table(counted({"attempts": len(story.attempts)}), story.attempts, ATTEMPTS)
    else:
        say("no attempt yet")


def _standing(story: EventStory) -> str:
    if story.delivered_at_ms is not None:
        return f"delivered {show_time(story.delivered_at_ms)}"
    if story.dead_at_ms is not None:
        return f"given up {show_time(story.dead_at_ms)}: {story.dead_reason}"
    again = " again" if story.attempts else ""
    return f"to be sent{again} {show_time(story.next_at_ms)}"


class Listener:
    """Takes events in an order system's place and prints each; knows no orders.

    Args:
        keys: webhook secrets by merchant id; under an empty id one for all.
    """

    def __init__(self, keys: dict[str, str], as_json: bool) -> None:
        self._keys = keys
        self._as_json = as_json

    async def handle(self, request: Request) -> Reply:
        """See ``Handler``."""
        if (request.method, request.path.rpartition("/")[2]) != ("POST", "events"):
            return Reply(404, b'{"error":"not_found","detail":"this only listens to events"}')
        try:
            body = msgspec.json.decode(request.body, type=EventBody)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._print({"event": None, "signature": "", "fault": f"no event: {error}"})
            return Reply(400, b'{"error":"no_event"}')
        fault = self._signature_fault(request, body.data.merchant_id)
        webhook_id = request.headers.get("webhook-id", "")
        signature = "bad" if fault else "good"
        self._print({"event": body, "id": webhook_id, "signature": signature, "fault": fault})
        if fault:
            return Reply(401, b'{"error":"not_signed"}')
        return Reply(200, b'{"result":"applied"}')

    def _signature_fault(self, request: Request, merchant_id: str) -> str:
        secret = self._keys.get("") or self._keys.get(merchant_id)
        if secret is None:
            return f"no secret of merchant {merchant_id}; give it with --secret"
        try:
            verify(request.headers, request.body, [secret], time.time())
        except (SignatureError, OrderSettingsError) as error:
            return str(error)
        return ""

    def _print(self, seen: dict[str, Any]) -> None:
        if self._as_json:
            print_json(seen)
            return
        body: EventBody | None = seen["event"]
        if body is None:
            say(seen["fault"], style="red")
            return
        told = f"{body.timestamp}  {body.type}  {body.data.order_no}  {seen['id']}"
        why = f" ({seen['fault']})" if seen["fault"] else ""
        say(f"{told}  signature {seen['signature']}{why}", style="red" if why else "green")
        say(f"  {msgspec.json.encode(body.data).decode()}")


def listen(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Of 127.0.0.1; 0 takes a free one.")
    ] = 0,
    secret: Secret = "",
    estate: EstateFile = "",
    as_json: AsJson = False,
) -> None:
    """Take events in an order system's place, check their signatures and print them.

    The first line on standard output says where. Events with a good signature are answered 200,
    others 401, queries 404. Runs until SIGINT or SIGTERM.

    Example: acquirer orders events listen --port 8080
    """
    try:
        loaded = [] if secret else load_estate(estate).merchants
    except ConfigError as error:
        fail(error)
    keys = {"": secret} if secret else {one.merchant_id: one.event_secret for one in loaded}
    run_service(_listen, Listener(keys, as_json), port)


async def _listen(listener: Listener, port: int) -> None:
    listeners = await trio.open_tcp_listeners(port, host=LOOPBACK)
    bound = listeners[0].socket.getsockname()[1]
    server = OrderServer(listener, LISTEN_IDLE_S, LISTEN_CONNECTIONS_MAX)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_signalled, nursery.cancel_scope.cancel)
        nursery.start_soon(trio.serve_listeners, server.serve_stream, listeners)
        print_ready(orders=f"http://{LOOPBACK}:{bound}")


def trigger(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=", ".join(NAMES))],
    url: Url,
    estate: EstateFile = "",
    merchant: Merchant = "",
    order: OrderNo = "",
    secret: Secret = "",
    amount_minor: Annotated[
        int | None,
        typer.Option(
            "--amount-minor",
            min=0,
            max=999_999_999_999,
            help="Minor units; the order's in the estate, or 1, if absent.",
        ),
    ] = None,
    means: Annotated[Means, typer.Option("--means", help="How it was paid.")] = Means.CARD,
    event_id: Annotated[str, typer.Option("--id", help="Of an earlier one: sends a repeat.")] = "",
    as_json: AsJson = False,
) -> None:
    """Send a sample event of a kind to an order system, signed, and say what it answers.

    Exit code 1 where it is not taken.

    Example: acquirer orders events trigger paid http://127.0.0.1:8080 --order SP20261121001
    """
    named = NAMES.get(kind.removeprefix("order."))
    if named is None:
        fail(f"{kind} is no kind of event: {', '.join(NAMES)}")
    if "." in event_id:
        fail("--id has no full stop, which separates what is signed")
    origin_of(url)
    sample = sample_of(estate, merchant, order, secret, parts=False)
    data = EventData(
        order_no=sample.order_no,
        merchant_id=sample.merchant_id,
        order_status=named[1],
        amount_minor=sample.amount_minor if amount_minor is None else amount_minor,
        currency_code="156",
        means=means,
        rrn="000000000001",
        stan="000001",
        terminal_id="10000001",
        courier_id="C1001",
        reason="02" if named[0] == "order.exception" else "",
    )
    id = event_id or f"evt_{secrets.token_hex(16)}"
    event = build_event(id, named[0], data, time.time_ns() // 1_000_000)

    settings = OrderSystemSettings(name="trial", url=url)

    async def send() -> Delivery:
        system = HttpOrderSystem(settings, time.time, open_http)
        deadline = trio.current_time() + settings.timeout_s
        try:
            return await system.deliver(event, [sample.secret], deadline)
        finally:
            await system.aclose()

    outcome = trio.run(send)
    reason = outcome.reason if isinstance(outcome, Rejected) else ""
    answer = outcome.answer
    if as_json:
        print_json({"id": id, "taken": not reason, "reason": reason, "answer": answer})
    else:
        say(f"{id}  {event.body}")
        say(f"{'not taken: ' + reason if reason else 'taken'}  {answer.status} {answer.text}")
    if reason:
        raise typer.Exit(1)
