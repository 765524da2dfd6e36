"""What a newcomer types wrong: the complaint names it and says what would do; never a traceback."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from acquirer import __version__
from acquirer.cli import main as command_line
from acquirer.cli.main import application

SHOP = ("--data", "shop")
TERMINAL = ("terminal", "--tid", "10000001", *SHOP)
CASES = {
    "folder": ("couriers list --data nowhere", "nowhere is no folder"),
    "folder of books": ("journal list --data nowhere", "nowhere is no folder"),
    "folder of a terminal": ("terminal --tid 10000001 --data nowhere status", "no folder nowhere"),
    "no switch here": ("couriers list --data shop", "shop/switch.toml: no such file; has a switch"),
    "no switch file": ("links --config nowhere.toml", "nowhere.toml: no such file; has a switch"),
    "no switch there": ("links --data off", "127.0.0.1:9: Connection refused; start it with"),
    "copy": ("ledger backup nowhere/x --data books", "nowhere/x: no folder nowhere"),
    "bank's books": ("bank-sim totals --data shop", "shop: no bank-sim.sqlite3 here; has"),
    "merchant's books": ("order-sim orders --data shop", "shop: no order-sim.sqlite3 here; has"),
    "port of the bank": ("bank-sim --data x --listen 127.0.0.1:99999", "'127.0.0.1:99999' is not"),
    "terminal": ("terminal --tid 777 --data shop status", "no terminal '777' in the estate"),
    "amount": ("TERMINAL sale --amount -5 --card alice", "'-5' is no amount: 1 to 10 digits"),
    "entry": ("TERMINAL sale --amount 5 --card alice --entry x", "'x' is none of stripe, chip"),
    "field": ("TERMINAL order-pay SP1 --field floor", "'floor' is no NAME=VALUE"),
    "hand-in": ("couriers hand-in C1 --amount 1.234 --data off", "'1.234' is no amount"),
    "dead letter": ("saf retry 99999999999999999999 --data off", "less than or equal to"),
    "log level": ("up --log-level loud --data x", "'loud' is no log level: debug, info"),
    "folder that is a file": ("up --data file", "file: is no folder"),
    "planted bugs": ("simulate --planted nowhere.toml", "nowhere.toml: No such file"),
    "no list of planted bugs": ("simulate --planted file", "file: no list of planted bugs"),
    "LMK": ("hsm key generate --test-lmks --lmk 55", "no LMK 55 is loaded; there are 00, 01, 02"),
    "default LMK": ("hsm --test-lmks --default-lmk 55", "LMK 55 is not loaded; there are 00, 01"),
    "key type": ("hsm key explain --test-lmks U --type 888", "`acquirer hsm key types` lists"),
    "hexadecimal digits": ("decode 02x0", "not hexadecimal: 'x'"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: an empty one, a switch that is off, books, and a file."""
    monkeypatch.chdir(tmp_path)
    # What a command sets for its process must not stay with the tests that follow.
    monkeypatch.setenv("ACQUIRER_LOG_LEVEL", "info")
    monkeypatch.setattr(structlog, "configure", lambda **_: None)
    for name in ("shop", "off", "books"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("x = 1\n")
    empty = "".join(f"{name} = []\n" for name in ("banks", "routes", "profiles", "terminals"))
    top = f'{empty}merchants = []\noperator_token = "t"\n'
    listen = '[business_day]\nzone = "UTC"\n[listen]\nhttp = "127.0.0.1:9"\n[database]\nurl = "sqlite:///switch.sqlite3"\n'
    (tmp_path / "off" / "switch.toml").write_text(top + listen)
    sqlite3.connect(tmp_path / "books" / "switch.sqlite3").close()
    return tmp_path


@pytest.mark.parametrize(("line", "named"), CASES.values(), ids=CASES)
def test_the_complaint_names_the_thing_and_the_cure(here: Path, line: str, named: str) -> None:
    """Exit code 1 or 2, the reason on one of the two streams, and no folder that nobody wanted."""
    words = line.replace("TERMINAL", " ".join(TERMINAL)).split()
    found = CliRunner().invoke(application(words[0]), words)
    told = " ".join(found.output.replace("│", " ").split())
    assert found.exit_code in (1, 2), told
    assert named in told
    assert not (here / "nowhere").exists()


@pytest.fixture
def run_main(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The program's entry, without what it does to its process."""
    monkeypatch.setattr(command_line, "make_files_private", lambda: None)
    monkeypatch.setattr(command_line, "die_with_parent", lambda: None)

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["acquirer", *arguments])
        command_line.main()

    return run


def test_an_argument_that_is_no_text(
    run_main: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes of another encoding end with one line that says which argument it is."""
    with pytest.raises(SystemExit) as end:
        run_main("journal", "show", "63\udcff", "--data", "x")
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("acquirer: argument 3 ('63\\udcff') is no text")
    assert "\n" not in told.strip()


def test_the_version_is_told(
    run_main: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """`acquirer --version` says the package's."""
    run_main("--version")
    assert capsys.readouterr().out == f"acquirer {__version__}\n"
