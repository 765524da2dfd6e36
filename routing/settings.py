"""A bank and its links as configuration: typed values, read once by the composition root.

Keys stand here as host-command key strings under the local master key, never in clear.
Source: docs/interfaces/bank-link.md, "Life of a link" and "Messages".
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from acquirer.config.constraints import NotNegative, NotNegativeSeconds, Positive, PositiveSeconds
from acquirer.config.tls import TlsSettings
from acquirer.routing.errors import BankSettingsError

Security = Literal["none", "zone"]
MacAlgorithm = Literal["x919", "x99", "cmac"]
Strategy = Literal["priority", "weighted", "round_robin", "bin", "cost"]


class LinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of several links to a bank; what it leaves out is as the bank says.

    Attributes:
        name: unique among all links of the switch.
        address: ``host:port`` of the bank core, or with ``listen`` where it connects to.
        mode: who connects.
        peers: with ``listen``, the addresses that may connect; empty for any.
        tls: certificates, where the link is under TLS.
        window: most requests in flight; 0 takes the bank's.
        priority: with strategy ``priority``, the lowest that is up goes first.
        weight: with ``weighted``, its share.
        bins: with ``bin``, prefixes of card numbers; none for what no other link lists.
        cost_fixed_minor, cost_basis_points: with ``cost``, what a transaction costs on it.
    """

    name: str
    address: str
    mode: Literal["connect", "listen"] = "connect"
    peers: list[str] = []
    tls: TlsSettings | None = None
    window: NotNegative = 0
    priority: NotNegative = 0
    weight: Positive = 1
    bins: list[Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,12}\Z")]] = []
    cost_fixed_minor: NotNegative = 0
    cost_basis_points: NotNegative = 0


class BankSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One bank and the links to it.

    Attributes:
        name: the bank's name, as route rules and accounts use it.
        address: ``host:port`` of the bank core; for several links see ``links``.
        acquirer_id: our institution id there (DE32), 1 to 11 digits.
        dialect: a shipped dialect or the path of a dialect file.
        length_header: such as ``binary2`` or ``ascii4+``; empty takes the dialect's own.
        security: ``zone`` for key exchange and MACs, ``none`` for neither.
        zmk: zone master key under the LMK (key type 000); for ``zone``.
        zpk: zone PIN key under the LMK (key type 001); for ``none``.
        mac: the MAC's algorithm in ``zone``.
        reversal_mti: MTI of a reversal; its repeat is one more. Empty takes the dialect's own.
        timeout_s: longest wait for a reply to sign-on, key exchange and echo, and the default
            deadline of a request.
        connect_s: longest wait for a TCP connection.
        key_wait_s: longest wait for the bank's own key exchange.
        echo_s: silence after which an echo test goes out.
        window: most requests in flight.
        frame_bytes_max: longest frame that is taken.
        reconnect_first_s: second pause before connecting again; the first is none.
        reconnect_cap_s: longest such pause.
        rekey_s: ask for new zone keys this often; 0 never.
        tls: certificates, where the link to ``address`` is under TLS.
        links: the links, where there are several or other than one that connects.
        strategy: which of several links takes a transaction; see ``strategies.py``.
    """

    name: str
    acquirer_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,11}\Z")]
    address: str = ""
    dialect: str = "iso87_ascii"
    length_header: str = ""
    security: Security = "none"
    zmk: str = ""
    zpk: str = ""
    mac: MacAlgorithm = "x919"
    reversal_mti: Literal["", "0400", "0420"] = ""
    timeout_s: PositiveSeconds = 15.0
    connect_s: PositiveSeconds = 5.0
    key_wait_s: PositiveSeconds = 10.0
    echo_s: PositiveSeconds = 60.0
    window: Positive = 1024
    frame_bytes_max: Positive = 8192
    reconnect_first_s: PositiveSeconds = 0.5
    reconnect_cap_s: PositiveSeconds = 30.0
    rekey_s: NotNegativeSeconds = 0.0
    tls: TlsSettings | None = None
    links: list[LinkSettings] = []
    strategy: Strategy = "priority"

    def check(self) -> None:
        """Check what the types cannot say.

        Raises:
            BankSettingsError: names the bank, the key and what would be right.
        """
        if self.links and (self.address or self.tls is not None):
            raise BankSettingsError(self.name, "address", "and tls go into links, not beside them")
        if self.security == "zone" and not self.zmk:
            raise BankSettingsError(self.name, "zmk", "zone security needs a zone master key")
        names = [link.name for link in self.links]
        if len(set(names)) < len(names):
            raise BankSettingsError(self.name, "links", "two links of one name")
        for link in self.each_link():
            host_and_port(link.address, self.name)
            if link.mode == "listen" and link.tls is not None and not link.tls.certificate:
                raise BankSettingsError(self.name, "tls", "a listening link needs a certificate")

    def each_link(self) -> list[LinkSettings]:
        """All links; one of the bank's name where none is listed."""
        if self.links:
            return self.links
        return [LinkSettings(name=self.name, address=self.address, tls=self.tls)]


def host_and_port(address: str, bank: str) -> tuple[str, int]:
    """Host and port of an address.

    Raises:
        BankSettingsError: it is not ``host:port``.
    """
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise BankSettingsError(bank, "address", "must be host:port")
    return host.strip("[]"), int(port)
