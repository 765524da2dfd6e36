"""The drill's pure parts: `deploy/cluster/`. The drill itself needs Patroni and etcd."""

import doctest
import json
from pathlib import Path

import cluster_plan
import cluster_report
import pytest
from cluster_faults import FAULTS
from cluster_report import Round, differences, table, wrong_rounds
from drill import LIMITS

from acquirer.ledger.store.database import Database

NODES = cluster_plan.nodes_in(Path("/cluster"))
PASSWORDS = cluster_plan.Passwords("super", "replication", "switch")
SOLD = ("20000001", "000001", "000001")
OTHER = ("20000002", "000001", "000001")


@pytest.mark.parametrize("module", [cluster_plan, cluster_report])
def test_its_examples_hold(module: object) -> None:
    """Those of the docstrings."""
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_the_books_url_is_one_that_the_switch_takes() -> None:
    """A host and a port each."""
    assert Database(cluster_plan.books_url(NODES, "pw")).kind == "postgresql"


def test_a_commit_waits_for_a_replica_whatever_happens() -> None:
    """Strict synchronous mode; loop and retries fit into the leader key's life."""
    settings = cluster_plan.patroni_settings(NODES[0], NODES, Path("/bin"), PASSWORDS)
    shared = settings["bootstrap"]["dcs"]
    assert shared["synchronous_mode"] is True
    assert shared["synchronous_mode_strict"] is True
    assert shared["loop_wait"] + 2 * shared["retry_timeout"] <= shared["ttl"]
    assert shared["postgresql"]["parameters"]["synchronous_commit"] == "on"
    assert json.loads(json.dumps(settings)) == settings


def test_each_member_of_etcd_knows_all() -> None:
    """By the same list, and under names and addresses of their own."""
    lines = [cluster_plan.etcd_arguments(node, NODES) for node in NODES]
    clusters = {part for line in lines for part in line if part.startswith("--initial-cluster=")}
    assert len(clusters) == 1
    assert all(f"{node.name}={node.peer}" in min(clusters) for node in NODES)
    assert len({line[0] for line in lines}) == len(NODES)


def test_agreement_is_nothing_to_tell() -> None:
    """What was told, booked and owed is the same."""
    assert differences([SOLD, OTHER], [OTHER, SOLD], 200, 100) == []


@pytest.mark.parametrize(
    ("told", "booked", "owed", "found"),
    [
        ([SOLD], [], 0, "told but not in the books"),
        ([], [SOLD], 100, "in the books but not told"),
        ([SOLD, SOLD], [SOLD], 100, "told twice"),
        ([SOLD], [SOLD], 200, "the bank owes 200, the books say 100"),
    ],
)
def test_each_way_to_lose_money_is_found(
    told: list[tuple[str, str, str]], booked: list[tuple[str, str, str]], owed: int, found: str
) -> None:
    """Lost, invented, doubled, and taken at the bank only."""
    assert [line for line in differences(told, booked, owed, 100) if found in line]


def test_every_fault_has_its_line() -> None:
    """In the order in which the faults are listed, with the median and the worst."""
    rounds = [
        Round(name, number, float(number), 1.0, 1.0, 1, 0) for name in FAULTS for number in (1, 3)
    ]
    lines = table(rounds, LIMITS).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [f"| {FAULTS[n].title}" for n in FAULTS]
    assert all("| 2 | 2.0 s, 3.0 s, " in line for line in lines)
    assert wrong_rounds(rounds, LIMITS) == []
