"""A configuration that cannot be used ends the program with file, key and reason, exit code 2."""

from __future__ import annotations

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

from acquirer.cli.serve import load_switch_settings
from acquirer.config.loading import ConfigError
from acquirer.switch.configuration.checks import check

pytestmark = pytest.mark.anyio


def document(settings: Any) -> dict[str, Any]:
    """Settings as a file has them."""
    found: dict[str, Any] = without_none(msgspec.to_builtins(settings))
    return found


def serve(path: Path) -> subprocess.CompletedProcess[str]:
    """Run ``acquirer serve`` on a file until it gives up."""
    command = [sys.executable, "-m", "acquirer", "serve", "--config", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)


def _drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda found: found.pop(key)


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    *keys, last, value = path

    def change(found: Any) -> None:
        for key in keys:
            found = found[key]
        found[last] = value

    return change


IN_PROCESS = {
    "unknown merchant": (_set("terminals", 2, "merchant_id", "nobody"), "terminals[2].merchant_id"),
    "missing key": (_drop("profiles"), "profiles"),
    "no time zone": (_drop("business_day"), '[business_day] with zone = "Asia/Shanghai"'),
    "a table without it": (_set("business_day", {}), '[business_day] with zone = "Asia/Shanghai"'),
    "an offset from UTC": (_set("utc_offset_minutes", 480), "put in its place [business_day]"),
    "zone of nowhere": (_set("business_day", "zone", "Asia/Peking"), "business_day.zone"),
    "out of range": (_set("limits", "idle_s", -1), "limits.idle_s"),
    "no such choice": (_set("hsm", "transport", "pigeon"), "hsm.transport"),
    "unknown encoding": (_set("profiles", 0, "encoding", "klingon"), "profiles"),
    "order host that is not there": (
        _set("order_systems", 0, {"name": "a", "host": "nobody"}),
        "order_systems[0].host",
    ),
    "dialect without items": (
        _set("order_hosts", [{"name": "a", "address": "host:1", "acquirer_id": "1"}]),
        "field 59 must be of type raw",
    ),
    "MCC": (_set("merchants", 1, "mcc", "421"), "merchants[1].mcc"),
    "terminal id": (_set("terminals", 2, "terminal_id", "100000033"), "terminals[2].terminal_id"),
    "route to nowhere": (_set("routes", 0, "bank", "elsewhere"), "elsewhere"),
}
AS_PROGRAM = {
    "unknown key": (_set("limts", {}), "limts"),
    "no address": (_set("listen", "pos", "here"), "listen.pos"),
    "no such database": (_set("database", "url", "oracle://x"), "database.url"),
    "no database URL": (_set("database", "url", "sqlite:/books"), "database.url: it is no"),
    "no port": (_set("database", "url", "postgresql://h:x/b"), "database.url: it is no"),
    "two slashes": (_set("database", "url", "sqlite://books"), "three slashes"),
    "no such parameter": (_set("database", "url", "postgresql://h/b?pool=1"), '"pool"'),
    "no server": (_set("database", "url", "postgresql://127.0.0.1:1/b"), "Connection refused"),
    "an address of others": (_set("listen", "pos", "192.0.2.1:1"), "listen.pos: cannot listen on"),
    "a page's too": (_set("listen", "http", "192.0.2.1:1"), "listen.http: cannot listen on"),
    "no certificate file": (
        _set("listen", "tls", {"certificate": "no.pem", "key": "no.key"}),
        "no.pem: No such file",
    ),
    "who listens without one": (_set("listen", "tls", {}), "certificate is empty"),
    "another LMK's key": (_set("data_key_dek", "U" + "0" * 32), "data_key"),
    "unknown dialect": (_set("banks", 0, "dialect", "iso99"), "dialect"),
}


async def _write(world: World, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    found = document(await world.settings())
    found["database"]["url"] = "sqlite:///switch.sqlite3"
    change(found)
    path = folder / "bad.toml"
    path.write_bytes(tomli_w.dumps(found).encode())
    return path


@pytest.mark.parametrize(("change", "named"), AS_PROGRAM.values(), ids=AS_PROGRAM)
async def test_bad_file(
    world: World, tmp_path: Path, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    """A mistake is told with the file's name, the key and what is wrong, without a traceback."""
    path = await _write(world, tmp_path, change)
    ended = await trio.to_thread.run_sync(serve, path)
    assert (2, "") == (ended.returncode, ended.stdout)
    last = ended.stderr.strip().splitlines()[-1]
    assert "bad.toml" in last
    assert named in last
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("change", "named"), IN_PROCESS.values(), ids=IN_PROCESS)
async def test_bad_settings(
    world: World, tmp_path: Path, change: Callable[[dict[str, Any]], None], named: str
) -> None:
    """So is every other mistake, before anything is opened."""
    path = await _write(world, tmp_path, change)
    with pytest.raises(ConfigError) as caught:
        check(load_switch_settings(path), str(path))
    assert "bad.toml" in str(caught.value)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "No such file"), (b"a = = 1", "TOML"), (b"\xff\xfe", "UTF-8")]
)
def test_no_file(tmp_path: Path, text: bytes | None, reason: str) -> None:
    """A file that is missing or no TOML is told as such."""
    path = tmp_path / "bad.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        load_switch_settings(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
