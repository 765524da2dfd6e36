"""What can go wrong in the order system simulator, sorted by who must act."""

from __future__ import annotations


class OrderSimError(Exception):
    """Root of this folder's errors."""


class NotSignedError(OrderSimError):
    """The sender could not show that the merchant's secret is known to it; answered 401."""


class StoreError(OrderSimError):
    """The books cannot be read or written; answered 503, and nothing was written."""


class NoBooksError(OrderSimError):
    """The folder holds no books of this simulator; the operator named a wrong one."""
