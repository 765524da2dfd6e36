"""What is done to the cluster, and how one round of each goes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

import trio
from cluster_nodes import HEAL_S, Cluster
from cluster_report import Round
from cluster_sellers import Sellers

PATIENCE_S = 100.0
WITHOUT_REPLICA_S = 5.0
CALM_S = 3.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        title: what is done.
        limit_s: payments must be taken again within this time.
        run: does it, waits for payments, and undoes it; the time from which it counts, the time at
            which they were taken again, and how many were approved while none could be stored.
    """

    title: str
    limit_s: float
    run: Callable[[Cluster, Sellers], Awaitable[tuple[float, float, int]]]


async def paid_since(sellers: Sellers, since: float) -> float:
    """When the first sale was approved that had begun after an instant.

    Raises:
        trio.TooSlowError: none within all patience.
    """
    with trio.fail_after(PATIENCE_S):
        while True:
            for one in reversed(sellers.approvals):
                if one.told_at < since:
                    break
                if one.asked_at >= since:
                    return min(a.told_at for a in sellers.approvals if a.asked_at >= since)
            await trio.sleep(0.1)


async def _server(cluster: Cluster, sellers: Sellers) -> tuple[float, float, int]:
    primary = cluster.leader()
    cluster.kill_server(primary)
    since = time.monotonic()
    return since, await paid_since(sellers, since), 0


async def _machine(cluster: Cluster, sellers: Sellers) -> tuple[float, float, int]:
    primary = cluster.leader()
    cluster.kill_etcd(primary)
    cluster.kill_patroni(primary)
    since = time.monotonic()
    back = await paid_since(sellers, since)
    cluster.start_etcd(primary)
    cluster.start_patroni(primary)
    return since, back, 0


async def _etcd(cluster: Cluster, sellers: Sellers) -> tuple[float, float, int]:
    leader = cluster.etcd_leader()
    cluster.kill_etcd(leader)
    since = time.monotonic()
    back = await paid_since(sellers, since)
    # Longer than an election takes, and than Patroni's leader key lives.
    await trio.sleep(25)
    cluster.start_etcd(leader)
    return since, back, 0


async def _replicas(cluster: Cluster, sellers: Sellers) -> tuple[float, float, int]:
    primary = cluster.leader()
    replicas = [node for node in cluster.nodes if node is not primary]
    for node in replicas:
        cluster.kill_patroni(node)
    gone = time.monotonic()
    await trio.sleep(WITHOUT_REPLICA_S)
    unsafe = sum(one.asked_at >= gone for one in sellers.approvals)
    cluster.start_patroni(replicas[0])
    since = time.monotonic()
    back = await paid_since(sellers, since)
    cluster.start_patroni(replicas[1])
    return since, back, unsafe


async def _cut(cluster: Cluster, sellers: Sellers) -> tuple[float, float, int]:
    primary = cluster.leader()
    cluster.network.cut(primary)
    since = time.monotonic()
    back = await paid_since(sellers, since)
    cluster.network.mend(primary)
    return since, back, 0


FAULTS = {
    "server": Fault("the primary's PostgreSQL is killed", 10, _server),
    "etcd": Fault("etcd's leader is killed", 10, _etcd),
    "replicas": Fault("both replicas are killed; counted from the first's return", 10, _replicas),
    "machine": Fault("the primary's machine is lost whole", 40, _machine),
    "cut": Fault("the primary's network is cut", 40, _cut),
}


async def play(name: str, number: int, cluster: Cluster, sellers: Sellers) -> Round:
    """One round, which ends when the cluster is whole again.

    Raises:
        ClusterError: it did not become whole.
        trio.TooSlowError: no payment was taken again.
    """
    begun = time.monotonic()
    since, back, unsafe = await FAULTS[name].run(cluster, sellers)
    await trio.to_thread.run_sync(cluster.until, cluster.is_whole, HEAL_S)
    whole = time.monotonic()
    await trio.sleep(CALM_S)
    told = [begun, *(one.told_at for one in sellers.approvals if one.told_at >= begun)]
    told.append(time.monotonic())
    silence = max(after - before for before, after in pairwise(told))
    return Round(name, number, back - since, silence, whole - since, len(told) - 2, unsafe)
