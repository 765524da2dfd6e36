"""The security module's configuration file: one TOML table, ``[hsm]``.

Unknown names, wrong types and missing LMKs are refused with file, key and reason.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.server import ServerLimits
from acquirer.hsm_sim.state import Settings


class HsmTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[hsm]`` table.

    Attributes:
        listen: address and port.
        header_length: characters of the message header.
        test_lmk: whether the published test LMKs are loaded.
        pci_key_separation: whether TPK and TMK are key types 70D and 80D.
        zmk_length: what a ZMK without scheme letter is.
        authorised: whether the module starts in the authorised state.
        max_connections: how many clients at once.
        idle_timeout_s: seconds after which a silent connection is closed.
    """

    listen: str = "127.0.0.1:1500"
    header_length: int = 4
    test_lmk: bool = False
    pci_key_separation: bool = False
    zmk_length: Literal["single", "double"] = "double"
    authorised: bool = False
    max_connections: int = 64
    idle_timeout_s: float = 600.0

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of ``listen``.

        Raises:
            HsmConfigError: it is no ``host:port``.
        """
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise HsmConfigError("hsm.listen: expected host:port")
        return host.strip("[]"), int(port)

    def module(self) -> SecurityModule:
        """The module that this table describes.

        Raises:
            HsmConfigError: a value is out of range, or no LMK would be loaded.
        """
        if not self.test_lmk:
            raise HsmConfigError(
                "hsm.test_lmk: no LMK is configured; only the published test LMKs can be loaded, "
                "and only where test_lmk = true"
            )
        settings = Settings(
            header_length=self.header_length,
            test_lmk=self.test_lmk,
            pci_key_separation=self.pci_key_separation,
            zmk_length=self.zmk_length,
        )
        module = SecurityModule.with_test_lmks(settings)
        module.state.authorised = self.authorised
        return module

    def limits(self) -> ServerLimits:
        """Limits of the server."""
        return ServerLimits(
            max_connections=self.max_connections, idle_timeout_s=self.idle_timeout_s
        )


class _File(msgspec.Struct, frozen=True):
    hsm: HsmTable


def read_config(path: Path) -> HsmTable:
    """Read a configuration file; tables other than ``[hsm]`` belong to others.

    Raises:
        HsmConfigError: it cannot be read, is no TOML, or says something that cannot be.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File).hsm
    except OSError as error:
        raise HsmConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HsmConfigError(f"{path}: no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise HsmConfigError(f"{path}: {error}") from None
