"""Published values of AES, chip card cryptograms, PIN blocks; tests/vectors says from where."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from acquirer.hsm_sim.crypto import (
    aes,
    card_value,
    cfb,
    des,
    emv,
    kcv,
    mac,
    pinblock,
    pinblock_iso4,
    pinblock_issuer,
)
from acquirer.hsm_sim.crypto.mac import Padding
from acquirer.hsm_sim.crypto.pinblock import FORMATS

VECTORS = Path(__file__).parents[1] / "vectors"
CRYPTO = json.loads((VECTORS / "crypto.json").read_text())
EMV = json.loads((VECTORS / "emv.json").read_text())
PIN_BLOCKS = json.loads((VECTORS / "pin_blocks.json").read_text())

Vector = dict[str, Any]


@pytest.mark.parametrize("vector", CRYPTO["aes"], ids=lambda v: v["id"])
def test_aes(vector: Vector) -> None:
    """AES in ECB, CBC and both feedback modes, both ways."""
    cipher = aes.cipher(bytes.fromhex(vector["key"]))
    iv, plain, secret = (bytes.fromhex(vector[name]) for name in ("iv", "plain", "cipher"))
    if vector["mode"] == "ecb":
        assert (secret, plain) == (cipher.encrypt(plain), cipher.decrypt(secret))
    elif vector["mode"] == "cbc":
        assert (secret, plain) == (cipher.encrypt_cbc(plain, iv), cipher.decrypt_cbc(secret, iv))
    else:
        size = {"cfb8": 1, "cfb128": 16}[vector["mode"]]
        assert secret == cfb.encrypt(cipher, plain, iv, size)
        assert plain == cfb.decrypt(cipher, secret, iv, size)


def test_x99() -> None:
    """X9.9 is FIPS 113's algorithm; its example is the first of ISO/IEC 9797-1's."""
    vector = CRYPTO["iso9797"][0]
    made = mac.x99(bytes.fromhex(vector["key"]), vector["text"].encode())
    assert vector["mac"] == made[:4].hex().upper()


def card_key(vector: Vector) -> bytes:
    """The card's key of a vector."""
    derive = emv.card_key_b if vector.get("option") == "B" else emv.card_key_a
    pan_psn = emv.pan_and_sequence(vector["pan"], vector["psn"])
    return derive(bytes.fromhex(vector["master"]), pan_psn)


def shows(key: bytes, digits: str) -> bool:
    """Whether a key has a check value, of which the source may tell a part or nothing."""
    return kcv.kcv(key, 6).startswith(digits)


@pytest.mark.parametrize("vector", EMV["cryptograms"], ids=lambda v: v["id"])
def test_cryptograms(vector: Vector) -> None:
    """Card keys by both options, common session keys, ARQCs and ARPCs by both methods."""
    card = card_key(vector)
    session = emv.common_session_key(card, bytes.fromhex(vector["diversifier"]))
    assert shows(card, vector["card_kcv"])
    assert shows(session, vector["session_kcv"])
    padding: Padding = 2 if vector["padding"] == 2 else 1
    arqc = emv.cryptogram(session, bytes.fromhex(vector["data"]), padding)
    assert vector["arqc"] == arqc.hex().upper()
    for name, key in (("arpc_1_card", card), ("arpc_1_session", session)):
        if name in vector:
            assert vector[name] == emv.response_1(key, arqc, bytes(2)).hex().upper()
    if "arpc_2" in vector:
        proprietary = bytes.fromhex(vector.get("proprietary", ""))
        made = emv.response_2(session, arqc, bytes(4), proprietary)
        assert vector["arpc_2"] == made.hex().upper()


@pytest.mark.parametrize("vector", EMV["messaging"], ids=lambda v: v["id"])
def test_secure_messaging(vector: Vector) -> None:
    """Session keys of secure messaging by the common method and by Visa's, and their MACs."""
    derive = {"common": emv.common_session_key, "visa": emv.visa_messaging_key}[vector["method"]]
    session = derive(card_key(vector), bytes.fromhex(vector["diversifier"]))
    assert shows(session, vector["session_kcv"])
    made = emv.messaging_mac(session, bytes.fromhex(vector["message"]))
    assert vector["mac"] == made.hex().upper()


