"""The card in software: its cryptograms against pyemv, what it believes, what scripts it runs."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyemv import ac, kd
from pyemv.cvn import VisaCVN10

from acquirer.codecs import bertlv
from acquirer.codecs.icc import WANTED
from acquirer.config.estate import Card
from acquirer.hosts_sim.bank.chip import IssuerModule
from acquirer.terminals_sim.software_card import icc_data, second_word

MASTER = "B3D57A0E94C2F16831C8ADF7520E6B9D"
PARAMETERS = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36", "9F10")


def card_of(cvn: int, pan: str = "4000121185519754", psn: str = "01") -> Card:
    """A chip card with a key."""
    return Card("bob", pan, "3201", "201", icc_mk=MASTER, psn=psn, cvn=10 if cvn == 10 else 18)


def said_by(card: Card, amount_minor: int = 12345, stan: str = "000042") -> bytes:
    """DE55 of a purchase."""
    return icc_data(
        card,
        amount_minor=amount_minor,
        stan=stan,
        today=date(2026, 11, 30),
        currency_code="156",
        serial="10000001",
    )


def tags(icc: bytes) -> dict[str, bytes]:
    """Tag → value."""
    return {item.tag: item.value for item in bertlv.parse(icc)}


@given(
    amount_minor=st.integers(0, 999_999_999_999),
    stan=st.integers(1, 999_999),
    psn=st.integers(0, 99),
)
def test_cryptograms_are_pyemvs(amount_minor: int, stan: int, psn: int) -> None:
    """Versions 10 and 18 give the ARQC that pyemv computes of the same objects."""
    card = card_of(10, psn=f"{psn:02d}")
    found = tags(said_by(card, amount_minor, f"{stan:06d}"))
    visa = VisaCVN10(
        iss_mk_ac=bytes.fromhex(MASTER),
        iss_mk_smi=bytes(range(16)),
        iss_mk_smc=bytes(range(16)),
        pan=card.pan,
        psn=card.psn,
    )
    given_ = {f"tag_{tag.lower()}": found[tag] for tag in PARAMETERS[:-1]}
    assert found["9F26"] == visa.generate_ac(**given_, cvr=found["9F10"][3:7])

    card = card_of(18, psn=f"{psn:02d}")
    found = tags(said_by(card, amount_minor, f"{stan:06d}"))
    key = kd.derive_common_sk(
        kd.derive_icc_mk_a(bytes.fromhex(MASTER), card.pan, card.psn), found["9F36"] + bytes(6)
    )
    data = b"".join(found[tag] for tag in PARAMETERS)
    assert found["9F26"] == ac.generate_ac(key, data, ac.PaddingType.EMV, 8)


def test_all_that_an_issuer_wants_is_there() -> None:
    """An online authorisation has every wanted object."""
    assert set(WANTED) <= set(tags(said_by(card_of(10))))


@pytest.mark.parametrize("cvn", [10, 18])
def test_the_banks_module_and_the_card_believe_each_other(cvn: int) -> None:
    """The module of the bank takes the card's ARQC, and the card the module's ARPC."""
    card = card_of(cvn)
    bank, icc = IssuerModule([card]), said_by(card)
    assert bank.check(card, icc) == "right"
    answer = bertlv.build([("91", bank.answer(card, icc, "00"))])
    assert tags(answer)["91"][8:] == b"00"
    assert second_word(card, icc, answer).issuer == "right"


@pytest.mark.parametrize("cvn", [10, 18])
def test_pyemv_makes_the_same_answer(cvn: int) -> None:
    """The ARPC is method 1 of pyemv, by card key or session key, over ``00``."""
    card = card_of(cvn)
    icc = said_by(card)
    found = tags(icc)
    key = kd.derive_icc_mk_a(bytes.fromhex(MASTER), card.pan, card.psn)
    if cvn == 18:
        key = kd.derive_common_sk(key, found["9F36"] + bytes(6))
    expected = ac.generate_arpc_1(key, found["9F26"], b"00")
    assert IssuerModule([card]).answer(card, icc, "00") == expected + b"00"


@pytest.mark.parametrize("cvn", [10, 18])
def test_one_changed_byte_is_found(cvn: int) -> None:
    """An amount, a cryptogram or an answer that was changed is believed by nobody."""
    card = card_of(cvn)
    bank, icc = IssuerModule([card]), said_by(card)
    found = tags(icc)
    for tag in ("9F02", "9F26", "9F36"):
        value = bytes([*found[tag][:-1], found[tag][-1] ^ 1])
        assert bank.check(card, bertlv.build({**found, tag: value}.items())) == "wrong"
    without = {tag: value for tag, value in found.items() if tag != "9F37"}
    assert bank.check(card, bertlv.build(without.items())) == "wrong"
    wrong = bank.answer(card, icc, "00")[:7] + b"\0" + b"00"
    assert second_word(card, icc, bertlv.build([("91", wrong)])).issuer == "wrong"
    assert second_word(card, icc, bertlv.build([("91", b"\1")])).issuer == "wrong"


def test_a_card_without_a_key_is_believed_and_believes() -> None:
    """Where the estate has no ``icc_mk`` nobody checks anything."""
    card = Card("alice", "6225882202982730907", "3106")
    icc = said_by(card)
    assert IssuerModule([card]).check(card, icc) == "absent"
    assert second_word(card, icc, bertlv.build([("91", bytes(10))])).issuer == "absent"


def test_scripts_are_carried_out_when_the_issuer_is_right() -> None:
    """DF31 names each script and says done; failed where the issuer is not believed."""
    card = card_of(18)
    bank, icc = IssuerModule([card]), said_by(card)
    script = bytes.fromhex("720F9F1804000000018606842400000812")
    right = bertlv.build([("91", bank.answer(card, icc, "00"))])
    assert second_word(card, icc, right + script).script_result == "2000000001"
    wrong = bertlv.build([("91", bytes(8) + b"00")])
    assert second_word(card, icc, wrong + script).script_result == "1000000001"
