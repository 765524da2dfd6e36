"""The parts of ``acquirer up``: who can reach the security module, and what outlives a fault."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import tomllib
from contextlib import suppress
from functools import partial
from importlib import resources
from pathlib import Path

import pytest
from estate_process import PROGRAM, acquirer, children, gone, part, runs, sells, terminal, up
from limits import HANG_S, comes

from acquirer.config.addresses import UnixAddress, parse_address
from acquirer.config.estate import demo_estate_path

LISTENS = "0A"
NC = b"\x00\x0a00000000NC"


def ports(pid: int) -> set[int]:
    """The TCP ports that a process listens on."""
    sockets = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == LISTENS and f"socket:[{inode}]" in sockets:
                found.add(int(local.rpartition(":")[2], 16))
    return found


def port_of(address: str) -> int:
    """The port of ``host:port``."""
    return int(address.rpartition(":")[2])


def has(log: Path, words: str, times: int) -> bool:
    """Whether a log has something so often."""
    return log.read_text().count(words) >= times


def taken(port: int) -> socket.socket:
    """The port of a process that was killed, as soon as it has let go of it."""
    found: list[socket.socket] = []

    def free() -> bool:
        with suppress(OSError):
            found.append(socket.create_server(("127.0.0.1", port)))
        return bool(found)

    assert comes(free)
    return found[0]


def test_nobody_but_the_owner_reaches_the_security_module(tmp_path: Path) -> None:
    """It has no TCP port, and its socket is in a folder that only the owner may enter."""
    data = tmp_path / "data"
    with up(data) as (process, ready):
        module = part(process, "hsm")
        assert set() == ports(module)
        address = parse_address(tomllib.loads((data / "switch.toml").read_text())["hsm"]["address"])
        assert isinstance(address, UnixAddress)
        for path, kind in ((address.path, stat.S_IFSOCK), (address.path.parent, stat.S_IFDIR)):
            assert kind | 0o700 == path.stat().st_mode
        shown = {port_of(ready[name]) for name in ("pos", "http")}
        assert shown == ports(part(process, "serve"))
        assert terminal(data, "sign-on")["outcome"] == "approved"
        os.kill(module, signal.SIGKILL)
        assert gone(module)
        assert sells(data)
    assert not address.path.parent.exists()
    assert not list(data.glob("*hsm*sock*"))


def test_a_security_module_that_strangers_hold_keeps_the_switch_nowhere(tmp_path: Path) -> None:
    """Where its port was asked for, the switch has places of its own: it returns and sells."""
    data = tmp_path / "data"
    with up(data, "--hsm-port", "0") as (process, ready):
        port = port_of(ready["hsm"])
        assert {port} == ports(part(process, "hsm"))
        assert terminal(data, "sign-on")["outcome"] == "approved"
        strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(64)]
        for stranger in strangers:
            stranger.sendall(NC)
            assert b"ND00" in stranger.recv(100)
        switch = part(process, "serve")
        os.kill(switch, signal.SIGKILL)
        assert gone(switch)
        assert sells(data)
        for stranger in strangers:
            stranger.close()


def test_what_cannot_start_again_is_tried_until_it_can(tmp_path: Path) -> None:
    """The switch's port is taken while it is down: told each time, and it returns in the end."""
    data, log = tmp_path / "data", tmp_path / "up.log"
    failed = "switch ended with exit code 2 before it was ready"
    with up(data) as (process, ready):
        assert terminal(data, "sign-on")["outcome"] == "approved"
        for starts in (2, 1):
            wanted = log.read_text().count(failed) + starts
            switch = part(process, "serve")
            os.kill(switch, signal.SIGKILL)
            with taken(port_of(ready["pos"])):
                assert comes(partial(has, log, failed, wanted))
                if starts == 1:
                    process.terminate()
                    assert process.wait(HANG_S) == 0
            assert starts == 1 or sells(data)
    assert "was killed by signal 9" in log.read_text()


def test_a_stop_while_it_starts_is_a_stop(tmp_path: Path) -> None:
    """SIGTERM before the ready line: exit code 0, no line, and no child is left."""
    command = (*PROGRAM, "up", "--data", str(tmp_path / "data"))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert comes(lambda: bool(runs(process, "hsm")))
    parts = children(process)
    process.terminate()
    output, _ = process.communicate(timeout=HANG_S)
    assert (0, b"") == (process.returncode, output)
    assert all(gone(pid) for pid in parts)


def test_paths_of_the_command_line_are_relative_to_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Estate, dialect and SQLite books, whatever folder the parts keep theirs in."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(demo_estate_path(), "est.toml")
    dialect = resources.files("acquirer.codecs").joinpath("dialects/iso87_ascii.toml").read_text()
    Path("mine.toml").write_text(dialect)
    files = ("--estate", "est.toml", "--bank-dialect", "mine.toml")
    with up(Path("up3"), *files, "--database-url", "sqlite:///books.sqlite3"):
        assert "approved" == terminal(Path("up3"), "sign-on")["outcome"]
        assert sells(Path("up3"))
    assert Path("books.sqlite3").exists()
    assert 0 == acquirer("ledger", "verify", "--data", "up3").returncode
