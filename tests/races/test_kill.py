"""The switch killed with SIGKILL at random instants under load: no money lost or doubled."""

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from limits import HANG_S, ROUNDS
from program import Program

from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank import report
from acquirer.ledger.journal.kinds import PAYMENTS
from acquirer.simulation.provision import BankChoice, new_data_key, switch_config, write_config
from acquirer.terminals_sim.load import TerminalJournal, plan_for, play

pytestmark = pytest.mark.anyio

KILLS = min(20, ROUNDS)
ALIVE_MAX_S = 0.8
TERMINALS = tuple(f"1000000{n}" for n in range(1, 9))


def ask(*arguments: str) -> Any:
    """What a command of the product prints as JSON."""
    command = [sys.executable, "-m", "acquirer", *arguments, "--json"]
    return msgspec.json.decode(subprocess.run(command, capture_output=True, check=True).stdout)


async def test_killed_at_random_instants_under_load_all_books_agree(tmp_path: Path) -> None:
    """Every approval that a terminal holds is in the books, and bank and switch agree."""
    estate = load_estate()
    parts = [
        Program("hsm", "--test-lmks", "--port", "0", "--header-length", "8"),
        Program("bank-sim", "--config", str(tmp_path / "bank-sim.toml")),
        Program("order-sim", "--config", str(tmp_path / "order-sim.toml")),
    ]
    simulator = {"listen": "127.0.0.1:0", "data": str(tmp_path)}
    write_config(tmp_path / "bank-sim.toml", {**simulator, "security": "zone"})
    write_config(tmp_path / "order-sim.toml", dict(simulator))
    switch = Program("serve", "--config", str(tmp_path / "switch.toml"))
    try:
        hsm, bank, orders = [await part.start() for part in parts]
        document = switch_config(
            estate,
            pos="127.0.0.1:0",
            http="127.0.0.1:0",
            hsm=hsm["hsm"],
            bank=bank["bank"],
            orders=f"http://{orders['orders']}",
            choice=BankChoice(security="zone"),
            database_url="sqlite:///switch.sqlite3",
            data_key=await new_data_key(hsm["hsm"]),
        )
        document["hsm"] = {"transport": "in_process", "header_length": 8, "test_lmk": True}
        write_config(tmp_path / "switch.toml", document)
        journals = await _kill_under_load(switch, tmp_path)
        await _until_nothing_is_owed(tmp_path)
        _compare(tmp_path, journals)
    finally:
        with trio.CancelScope(shield=True):
            await switch.end(signal.SIGTERM)
            for part in reversed(parts):
                await part.end(signal.SIGTERM)


async def _kill_under_load(switch: Program, data: Path) -> list[TerminalJournal]:
    """Play terminals while the switch is killed and started again."""
    address = [(await switch.start())["pos"]]
    stop = trio.Event()
    journals: list[TerminalJournal] = []
    plan = plan_for(
        load_estate(), TERMINALS, transactions_max=5000, seconds_max=3600.0, timeout_s=30.0
    )

    async def connect() -> trio.abc.Stream:
        host, _, port = address[0].rpartition(":")
        return await trio.open_tcp_stream(host, int(port))

    async def load() -> None:
        journals.extend(await play(plan, connect, seed=8583, stop=stop))

    draw = random.Random(8583)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load)
        for kill in range(KILLS):
            if kill % 2 == 0:
                # However slow the machine, payments come through between some of the kills.
                await _until_more_is_paid(data)
            await trio.sleep(draw.uniform(0, ALIVE_MAX_S))
            await switch.end(signal.SIGKILL)
            address[0] = (await switch.start())["pos"]
        stop.set()
    return journals


async def _until_more_is_paid(data: Path) -> None:
    before = _paid(data)
    with trio.fail_after(HANG_S):
        while True:
            if _paid(data) != before:
                return
            await trio.sleep(0.05)


def _paid(data: Path) -> int:
    """How many transactions the bank has seen."""
    with report.transactions(data) as found:
        return sum(1 for _ in found["transactions"])


async def _until_nothing_is_owed(data: Path) -> None:
    with trio.fail_after(HANG_S):
        while True:
            journal = ask("journal", "list", "--data", str(data), "--limit", "1000000")
            states = {entry["state"] for entry in journal["transactions"]}
            if not states & {"sent", "received", "timed_out", "reversing"}:
                return
            await trio.sleep(0.5)


def _compare(data: Path, journals: list[TerminalJournal]) -> None:
    entries = ask("journal", "list", "--data", str(data), "--limit", "1000000")["transactions"]
    approved = {
        e["rrn"]: e["amount_minor"]
        for e in entries
        if e["state"] == "approved" and e["kind"] in PAYMENTS
    }
    bank = {
        row["rrn"]: row["amount_minor"]
        for row in ask("bank-sim", "transactions", "--data", str(data))["transactions"]
        if row["state"] == "approved" and row["kind"] in PAYMENTS
    }
    terminals = {
        entry.rrn: entry.amount_minor
        for journal in journals
        for entry in journal.entries
        if entry.state == "approved" and entry.kind in PAYMENTS
    }
    assert sum(journal.owed for journal in journals) == 0
    assert len(approved) >= KILLS // 2
    assert approved == bank
    assert approved == terminals
    lines = ask("ledger", "trial-balance", "--data", str(data))["lines"]
    receivable = sum(
        line["debit_minor"] - line["credit_minor"]
        for line in lines
        if line["account"].startswith("assets:scheme:")
    )
    assert sum(approved.values()) == receivable
    verify = [sys.executable, "-m", "acquirer", "ledger", "verify", "--data", str(data)]
    assert subprocess.run(verify, capture_output=True, check=False).returncode == 0
