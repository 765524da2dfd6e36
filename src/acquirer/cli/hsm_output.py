"""What the operator's commands of ``acquirer hsm`` share: a module at hand, and how results print.

Keys print under an LMK or a ZMK only. Clear components go to files of their owner, never to a
terminal.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
import typer

from acquirer.cli.screen import print_json, say
from acquirer.hsm_sim.configuration import HsmTable, read_config, read_passphrase
from acquirer.hsm_sim.crypto.errors import CryptoError
from acquirer.hsm_sim.errors import ERROR_TEXTS, HsmConfigError, Refusal
from acquirer.hsm_sim.lmk import LocalMasterKey
from acquirer.hsm_sim.module import SecurityModule

EXIT_REFUSED, EXIT_CONFIG = 1, 2
SECRET_FILE_BYTES_MAX = 4096

ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file with an hsm table.")]
TestLmksOption = Annotated[
    bool, typer.Option("--test-lmks", help="Use the published test LMKs: 00, 01 and 02.")
]
LmkOption = Annotated[str, typer.Option("--lmk", help="LMK id; left out, the default LMK.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

Facts = Iterable[tuple[str, str]]


def open_module(
    config: Path | None, test_lmks: bool, *, authorised: bool = False, default_lmk: str = ""
) -> SecurityModule:
    """A module in this process, without message header and without log.

    Raises:
        HsmConfigError: neither a configuration nor ``--test-lmks``, or it is wrong.
    """
    if config is None and not test_lmks:
        raise HsmConfigError("needs --config FILE or --test-lmks")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    table = read_config(config) if config is not None else HsmTable()
    return msgspec.structs.replace(
        table,
        header_length=0,
        test_lmk=table.test_lmk or test_lmks,
        authorised=authorised or table.authorised,
        default_lmk=default_lmk or table.default_lmk,
    ).module()


def chosen_lmk(module: SecurityModule, lmk_id: str) -> LocalMasterKey:
    """The LMK with this id, or the default one.

    Raises:
        Refusal: 13, there is none with this id.
    """
    if lmk_id and lmk_id not in module.state.lmks:
        loaded = ", ".join(sorted(module.state.lmks))
        raise Refusal("13", f"no LMK {lmk_id} is loaded; there are {loaded}")
    return module.state.lmks[lmk_id] if lmk_id else module.state.default_lmk


@contextmanager
def telling_refusals() -> Iterator[None]:
    """Turn refusals and wrong configuration into one line on stderr and an exit code."""
    try:
        yield
    except HsmConfigError as error:
        say(f"acquirer hsm: {error}", err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    except Refusal as refusal:
        meaning = ERROR_TEXTS.get(refusal.code, "")
        say(f"acquirer hsm: {refusal.code} {meaning}: {refusal.reason}", err=True)
        raise typer.Exit(EXIT_REFUSED) from None
    except CryptoError as error:
        say(f"acquirer hsm: {error}", err=True)
        raise typer.Exit(EXIT_REFUSED) from None


def show(facts: Facts, as_json: bool) -> None:
    """Print names and values, one a line, or all as one JSON object."""
    listed = list(facts)
    if as_json:
        names = [name.lower().replace(" ", "_") for name, _ in listed]
        print_json(dict(zip(names, (v for _, v in listed), strict=True)))
        return
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        say(f"{name:{width}}  {value}")


def passphrase(file: Path | None, variable: str, prompt: str, *, confirm: bool = False) -> str:
    """A passphrase from a file, else the environment, else the terminal, unseen.

    Raises:
        HsmConfigError: the file cannot be read.
    """
    if file is not None:
        return read_passphrase(file)
    return os.environ.get(variable) or str(
        typer.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    )


def hexadecimal(text: str, what: str) -> bytes:
    """Bytes that somebody typed as hexadecimal digits, blanks apart.

    Raises:
        HsmConfigError: they are none; the text is not repeated.
    """
    try:
        return bytes.fromhex("".join(text.split()))
    except ValueError:
        raise HsmConfigError(f"{what} is no even number of hexadecimal digits") from None


def read_secret(path: Path) -> bytes:
    """A clear component from a file of hexadecimal digits.

    Raises:
        HsmConfigError: it cannot be read or holds something else.
    """
    try:
        with path.open(encoding="ascii") as file:
            return hexadecimal(file.read(SECRET_FILE_BYTES_MAX), str(path))
    except OSError as error:
        raise HsmConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise HsmConfigError(f"{path}: holds no hexadecimal digits") from None


def secret_folder(folder: Path) -> None:
    """Make the folder for files of custodians, its owner's alone, if it is not there.

    Raises:
        HsmConfigError: it cannot be made, or is none.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HsmConfigError(f"{folder}: {error.strerror}") from None


def write_secret(path: Path, secret: bytes) -> None:
    """A clear component to a new file that only its owner can read.

    Raises:
        HsmConfigError: the file exists or cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret.hex().upper() + "\n")
    except OSError as error:
        raise HsmConfigError(f"{path}: {error.strerror}") from None
