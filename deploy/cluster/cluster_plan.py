"""What a cluster consists of, as values: addresses, Patroni's and etcd's settings, the books' URL.

Pure: starts nothing. Sources: Patroni's documentation, "Patroni configuration" and "Replication
modes"; etcd's, "Configuration options"; libpq's, "Connection Strings".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NETWORK = "10.77.0"
SCOPE = "acquirer"
PATRONI = Path("/opt/patroni/bin/patroni")
PATRONI_MIN = (4, 0, 6)
NODES = 3
POSTGRESQL_PORT, PATRONI_PORT, ETCD_PORT, ETCD_PEER_PORT = 5432, 8008, 2379, 2380
TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 20, 2, 9
KEEPALIVE = {"tcp_keepalives_idle": 5, "tcp_keepalives_interval": 2, "tcp_keepalives_count": 3}


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster: a PostgreSQL server, its Patroni, a member of etcd.

    Attributes:
        number: from 1.
        folder: of all its files.
    """

    number: int
    folder: Path

    @property
    def name(self) -> str:
        """As Patroni and etcd know it."""
        return f"node{self.number}"

    @property
    def address(self) -> str:
        """In the cluster's own network."""
        return f"{NETWORK}.{self.number}"

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    @property
    def rest(self) -> str:
        """Patroni's HTTP interface."""
        return f"http://{self.address}:{PATRONI_PORT}"

    @property
    def client(self) -> str:
        """Where etcd takes clients."""
        return f"http://{self.address}:{ETCD_PORT}"

    @property
    def peer(self) -> str:
        """Where etcd takes its like."""
        return f"http://{self.address}:{ETCD_PEER_PORT}"


@dataclass(frozen=True, slots=True)
class Passwords:
    """One for each role."""

    superuser: str
    replication: str
    switch: str


def is_new_enough(patroni_version: str) -> bool:
    """Whether a Patroni may be trusted with money, by what ``patroni --version`` says.

    Before 3.0.3 a primary that comes back from a cut may take the leader key from its successor
    (patroni pull requests 2689 and 2693), before 4.0.6 it may be read from a stale etcd (3318).

    >>> is_new_enough("patroni 3.0.2"), is_new_enough("patroni 4.0.6"), is_new_enough("patroni 4.1")
    (False, True, True)
    """
    numbers = patroni_version.split()[-1].split(".")
    return tuple(int(number) for number in numbers if number.isdecimal()) >= PATRONI_MIN


def nodes_in(folder: Path) -> list[Node]:
    """The cluster's nodes, their files in folders beside each other."""
    return [Node(number, folder / f"node{number}") for number in range(1, NODES + 1)]


def books_url(nodes: Sequence[Node], password: str) -> str:
    """``[database] url``: whichever of the nodes takes writes.

    >>> books_url(nodes_in(Path("/c"))[:2], "pw")
    'postgresql://switch:pw@10.77.0.1:5432,10.77.0.2:5432/books?target_session_attrs=read-write'
    """
    hosts = ",".join(f"{node.address}:{POSTGRESQL_PORT}" for node in nodes)
    return f"postgresql://switch:{password}@{hosts}/books?target_session_attrs=read-write"


def etcd_arguments(node: Node, nodes: Sequence[Node]) -> list[str]:
    """Of etcd's command line; the same for its first start and for each later one."""
    cluster = ",".join(f"{one.name}={one.peer}" for one in nodes)
    return [
        f"--name={node.name}",
        f"--data-dir={node.folder / 'etcd'}",
        f"--listen-client-urls={node.client}",
        f"--advertise-client-urls={node.client}",
        f"--listen-peer-urls={node.peer}",
        f"--initial-advertise-peer-urls={node.peer}",
        f"--initial-cluster={cluster}",
        f"--initial-cluster-token={SCOPE}",
        # A member that comes back from a cut does not depose the leader.
        "--pre-vote=true",
        "--heartbeat-interval=200",
        "--election-timeout=2000",
        "--logger=zap",
        "--log-level=warn",
    ]


def patroni_settings(
    node: Node, nodes: Sequence[Node], binaries: Path, passwords: Passwords
) -> dict[str, Any]:
    """Patroni's file; JSON is YAML too.

    Strict synchronous mode: a commit waits until a replica has it, and where there is none it
    waits on. Only a replica that was synchronous may become the primary.
    """
    everybody = f"{NETWORK}.0/24"
    return {
        "scope": SCOPE,
        "name": node.name,
        "restapi": _listening(node, PATRONI_PORT),
        "etcd3": {"hosts": [f"{one.address}:{ETCD_PORT}" for one in nodes]},
        "bootstrap": {
            "dcs": _shared_settings(),
            "initdb": [{"encoding": "UTF8"}, "data-checksums"],
        },
        "postgresql": {
            **_listening(node, POSTGRESQL_PORT),
            "bin_dir": str(binaries),
            "data_dir": str(node.data),
            "pgpass": str(node.folder / "pgpass"),
            "authentication": {
                "superuser": {"username": "postgres", "password": passwords.superuser},
                "replication": {"username": "replicator", "password": passwords.replication},
            },
            "pg_hba": [
                f"host all all {everybody} scram-sha-256",
                f"host replication replicator {everybody} scram-sha-256",
            ],
            "parameters": {"unix_socket_directories": str(node.folder)},
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
        },
        "watchdog": {"mode": "off"},
    }


def _listening(node: Node, port: int) -> dict[str, str]:
    at = f"{node.address}:{port}"
    return {"listen": at, "connect_address": at}


def _shared_settings() -> dict[str, Any]:
    """What the cluster keeps in etcd. ``ttl`` is never under 20; loop and retries fit into it."""
    return {
        "ttl": TTL_S,
        "loop_wait": LOOP_WAIT_S,
        "retry_timeout": RETRY_TIMEOUT_S,
        # A primary whose server has died is not waited for: a replica has all that was answered.
        "primary_start_timeout": 0,
        "synchronous_mode": True,
        "synchronous_mode_strict": True,
        "synchronous_node_count": 1,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {
                "synchronous_commit": "on",
                "shared_buffers": "64MB",
                "max_connections": 60,
                "wal_keep_size": "256MB",
                "password_encryption": "scram-sha-256",
                # A switch that was cut off does not keep its locks.
                **KEEPALIVE,
            },
        },
    }
