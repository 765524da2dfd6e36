"""Reading the books for a command: which database, a read-only connection, how it is shown.

Works beside a running switch: takes no lock, writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import msgspec
import typer
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from acquirer.cli.process import fail
from acquirer.cli.screen import Screen
from acquirer.config.loading import ConfigError, load
from acquirer.ledger.errors import LedgerError
from acquirer.ledger.store.configuration import config_history
from acquirer.ledger.store.database import Database
from acquirer.payments.kernel.calendar import time_zone

Data = Annotated[
    Path | None, typer.Option("--data", help="Data folder of `acquirer up` or `acquirer serve`.")
]
Config = Annotated[Path | None, typer.Option("--config", help="The switch's configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


_MERCHANT_ID = re.compile(r"[0-9]{15}")


class _DatabaseTable(msgspec.Struct, frozen=True):
    url: str


class _BusinessDayTable(msgspec.Struct, frozen=True):
    zone: str


class _SwitchFile(msgspec.Struct, frozen=True):
    """The only tables of the switch's file that are read here."""

    database: _DatabaseTable
    business_day: _BusinessDayTable = _BusinessDayTable("UTC")


class _Merchant(msgspec.Struct, frozen=True):
    """What is shown of a merchant's body in the configuration."""

    name: str = ""
    currency_code: str = "156"


# By whose time and names a command shows what happened: those of the books opened last.
_ZONE: ContextVar[tzinfo] = ContextVar("zone", default=UTC)
_MERCHANTS: ContextVar[Mapping[str, _Merchant]] = ContextVar(
    "merchants", default=MappingProxyType({})
)


def switch_file(data: Path | None, config: Path | None) -> Path:
    """The switch's configuration file that a command was pointed to; else exit code 2."""
    if (data is None) == (config is None):
        raise typer.BadParameter("give either --data or --config")
    if config is not None:
        return config
    assert data is not None
    if not data.is_dir():
        reason = f"{data} is no folder; give that of `acquirer up --data`"
        raise typer.BadParameter(reason, param_hint="--data")
    return data / "switch.toml"


def database_of(data: Path | None, config: Path | None) -> Database:
    """The database that a command was pointed to; what is wrong ends it with code 2."""
    file = switch_file(data, config)
    try:
        database = Database(_database_url(data, config))
    except ConfigError as error:
        fail(error)
    except LedgerError as error:
        fail(ConfigError(file, "database.url", str(error)))
    if database.file is not None and not database.file.is_file():
        fail(f"{database.file}: no such database; has a switch run here?")
    return database


@contextmanager
def open_books(data: Path | None, config: Path | None) -> Iterator[Connection]:
    """A read-only connection in one transaction; what is wrong ends the command with code 2."""
    database = database_of(data, config)
    _ZONE.set(_zone(data, config))
    try:
        engine = database.read_only_engine()
        with engine.connect() as connection:
            if not inspect(connection).has_table("transfers"):
                fail("the database has no books; has a switch run here?")
            _MERCHANTS.set(_merchants(connection))
            yield connection
    except LedgerError as error:
        fail(error)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        fail(f"the books cannot be read: {reason}; does the database run, is database.url right?")


def _database_url(data: Path | None, config: Path | None) -> str:
    path = switch_file(data, config)
    if _has_no_file(path, config):
        return f"sqlite:///{path.with_name('switch.sqlite3')}"
    url = load(path, _SwitchFile).database.url
    file = url.removeprefix("sqlite:///")
    return url if file == url else f"sqlite:///{path.parent / file}"


def _has_no_file(path: Path, config: Path | None) -> bool:
    """Whether there are only books, such as a copy of them in a folder."""
    return config is None and not path.exists()


def _zone(data: Path | None, config: Path | None) -> tzinfo:
    path = switch_file(data, config)
    if _has_no_file(path, config):
        return UTC
    try:
        return time_zone(load(path, _SwitchFile).business_day.zone)
    except ValueError as error:
        fail(ConfigError(path, "business_day.zone", str(error)))


def zone() -> tzinfo:
    """The time zone of the books that were opened last; UTC before that."""
    return _ZONE.get()


def show_time(at_ms: int) -> str:
    """A time to the second, by the books' zone, with its distance from UTC."""
    shown = datetime.fromtimestamp(at_ms / 1000, zone())
    return f"{shown:%Y-%m-%d %H:%M:%S}{shown.isoformat()[-6:]}"


def _merchants(connection: Connection) -> dict[str, _Merchant]:
    """Merchants by id, as the configuration has them or had them last."""
    if not inspect(connection).has_table("config_versions"):
        return {}
    bodies = {one.key: one.body for one in config_history(connection, ("merchant",)) if one.body}
    return {id: msgspec.json.decode(body, type=_Merchant) for id, body in bodies.items()}


def show_merchant(merchant_id: str) -> str:
    """A merchant's name; its id where none is known."""
    found = _MERCHANTS.get().get(merchant_id)
    return found.name if found and found.name else merchant_id


def merchants_named(text: str) -> list[str]:
    """Ids of the merchants of that id, or with that in their names, whose case does not matter."""
    names = {id: one.name.casefold() for id, one in _MERCHANTS.get().items()}
    is_id = text in names or _MERCHANT_ID.fullmatch(text)
    return [text] if is_id else [id for id, name in names.items() if text.casefold() in name]


def merchants_currencies() -> list[str]:
    """Numeric codes of the currencies that merchants are paid in."""
    return sorted({one.currency_code for one in _MERCHANTS.get().values()} or {"156"})


def console() -> Screen:
    """Where tables go; into a pipe or a file they are not squeezed to a terminal's width."""
    return Screen()
