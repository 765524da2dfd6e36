"""EMV cryptography, card values and issuer PIN blocks against pyemv and psec."""

from collections.abc import Callable

import psec
import pytest
from Crypto.Cipher import DES, DES3
from Crypto.Util.strxor import strxor
from hypothesis import given
from hypothesis import strategies as st
from pyemv import ac, kd, sm

from acquirer.hsm_sim.crypto import card_value, des, emv, mac, pinblock_issuer
from acquirer.hsm_sim.crypto.errors import KeyLengthError, PinBlockError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

CVK = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")

keys = st.binary(min_size=16, max_size=16)
eights = st.binary(min_size=8, max_size=8)
atcs = st.binary(min_size=2, max_size=2)
pans = st.text("0123456789", min_size=12, max_size=19)
sequences = st.text("0123456789", min_size=2, max_size=2)
pins = st.text("0123456789", min_size=4, max_size=12)


@given(keys, pans, sequences)
def test_card_keys_are_pyemvs(master: bytes, pan: str, sequence: str) -> None:
    """Options A and B agree with pyemv for card numbers of all lengths."""
    packed = emv.pan_and_sequence(pan, sequence)
    assert kd.derive_icc_mk_a(master, pan, sequence) == emv.card_key_a(master, packed)
    assert kd.derive_icc_mk_b(master, pan, sequence) == emv.card_key_b(master, packed)


@given(keys, eights, atcs, st.binary(min_size=4, max_size=4))
def test_session_keys_are_pyemvs(key: bytes, diversifier: bytes, atc: bytes, un: bytes) -> None:
    """Common, M/Chip and Visa messaging keys agree with pyemv."""
    assert kd.derive_common_sk(key, diversifier) == emv.common_session_key(key, diversifier)
    expected = kd.derive_common_sk(key, atc + b"\0\0" + un)
    assert expected == emv.mchip_session_key(key, atc, un)
    assert kd.derive_visa_sm_sk(key, atc) == emv.visa_messaging_key(key, atc)


@given(keys, atcs, st.sampled_from(((8, 4), (16, 2))), keys)
def test_tree_keys_are_pyemvs(key: bytes, atc: bytes, shape: tuple[int, int], iv: bytes) -> None:
    """EMV2000's tree agrees with pyemv in both shapes and with any initial value."""
    height, branches = shape
    expected = kd.derive_emv2000_tree_sk(key, atc, height, branches, iv)
    assert expected == emv.tree_session_key(key, atc, branches=branches, height=height, iv=iv)


@given(keys, st.binary(min_size=1, max_size=90), eights, atcs, st.binary(max_size=8))
def test_cryptograms_are_pyemvs(
    key: bytes, data: bytes, arqc: bytes, code: bytes, proprietary: bytes
) -> None:
    """ARQCs under both paddings, both ARPC methods and messaging MACs agree with pyemv."""
    assert ac.generate_ac(key, data, ac.PaddingType.VISA) == emv.cryptogram(key, data, 1)
    assert ac.generate_ac(key, data, ac.PaddingType.EMV) == emv.cryptogram(key, data, 2)
    assert ac.generate_arpc_1(key, arqc, code) == emv.response_1(key, arqc, code)
    status = arqc[:4]
    expected = ac.generate_arpc_2(key, arqc, status, proprietary)
    assert expected == emv.response_2(key, arqc, status, proprietary)
    assert sm.generate_command_mac(key, data) == emv.messaging_mac(key, data)


@pytest.mark.parametrize("length", [8, 15, 24])
def test_other_key_lengths_are_refused(length: int) -> None:
    """EMV keys are double length."""
    for call in (
        lambda: emv.card_key_a(bytes(length), bytes(8)),
        lambda: emv.card_key_b(bytes(length), bytes(10)),
        lambda: emv.common_session_key(bytes(length), bytes(8)),
        lambda: emv.tree_session_key(bytes(length), bytes(2)),
        lambda: emv.visa_messaging_key(bytes(length), bytes(2)),
        lambda: pinblock_issuer.encode_visa_new(bytes(length), "1234"),
        lambda: card_value.card_value(bytes(length), "4", "0101", "101"),
    ):
        with pytest.raises(KeyLengthError):
            call()


