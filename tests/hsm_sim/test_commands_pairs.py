"""Request and reply pairs from public sources."""

import json
from pathlib import Path
from typing import Literal, TypedDict, cast

import pytest

from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.state import Settings

VECTORS = Path(__file__).parents[1] / "vectors"


class Pair(TypedDict):
    """One line of the vector files."""

    id: str
    lmk: str
    zmk_length: Literal["single", "double"]
    request: str
    reply: str


def pairs(name: str) -> list[Pair]:
    """The pairs of a file that belong to the variant LMK."""
    found = json.loads((VECTORS / name).read_text())["pairs"]
    return cast("list[Pair]", [pair for pair in found if pair.get("lmk", "00") == "00"])


def name_of(pair: Pair) -> str:
    """The test's id."""
    return pair["id"]


@pytest.mark.parametrize("pair", pairs("payshield.json"), ids=name_of)
def test_shared_pairs(pair: Pair) -> None:
    """The module answers as the published replies say."""
    module = SecurityModule.with_test_lmks(Settings(header_length=0, test_lmk=True))
    assert pair["reply"] == module.execute(pair["request"].encode()).decode()


@pytest.mark.parametrize("pair", pairs("payshield_variant.json"), ids=name_of)
def test_variant_pairs(pair: Pair) -> None:
    """The same for a public simulator's tests, with its setting for the length of ZMKs."""
    module = SecurityModule.with_test_lmks(
        Settings(header_length=0, test_lmk=True, zmk_length=pair["zmk_length"])
    )
    assert pair["reply"] == module.execute(pair["request"].encode()).decode()
