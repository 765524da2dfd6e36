"""What the commands write is for its owner only, from the first instant, whatever the shell."""

import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from estate_process import acquirer, terminal, up

from acquirer.config.loading import ConfigError
from acquirer.config.private import own_folder


def open_to_others(folder: Path) -> set[str]:
    """Names and modes of what group or others have any right on, in a folder and itself."""
    found = set()
    for path in (folder, *folder.rglob("*")):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if mode & 0o077 and not stat.S_ISLNK(mode):
            found.add(f"{path.name} {stat.filemode(mode)}")
    return found


@contextmanager
def watched(folder: Path) -> Iterator[set[str]]:
    """Look at a folder without a pause; yields all that was ever open to others in it."""
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.update(open_to_others(folder) if folder.exists() else ())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def test_nothing_of_a_day_can_be_read_by_others(tmp_path: Path) -> None:
    """Books and their logs, configuration, terminals' states, a copy of the books, reports."""
    data, out = tmp_path / "data", tmp_path / "out"
    out.mkdir(mode=0o700)
    with watched(data) as seen, up(data):
        assert terminal(data, "sign-on")["outcome"] == "approved"
        assert terminal(data, "sale", "--amount", "1.00", "--card", "bob")["outcome"] == "approved"
        for command in (
            ("ledger", "backup", str(out / "copy.sqlite3")),
            ("report", "--xlsx", str(out / "report.xlsx"), "--png", str(out / "report.png")),
        ):
            ran = acquirer(*command, "--data", str(data))
            assert ran.returncode == 0, ran.stderr.decode()
        beside = {f"switch.sqlite3{end}" for end in ("", "-wal", "-shm", ".lock")}
        assert beside <= {path.name for path in data.iterdir()}
        assert set() == open_to_others(data) | open_to_others(out)
    assert set() == seen | open_to_others(data)
    assert {"copy.sqlite3", "report.xlsx", "report.png"} <= {path.name for path in out.iterdir()}


def test_every_program_makes_its_files_for_its_owner(tmp_path: Path) -> None:
    """Master keys and the terminals' states, in folders that are made on the way."""
    words = tmp_path / "words"
    words.write_text("a passphrase of the test\n")
    words.chmod(0o600)
    passphrases = ("--component-passphrase-file", str(words)) * 3
    made = acquirer("hsm", "lmk", "generate", str(tmp_path), *passphrases)
    assert made.returncode == 0, made.stderr.decode()
    state = tmp_path / "till" / "state.json"
    acquirer("terminal", "--tid", "10000001", "--state", str(state), "--port", "1", "sign-on")
    assert state.parent.is_dir()
    assert set() == open_to_others(tmp_path)


def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    """With the files that an earlier release left in it; links lead to others' things."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    for file in (data / "switch.sqlite3", data / "up.json", elsewhere):
        file.write_text("x")
    (data / "link").symlink_to(elsewhere)
    for path in (data, *data.iterdir(), elsewhere):
        path.chmod(0o755)
    own_folder(data)
    assert set() == open_to_others(data)
    assert 0o755 == stat.S_IMODE(elsewhere.stat().st_mode)


def test_a_folder_that_is_shared_is_refused(tmp_path: Path) -> None:
    """Nobody's data folder is /tmp; it is not closed to the others there."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(ConfigError, match="shared with other users"):
        own_folder(shared)
    assert 0o1777 == stat.S_IMODE(shared.stat().st_mode)
