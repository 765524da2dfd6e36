"""Operators beside a running switch: courier cash and locks, dead letters, open payments."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from limits import HANG_S
from operated import TOKEN, operated, run
from pos_terminal import PosTerminal, de59
from world import OpenWorld, World

pytestmark = pytest.mark.anyio

CASH, STATION = "assets:courier:C1001", "assets:station:north"
EXCESS, SHORTAGE = "income:cash-excess", "assets:courier-shortage:C1001"

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("couriers/C9/unlock", {}, "no courier 'C9'; `acquirer couriers list` shows all"),
    (
        "couriers/C9/hand-in",
        {"amount_minor": 1, "reference": "a"},
        "no courier 'C9'; `acquirer couriers list` shows all",
    ),
    ("couriers/C1001/hand-in", {"amount_minor": 1, "reference": "a b"}, "reference 'a b' can"),
    ("couriers/C1001/hand-in", {"amount_minor": -1, "reference": "a"}, "amount -1 cannot be"),
    (
        "couriers/C1001/hand-in",
        {"amount_minor": 1, "reference": "a", "station": "n/s"},
        "station 'n/s' cannot be",
    ),
    (
        "couriers/C1001/hand-in",
        {"amount_minor": 1, "reference": "a", "station": "south"},
        "courier 'C1001' hands in at station north",
    ),
    ("links/nowhere/hold", {}, "no link 'nowhere'; `acquirer links` shows all"),
    ("links/demo/frob", {}, "no command 'frob' for a link"),
    (
        "terminals/10/end-keys",
        {},
        "no terminal '10'; `acquirer terminals list` shows all",
    ),
    ("saf/4711/retry", {}, "no dead letter 4711; `acquirer saf list --dead` shows all"),
    (
        "saf/4711/write-off",
        {"name": "chen", "reason": "x"},
        "no dead letter 4711; `acquirer saf list --dead` shows all",
    ),
    ("saf/4711/write-off", {"name": "w chen", "reason": "x"}, "name 'w chen' cannot be"),
    ("saf/4711/write-off", {"name": "chen", "reason": " "}, "reason cannot be"),
    (
        "events/E9/replay",
        {},
        "no dead letter 'E9'; `acquirer orders events list --state dead` shows all",
    ),
]


async def pay_cash(world: World, terminal: PosTerminal, order_no: str, amount_minor: int) -> None:
    """Row 4 in cash."""
    items = de59(ON=order_no, OC="C1001")
    fields: dict[int, str | bytes] = {4: f"{amount_minor:012d}"}
    reply = await world.ask(terminal.order("0200", "900000", "72", items, fields))
    assert "00" == reply.code


async def test_cash_is_handed_in_once(open_world: OpenWorld) -> None:
    """Short, over and exact hand-ins leave the courier owing nothing; a repeat does not count."""
    async with operated(open_world) as world:
        terminal = await world.with_courier()
        await pay_cash(world, terminal, "SP20261121003", 11_528)
        code, listed = await run(world.folder, "couriers", "list")
        mine = next(c for c in listed["couriers"] if c["courier_id"] == "C1001")
        assert (11_528, "10000001", "north") == (
            mine["cash_minor"],
            mine["terminal_id"],
            mine["station"],
        )
        give = ("couriers", "hand-in", "C1001", "--amount", "115.00", "--reference", "monday")
        code, done = await run(world.folder, *give)
        assert (0, 28, 0, False) == (
            code,
            done["shortage_minor"],
            done["excess_minor"],
            done["repeated"],
        )
        code, again = await run(world.folder, *give)
        assert (0, True, done["rrn"]) == (code, again["repeated"], again["rrn"])
        balances = world.balances()
        assert (0, 11_500, 28) == (balances[CASH], balances[STATION], balances[SHORTAGE])
        code, complaint = await run(world.folder, *give[:4], "99", *give[5:])
        assert (1, True) == (code, "another hand-in" in complaint)
        code, complaint = await run(world.folder, *give[:5], "--station", "south")
        assert (1, True) == (code, "station north" in complaint)

        await pay_cash(world, terminal, "SP20261121006", 17_271)
        code, done = await run(world.folder, "couriers", "hand-in", "C1001", "--amount", "173")
        assert (0, 0, 29) == (code, done["shortage_minor"], done["excess_minor"])
        balances = world.balances()
        assert (0, 28_800, -29) == (balances[CASH], balances[STATION], balances[EXCESS])
        await world.agree()


async def test_a_locked_courier_is_unlocked(open_world: OpenWorld) -> None:
    """Three wrong passwords lock; the operator unlocks; the right one signs on."""
    async with operated(open_world) as world:
        terminal = await world.signed_on()
        right = next(c for c in world.estate.couriers if c.courier_id == "C1001").password
        for refusal in ("55", "55", "75", "75"):
            assert refusal == (await world.ask(terminal.courier("C1001", "9999"))).code
        assert "75" == (await world.ask(terminal.courier("C1001", right))).code
        _, listed = await run(world.folder, "couriers", "list")
        assert [True] == [c["locked"] for c in listed["couriers"] if c["courier_id"] == "C1001"]
        assert (0, True) == _was_locked(await run(world.folder, "couriers", "unlock", "C1001"))
        assert (0, False) == _was_locked(await run(world.folder, "couriers", "unlock", "C1001"))
        assert 1 == (await run(world.folder, "couriers", "unlock", "nobody"))[0]
        code, complaint = await run(world.folder, "couriers", "unlock", "a/b")
        assert (2, True) == (code, "no couriers/a/b/unlock" in complaint)
        assert "00" == (await world.ask(terminal.courier("C1001", right))).code


def _was_locked(ran: tuple[int, Any]) -> tuple[int, bool]:
    return ran[0], ran[1]["was_locked"]


def merchant_sets(folder: Path, order_no: str, status: str) -> None:
    """Somebody at the merchant's changes an order by hand."""
    with sqlite3.connect(folder / "order-sim.sqlite3") as books:
        books.execute("UPDATE orders SET status = ? WHERE order_no = ?", (status, order_no))


