"""A terminal needs of an estate only what a terminal has; ``up`` says what it needs beside."""

from pathlib import Path

import msgspec
import pytest
from configuration_page import ESTATE_PAGE
from estate_process import acquirer, up

SHOWN = ESTATE_PAGE.read_text("utf-8").split("```toml estate\n")[1].split("```")[0]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The estate that the page shows."""
    file = tmp_path / "mine.toml"
    file.write_text(SHOWN)
    return file


def test_a_terminal_sells_with_the_page_s_smallest_estate(tmp_path: Path, mine: Path) -> None:
    """Against a switch that has it in an estate of its own."""
    with up(tmp_path / "data") as (_, ready):
        port = ready["pos"].rpartition(":")[2]
        state = ("--state", str(tmp_path / "state.json"))
        for step in ("sign-on", "sale --amount 12.50 --card alice", "void"):
            options = ("--tid", "10000001", "--port", port, *state, "--estate", str(mine))
            ran = acquirer("terminal", *options, "--json", *step.split())
            assert "approved" == msgspec.json.decode(ran.stdout)["outcome"], ran.stderr
        ran = acquirer("terminal", *options, "order-pay", "SP20261121001", "--cash")
        assert (1, True) == (ran.returncode, b"no courier of merchant" in ran.stderr), ran.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("", b"banks: needs one at least"),
        (BANK := """
[[banks]]
name = "demo"
acquirer_id = "00085500"
zmk = "ECC25208B6FD2023E9767A5489BC9415"
zpk = "6D61BA0EAED6548F1A86086208A886AB"
bins = ["622588"]
""", b"merchants: needs one at least"),
        (BANK + """
[[merchants]]
merchant_id = "898110053310009"
name = "Another"
mcc = "5411"
mdr_basis_points = 60
event_secret = "whsec_2IZxRbwSQ7MDXXoO4r0r6KF4/clfccX8"
""", b"terminals[0].merchant_id: no such merchant"),
    ],
    ids=["banks", "merchants", "terminals"],
)  # fmt: skip
def test_up_says_what_it_needs_beside(tmp_path: Path, mine: Path, more: str, words: bytes) -> None:
    """With file and place, before anything is started."""
    mine.write_text(SHOWN + more)
    ran = acquirer("up", "--data", str(tmp_path / "data"), "--estate", str(mine))
    assert 2 == ran.returncode
    assert words in ran.stderr, ran.stderr


def test_a_profile_that_is_not_there_is_named(tmp_path: Path, mine: Path) -> None:
    """With those that are; nothing is sent."""
    mine.write_text(SHOWN.replace("[[cards]]", 'profile = "x919"\n\n[[cards]]'))
    options = ("--tid", "10000001", "--port", "9", "--estate", str(mine))
    ran = acquirer("terminal", *options, "sign-on")
    assert (2, True) == (ran.returncode, b"'x919'; the estate has cup" in ran.stderr), ran.stderr


def test_a_card_without_a_pin_types_none(tmp_path: Path, mine: Path) -> None:
    """No PIN block, and an entry mode that says so."""
    mine.write_text(SHOWN.replace('pin = "9918"\n', ""))
    with up(tmp_path / "data") as (_, ready):
        port = ready["pos"].rpartition(":")[2]
        state = ("--state", str(tmp_path / "state.json"))
        options = ("--tid", "10000001", "--port", port, "--estate", str(mine), *state)
        assert 0 == acquirer("terminal", *options, "sign-on").returncode
        ran = acquirer("terminal", *options, "--hex", "sale", "--amount", "5.00", "--card", "alice")
        assert b"DE52" not in ran.stdout
        assert b"DE22  0220" in ran.stdout
