"""A terminal's master key from outside: from custodians' components, or from a file under a ZMK.

Both are brought under the LMK in this process, by whoever has the module's configuration, as
``acquirer hsm key`` does; at a payShield its console does it, and ``--tmk`` takes the result. The
clear key is never shown, written or sent. Source: docs/pos.md, "Keys".
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from pathlib import Path

import typer

from acquirer.cli.hsm_key import carry_out
from acquirer.cli.hsm_output import chosen_lmk, hexadecimal, open_module, read_secret
from acquirer.cli.screen import say
from acquirer.hsm_sim import operator
from acquirer.hsm_sim.crypto import kcv
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.module import SecurityModule
from acquirer.switch.hsm.client import TMK

KCV_DIGITS = 6
FILE_BYTES_MAX = 1 << 20
SCHEMES = {8: "Z", 16: "U"}


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a master key comes from.

    Attributes:
        prompts: components to ask for, unseen.
        components: files of them.
        key_file: lines of terminal id, key under the ZMK in any scheme, and check value.
        zmk: under the LMK.
        hsm: the module's configuration; None for the published test keys.
        check: the check value that the custodians expect; empty where nobody says one.
    """

    prompts: int = 0
    components: tuple[Path, ...] = ()
    key_file: Path | None = None
    zmk: str = ""
    hsm: Path | None = None
    test_lmks: bool = False
    check: str = ""

    @property
    def is_given(self) -> bool:
        """Whether a key is to be imported at all."""
        return bool(self.prompts or self.components or self.key_file)


def imported_tmk(terminal_id: str, source: KeySource) -> str:
    """A terminal's master key under the LMK; its check value is told.

    Raises:
        HsmConfigError: the source is incomplete, holds no such key, or another than is expected.
        Refusal: the module does not take it.
    """
    module = open_module(source.hsm, source.test_lmks, authorised=True)
    if source.key_file is not None:
        key, check = _of_file(module, terminal_id, source)
    else:
        key, check = _of_components(module, source)
    say(f"check value of terminal {terminal_id}'s master key: {check}", err=True)
    return key


def _of_components(module: SecurityModule, source: KeySource) -> tuple[str, str]:
    parts = [read_secret(path) for path in source.components]
    for number in range(len(parts) + 1, len(parts) + source.prompts + 1):
        typed = typer.prompt(f"Component {number}", hide_input=True, err=True)
        parts.append(hexadecimal(typed, f"component {number}"))
    for number, part in enumerate(parts, 1):
        if len(part) not in SCHEMES:
            raise HsmConfigError(f"component {number} is neither of 16 digits nor of 32")
        say(f"check value of component {number}: {kcv.kcv(part)}", err=True)
    clear = operator.combined(parts)
    check = kcv.kcv(clear)
    _compare(check, source.check)
    lmk = chosen_lmk(module, "")
    return operator.wrap_key(lmk, TMK, clear, SCHEMES[len(clear)]), check


def _of_file(module: SecurityModule, terminal_id: str, source: KeySource) -> tuple[str, str]:
    assert source.key_file is not None
    if not source.zmk:
        raise HsmConfigError("--key-file needs --zmk, the key that it is under")
    key, expected = _line_of(source.key_file, terminal_id)
    scheme = SCHEMES[8 if len(key.removeprefix("Z")) == 16 else 16]
    facts = dict(carry_out(module, f"A6{TMK}{source.zmk}{key}{scheme}"))
    check = facts["KCV"]
    _compare(check, expected)
    return facts["key under the LMK"], check


def _line_of(path: Path, terminal_id: str) -> tuple[str, str]:
    """A terminal's key and check value in a key file.

    Raises:
        HsmConfigError: the file cannot be read, or has not one line of the terminal, of three
            words.
    """
    try:
        with path.open(encoding="ascii") as file:
            lines = [line.split() for line in file.read(FILE_BYTES_MAX).splitlines()]
    except OSError as error:
        raise HsmConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise HsmConfigError(f"{path}: is no key file: it holds other characters") from None
    found = [line for line in lines if line[:1] == [terminal_id]]
    if len(found) != 1 or len(found[0]) != 3:
        raise HsmConfigError(
            f"{path}: must have one line of terminal {terminal_id}: its id, its key under the ZMK, "
            "its check value"
        )
    return found[0][1], found[0][2]


def _compare(check: str, expected: str) -> None:
    """Hold a check value against the one that came with the key.

    Raises:
        HsmConfigError: they differ; nothing is imported.
    """
    if not expected:
        return
    wanted = expected.upper()[:KCV_DIGITS]
    if len(wanted) < KCV_DIGITS or not hmac.compare_digest(check[:KCV_DIGITS], wanted):
        raise HsmConfigError(f"the check value is {check[:KCV_DIGITS]}, expected is {expected}")
