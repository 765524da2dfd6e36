"""The kinds of columns that the books' tables are made of, on SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Identity, LargeBinary, Text, text
from sqlalchemy.dialects import sqlite

# A transfer's id is its writer's chain number times this, plus its place in that chain: unique
# without asking anybody, and in the order of the chain.
CHAIN_LENGTH_MAX = 1 << 40

# SQLite's STRICT tables know INTEGER, TEXT and BLOB only.
BigInt = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Flag = Boolean().with_variant(sqlite.INTEGER(), "sqlite")
Bytes = LargeBinary().with_variant(sqlite.BLOB(), "sqlite")


def text_column(name: str, default: str | None = None) -> Column[str]:
    """Text that is never NULL."""
    server_default = None if default is None else text(f"'{default}'")
    return Column(name, Text, nullable=False, server_default=server_default)


def integer(name: str, default: int | None = None) -> Column[int]:
    """A whole number that is never NULL."""
    server_default = None if default is None else text(str(default))
    return Column(name, BigInt, nullable=False, server_default=server_default)


def maybe_integer(name: str) -> Column[int]:
    """A whole number, or NULL."""
    return Column(name, BigInt, nullable=True)


def number_key(name: str) -> Column[int]:
    """A key that the database counts up itself."""
    return Column(name, BigInt, Identity(always=False), primary_key=True)


def given_key(name: str) -> Column[int]:
    """A key that the program makes; PostgreSQL must not add a sequence of its own."""
    return Column(name, BigInt, primary_key=True, autoincrement=False)
