"""What the switch and an order system say while ``terminal_talk.py``'s conversation goes on.

After it a shop's till opens an order, somebody opens a part of one, and one is refunded in part.
Recorded on the connections; run this file to write the documents into
``docs/interfaces/order-systems.md``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import trio
import yaml
from pos_terminal import PosTerminal, de59
from terminal_talk import Desk, Frames, page_with, record, run, talk_at

from acquirer.hosts_sim.orders.app import OrderApp
from acquirer.hosts_sim.orders.server import OrderServer
from acquirer.hosts_sim.orders.settings import Rule
from acquirer.simulation.hosts import CONNECTIONS_MAX, IDLE_S
from acquirer.simulation.network import Host, Route
from acquirer.simulation.serving import serving
from acquirer.simulation.world import World

PAGE = Path(__file__).parents[2] / "docs" / "interfaces" / "order-systems.md"
TILL = "10000003"
# By when the outbox has told everything, of the day's own clock.
TOLD_S = 5.0


class _Exchanges:
    """Requests with their answers, in the order in which they were asked."""

    def __init__(self) -> None:
        self.all: list[tuple[bytearray, bytearray]] = []
        self._last: dict[Any, tuple[bytearray, bytearray]] = {}

    def note(self, near: Any, data: bytes, is_sent: bool) -> None:
        """Bytes on a connection."""
        if is_sent:
            self._last[near] = (bytearray(data), bytearray())
            self.all.append(self._last[near])
        else:
            self._last[near][1].extend(data)

    def named(self) -> Frames:
        """The first of each kind, by its name."""
        frames: Frames = {}
        ids: set[bytes] = set()
        for asked, told in self.all:
            name = _name(asked, told)
            if found := re.search(rb"webhook-id: (evt_\w+)", asked):
                name += " again" if found[1] in ids else ""
                ids.add(found[1])
            if f"{name}, request" not in frames:
                frames[f"{name}, request"] = _shown(bytes(asked))
                frames[f"{name}, answer"] = _shown(bytes(told))
        return frames


def _name(asked: bytearray, told: bytearray) -> str:
    status = told.split()[1].decode()
    fault = "" if status == "200" else f" ({status})"
    if asked.startswith(b"GET"):
        return f"query{fault}"
    body = json.loads(asked.partition(b"\r\n\r\n")[2])
    if "kind" in body:
        return f"opening of a {body['kind']}{fault}"
    data = body["data"]
    undone = ", undone" if data.get("reason") == "reversed" else ""
    return f"{body['type']}, {data['means']}{undone}{fault}"


def _shown(message: bytes) -> str:
    """As it goes over the wire, lines ended by CR LF; the body is one line without an end."""
    return message.decode().replace("\r\n", "\n")


async def _opened(desk: Desk) -> None:
    """A till sells two things, then one that nobody has; a part of an order is opened and paid."""
    world, estate = desk.world, desk.world.estate
    currencies = {one.merchant_id: one.currency_code for one in estate.merchants}
    world.orders.store.seed((), currencies, estate.items)
    settings = next(one for one in estate.terminals if one.terminal_id == TILL)
    till = PosTerminal(TILL, settings.merchant_id, bytes.fromhex(settings.tmk))
    clerk = await _signed_on(desk, till)
    goods = [one.code for one in estate.items if one.merchant_id == till.merchant_id][:2]
    replies = []
    for number, lines in ((1, f"{goods[0]}*2|{goods[1]}*1"), (2, "9999*1")):
        items = de59(ON=f"S{TILL}{number:012d}", OC=clerk, IT=lines)
        replies.append(await desk.line.ask(till.order("0200", "380000", "71", items)))
    items = de59(ON=f"S{TILL}{1:012d}", OC=clerk)
    await desk.line.ask(till.order("0200", "900000", "72", items, {4: replies[0][4]}))
    pos = desk.pos
    courier = await _signed_on(desk, pos)
    whole = next(
        one.order_no
        for one in reversed(estate.orders)
        if one.merchant_id == pos.merchant_id and one.amount_minor > 100 and "2" in one.pay_ways
    )
    for part in ("100", "99999999"):
        items = de59(ON=whole, OC=courier, PA=part)
        await desk.line.ask(pos.order("0200", "380000", "71", items))
    await desk.line.ask(pos.order("0200", "380000", "71", de59(ON="NOSUCH", OC=courier)))
    await _refunded(desk, whole, courier)
    await trio.sleep(TOLD_S)


async def _refunded(desk: Desk, not_this: str, courier: str) -> None:
    """An order is paid by card, and a part of it given back."""
    estate, pos = desk.world.estate, desk.pos
    order = next(
        one
        for one in reversed(estate.orders)
        if one.merchant_id == pos.merchant_id and "1" in one.pay_ways and one.order_no != not_this
        if one.amount_minor > 100
    )
    fields = {4: f"{order.amount_minor:012d}", **pos.card_fields(estate.cards[0], None)}
    items = de59(ON=order.order_no, OC=courier)
    paid = await desk.line.ask(pos.order("0200", "000000", "72", items, fields))
    assert paid.code == "00"
    await trio.sleep(TOLD_S)
    reply = await desk.line.ask(pos.refund(estate.cards[0], 100, paid))
    assert reply.code == "00"


async def _signed_on(desk: Desk, pos: PosTerminal) -> str:
    """Sign a terminal on and its courier; gives who that is."""
    pos.take_keys(await desk.line.ask(pos.sign_on("003")))
    who = f"S{pos.terminal_id}"
    reply = await desk.line.ask(pos.courier(who, pos.terminal_id[-6:]))
    assert reply.code == "00"
    return who


def talk() -> Frames:
    """Documents by name, and the secret under which those of the first merchant are signed."""
    exchanges = _Exchanges()
    found: Frames = {}

    async def play(world: World) -> None:
        record(world, "orders", exchanges.note)
        before = world.network.routes["orders"]
        async with trio.open_nursery() as nursery:
            serve = serving(nursery, _server(world).serve_stream)
            world.network.routes["orders"] = Route(Host("orders"), serve, is_framed=False)
            desk = await talk_at(world, _opened)
            world.network.routes["orders"] = before
            nursery.cancel_scope.cancel()
        merchants = {one.merchant_id: one for one in world.estate.merchants}
        found["secrets"] = "\n".join(
            f"{merchant_id}  {merchants[merchant_id].event_secret}"
            for merchant_id in (desk.pos.merchant_id, _shop(world))
        )

    run(play)
    return found | exchanges.named()


def _server(world: World) -> OrderServer:
    """The day's order system, which does not take the first event about a sale of the till."""
    secrets = {one.merchant_id: [one.event_secret] for one in world.estate.merchants}
    busy = Rule("down", on="events", order_no_pattern=f"S{TILL}.*", times=1)
    app = OrderApp(
        world.orders.store,
        secrets,
        rules=[busy],
        part_payment=secrets,
        now_s=lambda: world.true_ms() / 1000,
    )
    return OrderServer(app, IDLE_S, CONNECTIONS_MAX)


