"""The cluster's processes: started, killed, started again, and asked how they are.

Each server is a child, ended by its process number. What Patroni starts is found by the server's
own files. Nothing here decides when.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from cluster_network import SERVER_USER, Network, as_server_user
from cluster_plan import (
    NODES,
    PATRONI,
    Node,
    Passwords,
    books_url,
    etcd_arguments,
    nodes_in,
    patroni_settings,
)
from cluster_probe import Probe

START_S, HEAL_S = 180.0, 300.0


class ClusterError(Exception):
    """The cluster did not become what it should be."""


class Cluster:
    """Three nodes.

    Resource handling: the processes end with the namespaces that :func:`cluster_network.enter`
    has made; the folder is the caller's.

    Attributes:
        url: of the books.
        probes: one for each node.
    """

    def __init__(self, folder: Path) -> None:
        self.nodes = nodes_in(folder)
        self._passwords = Passwords(*(secrets.token_hex(16) for _ in range(3)))
        self.url = books_url(self.nodes, self._passwords.switch)
        self.network = Network(self.nodes)
        self._binaries = Path(
            subprocess.run(
                ["pg_config", "--bindir"], check=True, stdout=subprocess.PIPE, text=True
            ).stdout.strip()
        )
        self.probes: list[Probe] = []
        self._etcd: dict[int, subprocess.Popen[bytes]] = {}
        self._patroni: dict[int, subprocess.Popen[bytes]] = {}

    def open(self) -> None:
        """Start all, and make the switches' role and database."""
        for node in self.nodes:
            node.folder.mkdir(mode=0o700)
            settings = patroni_settings(node, self.nodes, self._binaries, self._passwords)
            (node.folder / "patroni.yml").write_text(json.dumps(settings, indent=1))
            self._give(node.folder, node.folder / "patroni.yml")
            self.start_etcd(node)
        for node in self.nodes:
            self.start_patroni(node)
        self.until(self.is_whole, START_S)
        with self._superuser(self.leader()) as primary:
            secret = psycopg.sql.Literal(self._passwords.switch)
            primary.execute(psycopg.sql.SQL("CREATE ROLE switch LOGIN PASSWORD {}").format(secret))
            primary.execute("CREATE DATABASE books OWNER switch")
            primary.execute("CREATE TABLE probes (node text, number bigint)")
        for node in self.nodes:
            where = self._superuser_at(node)
            self.probes.append(Probe(node.name, self.network.namespace(node), where))
            self.probes[-1].start()

    def _give(self, *paths: Path) -> None:
        for path in paths if os.geteuid() == 0 else ():
            shutil.chown(path, SERVER_USER, SERVER_USER)

    def close(self) -> None:
        """Kill all."""
        for node in self.nodes:
            self.kill_patroni(node)
            self.kill_etcd(node)

    # --- processes ----------------------------------------------------------------------------

    def start_etcd(self, node: Node) -> None:
        """The node's member of etcd."""
        self._etcd[node.number] = self._start(node, ["etcd", *etcd_arguments(node, self.nodes)])

    def start_patroni(self, node: Node) -> None:
        """The node's Patroni, which starts its PostgreSQL."""
        command = [str(PATRONI), str(node.folder / "patroni.yml")]
        self._patroni[node.number] = self._start(node, command)

    def _start(self, node: Node, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (node.folder / f"{Path(command[0]).name}.log").open("ab") as log:
            return subprocess.Popen(
                self.network.at(node, as_server_user(command)),
                cwd=node.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Not of the user's own session: `LC_ALL` decides about the order of texts.
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            )

    def kill_server(self, node: Node) -> None:
        """SIGKILL to a node's PostgreSQL and all of its processes; Patroni lives."""
        file = node.data / "postmaster.pid"
        if not file.exists():
            return
        pid = file.read_text().split()[0]
        children = Path(f"/proc/{pid}/task/{pid}/children")
        for one in [pid, *(children.read_text().split() if children.exists() else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(one), signal.SIGKILL)

    def kill_patroni(self, node: Node) -> None:
        """SIGKILL to Patroni, then to its PostgreSQL."""
        self._kill(self._patroni[node.number])
        self.kill_server(node)

    def kill_etcd(self, node: Node) -> None:
        """SIGKILL to the node's member of etcd."""
        self._kill(self._etcd[node.number])

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    # --- state --------------------------------------------------------------------------------

    def leader(self) -> Node:
        """Who holds Patroni's leader key.

        Raises:
            ClusterError: nobody.
        """
        for node in self.nodes:
            for member in _asked(f"{node.rest}/cluster").get("members", []):
                if member["role"] == "leader" and member["state"] == "running":
                    return next(one for one in self.nodes if one.name == member["name"])
        raise ClusterError("no node leads")

    def etcd_leader(self) -> Node:
        """Who leads etcd.

        Raises:
            ClusterError: nobody.
        """
        for node in self.nodes:
            found = _asked(f"{node.client}/v3/maintenance/status", {})
            if found and found.get("leader") == found["header"]["member_id"]:
                return node
        raise ClusterError("no member of etcd leads")

    def is_whole(self) -> bool:
        """Whether one leads, the others stream from it, and etcd knows which is synchronous.

        Until it does nobody may take over: the primary's word alone is lost with it.
        """
        members = [_asked(f"{node.rest}/patroni") for node in self.nodes]
        leading = [one for one in members if one.get("role") in ("master", "primary")]
        if len(leading) != 1 or any(one.get("state") != "running" for one in members):
            return False
        following = leading[0].get("replication", [])
        streaming = [one for one in following if one["state"] == "streaming"]
        primary = self.nodes[members.index(leading[0])]
        known = _asked(f"{primary.rest}/cluster").get("members", [])
        states = sorted(one["state"] for one in known)
        return (
            len(streaming) == NODES - 1
            and states == ["running", *["streaming"] * (NODES - 1)]
            and len({one.get("timeline") for one in known}) == 1
            and any(one["role"] == "sync_standby" for one in known)
        )

    def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait for something.

        Raises:
            ClusterError: not within the time.
        """
        until = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > until:
                raise ClusterError(f"not within {seconds:.0f} s: {holds.__name__}")
            time.sleep(0.25)

    def false_confirmations(self) -> list[str]:
        """What a server has confirmed to its probe and the books' primary does not have."""
        with self._superuser(self.leader()) as primary:
            stored = set(primary.execute("SELECT node, number FROM probes").fetchall())
        told = [(probe.node, number) for probe in self.probes for number in [*probe.confirmed]]
        return [
            f"{node} confirmed {number}" for node, number in told if (node, number) not in stored
        ]

    def _superuser(self, node: Node) -> psycopg.Connection[Any]:
        return psycopg.connect(self._superuser_at(node), autocommit=True)

    def _superuser_at(self, node: Node) -> str:
        secret = self._passwords.superuser
        return f"host={node.address} user=postgres password={secret} dbname=postgres"


def _asked(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a server says; nothing where it does not answer."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=2) as reply:
            found: dict[str, Any] = json.load(reply)
            return found
    except (OSError, ValueError):
        return {}
