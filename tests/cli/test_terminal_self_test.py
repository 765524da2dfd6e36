"""For who writes a terminal: its frames in hexadecimal, and what its MAC should have been."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from estate_process import acquirer, terminal, up
from sqlalchemy import create_engine, text

from acquirer.codecs.capture import open_capture
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.masked_hex import masked_hex
from acquirer.config.estate import load_estate

POS = load_dialect("cup_pos")
ALICE = next(card for card in load_estate().cards if card.name == "alice")
PAGE = Path(__file__).parents[2] / "docs" / "interfaces" / "terminal.md"


def frame_of(name: str) -> bytes:
    """A worked frame of the page."""
    block = PAGE.read_text("utf-8").split(f"```frame {name}\n")[1].split("```")[0]
    shown = [line.split("  ")[0 if not line.startswith("DE") else 1] for line in block.splitlines()]
    for index, line in enumerate(block.splitlines()):
        if line.startswith("DE"):
            shown[index] = line[4:].strip().split("  ")[0]
        elif line.startswith(" "):
            shown[index] = line.strip().split("  ")[0]
    return bytes.fromhex("".join(shown))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running estate whose first terminal has signed on and sold."""
    data = tmp_path_factory.mktemp("sandbox") / "data"
    with up(data):
        for step in ("sign-on", "sale --amount 12.50 --card alice"):
            assert "approved" == terminal(data, *step.split())["outcome"]
        yield data


def test_a_frame_in_hex_hides_card_data_and_keeps_every_length() -> None:
    """Track, PIN block and keys are dots, byte for byte; all else is as it was sent."""
    sale = frame_of("sale, request")
    lines = masked_hex(open_capture(sale, POS), POS)
    assert sale[:13].hex().upper() == lines[0]
    hidden = {line.split()[0] for line in lines if ".." in line}
    assert {"DE35", "DE52"} == hidden
    assert "DE35  37 " + ".." * 19 in lines
    assert 2 * len(sale) == sum(len(re.sub(r"^DE\d+|\s", "", line)) for line in lines)
    keys = masked_hex(open_capture(frame_of("sign-on, reply"), POS), POS)
    assert "DE62  0040 " + ".." * 40 in keys
    assert ["8 bytes that do not decode, hidden"] == masked_hex(open_capture(b"\2" * 8, POS), POS)


def test_a_trace_in_hex_shows_no_card_and_no_pin_block(sandbox: Path) -> None:
    """Both directions, field by field; whoever watches learns no card."""
    command = ("terminal", "--tid", "10000001", "--data", str(sandbox), "--hex")
    ran = acquirer(*command, "sale", "--amount", "3.00", "--card", "alice")
    shown = ran.stdout.decode()
    assert 0 == ran.returncode, ran.stderr
    assert re.search(r"^DE52  (\.\.){8}$", shown, re.MULTILINE)
    assert re.search(r"^DE4   000000000300$", shown, re.MULTILINE)
    assert "← received" in shown
    assert ALICE.pan not in shown.replace(" ", "")
    assert ALICE.pan not in bytes.fromhex("".join(re.findall(r"[0-9A-F]{2}", shown))).hex()


def self_test(data: Path, frame: bytes) -> tuple[int, str]:
    """Exit code and what is said."""
    ran = acquirer("terminal", "--data", str(data), "self-test", frame.hex())
    return ran.returncode, ran.stdout.decode() + ran.stderr.decode()


def test_a_wrong_mac_is_told_with_the_right_one(sandbox: Path) -> None:
    """With what it is computed over, card data hidden; the right one then passes."""
    wrong = frame_of("sale, request")
    code, said = self_test(sandbox, wrong)
    assert 1 == code
    found = re.search(r"computed over ([0-9A-F.]+), expected ([0-9A-F]{8}) .*, got (\w+)", said)
    assert found
    assert wrong[-8:].decode() == found[3]
    over = wrong[13:-8]
    assert 2 * len(over) == len(found[1])
    assert all(b in (a, ".") for a, b in zip(over.hex().upper(), found[1], strict=True))
    assert ALICE.pan not in found[1]
    right = wrong[:-8] + found[2].encode()
    assert (0, True) == (self_test(sandbox, right)[0], "MAC right" in self_test(sandbox, right)[1])


def test_other_messages_are_told_what_they_are(sandbox: Path) -> None:
    """No MAC where none is needed and where one is; a layout that is wrong; a strange terminal."""
    assert 0 == self_test(sandbox, frame_of("sign-on, request"))[0]
    bare = frame_of("sale, request")[13:-8]
    without = bare[:2] + (int.from_bytes(bare[2:10], "big") - 1).to_bytes(8, "big") + bare[10:]
    code, said = self_test(sandbox, without)
    assert (1, True) == (code, "DE64 is missing" in said)
    code, said = self_test(sandbox, bare)
    assert (1, True) == (code, "error" in said)
    strange = frame_of("sale, request").replace(b"10000001", b"99999999")
    assert (1, True) == (
        self_test(sandbox, strange)[0],
        "99999999" in self_test(sandbox, strange)[1],
    )


def test_keys_of_another_master_key_tell_nothing(sandbox: Path) -> None:
    """As in production: the keys do not open, so no MAC is told."""
    engine = create_engine(f"sqlite:///{sandbox / 'switch.sqlite3'}")
    foreign = "U" + "0123456789ABCDEF" * 2
    with engine.begin() as connection:
        rows = connection.execute(text("SELECT tak, waiting FROM terminals")).all()
        connection.execute(text("UPDATE terminals SET tak = :tak, waiting = ''"), {"tak": foreign})
    try:
        code, said = self_test(sandbox, frame_of("sale, request"))
    finally:
        with engine.begin() as connection:
            update = text("UPDATE terminals SET tak = :tak, waiting = :waiting")
            connection.execute(update, {"tak": rows[0].tak, "waiting": rows[0].waiting})
        engine.dispose()
    assert (2, True) == (code, "this is no sandbox" in said)
    assert "expected" not in said
