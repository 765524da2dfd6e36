"""The security module as the switch sees it: typed calls over payShield host commands.

Knows which command does what and how its body is laid out; knows nothing of sockets
(``transport.py``). Keys are host-command key strings under the LMK (``U`` + 32 hexadecimal
digits and the like); PINs exist only as cryptograms.
Source: docs/interfaces/security-module.md, "Commands".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from acquirer.codecs.pan import Pan
from acquirer.config.business import ProfileSettings
from acquirer.payments.kernel.commands import PinKey
from acquirer.payments.kernel.errors import KEY_CODES, HsmRefused, HsmUnavailable
from acquirer.switch.hsm import dukpt
from acquirer.switch.hsm.transport import HsmTransport

MacAlgorithm = Literal["cup_ecb", "x919", "x99", "cmac"]

TAK, ZAK, TPK, ZPK, DEK, ZMK = "003", "008", "002", "001", "00B", "000"
# A terminal's track key enciphers data: it is no PIN key.
TDK = "30B"
# A terminal's master key is of the same type as its PIN key.
TMK = TPK

# M6/M8: MAC size, algorithm, padding. CUP-ECB is the vendor algorithm 9, whose eight hexadecimal
# characters are DE64's bytes; the others give eight binary bytes, written as 16 digits.
_MAC_FORM = {"cup_ecb": b"091", "x919": b"131", "x99": b"111", "cmac": b"151"}


@dataclass(frozen=True, slots=True)
class WorkingKey:
    """A terminal's working key, made by the module.

    Attributes:
        under_tmk: 8 or 16 bytes enciphered under the TMK in ECB, as DE62 carries them.
        under_lmk: key string for later commands.
        kcv: first 4 bytes of the key enciphering zeros.
    """

    under_tmk: bytes
    under_lmk: str
    kcv: bytes


class Hsm:
    """Typed calls. Every method raises HsmUnavailable or HsmRefused, and nothing else.

    An answer that is none of the command's, or not as long as it must be, is none at all.

    Args:
        transport: carries the commands; owned and closed by the caller.
        key_refused: told of each refusal of a key, which is one of ours.
    """

    def __init__(
        self, transport: HsmTransport, key_refused: Callable[[], None] = lambda: None
    ) -> None:
        self._transport = transport
        self._key_refused = key_refused

    async def call(self, command: bytes, *, tolerate: str = "00") -> bytes:
        """Send a command; return the fields after the error code.

        Args:
            tolerate: error code to accept beside 00 (``01`` where it is an advisory).
        """
        return (await self._ask(command, tolerate))[1]

    async def _ask(self, command: bytes, tolerate: str = "01") -> tuple[str, bytes]:
        """Error code and fields of a command's own answer, which has its code's next letter."""
        name, reply = command[:2].decode("latin-1"), await self._transport.call(command)
        if reply[:2] != bytes((command[0], command[1] + 1)):
            raise HsmUnavailable(f"{name} got the answer of another command")
        code = reply[2:4].decode("latin-1")
        if code in KEY_CODES:
            self._key_refused()
        if code not in ("00", tolerate):
            raise HsmRefused(name, code)
        return code, reply[4:]

    async def mac(
        self, algorithm: MacAlgorithm, key: str, data: bytes, key_type: str = TAK
    ) -> bytes:
        """The eight bytes of DE64 over ``data`` (M6)."""
        fields = await self.call(_mac_body(b"M6", algorithm, key, data, key_type))
        if algorithm != "cup_ecb":
            return _hex(fields, 0, 16)
        if not _is_hex(fields[:8]):
            raise _unusable()
        return fields[:8]

    async def mac_ok(
        self, algorithm: MacAlgorithm, key: str, data: bytes, mac: bytes, key_type: str = TAK
    ) -> bool:
        """Whether DE64's eight bytes are the MAC over ``data`` (M8)."""
        shown = mac if algorithm == "cup_ecb" else mac.hex().upper().encode()
        if algorithm == "cup_ecb" and not _is_hex(mac):
            return False
        body = _mac_body(b"M8", algorithm, key, data, key_type) + shown
        return (await self._ask(body))[0] == "00"

    async def translate_pin(self, key: PinKey, zpk: str, pin_block: bytes, pan: Pan) -> bytes:
        """A PIN block from a terminal's key to a bank's (CA; where keys are derived, G0).

        Args:
            pin_block: 8 bytes, ISO-0; 16, ISO-4, where AES keys are derived.

        Returns:
            8 bytes under the ZPK, ISO-0.
        """
        if key.ksn:
            return _hex(await dukpt.pin_under(self, key, zpk, pin_block, pan), 2, 16)
        return await self._translated("CA", key.key, zpk, pin_block, pan.account_number)

    async def translate_zone_pin(
        self, zpk: str, new_zpk: str, pin_block: bytes, account: str
    ) -> bytes:
        """As :meth:`translate_pin`, from one bank's key to another (CC)."""
        return await self._translated("CC", zpk, new_zpk, pin_block, account)

    async def _translated(
        self, command: str, key: str, zpk: str, pin_block: bytes, account: str
    ) -> bytes:
        body = f"{command}{key}{zpk}12{pin_block.hex().upper()}0101{account}"
        fields = await self.call(body.encode("ascii"))
        return _hex(fields, 2, 16)

    async def password_ok(self, key: PinKey, pin_block: bytes, pin_under_lmk: str) -> bool:
        """Whether a PIN block without PAN (account of zeros) holds a courier's password (BC)."""
        if key.ksn:
            return await dukpt.password_ok(self, key, pin_block, pin_under_lmk)
        body = f"BC{key.key}{pin_block.hex().upper()}01{'0' * 12}{pin_under_lmk}"
        return await self.holds(body.encode("ascii"))

    async def derived_mac(self, profile: ProfileSettings, ksn: str, data: bytes) -> bytes:
        """The eight bytes of DE64 of a reply to a request under a derived key (GW)."""
        return _hex(await dukpt.mac(self, profile, ksn, data), 0, 16)

    async def derived_mac_ok(
        self, profile: ProfileSettings, ksn: str, data: bytes, mac: bytes
    ) -> bool:
        """Whether a request's DE64 is right under its derived key (GW)."""
        return await dukpt.mac_ok(self, profile, ksn, data, mac)

    async def holds(self, command: bytes) -> bool:
        """Whether a command that compares found no difference (00, not 01)."""
        return (await self._ask(command))[0] == "00"

    async def new_pin_key(self, tmk: str, *, double: bool) -> WorkingKey:
        """A fresh terminal PIN key (HC), single or double length."""
        return await self._working_key("HC", tmk, TPK, double=double)

    async def new_mac_key(self, tmk: str, *, double: bool) -> WorkingKey:
        """A fresh terminal MAC key (HA), single or double length."""
        return await self._working_key("HA", tmk, TAK, double=double)

    async def new_track_key(self, tmk: str) -> WorkingKey:
        """A fresh double-length key of a terminal's tracks (A0)."""
        fields = await self.call(f"A01{TDK}U;1{tmk}X".encode())
        under_lmk = _key(fields, 33)
        kcv = await self.kcv(under_lmk, TDK)
        return WorkingKey(_hex(fields, 34, 32), under_lmk, kcv[:4])

    async def open_track(self, tdk: str, data: bytes) -> bytes:
        """What a terminal has enciphered under its track key in ECB (M2)."""
        digits = data.hex().upper()
        body = f"M20011{TDK}{tdk}{len(digits):04X}{digits}"
        return await self._data(body.encode("ascii"), len(data))

    async def _working_key(
        self, command: str, tmk: str, key_type: str, *, double: bool
    ) -> WorkingKey:
        schemes = ";XU1" if double else ";ZZ1"
        fields = await self.call(f"{command}{tmk}{schemes}".encode())
        under_tmk = _hex(fields, 1, 32) if double else _hex(fields, 0, 16)
        under_lmk = _key(fields[33:], 33) if double else _key(fields[16:], 16)
        return WorkingKey(under_tmk, under_lmk, (await self.kcv(under_lmk, key_type))[:4])

    async def kcv(self, key: str, key_type: str) -> bytes:
        """The 8-byte check value of a TDES key (BU, 16H form)."""
        flag = "1" if key[0] in "UX" else "2" if key[0] in "TY" else "0"
        fields = await self.call(f"BUFF{flag}{key};{key_type}".encode())
        return _hex(fields, 0, 16)

    async def import_key(self, key_type: str, zmk: str, cryptogram: str) -> tuple[str, str]:
        """A zone key that a bank sent, from under the ZMK to under the LMK (A6).

        Args:
            cryptogram: ``X`` and 32 hexadecimal digits (ECB under the ZMK).

        Returns:
            The key under the LMK, and its check value of 6 digits.
        """
        body = f"A6{key_type}{zmk}{cryptogram}U"
        fields = await self.call(body.encode("ascii"), tolerate="01")
        return _key(fields, 33), _hex(fields, 33, 6).hex().upper()

    async def generate_key(self, key_type: str) -> str:
        """A fresh double-length key under the LMK (A0)."""
        fields = await self.call(f"A00{key_type}U".encode())
        return _key(fields, 33)

    async def encipher(self, dek: str, data: bytes) -> bytes:
        """Encipher a multiple of eight bytes under a DEK, CBC from a zero IV (M0)."""
        return await self._data(_data_body("M0", dek, data), len(data))

    async def decipher(self, dek: str, data: bytes) -> bytes:
        """The reverse of :meth:`encipher` (M2)."""
        return await self._data(decipher_command(dek, data), len(data))

    async def _data(self, command: bytes, size: int) -> bytes:
        try:
            return data_of(await self.call(command), size)
        except ValueError:
            raise _unusable() from None

    async def status(self) -> str:
        """Firmware number (NC); used as a health check."""
        return (await self.call(b"NC"))[16:].decode("latin-1")


