"""Handlers alone: no socket, no database, no time that passes."""

from __future__ import annotations

from typing import Any

import pytest
from counter import Counter
from trio.testing import MockClock


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Async tests run on trio; what sleeps is woken at once."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def counter() -> Counter:
    """A merchant's counter, with books in memory; its courier is signed on."""
    return Counter()