async def test_dead_letters_are_replayed_in_order(open_world: OpenWorld) -> None:
    """What the merchant refuses for good waits with all behind it, and goes out after a replay."""
    order_no = "SP20261121003"
    async with operated(open_world) as world:
        terminal = await world.with_courier()
        items = de59(ON=order_no, OC="C1001")
        assert "00" == (await world.ask(terminal.order("0200", "380000", "71", items))).code
        fields: dict[int, str | bytes] = {4: f"{11_528:012d}"}
        frame = terminal.order("0200", "900000", "72", items, fields)
        paid = await world.ask(frame)
        assert "00" == paid.code
        await world.until(lambda: world.order(order_no).state == "paid")
        merchant_sets(world.folder, order_no, "04")
        names = {61: f"{terminal.batch}{paid[11]}{paid[13]}"}
        assert "00" == (await world.ask(terminal.order("0220", "900000", "73", items, names))).code
        signed = terminal.order("0220", "920000", "74", de59(ON=order_no, OR="Li Wei"), names)
        assert "00" == (await world.ask(signed)).code

        async def listed(state: str) -> list[str]:
            _, found = await run(world.folder, "orders", "events", "list", "--state", state)
            return [event["type"] for event in found["events"]]

        await world.until(lambda: [e for e in world.events(order_no) if e.result == "impossible"])
        with trio.fail_after(HANG_S):
            while await listed("dead") != ["order.payment_confirmed"]:
                pass
        assert ["order.signed_for"] == await listed("pending")
        merchant_sets(world.folder, order_no, "01")
        code, done = await run(world.folder, "orders", "events", "replay")
        assert (0, 1) == (code, len(done["replayed"]))
        await world.until(lambda: world.order(order_no).state == "signed_for")
        code, complaint = await run(world.folder, "orders", "events", "replay", done["replayed"][0])
        assert (1, True) == (code, "no dead letter" in complaint)