def decipher_command(dek: str, data: bytes) -> bytes:
    """The command of :meth:`Hsm.decipher`."""
    return _data_body("M2", dek, data)


def data_of(fields: bytes, size: int) -> bytes:
    """The ``size`` bytes at the end of the fields of M0's or M2's reply.

    Raises:
        ValueError: they are not hexadecimal, or fewer.
    """
    found = bytes.fromhex(fields[-2 * size :].decode("ascii"))
    if len(found) != size:
        raise ValueError(f"{len(found)} bytes instead of {size}")
    return found


def _data_body(command: str, dek: str, data: bytes) -> bytes:
    digits = data.hex().upper()
    return f"{command}0111{DEK}{dek}{'0' * 16}{len(digits):04X}{digits}".encode("ascii")


def _mac_body(
    command: bytes, algorithm: MacAlgorithm, key: str, data: bytes, key_type: str
) -> bytes:
    head = b"%b00%b%b%b" % (command, _MAC_FORM[algorithm], key_type.encode(), key.encode())
    return b"%b%04X%b" % (head, len(data), data)


def _is_hex(mac: bytes) -> bool:
    return len(mac) == 8 and not mac.strip(b"0123456789ABCDEF")


def _hex(fields: bytes, start: int, digits: int) -> bytes:
    """The bytes that so many hexadecimal digits of an answer stand for."""
    try:
        found = bytes.fromhex(fields[start : start + digits].decode("ascii"))
    except ValueError:
        raise _unusable() from None
    if 2 * len(found) != digits:
        raise _unusable()
    return found


def _key(fields: bytes, size: int) -> str:
    """The key string that an answer begins with: a scheme and digits, or 16 digits without one."""
    _hex(fields, size % 2, size - size % 2)
    return fields[:size].decode("ascii")


def _unusable() -> HsmUnavailable:
    return HsmUnavailable("the security module's answer is cut short, or no hexadecimal")
