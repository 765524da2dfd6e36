"""The folder of ``acquirer up``: who works in it, and what of an earlier start must not change."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from acquirer.config.loading import ConfigError, load
from acquirer.ledger.store.book_files import book_files
from acquirer.simulation.provision import new_data_key, new_operator_token

BOOKS, SHOWN = "switch.sqlite3", "up.json"


class _KeptDatabase(msgspec.Struct, frozen=True):
    url: str


class Kept(msgspec.Struct, frozen=True):
    """What a folder's switch file, of whatever release, has that must not change."""

    database: _KeptDatabase
    data_key: str
    data_key_dek: str
    operator_token: str = ""
    order_hosts: list[dict[str, Any]] = []


def lock_folder(data: Path) -> IO[bytes]:
    """Keep a second ``up`` off a folder before it writes anything there."""
    lock = (data / ".up.lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise ConfigError(data, "", "another acquirer up is running on this folder") from None
    return lock


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A folder of mode 0700 for sockets; not the data folder, since books are copied with it."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    is_ours = runtime.is_absolute() and runtime.is_dir() and runtime.stat().st_uid == os.geteuid()
    with tempfile.TemporaryDirectory(
        prefix="acquirer-", dir=runtime if is_ours else None, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def kept_settings(data: Path) -> Kept | None:
    """The switch's file of an earlier start; None in a folder that there was none in.

    Raises:
        ConfigError: it is gone, and books are there whose card numbers only its data key opens.
    """
    config = data / "switch.toml"
    if config.exists():
        return load(config, Kept)
    if left := [path.name for path in (*book_files(data / BOOKS), data / SHOWN) if path.exists()]:
        reason = (
            f"is gone, but {', '.join(left)} says that there are books, whose card numbers only "
            "its data_key opens; put it back from the backup, or take an empty folder"
        )
        raise ConfigError(config, "", reason)
    return None


async def folder_secrets(kept: Kept | None, hsm: str) -> dict[str, str]:
    """Data key and operator token of a folder, made at its first start and kept ever after."""
    if kept is not None:
        keys = {"data_key": kept.data_key, "data_key_dek": kept.data_key_dek}
        return {**keys, "operator_token": kept.operator_token or new_operator_token()}
    return {**await new_data_key(hsm), "operator_token": new_operator_token()}
