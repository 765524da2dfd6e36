"""What ``acquirer config diff`` tells of a difference."""

from __future__ import annotations

from acquirer.cli.config import told_members
from acquirer.switch.configuration.documents import Difference


def test_a_changed_body_is_told_with_its_values_before_and_after() -> None:
    """A new fee stands beside the old one; of a body that comes or goes the names are enough."""
    members = {"mdr_basis_points": (60, 100), "cash_limit_minor": (None, 5)}
    changed = Difference("merchant", "8981", "changed", members)
    assert told_members(changed) == "mdr_basis_points: 60 → 100, cash_limit_minor: none → 5"
    removed = Difference(
        "merchant", "8981", "removed", {"name": ("Tea", None), "mcc": ("5499", None)}
    )
    assert told_members(removed) == "name, mcc"
