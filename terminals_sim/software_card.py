"""A chip card in software: real cryptograms, the check of its issuer's answer, and scripts.

A card of the estate with ``icc_mk`` computes its ARQC as a card of that cryptogram version does
and believes no answer whose ARPC is wrong; one without makes a cryptogram up, which nobody checks.
Pure. Source: docs/interfaces/terminal.md, part 4 ("Chip"); EMV 4.3 Book 2, 8; Book 3, 10.10.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from acquirer.codecs import bertlv
from acquirer.codecs.bertlv import Tlv
from acquirer.codecs.icc import CVN_18, cryptogram_data
from acquirer.config.estate import Card
from acquirer.hsm_sim.crypto import emv

ARPC_BYTES = 8
# What a reversal and a script's result bring of the request's objects.
REVERSAL_TAGS = ("95", "9F10", "9F36", "9F1E")
RESULT_TAGS = ("9F10", "9F36", "95")
_KEY_INDEX = "01"
_CVR = "03A00000"
# A script that was carried out: number 1 of 1, no failure; and one that was not.
SCRIPT_DONE, SCRIPT_FAILED = "20", "10"
_NO_IDENTIFIER = bytes(4)


def icc_data(
    card: Card,
    *,
    amount_minor: int,
    stan: str,
    today: date,
    currency_code: str,
    serial: str,
) -> bytes:
    """DE55 of an online authorisation.

    Args:
        stan: 6 digits; the card's transaction counter follows it.
        currency_code: 3 digits.
        serial: of the terminal, 8 characters.

    Returns:
        BER-TLV.
    """
    seed = f"{card.pan}{amount_minor}{stan}{today.isoformat()}".encode("ascii")
    drawn = hashlib.sha256(seed).digest()
    objects = {
        "9F26": drawn[:8],
        "9F27": b"\x80",
        "9F10": bytes.fromhex(f"06{_KEY_INDEX}{card.cvn:02X}{_CVR}"),
        "9F37": drawn[12:16],
        "9F36": (int(stan) & 0xFFFF).to_bytes(2, "big"),
        "95": bytes(5),
        "9A": bytes.fromhex(f"{today:%y%m%d}"),
        "9C": b"\0",
        "9F02": bytes.fromhex(f"{amount_minor:012d}"),
        "5F2A": bytes.fromhex(currency_code.zfill(4)),
        "82": bytes.fromhex("7C00"),
        "9F1A": bytes.fromhex("0156"),
        "9F03": bytes(6),
        "9F33": bytes.fromhex("E0F8C8"),
        "9F34": bytes.fromhex("420300"),
        "9F35": b"\x22",
        "9F1E": serial.encode("ascii"),
        "84": bytes.fromhex("A000000333010101"),
        "9F09": bytes.fromhex("0020"),
        "9F41": bytes.fromhex(f"{int(stan):08d}"),
    }
    if card.icc_mk:
        signed = [Tlv(tag, value) for tag, value in objects.items()]
        key = session_key(card, objects["9F36"])
        objects["9F26"] = emv.cryptogram(key, cryptogram_data(signed, card.cvn))
    return bertlv.build(objects.items())


def session_key(card: Card, counter: bytes) -> bytes:
    """The key of one transaction's cryptograms: the card's own, or a session key of it.

    Args:
        counter: 9F36, 2 bytes.
    """
    pan_psn = emv.pan_and_sequence(card.pan, card.psn)
    card_key = emv.card_key_a(bytes.fromhex(card.icc_mk), pan_psn)
    if card.cvn == CVN_18:
        return emv.common_session_key(card_key, counter + bytes(6))
    return card_key


def chosen(icc: str, tags: Iterable[str], script_result: str = "") -> str:
    """Some of a chip's objects, behind the result of a script where there was one.

    Args:
        icc: DE55, hexadecimal.
        tags: those that are wanted, of which it has each.
        script_result: value of DF31, hexadecimal.
    """
    said = {item.tag: item.value for item in bertlv.parse(bytes.fromhex(icc))}
    result = [("DF31", bytes.fromhex(script_result))] if script_result else []
    return bertlv.build([*result, *((tag, said[tag]) for tag in tags)]).hex().upper()


@dataclass(frozen=True, slots=True)
class CardsWord:
    """What a card says of its issuer's answer.

    Attributes:
        issuer: whether the answer comes from the issuer; ``absent`` where there was nothing to
            check, or no key to check it with.
        script_result: DF31, 5 bytes for each script, in hexadecimal; empty where there was none.
    """

    issuer: Literal["right", "wrong", "absent"]
    script_result: str = ""


def second_word(card: Card, asked: bytes, answered: bytes) -> CardsWord:
    """Give the issuer's DE55 to the card.

    Args:
        asked: DE55 of the request.
        answered: DE55 of the reply, empty for none.

    Raises:
        RemoteFormatError: the answer is no BER-TLV.
    """
    objects = bertlv.parse(answered)
    word = _issuer(card, bertlv.parse(asked), bertlv.find(objects, "91"))
    results = [
        _carried_out(item, is_trusted=word != "wrong")
        for item in objects
        if item.tag in ("71", "72")
    ]
    return CardsWord(word, "".join(results))


def _issuer(
    card: Card, asked: tuple[Tlv, ...], answer: bytes | None
) -> Literal["right", "wrong", "absent"]:
    if answer is None or not card.icc_mk:
        return "absent"
    arqc, counter = bertlv.find(asked, "9F26"), bertlv.find(asked, "9F36")
    assert arqc is not None
    assert counter is not None
    arpc, code = answer[:ARPC_BYTES], answer[ARPC_BYTES:]
    expected = emv.response_1(session_key(card, counter), arqc, code) if len(code) == 2 else b""
    return "right" if hmac.compare_digest(expected, arpc) else "wrong"


def _carried_out(script: Tlv, *, is_trusted: bool) -> str:
    """The result of one script: carried out whole where it has commands and its sender is right."""
    named = bertlv.find(script.children, "9F18") or _NO_IDENTIFIER
    has_commands = any(item.tag == "86" and len(item.value) >= 4 for item in script.children)
    status = SCRIPT_DONE if is_trusted and has_commands else SCRIPT_FAILED
    return status + named[:4].rjust(4, b"\0").hex().upper()