@pytest.mark.parametrize("vector", EMV["mchip"], ids=lambda v: v["id"])
def test_mchip(vector: Vector) -> None:
    """M/Chip's session key, and the cryptogram and response under it."""
    card = card_key(vector)
    counter, unpredictable = bytes.fromhex(vector["atc"]), bytes.fromhex(vector["unpredictable"])
    session = emv.mchip_session_key(card, counter, unpredictable)
    assert shows(card, vector["card_kcv"])
    assert shows(session, vector["session_kcv"])
    arqc = emv.cryptogram(session, bytes.fromhex(vector["data"]), 2)
    assert vector["arqc"] == arqc.hex().upper()
    assert vector["arpc_1_session"] == emv.response_1(session, arqc, bytes(2)).hex().upper()


@pytest.mark.parametrize("vector", EMV["dynamic_card_values"], ids=lambda v: v["id"])
def test_dynamic_card_values(vector: dict[str, Any]) -> None:
    """Visa's dCVV under a card's key, which where told is derived by option A."""
    card = bytes.fromhex(vector["card_key"])
    if "master" in vector:
        packed = emv.pan_and_sequence(vector["pan"])
        derived = emv.card_key_a(bytes.fromhex(vector["master"]), packed)
        assert des.odd_parity(card) == derived
    made = card_value.dynamic_card_value(
        card, vector["pan"], vector["expiry"], vector["service_code"], vector["atc"]
    )
    assert vector["value"] == made


@pytest.mark.parametrize("vector", CRYPTO["cup_ecb"], ids=lambda v: v["id"])
def test_cup_ecb_published(vector: Vector) -> None:
    """The MAC of UnionPay terminals over whole messages."""
    made = mac.cup_ecb(bytes.fromhex(vector["key"]), bytes.fromhex(vector["data"]))
    assert vector["mac"] == made.decode("ascii")


@pytest.mark.parametrize("vector", EMV["issuer_pin_blocks"], ids=lambda v: v["id"])
def test_issuer_pin_blocks(vector: Vector) -> None:
    """Blocks that bring a new PIN to a card: formats 35, 41 and 42."""
    if "account" in vector:
        block = pinblock_issuer.encode_pay_now(vector["pin"], vector["account"])
    elif vector["old"]:
        block = pinblock_issuer.encode_visa_change(card_key(vector), vector["pin"], vector["old"])
    else:
        block = pinblock_issuer.encode_visa_new(card_key(vector), vector["pin"])
    assert vector["block"] == block.hex().upper()


@pytest.mark.parametrize("vector", PIN_BLOCKS["clear"], ids=lambda v: v["id"])
def test_clear_pin_blocks(vector: Vector) -> None:
    """Layouts of 8 bytes are read; made too where the fill is none or one that we can choose."""
    layout, block = FORMATS[vector["code"]], bytes.fromhex(vector["block"])
    assert vector["pin"] == layout.decode(block, vector["account"])
    if "fill" in vector or not layout.fill_bytes:
        fill = bytes(int(digit, 16) % 10 for digit in vector.get("fill", ""))
        assert block == layout.encode(vector["pin"], vector["account"], fill)


@pytest.mark.parametrize("vector", PIN_BLOCKS["iso4"], ids=lambda v: v["id"])
def test_iso4_pin_blocks(vector: Vector) -> None:
    """Format 4 is made and read."""
    cipher = aes.cipher(bytes.fromhex(vector["key"]))
    fill = bytes.fromhex(vector["fill"])
    made = pinblock_iso4.encipher(cipher, vector["pin"], vector["pan"], fill)
    assert vector["block"] == made.hex().upper()
    assert vector["pin"] == pinblock_iso4.decipher(cipher, made, vector["pan"])


def test_every_source_is_told() -> None:
    """No vector stands without where it is from."""
    for file in VECTORS.glob("*.json"):
        for name, value in json.loads(file.read_text()).items():
            if isinstance(value, list) and "source" not in json.loads(file.read_text()):
                assert all(vector.get("source") for vector in value), f"{file.name}: {name}"


def test_no_format_is_forgotten() -> None:
    """Formats 01 to 05, 34 and 47 are in the table, each with values; 48 has its own module."""
    assert {"01", "02", "03", "04", "05", "34", "47"} == set(FORMATS)
    assert set(FORMATS) == {vector["code"] for vector in PIN_BLOCKS["clear"]}
    assert pinblock.ISO_4.code == "48"


def test_the_table_of_sources_names_tests_that_exist() -> None:
    """tests/vectors/README.md says what each algorithm is checked by; those tests are there."""
    named = set(re.findall(r"`(test_\w+)`", (VECTORS / "README.md").read_text()))
    texts = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert len(named) > 40
    assert named <= set(re.findall(r"^(?:async )?def (test_\w+)", texts, re.M))
