"""How many requests each terminal has under way. Pure."""

from __future__ import annotations


class AtOnce:
    """Counts of this process; ``processes/terminal_counts.py`` adds those of others."""

    def __init__(self) -> None:
        self._here: dict[str, int] = {}

    def enter(self, terminal_id: str) -> int:
        """One more is under way; how many there were before it.

        >>> counts = AtOnce()
        >>> counts.enter("10000001"), counts.enter("10000001"), counts.leave("10000001")
        (0, 1, None)
        >>> counts.enter("10000001"), counts.enter("10000002")
        (1, 0)
        """
        before = self._here.get(terminal_id, 0)
        self._here[terminal_id] = before + 1
        return before

    def leave(self, terminal_id: str) -> None:
        """One less is."""
        left = self._here[terminal_id] - 1
        if left:
            self._here[terminal_id] = left
        else:
            del self._here[terminal_id]

    def here(self, terminal_id: str) -> int:
        """How many are under way in this process."""
        return self._here.get(terminal_id, 0)
