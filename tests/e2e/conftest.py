"""Estates for tests: ``open_world`` starts one; ``world`` is one shared by a test module."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from world import OpenWorld, World, opened_world


@pytest.fixture
def open_world(tmp_path: Path) -> OpenWorld:
    """Makes an estate of the test's own; ``url`` and ``changes`` as :class:`World` has them."""

    def open_one(**attributes: Any) -> AbstractAsyncContextManager[World]:
        return opened_world(tmp_path, **attributes)

    return open_one


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """An estate that the tests of a module share; all books must agree when they are done."""
    async with opened_world(tmp_path_factory.mktemp("estate")) as one:
        yield one
        await one.agree()


@pytest.fixture(scope="module")
async def patient_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """As ``world``, with a bank that is waited for on the slowest machine."""
    folder = tmp_path_factory.mktemp("patient")
    async with opened_world(folder, bank_timeout_s=15.0) as one:
        yield one
        await one.agree()
