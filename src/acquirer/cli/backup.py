"""``acquirer ledger backup`` and ``restored``: SQLite books copied, and brought back.

A copy is taken beside the running switch and is one state of the books. PostgreSQL has tools of
its own; what was restored by them is finished by ``restored``, too. Source: SQLite Online Backup
API; docs/operations.md, "Backup and restore".
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from acquirer.cli.books import AsJson, Config, Data, database_of, open_books
from acquirer.cli.process import fail
from acquirer.cli.screen import counted, print_json, say
from acquirer.ledger.accounts.verify import Verified, verify
from acquirer.ledger.errors import BooksDiffer, LedgerError
from acquirer.ledger.store.database import Database
from acquirer.switch.restored import make_fit
from acquirer.switch.surroundings import wall_ms


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; must not exist yet.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Copy the books beside the running switch, and verify the copy.

    Example: acquirer ledger backup /backup/monday.sqlite3 --data shop
    """
    database = database_of(data, config)
    if database.file is None:
        fail("only SQLite books are copied by this command; use pg_basebackup or pg_dump")
    _make(file)
    try:
        source = f"{database.file.resolve().as_uri()}?mode=ro"
        with (
            closing(sqlite3.connect(source, uri=True)) as books,
            closing(sqlite3.connect(file)) as copy,
        ):
            books.backup(copy)
    except sqlite3.Error as error:
        file.unlink()
        fail(f"the books cannot be copied to {file}: {error}")
    with Database(f"sqlite:///{file.resolve()}").read_only_engine().connect() as connection:
        _tell(_verified(connection), as_json, f"{file} agrees with itself")


def restored(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Make restored books fit for use, before the switch starts on them again.

    Verifies them and skips numbers, so that none is used again that went out to a bank after the
    copy was taken. What those transactions were is for reconciliation to say.

    Example: acquirer ledger restored --data shop
    """
    database = database_of(data, config)
    with open_books(data, config) as connection:
        found = _verified(connection)
    try:
        make_fit(database, wall_ms())
    except (LedgerError, OSError) as error:
        fail(f"stop the switch first: {error}")
    except database.errors as error:
        fail("the books cannot be written: " + str(error).partition("\n")[0])
    _tell(found, as_json, "the books are fit for use; numbers were skipped")


def _make(file: Path) -> None:
    """Make the empty file of a copy, readable by its owner only; no link is followed."""
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        fail(f"{file} exists already; name another file")
    except FileNotFoundError:
        fail(f"{file}: no folder {file.parent}; make it first")
    except OSError as error:
        fail(error)


def _verified(connection: Connection) -> Verified:
    try:
        return verify(connection)
    except BooksDiffer as error:
        say(f"acquirer: the books differ: {error}", err=True)
        raise typer.Exit(1) from None


def _tell(found: Verified, as_json: bool, text: str) -> None:
    counts = asdict(found)
    if as_json:
        print_json({"verified": True, "counts": counts})
    else:
        say(f"{text}: {counted(counts)}")