def _shop(world: World) -> str:
    return next(one.merchant_id for one in world.estate.terminals if one.terminal_id == TILL)


# --- what the page takes from the OpenAPI document -------------------------------------------

OPENAPI = yaml.safe_load(
    (Path(__file__).parents[2] / "docs" / "order-system-openapi.yaml").read_text("utf-8")
)
PART = re.compile(r"<!-- openapi (\w+)(?: (\w+))? -->\n(.*?)<!-- /openapi -->", re.S)


def _answers(operation_id: str) -> str:
    (operation,) = (
        operation
        for path in OPENAPI["paths"].values()
        for operation in path.values()
        if operation["operationId"] == operation_id
    )
    rows = ["| status | meaning |", "|---|---|"]
    rows += [
        f"| {status} | {_line(answer['description'])} |"
        for status, answer in operation["responses"].items()
    ]
    return "\n".join(rows)


def _schema(name: str) -> str:
    schema = OPENAPI["components"]["schemas"][name]
    rows = ["| key | type | needed | meaning |", "|---|---|---|---|"]
    for key, named in schema["properties"].items():
        one = _resolved(named)
        needed = "yes" if key in schema["required"] else ""
        rows.append(f"| `{key}` | {_type(one)} | {needed} | {_line(one.get('description', ''))} |")
    return "\n".join(rows)


def _resolved(named: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in named:
        return named
    schema = OPENAPI["components"]["schemas"][named["$ref"].rpartition("/")[2]]
    return dict(schema) | named


def _type(one: dict[str, Any]) -> str:
    if "enum" in one:
        return ", ".join(f"`{value}`" for value in one["enum"])
    if "pattern" in one:
        return f"text `{one['pattern']}`"
    kind = {"string": "text", "array": "list"}.get(one["type"], one["type"])
    return str(kind) + _range(one)


def _range(one: dict[str, Any]) -> str:
    for low, high, unit in (
        ("minLength", "maxLength", " characters"),
        ("minimum", "maximum", ""),
        ("minItems", "maxItems", " of them"),
    ):
        if high in one:
            return f", {one.get(low, 0)} to {one[high]}{unit}"
    return ""


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def with_openapi(text: str) -> str:
    """The page with what stands in the OpenAPI document taken from there anew."""
    makers = {
        "about": lambda _name: OPENAPI["info"]["description"].strip(),
        "answers": _answers,
        "schema": _schema,
    }

    def made(found: re.Match[str]) -> str:
        head, _, _ = found[0].partition("\n")
        return f"{head}\n{makers[found[1]](found[2])}\n<!-- /openapi -->"

    return PART.sub(made, text)


def main() -> None:
    """Write the page."""
    PAGE.write_text(with_openapi(page_with(talk(), PAGE.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
