"""ISO format 4 and cipher feedback."""

import psec
import pytest
from cryptography.hazmat.decrepit.ciphers import modes as old_modes
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hsm_sim.crypto import aes, cfb, des, pinblock_iso4
from acquirer.hsm_sim.crypto.errors import PinBlockError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")

keys = st.sampled_from((16, 24, 32)).flatmap(lambda n: st.binary(min_size=n, max_size=n))
pins = st.text("0123456789", min_size=4, max_size=12)
pans = st.text("0123456789", min_size=1, max_size=19)


@given(keys, pins, pans, st.binary(min_size=8, max_size=8))
def test_iso4_is_psecs(key: bytes, pin: str, pan: str, fill: bytes) -> None:
    """psec reads our blocks and we read psec's, for AES keys of all lengths."""
    cipher = aes.cipher(key)
    ours = pinblock_iso4.encipher(cipher, pin, pan, fill)
    assert pin == psec.pinblock.decipher_pinblock_iso_4(key, ours, pan)
    theirs = psec.pinblock.encipher_pinblock_iso_4(key, pin, pan)
    assert pin == pinblock_iso4.decipher(cipher, theirs, pan)


def test_published_example() -> None:
    """The example block in psec's documentation holds its PIN, bound to its card number."""
    block = bytes.fromhex("7CDF645C86CAF763AE34637A66997534")
    assert pinblock_iso4.decipher(aes.cipher(KEY), block, "1234567890123456") == "1234"
    with pytest.raises(PinBlockError):
        pinblock_iso4.decipher(aes.cipher(KEY), block, "1234567890123457")


@given(st.binary(min_size=16, max_size=16), pans)
def test_any_block_is_answered(block: bytes, pan: str) -> None:
    """Any 16 bytes give a PIN or a refusal with its code."""
    try:
        outcome = "PIN" if pinblock_iso4.decipher(aes.cipher(KEY), block, pan).isdecimal() else ""
    except PinBlockError as refusal:
        outcome = refusal.code
    assert outcome in ("PIN", "20", "24")


@pytest.mark.parametrize(
    ("pin", "pan", "code"),
    [("123", "4000", "24"), ("12a4", "4000", "24"), ("1234", "", "22"), ("1234", "4" * 20, "22")],
)
def test_refusals(pin: str, pan: str, code: str) -> None:
    """PINs and card numbers that no block can hold are refused; so are keys that are not AES."""
    with pytest.raises(PinBlockError) as caught:
        pinblock_iso4.encipher(aes.cipher(KEY), pin, pan, bytes(8))
    assert code == caught.value.code
    with pytest.raises(PinBlockError) as caught:
        pinblock_iso4.encipher(des.cipher(KEY), "1234", "4000", bytes(8))
    assert caught.value.code == "23"


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("341234AAAAAAAAAA", "20"),
        ("431234AAAAAAAAAA", "24"),
        ("44123BAAAAAAAAAA", "20"),
        ("441234AAAAAAAAA0", "20"),
    ],
)
def test_contents_are_checked(field: str, code: str) -> None:
    """Control, length, digits and fill of the PIN field are looked at."""
    cipher = aes.cipher(KEY)
    inner = int.from_bytes(cipher.encrypt(bytes.fromhex(field) + bytes(8)), "big")
    pan_field = int("0000000004000".ljust(32, "0"), 16)
    block = cipher.encrypt((inner ^ pan_field).to_bytes(16, "big"))
    with pytest.raises(PinBlockError) as caught:
        pinblock_iso4.decipher(cipher, block, "4000")
    assert code == caught.value.code


@given(st.binary(min_size=24, max_size=24), st.binary(min_size=8, max_size=8), st.binary())
def test_cfb_is_openssls(key: bytes, iv: bytes, data: bytes) -> None:
    """CFB of one byte and of one block agree with OpenSSL, TDES and AES."""
    for cipher, algorithm, start in (
        (des.cipher(key), TripleDES(key), iv),
        (aes.cipher(key), algorithms.AES(key), iv * 2),
    ):
        for segment, mode in ((1, old_modes.CFB8), (cipher.block_bytes, old_modes.CFB)):
            expected = Cipher(algorithm, mode(start)).encryptor().update(data)
            assert expected == cfb.encrypt(cipher, data, start, segment)
            assert data == cfb.decrypt(cipher, expected, start, segment)
