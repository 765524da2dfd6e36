"""A POS terminal, written from docs/interfaces/terminal.md alone: sign-on, sale, reversal.

Needs Python's standard library and ``cryptography``, and nothing of the switch. Its keys and its
card are the published ones of the demo estate. Try it:

    acquirer up --data shop --port-base 9000 &
    python examples/terminal.py 127.0.0.1 9000
"""

import socket
import sys
import time

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

TERMINAL_ID, MERCHANT_ID = "10000001", "898110053310001"
TMK = bytes.fromhex("541FD3BC64F46273C7CEA83B9767CDAB")
PAN, EXPIRY, PIN = "6225882202982730907", "3106", "9918"
TRACK_2 = f"{PAN}D{EXPIRY}10100000000000"
TPDU, HEADER = bytes.fromhex("6000030102"), bytes.fromhex("603100310000")

# Part 2: fixed fields as (kind, length in digits or bytes), variable ones as (kind, length bytes).
FIXED = {3: ("n", 6), 4: ("n", 12), 11: ("n", 6), 12: ("n", 6), 13: ("n", 4), 14: ("n", 4),
         15: ("n", 4), 22: ("n", 3), 23: ("n", 3), 25: ("n", 2), 26: ("n", 2), 37: ("an", 12),
         38: ("an", 6), 39: ("an", 2), 41: ("an", 8), 42: ("an", 15), 49: ("an", 3),
         52: ("b", 8), 53: ("n", 16), 64: ("b", 8)}  # fmt: skip
VARIABLE = {2: ("n", 1), 32: ("n", 1), 35: ("n", 1), 44: ("an", 1), 54: ("an", 2), 55: ("b", 2),
            59: ("b", 2), 60: ("n", 2), 61: ("n", 2), 62: ("b", 2)}  # fmt: skip


def des(key: bytes, data: bytes, decipher: bool = False) -> bytes:
    """DES for a key of 8 bytes, TDES for 16, in ECB."""
    cipher = Cipher(TripleDES(key * 3 if len(key) == 8 else key + key[:8]), modes.ECB())
    coder = cipher.decryptor() if decipher else cipher.encryptor()
    return coder.update(data) + coder.finalize()


def xor(one: bytes, other: bytes) -> bytes:
    """Two strings of the same length."""
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def pin_block(pin: str, pan: str, key: bytes) -> bytes:
    """Part 3: ISO 9564 format 0."""
    pin_field = f"{len(pin):02d}{pin}".ljust(16, "F")
    return des(key, xor(bytes.fromhex(pin_field), bytes.fromhex("0000" + pan[:-1][-12:])))


def mac(key: bytes, message: bytes) -> bytes:
    """Part 3: cup_ecb, over MTI, bitmap and fields before DE64."""
    filled = message + bytes(-len(message) % 8)
    r = bytes(8)
    for start in range(0, len(filled), 8):
        r = xor(r, filled[start : start + 8])
    text = r.hex().upper().encode()
    second = des(key, xor(des(key, text[:8]), text[8:]))
    return second.hex().upper()[:8].encode()


def encode(mti: str, fields: dict[int, str | bytes]) -> bytes:
    """MTI, bitmap and fields; DE64, where it is there, is eight zero bytes for now."""
    bitmap = sum(1 << (64 - number) for number in fields)
    parts = [bytes.fromhex(mti), bitmap.to_bytes(8, "big")]
    for number, value in sorted(fields.items()):
        kind, size = (FIXED | VARIABLE)[number]
        raw = value if isinstance(value, bytes) else value.encode()
        if number in VARIABLE:
            parts.append(bytes.fromhex(f"{len(value):0{size * 2}d}"))
        if kind == "n":
            raw = bytes.fromhex(str(value) + "0" * (len(value) % 2))
        parts.append(raw)
    return b"".join(parts)


