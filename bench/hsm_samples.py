"""Requests to measure the security module with: one body, or a series, for each command.

Keys are made under the published test LMK. Bodies come without length and header; their replies
begin with the reply code and ``00``.
"""

from __future__ import annotations

from acquirer.hsm_sim.crypto import des, dukpt_tdes, emv, mac, pinblock
from acquirer.hsm_sim.operator import variant_test_lmk, wrap_key

ACCOUNT = "400000123456"
MESSAGE = bytes(range(128))
TPK = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
ZPK = bytes.fromhex("89ABCDEF0123456776543210FEDCBA98")

_OTHER_ZPK = bytes.fromhex("1C2F3E4A5B6D70897F8E9DACBBCAD9E8")
_BDK = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
_KSN = 0xFFFF9876543210E00000
_COUNTERS = 10_000
"""More than the module keeps keys for, so that each request of a turn derives its own."""


def bodies() -> dict[str, list[bytes]]:
    """Command to the bodies that are sent in turn, all with replies of one length."""
    lmk = variant_test_lmk(test_lmk=True)
    tpk, zpk = wrap_key(lmk, "002", TPK, "U"), wrap_key(lmk, "001", ZPK, "U")
    other, tak = wrap_key(lmk, "001", _OTHER_ZPK, "U"), wrap_key(lmk, "003", TPK, "U")
    cvk, bdk = wrap_key(lmk, "402", TPK, "U"), wrap_key(lmk, "009", _BDK, "U")
    pin = f"12{_block(TPK)}0101{ACCOUNT}"
    head, size = f"0031003{tak}", f"{len(MESSAGE):04X}"
    right = mac.x919(TPK, MESSAGE).hex().upper()[:8]
    return {
        "CA": [f"CA{tpk}{zpk}{pin}".encode()],
        "CC": [f"CC{zpk}{other}12{_block(ZPK)}0147{ACCOUNT}".encode()],
        "M6": [f"M60{head}{size}".encode() + MESSAGE],
        "M8": [f"M80{head}{size}".encode() + MESSAGE + right.encode()],
        "CW": [f"CW{cvk}4123456789012345;8701101".encode()],
        "G0": [_g0(bdk, zpk, counter) for counter in range(1, _COUNTERS + 1)],
        "KQ": [_kq(wrap_key(lmk, "109", TPK, "U"))],
    }


def _block(key: bytes) -> str:
    return des.encrypt_ecb(key, pinblock.encode_iso0("1234", ACCOUNT)).hex().upper()


def _g0(bdk: str, zpk: str, counter: int) -> bytes:
    """A terminal's transactions one after the other, each with a key of its own."""
    ksn = (_KSN | counter).to_bytes(10, "big")
    key = dukpt_tdes.transaction_key(dukpt_tdes.initial_key(_BDK, ksn), ksn)
    block = _block(dukpt_tdes.pin_key(key))
    return f"G0{bdk}{zpk}A05{ksn.hex().upper()}{block}0101{ACCOUNT}".encode()


def _kq(master: str) -> bytes:
    pan, atc, number, data = bytes(8), b"\0\x01", bytes(4), bytes(40)
    arqc = emv.cryptogram(emv.card_key_a(des.odd_parity(TPK), pan), data)
    return f"KQ10{master}".encode() + pan + atc + number + b"28" + data + b";" + arqc + b"00"
