"""A bank's link as configuration: typed values, read once by the composition root.

Keys stand here as host-command key strings under the local master key, never in clear.
Source: bank interface, "Life of a link" and "Messages".
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from acquirer.routing.errors import BankSettingsError

Security = Literal["none", "zone"]
MacAlgorithm = Literal["x919", "x99", "cmac"]
Positive = Annotated[int, msgspec.Meta(ge=1)]
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]


class BankSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One bank and the link to it.

    Attributes:
        name: the bank's name, as route rules and accounts use it.
        address: ``host:port`` of the bank core.
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
    """

    name: str
    address: str
    acquirer_id: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,11}$")]
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

    def check(self) -> None:
        """Check what the types cannot say.

        Raises:
            BankSettingsError: names the bank, the key and what would be right.
        """
        self.host_and_port()
        if self.security == "zone" and not self.zmk:
            raise BankSettingsError(self.name, "zmk", "zone security needs a zone master key")

    def host_and_port(self) -> tuple[str, int]:
        """Host and port of ``address``.

        Raises:
            BankSettingsError: it is not ``host:port``.
        """
        host, _, port = self.address.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise BankSettingsError(self.name, "address", "must be host:port")
        return host.strip("[]"), int(port)
