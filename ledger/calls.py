"""How a call of the books reaches the one writer; the base of what :class:`Book` offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acquirer.ledger.store.drivers import Driver
from acquirer.ledger.store.writer import Query


class Calls:
    """Calls of functions over the writer's session.

    Attributes:
        owner: this incarnation's name, for ``Entry.owner``.
    """

    def __init__(self, driver: Driver, owner: str) -> None:
        self.owner = owner
        self._driver = driver

    async def _read(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await self._driver.submit(Query(lambda session: call(session, *arguments)))

    async def _write(self, call: Callable[..., Any], *arguments: Any) -> Any:
        query = Query(lambda session: call(session, *arguments), writes=True)
        return await self._driver.submit(query)

    async def _changed(self, statement: Any, **parameters: Any) -> bool:
        return bool(
            await self._driver.submit(
                Query(lambda session: session.changed(statement, **parameters) == 1, writes=True)
            )
        )
