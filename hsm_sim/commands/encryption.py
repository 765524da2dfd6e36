"""Data under data keys: M0 enciphers, M2 deciphers, M4 translates.

Modes 00 (ECB), 01 (CBC), 02 (CFB of one byte), 03 (CFB of one block); key types 00A, 00B, 30B,
base keys 009 and 609, after which descriptor and KSN stand, and FFF for key blocks, whose keys may
be AES (then IVs have 32 digits). Lengths count characters as they stand in the message; except in
ECB the reply begins with the chaining value for a next part. Under keys that travel M2 and M4 must
be authorised. The family's own error codes: 02 and 07 mode, 03 input and 04 output format, 05 and
08 key type, 06 length.
"""

from __future__ import annotations

from typing import NamedTuple

from acquirer.hsm_sim.authorisation import STORAGE_KEYS
from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands.dukpt_fields import (
    data_cipher,
    is_bdk,
    one_way,
    read_ksn,
    reading_ksns,
)
from acquirer.hsm_sim.crypto import cfb
from acquirer.hsm_sim.crypto.cipher import BlockCipher
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import (
    BDK,
    BDK_2,
    DECIPHER,
    DEK,
    DERIVE,
    ENCIPHER,
    TEK,
    ZEK,
    KeyRole,
    using,
)
from acquirer.hsm_sim.lmk import KeyField, LocalMasterKey, block_bytes

ECB, CBC, CFB_8, CFB_BLOCK = "00", "01", "02", "03"

_ANY_DATA_KEY = KeyRole("data key", "FFF", "FFF", 16, ("D0", "21", "22", "23"), "", "DTA")
_ANY_BDK = KeyRole("BDK", "FFF", "FFF", 32, ("B0", "41", "42", "43"), DERIVE, "TA")
_KEY_TYPES = {
    "00A": ZEK,
    "00B": DEK,
    "30B": TEK,
    "FFF": _ANY_DATA_KEY,
    BDK.code: BDK,
    BDK_2.code: BDK_2,
}


class _Side(NamedTuple):
    """One side of a command: how its data is enciphered, and under which key.

    Attributes:
        mode: ``00`` to ``03``.
        key: a data key or a base key, still closed.
        ksn: serial number where it is a base key.
    """

    mode: str
    key: KeyField
    ksn: bytes | None

    def cipher(self, lmk: LocalMasterKey, parity: str, *, response: bool) -> BlockCipher:
        """The cipher of the key, or of the key derived from it."""
        key = lmk.key(self.key, parity)
        if self.ksn is None:
            return key.cipher
        return data_cipher(key, self.ksn, response=response and one_way(self.key, key))


@reading_ksns
def encrypt(body: Body) -> str:
    """M0."""
    mode, input_format, output_format = _mode(body), body.choice("012", "03"), _output(body)
    side = _side(body, mode, ENCIPHER)
    iv = _iv(body, side)
    data = body.data(input_format, body.hex_number(4))
    ciphertext, chain = _encrypt(side.cipher(body.end(), "10", response=True), mode, data, iv)
    return chain + _written(ciphertext, output_format)


@reading_ksns
def decrypt(body: Body) -> str:
    """M2."""
    mode, input_format, output_format = _mode(body), body.choice("012", "03"), _output(body)
    side = _side(body, mode, DECIPHER)
    iv = _iv(body, side)
    data = body.data(input_format, body.hex_number(4))
    lmk = body.end()
    _check_authorised(body, lmk, side, "M2")
    clear, chain = _decrypt(side.cipher(lmk, "10", response=False), mode, data, iv)
    return chain + _written(clear, output_format)


@reading_ksns
def translate(body: Body) -> str:
    """M4: decipher under one key and encipher under another."""
    mode, mode_out = _mode(body), _mode(body, "07")
    input_format, output_format = body.choice("012", "03"), _output(body)
    source = _side(body, mode, DECIPHER)
    destination = _side(body, mode_out, ENCIPHER, "08")
    iv, iv_out = _iv(body, source), _iv(body, destination)
    data = body.data(input_format, body.hex_number(4))
    lmk = body.end()
    _check_authorised(body, lmk, source, "M4")
    clear, chain = _decrypt(source.cipher(lmk, "10", response=False), mode, data, iv)
    cipher = destination.cipher(lmk, "11", response=True)
    ciphertext, chain_out = _encrypt(cipher, mode_out, clear, iv_out)
    return chain + chain_out + _written(ciphertext, output_format)


def _mode(body: Body, code: str = "02") -> str:
    mode = body.take(2)
    if mode not in (ECB, CBC, CFB_8, CFB_BLOCK):
        raise Refusal(code, "the modes are 00 (ECB), 01 (CBC), 02 and 03 (CFB)")
    return mode


def _output(body: Body) -> str:
    return body.choice("012", "04")


def _side(body: Body, mode: str, modes: str, code: str = "05") -> _Side:
    role = _KEY_TYPES.get(body.take(3))
    if role is None:
        raise Refusal(code, "data keys are of types 00A, 00B, 30B, 009, 609 and FFF")
    if role is _ANY_DATA_KEY and is_bdk(body):
        role = _ANY_BDK
    if role in (BDK, BDK_2, _ANY_BDK):
        key = body.key(role)
        return _Side(mode, key, read_ksn(body, key))
    return _Side(mode, body.key(using(role, modes)), None)


def _check_authorised(body: Body, lmk: LocalMasterKey, side: _Side, command: str) -> None:
    """Refuse to decipher under keys that travel, unless that is authorised; DEKs do not.

    Raises:
        Refusal: 17.
    """
    header = lmk.key(side.key).header if lmk.uses_blocks else None
    name = header.usage if header is not None else side.key[0].code
    if name not in STORAGE_KEYS:
        body.state.require(lmk, "command", command)


def _iv(body: Body, side: _Side) -> bytes:
    """The initial value: nothing in ECB."""
    return b"" if side.mode == ECB else body.hex_bytes(2 * block_bytes(side.key))


def _encrypt(cipher: BlockCipher, mode: str, data: bytes, iv: bytes) -> tuple[bytes, str]:
    """The ciphertext, and the chaining value of a next part as digits."""
    _check_length(data, cipher, mode)
    if mode == ECB:
        return cipher.encrypt(data), ""
    if mode == CBC:
        ciphertext = cipher.encrypt_cbc(data, iv)
    else:
        ciphertext = cfb.encrypt(cipher, data, iv, _segment(cipher, mode))
    return ciphertext, _chain(iv, ciphertext)


def _decrypt(cipher: BlockCipher, mode: str, data: bytes, iv: bytes) -> tuple[bytes, str]:
    _check_length(data, cipher, mode)
    if mode == ECB:
        return cipher.decrypt(data), ""
    if mode == CBC:
        return cipher.decrypt_cbc(data, iv), _chain(iv, data)
    return cfb.decrypt(cipher, data, iv, _segment(cipher, mode)), _chain(iv, data)


def _segment(cipher: BlockCipher, mode: str) -> int:
    return 1 if mode == CFB_8 else cipher.block_bytes


def _check_length(data: bytes, cipher: BlockCipher, mode: str) -> None:
    size = 1 if mode == CFB_8 else cipher.block_bytes
    if not data or len(data) % size:
        raise Refusal("06", f"the data is not whole blocks of {size} bytes")


def _chain(iv: bytes, ciphertext: bytes) -> str:
    return (iv + ciphertext)[-len(iv) :].hex().upper()


def _written(data: bytes, output_format: str) -> str:
    text = data.hex().upper() if output_format == "1" else data.decode("latin-1")
    return f"{len(text):04X}{text}"
