"""Who a terminal is: its numbers, master key and profile, out of an estate file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from acquirer.codecs.ksn import BYTES_OF_SCHEME
from acquirer.config.estate import Card, Courier, Estate, Profile
from acquirer.terminals_sim.derived_keys import initial_key
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
        scheme: ``tmk``, or by which keys are derived.
        initial_key: that they are derived from, 16 bytes; likewise never shown.
        ksn: its serial number with counter zero.
        tpdu: 5 bytes, ``60``, destination, source.
        header: 6 bytes; the first digit pair follows the way the card is read.
    """

    terminal_id: str
    merchant_id: str
    tmk: bytes = field(repr=False)
    mac: str = "cup_ecb"
    encoding: str = "gb18030"
    network_code: str = "003"
    scheme: str = "tmk"
    initial_key: bytes = field(default=b"", repr=False)
    ksn: str = ""
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
            found = Identity(
                terminal_id,
                terminal.merchant_id,
                bytes.fromhex(terminal.tmk),
                profile.mac,
                profile.encoding,
                profile.sign_on,
                profile.key_scheme,
            )
            return found if found.scheme == "tmk" else _derived(found, profile, terminal.ksn)
    known = ", ".join(terminal.terminal_id for terminal in estate.terminals)
    raise EstateError(f"no terminal {terminal_id!r} in the estate; it has {known}")


def _derived(found: Identity, profile: Profile, ksn: str) -> Identity:
    """A terminal whose keys are derived, loaded with its initial key.

    Raises:
        EstateError: its profile has no base key, or it has no serial number of the right length.
    """
    size = 2 * BYTES_OF_SCHEME[found.scheme]
    if not profile.bdk or len(ksn) != size:
        reason = f"{found.scheme} needs a bdk in the profile and a ksn of {size} digits"
        raise EstateError(f"terminal {found.terminal_id}: {reason}")
    key = initial_key(found.scheme, bytes.fromhex(profile.bdk), ksn)
    algorithm = "x919" if found.scheme == "dukpt_tdes" else "cmac_aes"
    return replace(found, mac=algorithm, initial_key=key, ksn=ksn.upper(), network_code="001")


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
