"""Every algorithm against published vectors and against a second implementation."""

import json
import subprocess
from pathlib import Path

import psec
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hsm_sim.crypto import aes, des, kcv, mac
from acquirer.hsm_sim.lmk import TEST_VARIANT_PAIRS, VariantLmk
from acquirer.hsm_sim.operator import wrap_key

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "crypto.json").read_text())

PADDINGS: tuple[mac.Padding, ...] = (1, 2, 3)

keys = st.one_of(*(st.binary(min_size=n, max_size=n) for n in (8, 16, 24)))
double_keys = st.binary(min_size=16, max_size=16)
blocks = st.integers(1, 12).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n))
ivs = st.none() | st.binary(min_size=8, max_size=8)


def triple(key: bytes) -> bytes:
    """The same key in 24 bytes, which `cryptography` wants."""
    return key * 3 if len(key) == 8 else key + key[: 24 - len(key)]


def openssl(key: bytes, mode: modes.ECB | modes.CBC, data: bytes) -> bytes:
    """TDES encipherment as OpenSSL does it."""
    return Cipher(TripleDES(triple(key)), mode).encryptor().update(data)


@pytest.mark.parametrize("vector", VECTORS["des"], ids=lambda v: v["id"])
def test_des_published(vector: dict[str, str]) -> None:
    """DES and TDES give the published ciphertexts and back."""
    key, plain, cipher = (bytes.fromhex(vector[name]) for name in ("key", "plain", "cipher"))
    assert cipher == des.encrypt_ecb(key, plain)
    assert plain == des.decrypt_ecb(key, cipher)


@given(keys, blocks)
def test_ecb_is_openssls(key: bytes, data: bytes) -> None:
    """ECB agrees with OpenSSL for all key lengths."""
    assert openssl(key, modes.ECB(), data) == des.encrypt_ecb(key, data)
    assert data == des.decrypt_ecb(key, des.encrypt_ecb(key, data))


@given(keys, st.lists(st.tuples(blocks, ivs), min_size=1, max_size=4))
def test_cbc_is_openssls(key: bytes, messages: list[tuple[bytes, bytes | None]]) -> None:
    """CBC on a kept cipher object agrees with OpenSSL message after message."""
    for data, iv in messages:
        expected = openssl(key, modes.CBC(iv or bytes(8)), data)
        assert expected == des.encrypt_cbc(key, data, iv)
        assert data == des.decrypt_cbc(key, expected, iv)


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8), blocks)
def test_degenerate_keys(left: bytes, right: bytes, data: bytes) -> None:
    """TDES keys with equal parts, which pycryptodome refuses, work as the standard defines."""
    for key in (left + left, left + left + right, right + left + left, left * 3):
        expected = openssl(key, modes.ECB(), data)
        assert expected == des.encrypt_ecb(key, data)


@given(
    st.sampled_from((16, 24, 32)).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    st.integers(1, 5).flatmap(lambda n: st.binary(min_size=16 * n, max_size=16 * n)),
    st.binary(min_size=16, max_size=16),
)
def test_aes_is_openssls(key: bytes, data: bytes, iv: bytes) -> None:
    """AES in CBC agrees with OpenSSL."""
    expected = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor().update(data)
    assert expected == aes.cipher(key).encrypt_cbc(data, iv)
    assert data == aes.cipher(key).decrypt_cbc(expected, iv)


@pytest.mark.parametrize("length", [0, 7, 9, 15, 32])
def test_wrong_key_lengths(length: int) -> None:
    """Keys of other lengths are refused by name."""
    with pytest.raises(ValueError, match="8, 16 or 24"):
        des.cipher(bytes(length))


@given(keys)
def test_kcv_is_psecs(key: bytes) -> None:
    """Check values agree with psec."""
    assert psec.des.generate_kcv(triple(key), 8).hex().upper() == kcv.kcv(key, 16)


def test_kcv_aes() -> None:
    """The AES check value is the head of CMAC over zeros, as OpenSSL computes it."""
    key = bytes(range(32))
    oracle_mac = CMAC(algorithms.AES(key))
    oracle_mac.update(bytes(16))
    assert oracle_mac.finalize().hex().upper()[:6] == kcv.kcv_aes(key)


def test_parity() -> None:
    """Parity is set and told without touching key bits."""
    assert bytes.fromhex("0123456789ABCDEF") == des.odd_parity(bytes.fromhex("0022446688AACCEE"))
    assert des.has_odd_parity(bytes.fromhex("0123456789ABCDEF"))
    assert not des.has_odd_parity(bytes(8))


@pytest.mark.parametrize("vector", VECTORS["iso9797"], ids=lambda v: v["id"])
def test_iso9797_published(vector: dict[str, str]) -> None:
    """MAC algorithms 1 and 3 under all paddings give the published values, 4 or 8 bytes."""
    key = bytes.fromhex(vector["key"])
    function = {"1": mac.cbc_mac, "3": mac.x919}[vector["algorithm"]]
    padding = PADDINGS[int(vector["padding"]) - 1]
    made = function(key, vector["text"].encode(), padding).hex().upper()
    assert vector["mac"] == made[: len(vector["mac"])]


