"""Two switches on one PostgreSQL; each race runs ``ROUNDS`` times."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from race_estate import OpenPair, race_estate
from served import Pair, opened_pair


@pytest.fixture
def open_pair(tmp_path: Path, postgresql_url: str) -> OpenPair:
    """Opens two switches on one database; ``changes`` and ``bank_rules`` as a world has them."""

    def open_one(
        changes: dict[str, Any] | None = None, **attributes: Any
    ) -> AbstractAsyncContextManager[Pair]:
        return opened_pair(tmp_path, postgresql_url, race_estate(), changes or {}, **attributes)

    return open_one
