"""Chip cards at the bank: its own security module checks their cryptograms and answers them.

The issuer's keys of the estate stand under the module's LMK; the bank sends host commands, as a
bank core does: KQ for cryptogram version 10 (the card's own key), KW for 18 (common session keys).
Source: docs/interfaces/bank-link.md, "Chip"; docs/interfaces/security-module.md, KQ and KW.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from acquirer.codecs import bertlv
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.icc import CVN_10, cryptogram_data
from acquirer.config.estate import Card
from acquirer.hsm_sim.crypto.emv import pan_and_sequence
from acquirer.hsm_sim.key_types import MK_AC
from acquirer.hsm_sim.lmk import TEST_VARIANT_PAIRS, VariantLmk
from acquirer.hsm_sim.module import SecurityModule
from acquirer.hsm_sim.operator import wrap_key
from acquirer.hsm_sim.state import Settings

ChipCheck = Literal["absent", "right", "wrong"]

# Its own, made of the published pairs in another order: what it keeps is test data.
_LMK = (*TEST_VARIANT_PAIRS[1:], TEST_VARIANT_PAIRS[0])
_VERIFY, _ANSWER = "0", "2"
_VISA, _OPTION_A_COMMON = "0", "2"
_PAN_PSN_BYTES = 8
_DIFFERS = "01"


class IssuerModule:
    """The bank's security module, and the keys of its cards.

    Args:
        cards: those of the estate; the ones without ``icc_mk`` are believed.
    """

    def __init__(self, cards: Iterable[Card]) -> None:
        lmk = VariantLmk(_LMK)
        self._module = SecurityModule({"00": lmk}, settings=Settings(header_length=0))
        self._keys = {
            key: wrap_key(lmk, MK_AC.code, bytes.fromhex(key), "U")
            for key in {card.icc_mk for card in cards if card.icc_mk}
        }

    def check(self, card: Card, icc: bytes) -> ChipCheck:
        """Whether a card's ARQC is right.

        Args:
            icc: DE55 of the request, BER-TLV, empty for none.
        """
        if not icc or not card.icc_mk:
            return "absent"
        code, _ = self._ask(card, icc, _VERIFY)
        return "right" if code == "00" else "wrong"

    def answer(self, card: Card, icc: bytes, response_code: str) -> bytes:
        """The issuer's authentication data (tag 91): ARPC by method 1, 8 bytes, and ARC, 2."""
        arc = response_code.encode("ascii")
        _, arpc = self._ask(card, icc, _ANSWER, arc)
        return arpc + arc

    def _ask(self, card: Card, icc: bytes, mode: str, arc: bytes = b"") -> tuple[str, bytes]:
        """One command of the module: its error code, and what it answers beside."""
        try:
            objects = bertlv.parse(icc)
            data = cryptogram_data(objects, card.cvn)
        except RemoteFormatError:
            return _DIFFERS, b""
        arqc, number = bertlv.find(objects, "9F26") or b"", bertlv.find(objects, "9F37") or b""
        counter = bertlv.find(objects, "9F36") or b""
        pan_psn = pan_and_sequence(card.pan, card.psn)[-_PAN_PSN_BYTES:].rjust(
            _PAN_PSN_BYTES, b"\0"
        )
        key = self._keys[card.icc_mk].encode("ascii")
        if card.cvn == CVN_10:
            head = f"KQ{mode}{_VISA}".encode("ascii") + key + pan_psn + counter + number
        else:
            head = f"KW{mode}{_OPTION_A_COMMON}".encode("ascii") + key + pan_psn + counter
        signed = f"{len(data):02X}".encode("ascii") + data + b";" if mode == _VERIFY else b""
        reply = self._module.execute(head + signed + arqc + arc)
        return reply[2:4].decode("latin-1"), reply[4:]