@given(double_keys, st.binary(max_size=70), st.sampled_from(PADDINGS))
def test_iso9797_is_psecs(key: bytes, data: bytes, padding: mac.Padding) -> None:
    """CBC-MAC and retail MAC agree with psec under all paddings."""
    if data or padding == 2:
        assert psec.mac.generate_cbc_mac(key, data, padding) == mac.cbc_mac(key, data, padding)
        expected = psec.mac.generate_retail_mac(key[:8], key[8:], data, padding)
        assert expected == mac.x919(key, data, padding)


@given(double_keys, blocks, blocks)
def test_macs_continue(key: bytes, first: bytes, rest: bytes) -> None:
    """A MAC carried on through the chaining value is the MAC of the whole message."""
    iv = mac.cbc_mac(key[:8], first, 0)
    assert mac.x919(key, first + rest) == mac.x919(key, rest, iv=iv)
    assert mac.cbc_mac(key[:8], first + rest) == mac.cbc_mac(key[:8], rest, iv=iv)


@pytest.mark.parametrize("vector", VECTORS["cmac"], ids=lambda v: v["id"])
def test_cmac_published(vector: dict[str, str]) -> None:
    """CMAC gives the examples of NIST and RFC 4493."""
    key, data = bytes.fromhex(vector["key"]), bytes.fromhex(vector["data"])
    function = {"tdes": mac.cmac, "aes": mac.cmac_aes}[vector["cipher"]]
    assert vector["mac"] == function(key, data).hex()


@given(st.binary(min_size=24, max_size=24), st.binary(max_size=70))
def test_cmac_is_openssls(key: bytes, data: bytes) -> None:
    """CMAC with TDES and AES agrees with OpenSSL."""
    tdes, rijndael = CMAC(TripleDES(key)), CMAC(algorithms.AES(key))
    tdes.update(data)
    rijndael.update(data)
    assert tdes.finalize() == mac.cmac(key, data)
    assert rijndael.finalize() == mac.cmac_aes(key, data)


def test_x99_by_openssls_command_line() -> None:
    """X9.9 agrees with the last block of `openssl enc -des-ede3-cbc` under K|K|K."""
    data = b"authenticated text, zero padded."
    key = bytes.fromhex("0123456789ABCDEF")
    argv = ["openssl", "enc", "-des-ede3-cbc", "-nopad", "-K", (key * 3).hex(), "-iv", "00" * 8]
    done = subprocess.run(argv, input=data, capture_output=True, check=True)
    assert done.stdout[-8:] == mac.x99(key, data)


def test_cup_ecb_worked_example() -> None:
    """The worked example of the terminal interface, from the XOR on."""
    key, data = bytes.fromhex("C24A8FB57AA20123"), bytes.fromhex("4D08F434464FE7BF")
    assert mac.cup_ecb(key, data) == b"8A9E91B8"
    assert des.encrypt_ecb(key, b"4D08F434").hex().upper() == "6A4DF084B6D23759"


@given(keys, st.binary(max_size=300))
def test_cup_ecb_by_the_book(key: bytes, data: bytes) -> None:
    """The fast form equals the definition, step by step, over OpenSSL's cipher."""
    folded = bytes(8)
    padded = data + bytes(-len(data) % 8)
    for start in range(0, len(padded), 8):
        folded = bytes(a ^ b for a, b in zip(folded, padded[start : start + 8], strict=True))
    digits = folded.hex().upper().encode()
    first = openssl(key, modes.ECB(), digits[:8])
    middle = bytes(a ^ b for a, b in zip(first, digits[8:], strict=True))
    expected = openssl(key, modes.ECB(), middle).hex().upper().encode()[:8]
    assert expected == mac.cup_ecb(key, data)


@pytest.mark.parametrize(
    ("code", "pair", "type_pattern"),
    [("000", "4040404040404040 5151515151515151", "00"),
     ("001", "6161616161616161 7070707070707070", "00"),
     ("402", "E0E0010101010101 F1F1010101010101", "DE"),
     ("109", "1A1A1A1A1A1A1A1A 1C1C1C1C1C1C1C1C", "A6"),
     ("70D", "2F2F2F2F2F2F2F2F 3131313131313131", "74")],
)  # fmt: skip
def test_lmk_variants_by_openssl(code: str, pair: str, type_pattern: str) -> None:
    """Keys under the test LMK, by the book: one pattern for the type, one for each part's place."""
    lmk = VariantLmk(TEST_VARIANT_PAIRS)
    left, right = (bytearray.fromhex(half) for half in pair.split())
    left[0] ^= int(type_pattern, 16)
    for scheme, patterns in (("U", "A65A"), ("T", "6ADE2B"), ("X", "0000"), ("Y", "000000")):
        clear = des.odd_parity(bytes(range(7, 7 + 4 * len(patterns))))
        expected = ""
        for place, pattern in enumerate(bytes.fromhex(patterns)):
            altered = bytes(left) + bytes((right[0] ^ pattern,)) + bytes(right[1:])
            part = openssl(altered, modes.ECB(), clear[8 * place : 8 * place + 8])
            expected += part.hex().upper()
        assert f"{scheme}{expected}" == wrap_key(lmk, code, clear, scheme)
