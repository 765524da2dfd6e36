"""Bugs planted on purpose are caught, each within a few days; the list must fit the source."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from acquirer.simulation.day import TROUBLES
from acquirer.simulation.planting import Plant, Planter, PlantingError, load_plants, patched

FILE = Path(__file__).with_name("planted.toml")
PLANTS = load_plants(FILE)
DAYS_MAX = 15


@pytest.fixture(scope="module")
def planter() -> Iterator[Planter]:
    """Plants them in a process of its own."""
    with Planter(FILE) as planter:
        yield planter


def test_each_trouble_has_its_bug() -> None:
    """And no two bugs have one name."""
    names = [plant.name for plant in PLANTS]
    assert len(names) == len(set(names))
    assert TROUBLES.keys() == {plant.trouble for plant in PLANTS} - {""}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_is_caught(planter: Planter, plant: Plant) -> None:
    """From the seed that is known to catch it, within a few days."""
    took, finding = planter.catch(plant.name, plant.seed, DAYS_MAX, plant.payments)
    assert took, finding or f"not caught in {DAYS_MAX} days"


def test_a_line_that_has_gone_is_an_error() -> None:
    """The list cannot rot unseen."""
    plant = Plant("x", "acquirer.none", "gone = 1", "gone = 2")
    with pytest.raises(PlantingError, match="has 0 lines"):
        patched("here = 1\n", plant)
