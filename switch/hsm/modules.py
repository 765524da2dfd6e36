"""The security modules that the settings name, and the data key that opens in them.

Composed here: wires, :class:`FailoverTransport` over them, and the proof that a module is under the
local master key of the books, which is that the card data key opens there (``vault.py``).
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from acquirer.config.addresses import parse_address
from acquirer.config.loading import ConfigError
from acquirer.config.tls import client_context
from acquirer.payments.kernel.errors import HsmOtherLmk, HsmRefused, HsmUnavailable
from acquirer.payments.kernel.vault import checked_data_key
from acquirer.switch.hsm.client import Hsm, data_of, decipher_command
from acquirer.switch.hsm.failover import FailoverTransport, Proof
from acquirer.switch.hsm.transport import HsmTransport, InProcessTransport, TcpTransport
from acquirer.switch.settings import HsmSettings, SwitchSettings

Execute = Callable[[bytes], bytes]
_OPENED = b"00"


def open_modules(
    settings: SwitchSettings, nursery: trio.Nursery, execute: Execute | None, file: str
) -> HsmTransport:
    """The way to the security modules; the caller runs it, where there is something to run.

    Args:
        nursery: for the connections.
        execute: the embedded module, where the transport is in_process.
        file: the settings' name, for messages about them.

    Raises:
        ConfigError: the settings do not say how to reach them.
    """
    hsm = settings.hsm
    if hsm.transport == "in_process":
        if execute is None:
            raise ConfigError(file, "hsm.transport", "this program has no embedded module")
        return InProcessTransport(execute, hsm.header_length)
    wires = {address: open_wire(hsm, key, nursery, file) for key, address in named_modules(hsm)}
    return FailoverTransport(
        wires,
        data_key_proof(settings.data_key_dek, sealed_data_key(settings, file)),
        deadline_s=hsm.deadline_s,
        check_every_s=hsm.check_every_s,
    )


def named_modules(hsm: HsmSettings) -> list[tuple[str, str]]:
    """Key and address of each module that the settings name, in order of preference."""
    standby = [(f"hsm.standby[{n}]", address) for n, address in enumerate(hsm.standby)]
    return [("hsm.address", hsm.address), *standby]


def open_wire(hsm: HsmSettings, key: str, nursery: trio.Nursery, file: str) -> TcpTransport:
    """The way to one of :func:`named_modules`, by its key.

    Raises:
        ConfigError: the settings do not say how to reach it.
    """
    try:
        tls = client_context(hsm.tls) if hsm.tls else None
    except OSError as error:
        raise ConfigError(file, "hsm.tls", str(error)) from None
    try:
        module = parse_address(dict(named_modules(hsm))[key])
    except ValueError as error:
        raise ConfigError(file, key, str(error)) from None
    return TcpTransport(
        nursery,
        module,
        connections=hsm.connections,
        header_length=hsm.header_length,
        deadline_s=hsm.deadline_s,
        tls=tls,
        server_name=hsm.tls.server_name if hsm.tls else "",
    )


def data_key_proof(dek: str, sealed: bytes) -> Proof:
    """That a module opens the data key.

    Args:
        dek: the key under the LMK that it is enciphered under.
        sealed: as the settings hold it.
    """

    def holds(reply: bytes) -> bool:
        try:
            return reply[2:4] == _OPENED and bool(checked_data_key(data_of(reply[4:], len(sealed))))
        except ValueError:
            return False

    return Proof(decipher_command(dek, sealed), holds)


async def open_data_key(hsm: Hsm, settings: SwitchSettings, file: str) -> bytes:
    """The card data key in clear, 32 bytes.

    Raises:
        ConfigError: it does not open, or no module can be reached.
    """
    sealed = sealed_data_key(settings, file)
    try:
        return checked_data_key(await hsm.decipher(settings.data_key_dek, sealed))
    except ValueError as error:
        raise ConfigError(file, "data_key", str(error)) from None
    except (HsmRefused, HsmOtherLmk) as error:
        reason = f"{error}; was it made under another local master key?"
        raise ConfigError(file, "data_key", reason) from None
    except HsmUnavailable as error:
        raise ConfigError(file, "hsm.address", str(error)) from None


def sealed_data_key(settings: SwitchSettings, file: str) -> bytes:
    """The data key as the settings hold it.

    Raises:
        ConfigError: it is not hexadecimal.
    """
    try:
        return bytes.fromhex(settings.data_key)
    except ValueError:
        raise ConfigError(file, "data_key", "is not hexadecimal") from None
