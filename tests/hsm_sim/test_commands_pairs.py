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
    encoding: str
    zmk_length: Literal["single", "double"]
    request: str
    reply: str


def pairs(name: str) -> list[Pair]:
    """The pairs of a file."""
    return cast("list[Pair]", json.loads((VECTORS / name).read_text())["pairs"])


def name_of(pair: Pair) -> str:
    """The test's id."""
    return pair["id"]


@pytest.mark.parametrize("pair", pairs("payshield.json"), ids=name_of)
def test_shared_pairs(pair: Pair) -> None:
    """The module answers as the published replies say."""
    module = SecurityModule.with_test_lmks(
        Settings(header_length=0, test_lmk=True), default_lmk=pair["lmk"]
    )
    decode = bytes.fromhex if pair["encoding"] == "hex" else str.encode
    request, reply = decode(pair["request"]), decode(pair["reply"])
    assert reply == module.execute(request)


@pytest.mark.parametrize("pair", pairs("payshield_key_block.json"), ids=name_of)
def test_key_block_pairs(pair: Pair) -> None:
    """The module answers as a real one did under the published TDES key block LMK."""
    module = SecurityModule.with_test_lmks(
        Settings(header_length=0, test_lmk=True, pin_digits_max=6)
    )
    decode = bytes.fromhex if pair["encoding"] == "hex" else str.encode
    assert decode(pair["reply"]) == module.execute(decode(pair["request"]))


@pytest.mark.parametrize("pair", pairs("payshield_variant.json"), ids=name_of)
def test_variant_pairs(pair: Pair) -> None:
    """The same for a public simulator's tests, with its setting for the length of ZMKs."""
    module = SecurityModule.with_test_lmks(
        Settings(header_length=0, test_lmk=True, zmk_length=pair["zmk_length"])
    )
    assert pair["reply"] == module.execute(pair["request"].encode()).decode()
