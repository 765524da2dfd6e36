"""The files of SQLite books: the database, what SQLite keeps beside it, and the lock.

A process that has them open goes on with them when their names lead elsewhere, or nowhere, and what
it writes then is in no books that anybody will open again. So :class:`BookFiles` remembers which
files they are. Before each answer it looks at their folder, whose time of change tells whether one
was made, moved or deleted in it; only then at them. The lock file is never removed and says whether
there ever were books; where it, or a log, is all that is left, new books would hide that. Knows
nothing of SQL.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from acquirer.ledger.errors import BooksMissing

SETTLED_NS = 3_000_000_000
"""A folder's time of change is trusted once it is so old: clocks of file systems are coarse."""
LOOK_S = 5.0
"""The files are looked at so often whatever their folder says."""
_MARK = b"There are books beside this file, or there were.\n"

Identity = tuple[int, int]


def lock_file(file: Path) -> Path:
    """The file whose lock keeps a second switch off a database."""
    return file.with_name(f"{file.name}.lock")


def _logs(file: Path) -> tuple[Path, Path]:
    """SQLite's log of a database, and the log's index: there while a connection is open."""
    return file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")


def book_files(file: Path) -> tuple[Path, ...]:
    """All files of a database: itself, its log, the log's index, the lock."""
    return (file, *_logs(file), lock_file(file))


class BookFiles:
    """The files that a process has open, and whether their names still lead to them.

    Args:
        file: the database.
        lock: its lock file, locked; the caller's to close.
    """

    def __init__(self, file: Path, lock: IO[bytes]) -> None:
        self._file = file
        self._lock = lock
        # Behind a link SQLite keeps the logs beside the file itself.
        self._logs = _logs(file.resolve())
        self._folder = "" if file.is_symlink() else str(file.parent.absolute())
        self._lasting: Mapping[Path, Identity] = {}
        self._open: Mapping[Path, Identity] = {}
        self._calm: tuple[int, int, int] | None = None
        self._look_at = 0.0

    @property
    def had_books(self) -> bool:
        """Whether there were books here at an earlier time."""
        return os.fstat(self._lock.fileno()).st_size > 0

    def check_for_books(self, may_create: bool) -> None:
        """See that there are books if there ever were, before SQLite makes new ones.

        Args:
            may_create: whether books may be made where nothing says that there were some.

        Raises:
            BooksMissing: they are gone.
        """
        if self._file.exists() and self._file.stat().st_size:
            return
        left = [path for path in self._logs if path.exists()]
        left += [lock_file(self._file)] if self.had_books else []
        signs = [path.name for path in left]
        if not (signs or may_create):
            signs = ["database.create = false"]
        if signs:
            reason = f"{self._file} is gone, but {', '.join(signs)} says that there were books"
            raise BooksMissing(reason)

    def opened(self) -> None:
        """A connection is open, and so the files are there; from now on they have to stay."""
        if not self.had_books:
            self._lock.write(_MARK)
            self._lock.flush()
            os.fsync(self._lock.fileno())
        self._lasting = self._lasting or _identities(self._file, lock_file(self._file))
        self._open = {**self._lasting, **_identities(*self._logs)}

    def closed(self) -> None:
        """No connection is open: the logs may go."""
        self._open = self._lasting

    def gone(self) -> str:
        """What has become of a file that ought to be there; empty where all are.

        Costs one look at the folder as long as nothing changes in it. Of any thread.
        """
        while True:
            known = self._open
            reason = self._look(known)
            if known is self._open:
                return reason

    def _look(self, known: Mapping[Path, Identity]) -> str:
        try:
            found = os.stat(self._folder)
        except OSError:
            folder = None
        else:
            folder = found.st_dev, found.st_ino, found.st_mtime_ns
        now = time.monotonic()
        if folder is not None and folder == self._calm and now < self._look_at:
            return ""
        reason = next((words for path in known if (words := _other(path, known[path]))), "")
        is_calm = folder is not None and time.time_ns() - folder[2] > SETTLED_NS and not reason
        self._calm, self._look_at = folder if is_calm else None, now + LOOK_S
        return reason


def _identities(*paths: Path) -> dict[Path, Identity]:
    """Of those that are there."""
    return {path: identity for path in paths if (identity := _identity(path))}


def _identity(path: Path) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _other(path: Path, known: Identity) -> str:
    found = _identity(path)
    if found == known:
        return ""
    return f"{path} is {'another file now' if found else 'gone'}"
