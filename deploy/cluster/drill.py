"""Breaks a cluster under load and says what came of it: ``drill.py --help``; ``README.md``.

Two real switches on three PostgreSQL servers under Patroni and etcd, terminals that sell, a bank
with books of its own. After the rounds of each fault all that terminals were told is compared
with the books, and these with the bank's.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import cluster_network
import msgspec
import psycopg
import trio
from cluster_faults import FAULTS, paid_since, play
from cluster_nodes import HEAL_S, Cluster, ClusterError
from cluster_report import Round, differences, table, wrong_rounds
from cluster_sellers import AMOUNT_MINOR, Sellers

from acquirer.bench.children import child
from acquirer.bench.sales import bench_estate
from acquirer.bench.switch_file import bench_switch
from acquirer.config.children import program
from acquirer.config.estate import Estate
from acquirer.hosts_sim.bank import report as bank
from acquirer.simulation.provision import only_bank, write_config

SWITCHES = 2
TERMINALS = 6
WARM_UP_S = 5.0
TERMINAL_S = 6.0
LIMITS = {name: (fault.title, fault.limit_s) for name, fault in FAULTS.items()}
_APPROVED = (
    "SELECT terminal_id, batch, stan FROM journal WHERE kind = 'sale' AND state = 'approved'"
)


def main() -> int:
    """Run the drill; 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="of each fault (10)")
    parser.add_argument("--faults", default=",".join(FAULTS), help="which, and in which order")
    parser.add_argument("--keep", action="store_true", help="the folder with all logs and books")
    parser.add_argument("--write", type=Path, help="a file for the table")
    told = parser.parse_args()
    names = told.faults.split(",")
    if unknown := [name for name in names if name not in FAULTS]:
        parser.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    if missing := cluster_network.missing_tools():
        parser.error(f"not installed: {', '.join(missing)}; see deploy/cluster/README.md")
    folder = cluster_network.folder_inside()
    if folder is None:
        return _outside(told.keep)
    cluster_network.be_first()
    drill = Drill(folder, quiet=not told.keep)
    try:
        drill.run(names, told.rounds)
    except* (ClusterError, trio.TooSlowError) as group:
        drill.wrong += [f"given up: {error!r}" for error in group.exceptions]
    said = drill.report()
    print(said, flush=True)
    if told.write:
        told.write.write_text(said + "\n")
    return 1 if drill.wrong else 0


def _outside(keep: bool) -> int:
    """Make a folder, run there, and remove it; the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="acquirer-cluster-"))
    folder.chmod(0o711)
    try:
        return cluster_network.run_inside(folder)
    finally:
        if keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


class Drill:
    """One run.

    Attributes:
        rounds: what was measured.
        wrong: what must not be.
    """

    def __init__(self, folder: Path, quiet: bool) -> None:
        self.rounds: list[Round] = []
        self.wrong: list[str] = []
        self._folder = folder
        self._quiet = quiet
        self._cluster = Cluster(folder)
        self._sold = 0
        self._confirmed = 0

    def run(self, names: Sequence[str], rounds: int) -> None:
        """Start everything, break it, compare."""
        say("starting three nodes")
        estate = bench_estate(TERMINALS)
        write_config(self._folder / "estate.toml", msgspec.to_builtins(estate))
        with ExitStack() as stack:
            stack.callback(self._cluster.close)
            self._cluster.open()
            addresses = self._start_switches(stack, estate)
            trio.run(self._play, Sellers(estate, addresses), names, rounds)

    def _start_switches(self, stack: ExitStack, estate: Estate) -> list[str]:
        """A bank and the switches; where terminals reach these."""
        settings = {
            "estate": "estate.toml",
            "data": "bank",
            "bank": only_bank(estate).name,
            "listen": "127.0.0.1:0",
        }
        write_config(self._folder / "bank.toml", settings)
        bank_sim = program("bank-sim", "--config", str(self._folder / "bank.toml"))
        at_bank = stack.enter_context(child(*bank_sim[1:], quiet=self._quiet))["bank"]
        document = bench_switch(estate, at_bank)
        document["database"]["url"] = self._cluster.url
        document["limits"]["terminal_s"] = TERMINAL_S
        addresses = []
        for number in range(1, SWITCHES + 1):
            write_config(self._file(number), {**document, "instance": f"switch-{number}"})
            serve = program("serve", "--config", str(self._file(number)))
            addresses.append(stack.enter_context(child(*serve[1:], quiet=self._quiet))["pos"])
        return addresses

    def _file(self, number: int) -> Path:
        return self._folder / f"switch-{number}.toml"

    async def _play(self, sellers: Sellers, names: Sequence[str], rounds: int) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sellers.run)
            for name in names:
                say(FAULTS[name].title)
                sellers.open()
                await paid_since(sellers, time.monotonic() + WARM_UP_S)
                for number in range(1, rounds + 1):
                    self.rounds.append(await play(name, number, self._cluster, sellers))
                    say(f"  {self.rounds[-1]}")
                await sellers.close()
                await trio.to_thread.run_sync(self._compare, sellers)
            nursery.cancel_scope.cancel()

    def _compare(self, sellers: Sellers) -> None:
        """All that was told against the books, while nothing is under way."""
        self._cluster.until(self._is_settled, HEAL_S)
        told = [(one.terminal_id, one.batch, one.stan) for one in sellers.approvals]
        with psycopg.connect(self._cluster.url) as books:
            booked = [(row[0], row[1], row[2]) for row in books.execute(_APPROVED).fetchall()]
        owed_minor = bank.totals(self._folder / "bank")["totals"]["net_approved_minor"]
        found = differences(told, booked, owed_minor, AMOUNT_MINOR)
        found += self._cluster.false_confirmations()
        verify = program("ledger", "verify", "--config", str(self._file(1)))
        if subprocess.run(verify, check=False, stdout=subprocess.DEVNULL).returncode:
            found.append("acquirer ledger verify: the books differ")
        say(f"  {len(told)} sales told, {len(booked)} in the books, wrong: {found or 'nothing'}")
        say(f"  other outcomes so far: {sellers.others}")
        self._sold, self._confirmed = len(told), sum(len(p.confirmed) for p in self._cluster.probes)
        self.wrong += found

    def _is_settled(self) -> bool:
        """Whether the switches owe the bank nothing."""
        with psycopg.connect(self._cluster.url) as books:
            row = books.execute("SELECT count(*) FROM saf WHERE finished_at_ms IS NULL").fetchone()
        return row == (0,)

    def report(self) -> str:
        """The table, and what was wrong."""
        self.wrong += wrong_rounds(self.rounds, LIMITS)
        said = [table(self.rounds, LIMITS), ""]
        said.append(
            f"{self._sold} sales told to terminals, each in the books and at the bank;"
            f" {self._confirmed} rows confirmed to clients beside the servers, each kept;"
            " `acquirer ledger verify` clean."
            if not self.wrong
            else "\n".join(f"WRONG: {one}" for one in self.wrong)
        )
        return "\n".join(said)


def say(text: str) -> None:
    """One line, at once."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
