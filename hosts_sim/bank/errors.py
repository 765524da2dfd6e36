"""What can go wrong in the bank core simulator besides a decline, which is a value."""

from __future__ import annotations


class BankSimError(Exception):
    """Root of this folder's errors."""


class BooksError(BankSimError):
    """The books cannot be opened or read; the operator must mend it."""


class ControlError(BankSimError):
    """No simulator answers, or it refuses a change of its rules; the text says why."""
