"""``acquirer serve --check`` tries all that a start needs, and tells every fault at once."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
import trio
from limits import HANG_S
from operated import without_none
from world import World

from acquirer.ledger.book import open_book

pytestmark = pytest.mark.anyio

ZEROS = "U" + "0" * 32
Change = Callable[[dict[str, Any]], object]


def check(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a file."""
    command = [sys.executable, "-m", "acquirer", "serve", "--check", "--config", str(path)]
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=HANG_S, check=False
    )


async def checked(world: World, folder: Path, *changes: Change) -> tuple[int, dict[str, str]]:
    """Exit code, and the fault of each place, of the world's configuration with changes."""
    document = without_none(msgspec.to_builtins(await world.settings()))
    document["database"]["url"] = "sqlite:///switch.sqlite3"
    for change in changes:
        change(document)
    path = folder / "switch.toml"
    path.write_text(tomli_w.dumps(document), "utf-8")
    ended = await trio.to_thread.run_sync(check, path, "--json")
    found = json.loads(ended.stdout)
    assert found["ok"] == (ended.returncode == 0)
    assert "Traceback" not in ended.stderr
    return ended.returncode, {
        one["place"]: one["fault"] for one in found["checks"] if not one["ok"]
    }


async def test_a_good_configuration(world: World, tmp_path: Path) -> None:
    """Exit code 0; keys with their check values; no books are made."""
    assert (0, {}) == await checked(world, tmp_path)
    assert ["switch.toml"] == os.listdir(tmp_path)
    ended = await trio.to_thread.run_sync(check, tmp_path / "switch.toml")
    words = " ".join(ended.stdout.split())
    # The demo estate's zone master key.
    assert "good banks[0].zmk demo's zone master key, check value 666EA8" in words
    assert "good terminals[0].tmk terminal 10000001's master key, check value 493274" in words
    assert "the books: no books yet" in words
    assert words.endswith("nothing is wrong; a start would serve")


async def test_all_faults_are_told_at_once(world: World, tmp_path: Path) -> None:
    """Keys that can never work, what is missing, what no one resolves: each with place and cure."""
    code, faults = await checked(
        world,
        tmp_path,
        lambda found: found.pop("business_day"),
        lambda found: found["banks"][0].update(security="none", zpk="", zmk=""),
        lambda found: found["banks"][0].update(address="bank.invalid:8583"),
        lambda found: found["terminals"][1].update(tmk=ZEROS),
        lambda found: found["terminals"][2].update(tmk=""),
        lambda found: found["terminals"][3].update(tmk="here"),
        lambda found: found["profiles"][0].update(encoding="klingon"),
        lambda found: found["limits"].update(idle_s=-1),
        lambda found: found["order_systems"][0].update(url="http://orders.invalid/api"),
        lambda found: found["database"].update(url="sqlite:///nowhere/switch.sqlite3"),
        lambda found: found["listen"].update(pos="192.0.2.1:1"),
        lambda found: found["listen"].update(tls={"certificate": "no.pem", "key": "no.key"}),
    )
    assert 2 == code
    expected = {
        "business_day": '[business_day] with zone = "Asia/Shanghai"',
        "banks[0].zpk": "form it of the bank's components",
        "banks[0].address": "bank.invalid does not resolve",
        "terminals[1].tmk": "error 10: it is no key of type 002",
        "terminals[2].tmk": "is missing; make it in the module",
        "terminals[3].tmk": "is no key under the local master key",
        "profiles[0].encoding": "klingon",
        "limits.idle_s": ">= 0",
        "order_systems[0].url": "orders.invalid does not resolve",
        "database.url": "nowhere is no folder that can be written to",
        "listen.pos": "cannot listen on 192.0.2.1:1",
        "listen.tls": "no.pem: No such file",
    }
    for place, reason in expected.items():
        assert reason in faults[place].replace("> 0", ">= 0")
    assert expected.keys() == faults.keys()


async def test_a_key_that_nobody_knows_hides_nothing(world: World, tmp_path: Path) -> None:
    """Nor does a table without rows: what else is wrong, of whatever table, is told beside it."""
    code, faults = await checked(
        world,
        tmp_path,
        lambda found: found.pop("business_day"),
        lambda found: found["terminals"][0].update(foo=1, tmk=ZEROS),
        lambda found: found["routes"][0].update(bank="nobody"),
    )
    assert 2 == code
    assert {"business_day", "terminals[0].foo", "terminals[0].tmk", "routes[0].bank"} <= set(faults)


async def test_no_module(world: World, tmp_path: Path) -> None:
    """Where none answers, what needs none is told all the same, and that keys were not tried."""
    code, faults = await checked(
        world,
        tmp_path,
        lambda found: found.update(hsm={"address": "127.0.0.1:1"}),
        lambda found: found["banks"][0].update(security="none", zpk=""),
        lambda found: found["terminals"][0].update(merchant_id="nobody"),
    )
    assert 2 == code
    assert {"hsm.address", "hsm", "banks[0].zpk", "terminals[0].merchant_id"} == faults.keys()
    assert "failed; start it" in faults["hsm.address"]


async def test_another_local_master_key(world: World, tmp_path: Path) -> None:
    """A module that does not open the data key is told, and so is a file without one."""
    code, faults = await checked(
        world, tmp_path, lambda found: found.update(data_key_dek=found["banks"][0]["zpk"])
    )
    assert (2, ["hsm.address"]) == (code, list(faults))
    assert "data_key does not open in it" in faults["hsm.address"]
    code, faults = await checked(world, tmp_path, lambda found: found.pop("data_key"))
    assert (2, ["data_key"]) == (code, list(faults))


async def test_books_that_are_there(world: World, tmp_path: Path) -> None:
    """Their schema is told; a later release's are refused, and so are books that are gone."""
    file = tmp_path / "switch.sqlite3"
    async with open_book(f"sqlite:///{file}", "switch-1", clock_ms=lambda: 0):
        pass
    assert (0, {}) == await checked(world, tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    code, faults = await checked(world, tmp_path)
    assert (2, ["database.url"]) == (code, list(faults))
    assert "a later release wrote them" in faults["database.url"]
    file.unlink()
    code, faults = await checked(
        world, tmp_path, lambda found: found["database"].update(create=False)
    )
    assert "there are no books" in faults["database.url"]


async def test_a_database_server(world: World, tmp_path: Path, empty_postgresql_url: str) -> None:
    """An empty one is good; one that nobody serves is not."""

    def at(url: str) -> Change:
        return lambda found: found["database"].update(url=url)

    assert (0, {}) == await checked(world, tmp_path, at(empty_postgresql_url))
    code, faults = await checked(world, tmp_path, at("postgresql://127.0.0.1:1/books"))
    assert (2, ["database.url"]) == (code, list(faults))
    assert "does the database run" in faults["database.url"]


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """Exit code 2 and one JSON object."""
    path = tmp_path / "switch.toml"
    for text in (None, "a = = 1"):
        if text:
            path.write_text(text)
        ended = check(path, "--json")
        assert (2, False) == (ended.returncode, json.loads(ended.stdout)["ok"])
