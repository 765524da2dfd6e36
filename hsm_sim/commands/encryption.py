"""Data under data keys: M0 enciphers, M2 deciphers, M4 translates.

Modes 00 (ECB) and 01 (CBC); key types 00A, 00B, 30B, and FFF for key blocks, whose keys may be AES
(then IVs have 32 digits). Lengths count characters as they stand in the message; with CBC the reply
begins with the chaining value for a next part. The family's own
error codes: 02 and 07 mode, 03 input and 04 output format, 05 and 08 key type, 06 length.
"""

from __future__ import annotations

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import DECIPHER, DEK, ENCIPHER, TEK, ZEK, KeyRole, using
from acquirer.hsm_sim.lmk import KeyField, WorkingKey, block_bytes

ECB, CBC = "00", "01"

_ANY_DATA_KEY = KeyRole("data key", "FFF", "FFF", 16, ("D0", "21", "22", "23"), "", "DTA")
_KEY_TYPES = {"00A": ZEK, "00B": DEK, "30B": TEK, "FFF": _ANY_DATA_KEY}


def encrypt(body: Body) -> str:
    """M0."""
    mode, input_format, output_format = _mode(body), body.choice("012", "03"), _output(body)
    text = _key(body, ENCIPHER)
    iv = _iv(body, mode, text)
    data = body.data(input_format, body.hex_number(4))
    ciphertext = _encrypt(body.end().key(text), data, iv)
    return _chain(ciphertext, iv) + _written(ciphertext, output_format)


def decrypt(body: Body) -> str:
    """M2."""
    mode, input_format, output_format = _mode(body), body.choice("012", "03"), _output(body)
    text = _key(body, DECIPHER)
    iv = _iv(body, mode, text)
    data = body.data(input_format, body.hex_number(4))
    clear = _decrypt(body.end().key(text), data, iv)
    return _chain(data, iv) + _written(clear, output_format)


def translate(body: Body) -> str:
    """M4: decipher under one key and encipher under another."""
    mode, mode_out = _mode(body), _mode(body, "07")
    input_format, output_format = body.choice("012", "03"), _output(body)
    source, destination = _key(body, DECIPHER), _key(body, ENCIPHER, "08")
    iv, iv_out = _iv(body, mode, source), _iv(body, mode_out, destination)
    data = body.data(input_format, body.hex_number(4))
    lmk = body.end()
    clear = _decrypt(lmk.key(source), data, iv)
    ciphertext = _encrypt(lmk.key(destination, "11"), clear, iv_out)
    return _chain(data, iv) + _chain(ciphertext, iv_out) + _written(ciphertext, output_format)


def _mode(body: Body, code: str = "02") -> str:
    mode = body.take(2)
    if mode not in (ECB, CBC):
        raise Refusal(code, "the modes are 00 (ECB) and 01 (CBC)")
    return mode


def _output(body: Body) -> str:
    return body.choice("012", "04")


def _key(body: Body, modes: str, code: str = "05") -> KeyField:
    role = _KEY_TYPES.get(body.take(3))
    if role is None:
        raise Refusal(code, "data keys are of types 00A, 00B and 30B")
    return body.key(using(role, modes))


def _iv(body: Body, mode: str, key: KeyField) -> bytes | None:
    return body.hex_bytes(2 * block_bytes(key)) if mode == CBC else None


def _encrypt(key: WorkingKey, data: bytes, iv: bytes | None) -> bytes:
    _whole_blocks(data, key)
    return key.cipher.encrypt(data) if iv is None else key.cipher.encrypt_cbc(data, iv)


def _decrypt(key: WorkingKey, data: bytes, iv: bytes | None) -> bytes:
    _whole_blocks(data, key)
    return key.cipher.decrypt(data) if iv is None else key.cipher.decrypt_cbc(data, iv)


def _whole_blocks(data: bytes, key: WorkingKey) -> None:
    size = key.cipher.block_bytes
    if not data or len(data) % size:
        raise Refusal("06", f"the data is not whole blocks of {size} bytes")


def _chain(ciphertext: bytes, iv: bytes | None) -> str:
    return "" if iv is None else ciphertext[-len(iv) :].hex().upper()


def _written(data: bytes, output_format: str) -> str:
    text = data.hex().upper() if output_format == "1" else data.decode("latin-1")
    return f"{len(text):04X}{text}"
