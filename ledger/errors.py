"""What can go wrong with the books, sorted by what the caller may still believe.

After :class:`BookBusy` and :class:`BookUnavailable` certainly nothing was written; after
:class:`BookUncertain` the unit may have been. A condition that does not hold is no error but a
value, ``entries.Failed``.
"""

from __future__ import annotations


class LedgerError(Exception):
    """Root of this folder's errors."""


class BookError(LedgerError):
    """The books did not take a unit, or may not have."""


class BookBusy(BookError):
    """The queue before the writer is full; nothing was written. Shed load."""


class BookUnavailable(BookError):
    """The database refused, is locked, full or gone; nothing was written."""


class UnitRefused(BookUnavailable):
    """The unit itself is wrong (illegal state change, broken constraint): a bug of the caller.

    Nothing of it was written; other units of its group were not hurt.
    """


class BookUncertain(BookError):
    """The connection was lost during COMMIT: the unit may have been written, or not."""


class BooksGone(BookUncertain):
    """The books are not those that this process opened: moved, deleted, replaced, or older.

    What was written may be nowhere, and what is read may not hold. Nothing may be answered.
    """


class BooksMissing(LedgerError):
    """There are no books where there must be some: new ones would hide that."""

    def __init__(self, reason: str) -> None:
        cure = 'put them back, or restore a copy (docs/operations.md, "books_gone")'
        super().__init__(f"{reason}: {cure}")


class InstanceTaken(LedgerError):
    """Another process already runs as this instance, or on this data folder."""


class SchemaError(LedgerError):
    """The database is not what this version of the program needs; the operator must act."""


class BooksDiffer(LedgerError):
    """The books do not agree with themselves: stop and find out why."""
