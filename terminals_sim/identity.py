"""Who a terminal is: its numbers, master key and profile, out of an estate file."""

from __future__ import annotations

from dataclasses import dataclass, field

from acquirer.config.estate import Card, Courier, Estate
from acquirer.terminals_sim.errors import EstateError

TPDU = bytes.fromhex("6000030000")
HEADER = bytes.fromhex("603100310000")


@dataclass(frozen=True, slots=True)
class Identity:
    """What is loaded into a terminal before it leaves the workshop.

    Attributes:
        terminal_id: DE41, 8 characters.
        merchant_id: DE42, 15 characters.
        tmk: the master key in clear, 8 or 16 bytes; never shown, never stored by the terminal.
        mac: algorithm of DE64.
        encoding: character set of DE59.
        network_code: 60.3 of its sign-on.
        tpdu: 5 bytes, ``60``, destination, source.
        header: 6 bytes; the first digit pair follows the way the card is read.
    """

    terminal_id: str
    merchant_id: str
    tmk: bytes = field(repr=False)
    mac: str = "cup_ecb"
    encoding: str = "gb18030"
    network_code: str = "003"
    tpdu: bytes = TPDU
    header: bytes = HEADER


def identity(estate: Estate, terminal_id: str) -> Identity:
    """The terminal of an estate.

    Raises:
        EstateError: the estate has no such terminal, or not its profile; the text names those
            it has.
    """
    for terminal in estate.terminals:
        if terminal.terminal_id == terminal_id:
            profile = next((p for p in estate.profiles if p.name == terminal.profile), None)
            if profile is None:
                known = ", ".join(one.name for one in estate.profiles)
                reason = f"terminal {terminal_id} has profile {terminal.profile!r}"
                raise EstateError(f"{reason}; the estate has {known}")
            return Identity(
                terminal_id,
                terminal.merchant_id,
                bytes.fromhex(terminal.tmk),
                profile.mac,
                profile.encoding,
                profile.sign_on,
            )
    known = ", ".join(terminal.terminal_id for terminal in estate.terminals)
    raise EstateError(f"no terminal {terminal_id!r} in the estate; it has {known}")


def card(estate: Estate, name: str) -> Card:
    """A test card by its name.

    Raises:
        EstateError: the estate has no such card; the text names those it has.
    """
    for found in estate.cards:
        if found.name == name:
            return found
    known = ", ".join(found.name for found in estate.cards)
    raise EstateError(f"no card {name!r} in the estate; it has {known}")


def courier(estate: Estate, courier_id: str) -> Courier:
    """A courier by id.

    Raises:
        EstateError: the estate has no such courier; the text names those it has.
    """
    for found in estate.couriers:
        if found.courier_id == courier_id:
            return found
    known = ", ".join(found.courier_id for found in estate.couriers)
    raise EstateError(f"no courier {courier_id!r} in the estate; it has {known}")
