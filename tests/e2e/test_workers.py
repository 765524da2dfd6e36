"""``acquirer serve --workers``: several processes that are one switch."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import httpx
import pytest
import trio
from pos_terminal import Line, PosTerminal
from prometheus_client.parser import text_string_to_metric_families
from served import WorkersWorld, opened_workers

from acquirer.hosts_sim.bank.settings import Match, Rule

pytestmark = pytest.mark.anyio

TERMINALS = ("10000001", "10000002", "10000003", "10000004")
SLOW_MINOR = 6604


def sale(world: WorkersWorld, terminal: PosTerminal, amount_minor: int = 100) -> bytes:
    """A sale with a PIN."""
    card = world.estate.cards[0]
    return terminal.sale(card, amount_minor, pin=card.pin)


async def metrics(world: WorkersWorld) -> dict[str, float]:
    """The switch's samples that have a label less or none, by name: sums over labels."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://{world.http}/metrics")).text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def test_workers_are_one_switch_restart_one_by_one_and_end_in_order(
    tmp_path: Path, empty_postgresql_url: str
) -> None:
    """Sales go on while each worker is replaced, none is refused, and all are counted."""
    async with opened_workers(tmp_path, empty_postgresql_url) as world:
        before = await world.processes()
        lines = [(await world.signed_on(one), await Line.open(world.pos)) for one in TERMINALS]
        states = (await world.workers()).values()
        assert sum(one["connections"] for one in states) == len(TERMINALS)
        assert all(one["connections"] for one in states)
        codes: list[str] = []
        replaced = trio.Event()

        async def sell(terminal: PosTerminal, line: Line) -> None:
            while not replaced.is_set():
                codes.append((await line.ask(sale(world, terminal))).code)

        async with trio.open_nursery() as nursery:
            for terminal, line in lines[1:]:
                nursery.start_soon(sell, terminal, line)
            world.program.send(signal.SIGUSR1)
            terminal, line = lines[0]
            while set(before) & set(await world.processes()) or not await world.all_serve():
                codes.append((await line.ask(sale(world, terminal))).code)
            replaced.set()
        assert {"00"} == set(codes)
        counted = await metrics(world)
        assert counted["acquirer_payments_total"] == len(codes)
        assert counted["acquirer_workers"] == 2
        assert counted["acquirer_worker_deaths_total"] == 0
        status, told = await world.operate("links")
        assert (status, told["links"][0]["state"]) == (200, "up")
        status, told = await world.operate("links/demo/rekey")
        assert (status, told["state"]) == (200, "up")
        status, told = await world.operate("secrets/reload")
        assert (status, told["restart_for"]) == (200, [])
        await world.agree()
        for _, line in lines:
            await trio.aclose_forcefully(line.stream)


async def test_limits_hold_over_all_workers(tmp_path: Path, postgresql_url: str) -> None:
    """Of a terminal, of an address, and of an address's sign-ons."""
    slow = Rule(Match(amount_minor=SLOW_MINOR), fault="delay", delay_s=100.0)
    limits = {
        "per_terminal_max": 1,
        "per_address_max": 4,
        "sign_ons_per_minute": 3,
        "terminal_s": 120.0,
    }
    async with opened_workers(
        tmp_path, postgresql_url, {"limits": limits}, bank_rules=[slow]
    ) as world:
        signed_on = [await world.signed_on(one) for one in TERMINALS[:3]]
        refused = await world.ask(world.terminal(TERMINALS[3]).sign_on())
        assert refused.code == "96"
        lines = [await Line.open(world.pos) for _ in range(4)]
        states = (await world.workers()).values()
        assert [2, 2] == [one["connections"] for one in states]
        fifth = await Line.open(world.pos)
        assert await fifth.is_closed()
        await lines[0].send(sale(world, signed_on[0], SLOW_MINOR))
        await world.until(lambda: world.bank_rows())
        for line in lines[1:]:
            assert "96" == (await line.ask(sale(world, signed_on[0]))).code
        assert "00" == (await lines[1].ask(sale(world, signed_on[1]))).code
        # What is at the bank ends with its link.
        await world.stop("bank")
        assert "00" != (await lines[0].receive()).code
        for line in (*lines, fifth):
            await trio.aclose_forcefully(line.stream)


async def test_a_listening_link_and_what_was_counted_outlive_their_worker(
    tmp_path: Path, postgresql_url: str
) -> None:
    """The bank reaches the next worker on the same port, and no counter falls."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        calls = [f"127.0.0.1:{kept.getsockname()[1]}"]
        async with opened_workers(tmp_path, postgresql_url, bank_calls=calls) as world:
            terminal = await world.signed_on()
            for _ in range(4):
                assert "00" == (await world.ask(sale(world, terminal))).code
            before = await metrics(world)
            workers = await world.workers()
            owner = next(one["process"] for one in workers.values() if one["banks"])
            os.kill(owner, signal.SIGKILL)

            async def is_noticed() -> bool:
                return owner not in await world.processes()

            await world.until(is_noticed)
            assert "00" == (await world.ask(sale(world, terminal))).code
            await world.until(world.all_serve)
            after = await metrics(world)
            assert after["acquirer_payments_total"] == before["acquirer_payments_total"] + 1 == 5
            assert after["acquirer_worker_deaths_total"] == 1
            await world.agree()
