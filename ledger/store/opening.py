"""What the first connection to the books needs, and what each later one takes again."""

from __future__ import annotations

from collections.abc import Callable

from acquirer.ledger.store import instances
from acquirer.ledger.store.database import Session
from acquirer.ledger.store.migrate import migrate


class Opening:
    """The tables, the instance's lock, an incarnation.

    Attributes:
        owner: the incarnation's name; empty before the first connection.
    """

    def __init__(self, instance: str, clock_ms: Callable[[], int]) -> None:
        self._instance = instance
        self._clock_ms = clock_ms
        self.owner = ""

    def on_connect(self, session: Session) -> None:
        """Prepare the first connection; later ones only take the lock again."""
        if self.owner:
            if session.is_postgresql:
                instances.relock_name(session, self._instance)
            return
        if session.is_postgresql:
            instances.lock_name(session, self._instance)
        migrate(session)
        self.owner = instances.register(session, self._instance, self._clock_ms())
