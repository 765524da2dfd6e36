"""The files of SQLite books: the database, what SQLite keeps beside it, and the lock."""

from __future__ import annotations

from pathlib import Path


def lock_file(file: Path) -> Path:
    """The file whose lock keeps a second switch off a database."""
    return file.with_name(f"{file.name}.lock")


def book_files(file: Path) -> tuple[Path, ...]:
    """All files of a database: itself, its log, the log's index, the lock."""
    beside = tuple(file.with_name(f"{file.name}{suffix}") for suffix in ("-wal", "-shm"))
    return (file, *beside, lock_file(file))