async def test_open_payments_are_listed_with_age_and_reason(open_world: OpenWorld) -> None:
    """A payment without its confirmation shows until it comes."""
    async with operated(open_world) as world:
        terminal = await world.with_courier()
        await pay_cash(world, terminal, "SP20261121003", 11_528)
        _, found = await run(world.folder, "orders", "pending")
        (row,) = found["pending"]
        assert ("SP20261121003", "cash", "unconfirmed", "not confirmed yet") == (
            row["order_no"],
            row["means"],
            row["why"],
            row["explanation"],
        )
        assert 0 <= row["age_s"] < 60


async def test_only_this_machines_operator_with_the_token(open_world: OpenWorld) -> None:
    """A wrong token, a GET, a body that is none: refused, and nothing is changed."""
    async with operated(open_world) as world:
        base = f"http://{world.http}/operator/couriers/C1001"
        good = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(trust_env=False) as client:
            assert 401 == (await client.post(f"{base}/unlock")).status_code
            wrong = {"authorization": f"Bearer {TOKEN}x"}
            assert 401 == (await client.post(f"{base}/unlock", headers=wrong)).status_code
            assert 405 == (await client.get(f"{base}/unlock", headers=good)).status_code
            nested = b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}"
            for body in (
                b"",
                b"[]",
                b'{"amount_minor": 1.5, "reference": "a"}',
                b"x" * 5000,
                nested,
            ):
                reply = await client.post(f"{base}/hand-in", headers=good, content=body)
                assert 400 == reply.status_code
            minus = b'{"amount_minor": -1, "reference": "a"}'
            reply = await client.post(f"{base}/hand-in", headers=good, content=minus)
            assert 409 == reply.status_code
        assert {} == world.balances()


async def test_an_id_that_no_row_can_have_is_malformed(open_world: OpenWorld) -> None:
    """However long the number is; and an event's id of odd characters is nobody's."""
    async with operated(open_world) as world:
        headers = {"authorization": f"Bearer {TOKEN}"}
        base = f"http://{world.http}/operator"
        async with httpx.AsyncClient(trust_env=False) as client:
            for id in ("0", "-1", "x", "1.0", str(2**63), "9" * 5000):
                for path, body in (("retry", {}), ("write-off", {"name": "w", "reason": "r"})):
                    url = f"{base}/saf/{id}/{path}"
                    reply = await client.post(url, headers=headers, json=body)
                    assert (400, "no id") == (reply.status_code, reply.json()["error"][:5])
            reply = await client.post(f"{base}/saf/{2**63 - 1}/retry", headers=headers)
            assert 409 == reply.status_code
            for id, status in (("%00", 400), ("evt_%F0%9F%98%80", 409), ("x" * 300, 409)):
                reply = await client.post(f"{base}/events/{id}/replay", headers=headers)
                assert status == reply.status_code


async def test_what_cannot_be_done_is_named(open_world: OpenWorld) -> None:
    """A refusal says what was asked for, and how to see what there is."""
    async with operated(open_world) as world, httpx.AsyncClient(trust_env=False) as client:
        for path, body, named in REFUSED:
            url = f"http://{world.http}/operator/{path}"
            reply = await client.post(url, headers={"authorization": f"Bearer {TOKEN}"}, json=body)
            assert (409, True) == (reply.status_code, named in reply.text.replace("\\", "")), (
                reply.text
            )


async def test_without_a_token_there_are_no_operator_calls(open_world: OpenWorld) -> None:
    """Nobody has one, neither the file's owner nor an operator: the routes do not exist."""
    async with (
        open_world(changes={"operators": []}) as world,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        url = f"http://{world.http}/operator/couriers/C1001/unlock"
        assert 404 == (await client.post(url)).status_code