@given(keys, pans, st.sampled_from(("101", "201", "000", "999")), st.integers(0, 0xFFFF))
def test_dynamic_card_values_are_psecs(key: bytes, pan: str, service: str, atc: int) -> None:
    """dCVV is psec's CVV over the card number with the counter in front, under the card's key.

    psec leaves out the algorithm's second pass over the letters, so it may have fewer digits.
    """
    card_key = emv.card_key_a(key, emv.pan_and_sequence(pan))
    assert card_key == kd.derive_icc_mk_a(key, pan, "00")
    expected = psec.cvv.generate_cvv(card_key, f"{atc % 10000:04}{pan[4:]}", "3012", service)
    made = card_value.dynamic_card_value(card_key, pan, "3012", service, atc)
    assert len(made) == 3
    assert made.startswith(expected)


@pytest.mark.parametrize(
    ("pan", "last_block", "expected"),
    [
        ("4000000000052334", "6ccfeabbaaafcafe", "622"),
        ("4000000000035298", "6aa6ecfeeabbdbcf", "660"),
        ("4000000000211921", "eccddf0aa5ccfbfc", "054"),
    ],
)
def test_letters_fill_up_card_values(pan: str, last_block: str, expected: str) -> None:
    """Where the last block has too few digits, its letters less ten follow (ICSF, second pass).

    The last blocks are pycryptodome's.
    """
    block = bytes.fromhex(f"{pan}3012101".ljust(32, "0"))
    first = DES.new(CVK[:8], DES.MODE_ECB).encrypt(block[:8])
    last = DES3.new(CVK, DES3.MODE_ECB).encrypt(strxor(first, block[8:]))
    assert last.hex() == last_block
    assert card_value.card_value(CVK, pan, "3012", "101") == expected


def test_card_data_that_does_not_fit() -> None:
    """More than 32 digits are refused."""
    with pytest.raises(ValueError, match="32"):
        card_value.card_value(bytes(range(16)), "4" * 27, "0101", "101")


@given(keys, pins, pins)
def test_issuer_pin_blocks_are_pyemvs(key: bytes, pin: str, old: str) -> None:
    """Formats 41 and 42 agree with pyemv, and 35 too where no account number is added."""
    assert sm.format_iso9564_2_pin_block(pin) == pinblock_issuer.encode_pay_now(pin, "0" * 12)
    assert sm.format_vis_pin_block(key, pin) == pinblock_issuer.encode_visa_new(key, pin)
    expected = sm.format_vis_pin_block(key, pin, old)
    assert expected == pinblock_issuer.encode_visa_change(key, pin, old)


def test_issuer_pin_blocks_check_pins() -> None:
    """PINs of wrong lengths are refused with 24."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: pinblock_issuer.encode_pay_now("123", "0" * 12),
        lambda: pinblock_issuer.encode_visa_new(bytes(16), "1" * 13),
        lambda: pinblock_issuer.encode_visa_change(bytes(16), "1234", "12a4"),
    )
    for call in calls:
        with pytest.raises(PinBlockError) as caught:
            call()
        assert caught.value.code == "24"


def test_algorithm_1_padding_2() -> None:
    """The MAC of ISO/IEC 9797-1's annex B that the vector file leaves out."""
    made = mac.cbc_mac(bytes.fromhex("0123456789ABCDEF"), b"Now is the time for all ", 2)
    assert made.hex().upper() == "10E1F0F108341B6D"


def test_secure_messaging_mac_is_algorithm_3() -> None:
    """A messaging MAC is ISO 9797-1 algorithm 3 with padding 2 over OpenSSL's DES as well."""
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    expected = psec.mac.generate_retail_mac(key[:8], key[8:], b"\x84\x24\0\0\x08", 2)
    assert expected == emv.messaging_mac(key, b"\x84\x24\0\0\x08")
    assert len(des.encrypt_ecb(key, expected)) == 8
