"""Chip card cryptograms: KQ by scheme (Visa, M/Chip, Amex), KW by method of derivation.

Bodies are binary. Data may stand or not where only an answer is wanted. The host pads as its scheme
wants; data that is not whole blocks is filled up with zeros. A cryptogram that differs gives 01
and, where the activity ``diag`` is authorised, the right one.
Error codes: 04 mode, 05 scheme, 10 master key parity, 52 branch and height, 80 and 81 lengths.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.crypto import emv
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_types import MK_AC
from acquirer.hsm_sim.lmk import KeyField

VISA, MCHIP, AMEX = "012"
VERIFY_ONLY, VERIFY_AND_ANSWER, ANSWER_ONLY, VERIFY_AND_ANSWER_2, ANSWER_ONLY_2 = "01234"

_TREES = {"0": (2, 16), "1": (4, 8)}


@dataclass(frozen=True, slots=True)
class _Derivation:
    """The fields from which KW's keys follow.

    Attributes:
        option_b: whether the card's key is derived by option B.
        pan_psn: packed card number and sequence number.
        iv: initial value of the tree, or None for the common method.
        shape: branches and height of the tree.
        atc: application transaction counter.
    """

    option_b: bool
    pan_psn: bytes
    iv: bytes | None
    shape: tuple[int, int]
    atc: bytes

    def session_key(self, master: bytes) -> bytes:
        """The session key under an issuer's master key."""
        derive = emv.card_key_b if self.option_b else emv.card_key_a
        card_key = derive(master, self.pan_psn)
        if self.iv is None:
            return emv.common_session_key(card_key, self.atc + bytes(6))
        branches, height = self.shape
        return emv.tree_session_key(
            card_key, self.atc, branches=branches, height=height, iv=self.iv
        )


def cryptogram_by_scheme(body: Body) -> str:
    """KQ: verify an ARQC, answer it, or both."""
    mode, scheme = body.choice("012", "04"), body.choice("012", "05")
    key = body.key(MK_AC)
    pan_psn, atc, number = body.binary(8), body.binary(2), body.binary(4)
    data = _read_data(body) if mode != ANSWER_ONLY or not body.fits(10) else b""
    arqc = body.binary(8)
    code = body.binary(2) if mode != VERIFY_ONLY else b""
    card_key = emv.card_key_a(_open(body, key), pan_psn)
    if mode != ANSWER_ONLY:
        session = card_key
        if scheme == MCHIP:
            session = emv.mchip_session_key(card_key, atc, number)
        _check(body, session, data, arqc)
    if mode == VERIFY_ONLY:
        return ""
    return emv.response_1(card_key, arqc, code).decode("latin-1")


def cryptogram_by_derivation(body: Body) -> str:
    """KW: the same with session keys by tree or by the common method, and ARPC method 2."""
    mode, scheme = body.choice("01234", "04"), body.choice("0123", "05")
    key = body.key(MK_AC)
    derivation = _read_derivation(body, option_b=scheme in "13", tree=scheme in "01")
    verify = mode in (VERIFY_ONLY, VERIFY_AND_ANSWER, VERIFY_AND_ANSWER_2)
    data = _read_data(body) if verify or _has_data(body, mode) else b""
    arqc = body.binary(8)
    code = body.binary(2) if mode in (VERIFY_AND_ANSWER, ANSWER_ONLY) else b""
    status = body.binary(4) if mode in (VERIFY_AND_ANSWER_2, ANSWER_ONLY_2) else b""
    proprietary = b""
    if status and body.peek().isdecimal():
        proprietary = body.binary(int(body.choice("012345678")))
    session = derivation.session_key(_open(body, key))
    if verify:
        _check(body, session, data, arqc)
    if code:
        return emv.response_1(session, arqc, code).decode("latin-1")
    if status:
        return emv.response_2(session, arqc, status, proprietary).decode("latin-1")
    return ""


def _has_data(body: Body, mode: str) -> bool:
    """Whether data stands in a request that only wants an answer and needs none."""
    if mode == ANSWER_ONLY:
        return not body.fits(10)
    head = body.peek(12 + 1)[12:]
    proprietary = int(head) + 1 if head in tuple("012345678") else 0
    return not (body.fits(12) or body.fits(12 + proprietary))


def _read_derivation(body: Body, *, option_b: bool, tree: bool) -> _Derivation:
    iv = body.binary(16) if tree else None
    if option_b:
        pan_psn = body.binary(body.number(2))
        if not body.optional(";"):
            raise Refusal("15", "; stands after a card number with a length")
    else:
        pan_psn = body.binary(8)
    shape = _TREES[body.choice("01", "52")] if tree else (0, 0)
    return _Derivation(option_b, pan_psn, iv, shape, body.binary(2))


def _read_data(body: Body) -> bytes:
    """Transaction data after a length of 2 hexadecimal digits, and the delimiter after it."""
    size = body.hex_number(2, "80")
    if not size:
        raise Refusal("81", "there is no transaction data")
    data = body.binary(size, "80")
    if not body.optional(";"):
        raise Refusal("80", "the transaction data is not as long as its length says")
    return data


def _open(body: Body, key: KeyField) -> bytes:
    master = body.end().key(key).clear
    if len(master) != 16:
        raise Refusal("27", "an issuer's master key is double length")
    return master


def _check(body: Body, key: bytes, data: bytes, arqc: bytes) -> None:
    expected = emv.cryptogram(key, data)
    if not hmac.compare_digest(expected, arqc):
        diagnostic = expected.decode("latin-1") if body.state.allows("diag") else ""
        raise Refusal("01", "the cryptogram differs", diagnostic)
