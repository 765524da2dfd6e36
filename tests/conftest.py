"""Fixtures that every test may use."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on trio, as the product does."""
    return "trio"
