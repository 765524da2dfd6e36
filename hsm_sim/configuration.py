"""The security module's configuration file: one TOML table, ``[hsm]``.

Production LMKs are listed as ``[[hsm.lmks]]``, each a file of its own under a passphrase; the
published test LMKs are loaded where ``test_lmk = true``. Unknown names, wrong types and missing
LMKs are refused with file, key and reason.
"""

from __future__ import annotations

import os
import re
import ssl
import tomllib
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from acquirer.config.addresses import Address, parse_address
from acquirer.hsm_sim import lmk_store
from acquirer.hsm_sim.conversation import FRAME_BYTES_MAX
from acquirer.hsm_sim.errors import HsmConfigError
from acquirer.hsm_sim.lmk import LocalMasterKey
from acquirer.hsm_sim.module import SecurityModule, published_lmks, published_old_lmks
from acquirer.hsm_sim.server import ServerLimits
from acquirer.hsm_sim.state import Settings
from acquirer.hsm_sim.tls import server_context

log = structlog.get_logger("acquirer.hsm_sim")

AUTHORISED_NOTE = "whoever connects may do this; true stands for every activity"
PASSPHRASE_VARIABLE = "ACQUIRER_LMK_PASSPHRASE"
"""Environment variable with the passphrase of LMKs that name no passphrase file."""


class LmkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of ``[[hsm.lmks]]``.

    Attributes:
        id: two digits, by which requests choose it with ``%``.
        scheme: ``variant``, ``tdes`` or ``aes``.
        file: made by ``acquirer hsm lmk load``; relative to the configuration file.
        passphrase_file: its first line is the passphrase; without it the environment variable
            ``ACQUIRER_LMK_PASSPHRASE`` serves.
        replaced_by: id of the LMK that takes its place: keys, PINs and tables go there by BW, BG
            and LO.
    """

    id: str
    scheme: lmk_store.Scheme
    file: str
    passphrase_file: str = ""
    replaced_by: str = ""


class TlsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[hsm.tls]`` table; files are PEM, relative to the configuration file.

    Attributes:
        certificate: the server's certificate.
        key: its private key.
        client_ca: authorities of the certificates that clients must show; empty asks for none.
    """

    certificate: str
    key: str
    client_ca: str = ""


class HsmTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``[hsm]`` table.

    Attributes:
        listen: ``host:port`` or ``unix:/path``; several of them each have their own limits.
        header_length: characters of the message header.
        test_lmk: whether the published test LMKs are loaded, as 00, 01 and 02.
        lmks: production LMKs.
        default_lmk: id of the LMK that serves requests without ``%``; left out, the lowest.
        pci_key_separation: whether TPK and TMK are key types 70D and 80D.
        zmk_length: what a ZMK without scheme letter is.
        pin_length: the longest PIN, 4 to 12; a PIN under the LMK has one digit more.
        kcv_digits_max: 6 cuts check values of 16 digits to 6 and fills them up with zeros, except
            in the authorised state.
        tr31_version: version of TR-31 blocks made under TDES keys.
        pin_format_downgrade: whether a PIN may leave its format for a weaker one, or for one that
            binds it to an account in another way.
        decimalisation_tables: the only ones that are taken; empty takes any that is even enough.
        pin_tries_max: wrong PINs after which an account is refused; 0 counts none.
        pin_tries_window_s: seconds for which wrong PINs are remembered.
        authorised: activities that are authorised from the start, such as ``export.001.host``; true
            for all, which is the authorised state.
        max_connections: how many clients at once; a newcomer takes the place of one that is silent.
        first_command_s: seconds in which a new connection must send its first command.
        idle_timeout_s: seconds after which a silent connection is closed.
        frame_bytes_max: bytes of a request; a longer one closes its connection.
        metrics: address and port of ``/metrics``; empty serves none.
        tls: TLS instead of plain TCP.
    """

    listen: str | list[str] = "127.0.0.1:1500"
    header_length: int = 4
    test_lmk: bool = False
    lmks: tuple[LmkTable, ...] = ()
    default_lmk: str = ""
    pci_key_separation: bool = False
    zmk_length: Literal["single", "double"] = "double"
    pin_length: int = 12
    kcv_digits_max: Literal[6, 16] = 16
    tr31_version: Literal["A", "B", "C"] = "B"
    pin_format_downgrade: bool = False
    decimalisation_tables: tuple[str, ...] = ()
    pin_tries_max: int = 0
    pin_tries_window_s: float = 86_400.0
    authorised: bool | tuple[str, ...] = False
    max_connections: int = 64
    first_command_s: float = 30.0
    idle_timeout_s: float = 600.0
    frame_bytes_max: int = FRAME_BYTES_MAX
    metrics: str = ""
    tls: TlsTable | None = None

    @property
    def addresses(self) -> list[Address]:
        """Every address of ``listen``.

        Raises:
            HsmConfigError: one is no address, or there is none.
        """
        listen = [self.listen] if isinstance(self.listen, str) else self.listen
        if not listen:
            raise HsmConfigError("hsm.listen: expected host:port or unix:/path")
        return [_address(text, "listen") for text in listen]

    @property
    def metrics_address(self) -> Address | None:
        """The address of ``metrics``, if it is set.

        Raises:
            HsmConfigError: it is none.
        """
        return _address(self.metrics, "metrics") if self.metrics else None

    def tls_context(self) -> ssl.SSLContext | None:
        """The TLS context that ``tls`` describes, if it is set.

        Raises:
            HsmConfigError: a file cannot be used.
        """
        if self.tls is None:
            return None
        client_ca = Path(self.tls.client_ca) if self.tls.client_ca else None
        return server_context(Path(self.tls.certificate), Path(self.tls.key), client_ca)

    def module(self) -> SecurityModule:
        """The module that this table describes.

        Raises:
            HsmConfigError: a value is out of range, or no LMK would be loaded.
        """
        settings = Settings(
            header_length=self.header_length,
            test_lmk=self.test_lmk,
            pci_key_separation=self.pci_key_separation,
            zmk_length=self.zmk_length,
            pin_digits_max=self.pin_length,
            kcv_digits_max=self.kcv_digits_max,
            tr31_version=self.tr31_version,
            pin_format_downgrade=self.pin_format_downgrade,
            decimalisation_tables=self.decimalisation_tables,
            pin_tries_max=self.pin_tries_max,
            pin_tries_window_s=self.pin_tries_window_s,
        )
        lmks = self._local_master_keys(settings)
        module = SecurityModule(
            lmks,
            default_lmk=self.default_lmk or min(lmks),
            settings=settings,
            old_lmks=self._old_lmks(lmks),
        )
        if isinstance(self.authorised, bool):
            module.state.authorised = self.authorised
        else:
            module.state.activities.authorise(self.authorised)
        if self.authorised:
            log.warning("hsm_authorised", activities=self.authorised, note=AUTHORISED_NOTE)
        return module

    def _local_master_keys(self, settings: Settings) -> dict[str, LocalMasterKey]:
        lmks = published_lmks(settings) if self.test_lmk else {}
        for table in self.lmks:
            if not re.fullmatch("[0-9]{2}", table.id):
                raise HsmConfigError("hsm.lmks.id: an LMK id is two digits")
            if table.id in lmks:
                raise HsmConfigError(f"hsm.lmks: there are two LMKs with id {table.id}")
            scheme, secret = lmk_store.open_secret(Path(table.file), _passphrase(table))
            if scheme != table.scheme:
                raise HsmConfigError(f"{table.file}: holds a {scheme} LMK, not {table.scheme}")
            lmks[table.id] = lmk_store.local_master_key(
                scheme,
                secret,
                table.id,
                pci_key_separation=self.pci_key_separation,
                pin_digits_max=settings.pin_digits_max,
            )
        if not lmks:
            raise HsmConfigError(
                "hsm.lmks: no LMK is configured; make one with acquirer hsm lmk, or set "
                "test_lmk = true for the published test LMKs"
            )
        return lmks

    def _old_lmks(self, lmks: dict[str, LocalMasterKey]) -> dict[str, LocalMasterKey]:
        old = published_old_lmks(lmks) if self.test_lmk else {}
        for table in self.lmks:
            if not table.replaced_by:
                continue
            if table.replaced_by == table.id or table.replaced_by not in lmks:
                raise HsmConfigError(
                    f"hsm.lmks.replaced_by: LMK {table.id} is replaced by {table.replaced_by}, "
                    "which is no other LMK here"
                )
            if table.replaced_by in old:
                raise HsmConfigError(
                    f"hsm.lmks.replaced_by: LMK {table.replaced_by} takes the place of two"
                )
            old[table.replaced_by] = lmks[table.id]
        return old

    def limits(self) -> ServerLimits:
        """Limits of the server."""
        return ServerLimits(
            frame_bytes_max=self.frame_bytes_max,
            max_connections=self.max_connections,
            first_command_s=self.first_command_s,
            idle_timeout_s=self.idle_timeout_s,
        )


class _File(msgspec.Struct, frozen=True):
    hsm: HsmTable


def read_config(path: Path) -> HsmTable:
    """Read a configuration file; tables other than ``[hsm]`` belong to others.

    Raises:
        HsmConfigError: it cannot be read, is no TOML, or says something that cannot be.
    """
    try:
        table = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File).hsm
        return msgspec.structs.replace(
            table,
            lmks=tuple(_beside(path, lmk) for lmk in table.lmks),
            tls=_tls_beside(path, table.tls) if table.tls else None,
        )
    except OSError as error:
        raise HsmConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HsmConfigError(f"{path}: no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise HsmConfigError(f"{path}: {error}") from None


def _beside(path: Path, table: LmkTable) -> LmkTable:
    """The same with file names relative to the configuration file's folder."""
    secret = str(path.parent / table.passphrase_file) if table.passphrase_file else ""
    return msgspec.structs.replace(
        table, file=str(path.parent / table.file), passphrase_file=secret
    )


def _tls_beside(path: Path, table: TlsTable) -> TlsTable:
    client_ca = str(path.parent / table.client_ca) if table.client_ca else ""
    return TlsTable(str(path.parent / table.certificate), str(path.parent / table.key), client_ca)


def _address(text: str, name: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise HsmConfigError(f"hsm.{name}: {error}") from None


def _passphrase(table: LmkTable) -> str:
    if not table.passphrase_file:
        passphrase = os.environ.get(PASSPHRASE_VARIABLE, "")
        if not passphrase:
            raise HsmConfigError(
                f"hsm.lmks: LMK {table.id} has no passphrase_file, and {PASSPHRASE_VARIABLE} is "
                "not set"
            )
        return passphrase
    return read_passphrase(Path(table.passphrase_file))


def read_passphrase(path: Path) -> str:
    """The first line of a passphrase file.

    Raises:
        HsmConfigError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline(1024).rstrip("\r\n")
    except OSError as error:
        raise HsmConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise HsmConfigError(f"{path}: a passphrase is UTF-8 text") from None
