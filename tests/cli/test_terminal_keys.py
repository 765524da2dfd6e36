"""A terminal's master key from components, and from a key file under a ZMK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from Crypto.Cipher import DES3
from typer.testing import CliRunner

from acquirer.cli import bodies
from acquirer.cli.terminals import terminals_app
from acquirer.hsm_sim.crypto import des, kcv
from acquirer.hsm_sim.operator import role_of, variant_test_lmk, wrap_key

LMK = variant_test_lmk(test_lmk=True)
FIRST, SECOND = bytes(range(1, 17)), bytes(range(101, 117))
TMK = des.odd_parity(bytes(a ^ b for a, b in zip(FIRST, SECOND, strict=True)))
ZMK = des.odd_parity(bytes(range(31, 47)))
TID = "10000003"


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What the switch is asked to change."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def change(_self: object, key: str, members: dict[str, Any]) -> None:
        asked.append((key, members))

    monkeypatch.setattr(bodies.Change, "change", change)
    return asked


def run(*options: str, typed: str = "") -> tuple[int, str]:
    """``acquirer terminals keys``: exit code and all that it prints."""
    command = ("keys", TID, "--test-lmks", "--reason", "new", *options)
    result = CliRunner().invoke(terminals_app, command, input=typed)
    return result.exit_code, result.output


def clear_of(key: str) -> bytes:
    """A key of type 002 under the published LMK."""
    return LMK.key((role_of("002"), key)).clear


def under_zmk(key: bytes) -> str:
    """A key as a vendor's file has it."""
    return "X" + DES3.new(ZMK, DES3.MODE_ECB).encrypt(key).hex().upper()


def key_file(folder: Path, *lines: str) -> str:
    """A key file of these lines."""
    path = folder / "keys.txt"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return str(path)


def test_a_ceremony(changed: list[tuple[str, dict[str, Any]]]) -> None:
    """Custodians type components unseen; check values are told, no key."""
    typed = f"{FIRST.hex()}\n{SECOND.hex()}\n"
    code, shown = run("--prompt", "2", "--kcv", kcv.kcv(TMK), typed=typed)
    assert (0, TID) == (code, changed[0][0])
    assert TMK == clear_of(changed[0][1]["tmk"])
    assert kcv.kcv(TMK) in shown
    assert kcv.kcv(FIRST) in shown
    for secret in (FIRST, SECOND, TMK):
        assert secret.hex().upper() not in shown.upper()


def test_components_in_files(changed: list[tuple[str, dict[str, Any]]], tmp_path: Path) -> None:
    """A single-length key of files; files and typed ones together make one key."""
    for name, part in (("one", FIRST[:8]), ("two", SECOND[:8])):
        (tmp_path / name).write_text(part.hex())
    code, _ = run("--component", str(tmp_path / "one"), "--component", str(tmp_path / "two"))
    assert (0, TMK[:8]) == (code, clear_of(changed[0][1]["tmk"]))
    code, _ = run("--component", str(tmp_path / "one"), "--prompt", "1", typed=SECOND[:8].hex())
    assert (0, TMK[:8]) == (code, clear_of(changed[1][1]["tmk"]))


@pytest.mark.parametrize(
    ("typed", "options"),
    [
        (f"{FIRST.hex()}\n{SECOND.hex()}\n", ("--kcv", "000000")),
        (f"{FIRST.hex()}\n{FIRST.hex()}\n", ()),
        (f"{FIRST.hex()}\n{SECOND.hex()[:16]}\n", ()),
        (f"{FIRST.hex()}\nno key\n", ()),
        (f"{FIRST.hex() * 2}\n{SECOND.hex() * 2}\n", ()),
    ],
)
def test_a_ceremony_that_goes_wrong(
    changed: list[tuple[str, dict[str, Any]]], typed: str, options: tuple[str, ...]
) -> None:
    """Another check value, one component twice, of other lengths, or none: nothing is changed."""
    code, shown = run("--prompt", "2", *options, typed=typed)
    assert (2, []) == (code, changed)
    assert FIRST.hex().upper() not in shown.upper()


def test_a_key_file(changed: list[tuple[str, dict[str, Any]]], tmp_path: Path) -> None:
    """A vendor's file has a line for each terminal: its key under the ZMK, and its check value."""
    file = key_file(
        tmp_path,
        f"10000001 {under_zmk(FIRST)} 000000",
        f"{TID} {under_zmk(TMK)} {kcv.kcv(TMK)}",
    )
    code, shown = run("--key-file", file, "--zmk", wrap_key(LMK, "000", ZMK, "U"))
    assert (0, TMK) == (code, clear_of(changed[0][1]["tmk"]))
    assert kcv.kcv(TMK) in shown


@pytest.mark.parametrize(
    "line",
    [
        f"{TID} {under_zmk(TMK)} 000000",
        f"{TID} {under_zmk(TMK)} {kcv.kcv(TMK)[:4]}",
        f"{TID} {under_zmk(TMK)}",
        f"10000001 {under_zmk(TMK)} {kcv.kcv(TMK)}",
        "",
        f"{TID} X00 {kcv.kcv(TMK)}",
        "\n".join([f"{TID} {under_zmk(TMK)} {kcv.kcv(TMK)}"] * 2),
    ],
)
def test_a_key_file_that_is_wrong(
    changed: list[tuple[str, dict[str, Any]]], tmp_path: Path, line: str
) -> None:
    """Another check value or a cut one, no line of the terminal or two, or no key."""
    code, _ = run("--key-file", key_file(tmp_path, line), "--zmk", wrap_key(LMK, "000", ZMK, "U"))
    assert code in (1, 2)
    assert [] == changed


def test_what_does_not_go_together(
    changed: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    """A key file without its ZMK, a file that is not there, and two ways at once."""
    assert 2 == run("--key-file", key_file(tmp_path, f"{TID} X 0"))[0]
    assert 2 == run("--key-file", str(tmp_path / "none"), "--zmk", "U0")[0]
    assert 2 == run("--prompt", "2", "--now")[0]
    assert [] == changed
