"""The switch's books go while ``acquirer up`` runs, or before it starts: no new ones are made."""

import os
import signal
from pathlib import Path

import pytest
from estate_process import acquirer, gone, logged, part, sells, terminal, up
from limits import comes

pytestmark = pytest.mark.timeout(180)

REFUSED = "says that there were books: put them back, or restore a copy"


def test_books_that_are_moved_under_a_running_estate(tmp_path: Path) -> None:
    """No answer; the switch does not start without them, up waits; back again, it sells."""
    data, away = tmp_path / "data", tmp_path / "away"
    books = data / "switch.sqlite3"
    with up(data) as (process, _):
        assert terminal(data, "sign-on")["outcome"] == "approved"
        assert sells(data)
        books.rename(away)
        asked = ("--timeout", "2", "sale", "--amount", "1.00", "--card", "bob")
        assert terminal(data, *asked)["response_code"] == ""
        assert logged(tmp_path, '"alarm":"books_gone"')
        switch = part(process, "serve")
        os.kill(switch, signal.SIGKILL)
        assert gone(switch)
        assert logged(tmp_path, REFUSED)
        assert not books.exists()
        assert (data / "switch.sqlite3-wal").stat().st_size
        away.rename(books)
        assert sells(data)
    assert acquirer("ledger", "verify", "--data", str(data)).returncode == 0


def test_no_books_are_made_where_there_were_some(tmp_path: Path) -> None:
    """Exit code 2 with the cure, whether the books' lock is there still or only up's own files."""
    data = tmp_path / "data"
    with up(data):
        pass
    for left, sign in (
        ("switch.sqlite3.lock", "switch.sqlite3.lock"),
        ("", "database.create = false"),
    ):
        for path in data.glob("switch.sqlite3*"):
            if path.name != left:
                path.unlink()
        ran = acquirer("up", "--data", str(data))
        assert ran.returncode == 2
        assert f"{sign} {REFUSED}" in ran.stderr.decode()
        assert not (data / "switch.sqlite3").exists()
    (data / "up.json").unlink()
    with up(data):
        assert comes(lambda: (data / "switch.sqlite3").exists())


def test_a_folder_of_an_earlier_release_goes_on(tmp_path: Path) -> None:
    """Its switch's file knew an offset instead of a zone; the new one has the estate's zone."""
    data = tmp_path / "data"
    file = data / "switch.toml"
    with up(data):
        now = file.read_text()
    assert '[business_day]\nzone = "Asia/Shanghai"\n' in now
    head, _, rest = now.partition('[business_day]\nzone = "Asia/Shanghai"\n')
    file.write_text(f"utc_offset_minutes = 480\n{head}{rest}")
    with up(data):
        assert 'zone = "Asia/Shanghai"' in file.read_text()
        assert "utc_offset_minutes" not in file.read_text()
