"""Base derivation keys and key serial numbers as fields, and the working keys behind them.

A base key may have a flag before it: ``*`` type 1, ``~`` type 2 (one key for each direction). AES
keys derive MAC keys for each direction too, but under ``*``, when one key serves both. A
serial number has a descriptor of 3 digits, whose sum says its length: identifiers of so many digits
and 5 of the counter. Some senders write the F in front of it, so that it has 20 digits: whichever
reading the whole request fits is meant, the descriptor's before the other. Under an AES base key
it has 24 digits whatever the descriptor says.
Source: docs/hsm.md, commands CA, G0, GO, GQ, GW.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Concatenate, ParamSpec, TypeVar

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.crypto import aes, des, dukpt_aes, dukpt_tdes
from acquirer.hsm_sim.crypto.cipher import BlockCipher
from acquirer.hsm_sim.crypto.dukpt_aes import KeyType, Usage
from acquirer.hsm_sim.crypto.errors import KeyLengthError
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import BDK, BDK_2, DERIVE, KeyRole
from acquirer.hsm_sim.lmk import KeyField, WorkingKey, block_bytes

_ANY_BDK = KeyRole("BDK", "009", "009", 32, ("B0", "41", "42", "43"), DERIVE, "TA")
_FLAGS = {"*": BDK, "~": BDK_2}
_TYPE_2_USAGE = "41"
_COUNTER_DIGITS = 5
_TDES_KSN_DIGITS = range(12, 21)
_READINGS = sorted(product((False, True), repeat=2), key=sum)
"""Whether first and second serial number are written out: as few as the request lets."""
_AES_TYPES = {16: KeyType.AES_128, 24: KeyType.AES_192, 32: KeyType.AES_256}


P = ParamSpec("P")
R = TypeVar("R")


def reading_ksns(
    handler: Callable[Concatenate[Body, P], R],
) -> Callable[Concatenate[Body, P], R]:
    """The handler of a command with up to two serial numbers, each read as it is meant.

    Where the request fits no reading it is refused as the descriptors' own one was.
    """

    def handle(body: Body, /, *args: P.args, **kwargs: P.kwargs) -> R:
        start = body.at
        for reading in _READINGS:
            body.at = start
            body.written_out = [*reading]
            try:
                return handler(body, *args, **kwargs)
            except Refusal:
                if body.ended or len(body.written_out) == len(reading):
                    raise
        body.at = start
        body.written_out = [*_READINGS[0]]
        return handler(body, *args, **kwargs)

    return handle


def read_bdk(body: Body) -> KeyField:
    """A base derivation key with or without its flag."""
    role = _FLAGS.get(body.peek())
    if role is None:
        return body.key(_ANY_BDK)
    body.take(1)
    return body.key(role)


def is_bdk(body: Body) -> bool:
    """Whether a base derivation key comes next, by its flag or its key block's usage."""
    first = body.peek()
    return first in _FLAGS or (first == "S" and body.peek(8)[6:] in _ANY_BDK.usages)


def read_ksn(body: Body, bdk: KeyField) -> bytes:
    """Descriptor and key serial number, for handlers of :func:`reading_ksns`.

    Returns:
        10 bytes (TDES) or 12 (AES).

    Raises:
        Refusal: 15, the descriptor asks for a length that no serial number has.
    """
    descriptor = body.take(3)
    if block_bytes(bdk) == 16:
        return body.hex_bytes(24)
    try:
        size = sum(int(digit, 16) for digit in descriptor) + _COUNTER_DIGITS
    except ValueError:
        size = 0
    if size not in _TDES_KSN_DIGITS:
        raise Refusal("15", "the KSN descriptor does not describe 12 to 20 digits")
    fill = _TDES_KSN_DIGITS.stop - 1 - size
    if fill and body.peek(fill) == "F" * fill and body.written_out.pop(0):
        size += fill
    try:
        return bytes.fromhex(body.take(size).rjust(_TDES_KSN_DIGITS.stop - 1, "F"))
    except ValueError:
        raise Refusal("15", "the KSN holds other characters than hexadecimal digits") from None


def pin_cipher(bdk: WorkingKey, ksn: bytes, *, iso4: bool) -> BlockCipher:
    """The cipher of a transaction's PIN key.

    Args:
        bdk: the base key.
        ksn: as :func:`read_ksn` gives it.
        iso4: whether the block is of ISO format 4, which under an AES base key decides between an
            AES and a TDES working key.

    Raises:
        KeyLengthError: the base key is single length.
    """
    if bdk.algorithm == "T":
        initial = dukpt_tdes.initial_key(bdk.clear, ksn)
        return des.new_cipher(dukpt_tdes.pin_key(dukpt_tdes.transaction_key(initial, ksn)))
    if iso4:
        return aes.new_cipher(_aes_key(bdk, ksn, Usage.PIN_ENCRYPTION))
    initial = dukpt_aes.initial_key(bdk.clear, ksn)
    key = dukpt_aes.working_key(initial, ksn, Usage.PIN_ENCRYPTION, KeyType.TDEA_2)
    return des.new_cipher(key)


def mac_key(bdk: WorkingKey, ksn: bytes, *, response: bool, both_ways: bool = False) -> bytes:
    """A transaction's MAC key: the terminal's for requests, or the host's for responses.

    Args:
        bdk: the base key; with type 1 TDES keys one MAC key serves both ways.
        ksn: as :func:`read_ksn` gives it.
        response: whether the host makes the MAC.
        both_ways: whether one AES key serves both.
    """
    if bdk.algorithm == "A" and both_ways:
        return _aes_key(bdk, ksn, Usage.MAC_BOTH_WAYS)
    if bdk.algorithm == "A":
        return _aes_key(bdk, ksn, Usage.MAC_VERIFICATION if response else Usage.MAC_GENERATION)
    key = dukpt_tdes.transaction_key(dukpt_tdes.initial_key(bdk.clear, ksn), ksn)
    return dukpt_tdes.mac_response_key(key) if response else dukpt_tdes.mac_request_key(key)


def data_cipher(bdk: WorkingKey, ksn: bytes, *, response: bool) -> BlockCipher:
    """The cipher of a transaction's data key; arguments as :func:`mac_key`."""
    if bdk.algorithm == "A":
        usage = Usage.DATA_DECRYPT if response else Usage.DATA_ENCRYPT
        return aes.new_cipher(_aes_key(bdk, ksn, usage))
    key = dukpt_tdes.transaction_key(dukpt_tdes.initial_key(bdk.clear, ksn), ksn)
    chosen = dukpt_tdes.data_response_key if response else dukpt_tdes.data_request_key
    return des.new_cipher(chosen(key))


def both_ways(field: KeyField) -> bool:
    """Whether a request says, by the flag of type 1, that one MAC key serves both directions."""
    return field[0] is BDK


def one_way(field: KeyField, bdk: WorkingKey) -> bool:
    """Whether each direction has keys of its own: AES base keys and those of type 2."""
    header = bdk.header
    typed = field[0] is BDK_2 or (header is not None and header.usage == _TYPE_2_USAGE)
    return bdk.algorithm == "A" or typed


def _aes_key(bdk: WorkingKey, ksn: bytes, usage: Usage) -> bytes:
    if len(ksn) != dukpt_aes.KSN_BYTES:
        raise KeyLengthError("an AES base key needs a KSN of 24 digits")
    initial = dukpt_aes.initial_key(bdk.clear, ksn)
    return dukpt_aes.working_key(initial, ksn, usage, _AES_TYPES[len(bdk.clear)])
