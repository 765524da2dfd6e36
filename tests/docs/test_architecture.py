"""``ARCHITECTURE.md`` shows the states of an entry as the code has them."""

from pathlib import Path

from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.states import CHANGES

PAGE = Path(__file__).parents[2] / "ARCHITECTURE.md"


def states_table() -> str:
    """A row a state, with the states that may follow."""
    rows = ["| state | may become |", "|---|---|"]
    for state in State:
        after = ", ".join(f"`{one}`" for one in State if one in CHANGES[state])
        rows.append(f"| `{state}` | {after or 'final'} |")
    return "\n".join(rows) + "\n"


def test_the_table_of_states_is_the_codes() -> None:
    """Every state and every legal change."""
    shown = PAGE.read_text("utf-8").partition("<!-- states -->\n")[2].partition("<!-- /states")[0]
    assert states_table() == shown