def decode(message: bytes) -> tuple[str, dict[int, str]]:
    """MTI and fields: digits of n, characters of an, hexadecimal of b."""
    bitmap, at, fields = int.from_bytes(message[2:10], "big"), 10, {}
    for number in (n for n in range(2, 65) if bitmap >> (64 - n) & 1):
        kind, size = (FIXED | VARIABLE)[number]
        if number in VARIABLE:
            length, at = int(message[at : at + size].hex()), at + size
        else:
            length = size
        width = (length + 1) // 2 if kind == "n" else length
        raw, at = message[at : at + width], at + width
        # A fixed odd n field has its filling nibble on the right, as a variable one has.
        digits = raw.hex().upper()
        fields[number] = (
            raw.decode() if kind == "an" else digits[:length] if kind == "n" else digits
        )
    return message[:2].hex(), fields


class Terminal:
    """One terminal on one connection; ``stan`` must not repeat within a batch."""

    def __init__(self, host: str, port: int, stan: int = 0) -> None:
        self.connection = socket.create_connection((host, port), 30)
        self.stan = stan or int(time.time()) % 900_000 + 1
        self.batch, self.pin_key, self.mac_key = "000001", b"", b""

    def ask(self, mti: str, fields: dict[int, str | bytes]) -> dict[int, str]:
        """Send a message, sealed where it has DE64, and give the fields of its reply."""
        message = encode(mti, {**fields, 41: TERMINAL_ID, 42: MERCHANT_ID})
        if 64 in fields:
            message = message[:-8] + mac(self.mac_key, message[:-8])
        frame = TPDU + HEADER + message
        self.connection.sendall(len(frame).to_bytes(2, "big") + frame)
        reply = self.receive(int.from_bytes(self.receive(2), "big"))[11:]
        answered, came = decode(reply)
        assert (int(answered), came[11]) == (int(mti) + 10, fields[11]), "another message's reply"
        if 64 in fields and reply[-8:] != mac(self.mac_key, reply[:-8]):
            raise ValueError(f"the reply's MAC is wrong (response code {came[39]}): reverse")
        return came

    def receive(self, size: int) -> bytes:
        """So many bytes, in however many pieces they come."""
        data = b""
        while len(data) < size:
            piece = self.connection.recv(size - len(data))
            if not piece:
                raise ConnectionError("the switch has closed the connection")
            data += piece
        return data

    def next_stan(self) -> str:
        """Six digits."""
        self.stan += 1
        return f"{self.stan:06d}"

    def sign_on(self) -> dict[int, str]:
        """Part 3: fetch the working keys, and check their check values."""
        reply = self.ask("0800", {11: self.next_stan(), 60: f"00{self.batch}003"})
        keys = bytes.fromhex(reply[62])
        self.batch = reply[60][2:8]
        self.pin_key = des(TMK, keys[:16], decipher=True)
        self.mac_key = des(TMK, keys[20:36], decipher=True)
        for key, check in ((self.pin_key, keys[16:20]), (self.mac_key, keys[36:40])):
            if des(key, bytes(8))[:4] != check:
                raise ValueError("a working key does not fit its check value")
        return reply

    def sale(self, amount_minor: int) -> tuple[dict[int, str | bytes], dict[int, str]]:
        """Part 4: by stripe with PIN; gives what was sent and the reply's fields."""
        sent: dict[int, str | bytes] = {
            3: "000000", 4: f"{amount_minor:012d}", 11: self.next_stan(), 22: "021", 25: "00",
            26: "12", 35: TRACK_2, 49: "156", 52: pin_block(PIN, PAN, self.pin_key),
            53: "2600000000000000", 60: f"22{self.batch}00050", 64: bytes(8),
        }  # fmt: skip
        return sent, self.ask("0200", sent)

    def reverse(self, sale: dict[int, str | bytes], reason: str = "98") -> dict[int, str]:
        """Part 4: the sale's own fields and STAN, with the reason in DE39."""
        kept = {number: sale[number] for number in (3, 4, 11, 22, 25, 49, 60, 64)}
        return self.ask("0400", {**kept, 39: reason})


if __name__ == "__main__":
    till = Terminal(sys.argv[1], *map(int, sys.argv[2:]))
    print("sign-on ", till.sign_on()[39])
    sent, reply = till.sale(1250)
    print("sale    ", reply[39], "RRN", reply.get(37, ""), "approval", reply.get(38, ""))
    print("reversal", till.reverse(sent)[39])
