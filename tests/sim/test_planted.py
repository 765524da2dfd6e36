"""Bugs planted on purpose are caught, each within a few days; the list must fit the source."""

from pathlib import Path

import pytest

from acquirer.cli.simulate import catch
from acquirer.simulation.planting import Plant, PlantingError, load_plants, patched

FILE = Path(__file__).with_name("planted.toml")
PLANTS = load_plants(FILE)
DAYS_MAX = 15


def test_there_are_at_least_ten() -> None:
    """The issue's bar."""
    assert 10 <= len({plant.name for plant in PLANTS})


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_is_caught(plant: Plant) -> None:
    """From the seed that is known to catch it, within a few days."""
    _, took, finding = catch(FILE, plant.name, plant.seed, DAYS_MAX)
    assert took, finding or f"not caught in {DAYS_MAX} days"


def test_a_line_that_has_gone_is_an_error() -> None:
    """The list cannot rot unseen."""
    plant = Plant("x", "acquirer.none", "gone = 1", "gone = 2")
    with pytest.raises(PlantingError, match="has 0 lines"):
        patched("here = 1\n", plant)
