"""Data under data keys: M0 enciphers, M2 deciphers, M4 translates.

Modes 00 (ECB) and 01 (CBC); key types 00A, 00B and 30B. Lengths count characters as they stand in
the message; with CBC the reply begins with the chaining value for a next part. The family's own
error codes: 02 and 07 mode, 03 input and 04 output format, 05 and 08 key type, 06 length.
"""

from __future__ import annotations

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import DEK, TEK, ZEK
from acquirer.hsm_sim.lmk import KeyField, WorkingKey

ECB, CBC = "00", "01"

_KEY_TYPES = {"00A": ZEK, "00B": DEK, "30B": TEK}


def encrypt(body: Body) -> str:
    """M0."""
    mode, input_format, output_format = _mode(body), body.choice("012", "03"), _output(body)
    text = _key(body)
    iv = body.hex_bytes(16) if mode == CBC else None
    data = body.data(input_format, body.hex_number(4))
    ciphertext = _encrypt(body.end().key(text), data, iv)
    return _chain(ciphertext, iv) + _written(ciphertext, output_format)


def decrypt(body: Body) -> str:
    """M2."""
    mode, input_format, output_format = _mode(body), body.choice("012", "03"), _output(body)
    text = _key(body)
    iv = body.hex_bytes(16) if mode == CBC else None
    data = body.data(input_format, body.hex_number(4))
    clear = _decrypt(body.end().key(text), data, iv)
    return _chain(data, iv) + _written(clear, output_format)


def translate(body: Body) -> str:
    """M4: decipher under one key and encipher under another."""
    mode, mode_out = _mode(body), _mode(body, "07")
    input_format, output_format = body.choice("012", "03"), _output(body)
    source, destination = _key(body), _key(body, "08")
    iv = body.hex_bytes(16) if mode == CBC else None
    iv_out = body.hex_bytes(16) if mode_out == CBC else None
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


def _key(body: Body, code: str = "05") -> KeyField:
    role = _KEY_TYPES.get(body.take(3))
    if role is None:
        raise Refusal(code, "data keys are of types 00A, 00B and 30B")
    return body.key(role)


def _encrypt(key: WorkingKey, data: bytes, iv: bytes | None) -> bytes:
    _whole_blocks(data)
    return key.cipher.encrypt(data) if iv is None else key.cipher.encrypt_cbc(data, iv)


def _decrypt(key: WorkingKey, data: bytes, iv: bytes | None) -> bytes:
    _whole_blocks(data)
    return key.cipher.decrypt(data) if iv is None else key.cipher.decrypt_cbc(data, iv)


def _whole_blocks(data: bytes) -> None:
    if not data or len(data) % 8:
        raise Refusal("06", "the data is not whole blocks of 8 bytes")


def _chain(ciphertext: bytes, iv: bytes | None) -> str:
    return "" if iv is None else ciphertext[-8:].hex().upper()


def _written(data: bytes, output_format: str) -> str:
    text = data.hex().upper() if output_format == "1" else data.decode("latin-1")
    return f"{len(text):04X}{text}"
