"""Thales and TR-31 blocks against `cryptography`, psec and published blocks."""

import hashlib
import json
from pathlib import Path

import psec
import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hsm_sim.crypto import kcv, thales_block, tr31
from acquirer.hsm_sim.crypto.block_header import BlockHeader, read_header
from acquirer.hsm_sim.crypto.errors import KeyBlockError
from acquirer.hsm_sim.key_block_lmk import TEST_AES_LMK, TEST_TDES_LMK, KeyBlockLmk

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "key_blocks.json").read_text())
PUBLISHED = [vector["block"] for vector in VECTORS["thales"] if vector["version"] == "0"]
PUBLISHED_AES = next(vector["block"] for vector in VECTORS["thales"] if vector["version"] == "1")
MASTERS = {"0": TEST_TDES_LMK, "1": TEST_AES_LMK}

algorithms_and_keys = st.one_of(
    *(
        st.tuples(st.just(letter), st.binary(min_size=size, max_size=size))
        for letter, sizes in thales_block.KEY_BYTES.items()
        for size in sizes
    )
)
optional_blocks = st.lists(
    st.tuples(st.sampled_from(["KS", "KV", "10", "TS"]), st.text("0123456789ABCDEF", max_size=400)),
    max_size=3,
    unique_by=lambda block: block[0],
).map(tuple)


def fixed(size: int) -> bytes:
    """Padding that is the same each time."""
    return bytes(range(size))


@pytest.mark.parametrize("block", PUBLISHED)
def test_tdes_blocks_by_openssl(block: str) -> None:
    """Version 0 opens as OpenSSL's TDES does it, and its MAC is OpenSSL's CBC-MAC."""
    header, clear = thales_block.unwrap("0", TEST_TDES_LMK, block)
    head, ciphertext = block[:16].encode(), bytes.fromhex(block[16:-8])
    encrypting, authenticating = (bytes(b ^ v for b in TEST_TDES_LMK) for v in (0x45, 0x4D))
    plain = Cipher(TripleDES(encrypting), modes.CBC(head[:8])).decryptor().update(ciphertext)
    assert (plain[:2], plain[2:18]) == (b"\x00\x80", clear)
    tag = Cipher(TripleDES(authenticating), modes.CBC(bytes(8))).encryptor()
    assert block[-8:] == tag.update(head + ciphertext)[-8:-4].hex().upper()
    assert ("T", "E") == (header.algorithm, header.exportability)


def test_aes_block_by_openssl() -> None:
    """Version 1 opens with keys of OpenSSL's KBKDF, AES-CBC and CMAC."""
    header, clear = thales_block.unwrap("1", TEST_AES_LMK, PUBLISHED_AES)
    assert (BlockHeader("B0", "T", "N", "00", "E"), bytes(range(16))) == (header, clear)

    def derived(usage: int) -> bytes:
        return KBKDFCMAC(
            algorithms.AES,
            Mode.CounterMode,
            length=32,
            rlen=1,
            llen=2,
            location=CounterLocation.BeforeFixed,
            label=usage.to_bytes(2, "big"),
            context=b"\x00\x04",
            fixed=None,
        ).derive(TEST_AES_LMK)

    assert (derived(0), derived(1)) == thales_block.derived_aes_keys(TEST_AES_LMK)
    head, ciphertext = PUBLISHED_AES[:16].encode(), bytes.fromhex(PUBLISHED_AES[16:-16])
    plain = Cipher(algorithms.AES(derived(0)), modes.CBC(head)).decryptor().update(ciphertext)
    assert plain[2:18] == clear
    tag = CMAC(algorithms.AES(derived(1)))
    tag.update(head + ciphertext)
    assert PUBLISHED_AES[-16:] == tag.finalize()[:8].hex().upper()


def test_published_check_values() -> None:
    """The AES test LMK's published check value is CMAC over nothing; the TDES one's is kept."""
    tag = CMAC(algorithms.AES(TEST_AES_LMK))
    assert tag.finalize().hex().upper().startswith("9D04A0")
    for vector in VECTORS["check_values"]:
        lmk = KeyBlockLmk(bytes.fromhex(vector["lmk"]), "00")
        assert vector["check_value"] == lmk.check_value[:6]


@pytest.mark.parametrize("vector", VECTORS["thales"], ids=lambda vector: vector["id"])
def test_published_blocks_and_their_check_values(vector: dict[str, str]) -> None:
    """Published blocks open, to keys of the published check values."""
    _, clear = thales_block.unwrap(vector["version"], MASTERS[vector["version"]], vector["block"])
    assert kcv.kcv(clear) == (vector["kcv"] or kcv.kcv(clear))


@pytest.mark.parametrize("version_id", "01")
@given(key=algorithms_and_keys, optional=optional_blocks)
def test_round_trip(
    version_id: str, key: tuple[str, bytes], optional: tuple[tuple[str, str], ...]
) -> None:
    """Any key of any algorithm comes back with its header, optional blocks included."""
    header = BlockHeader("D0", key[0], "B", "01", "S", optional)
    block = thales_block.wrap(version_id, MASTERS[version_id], header, key[1], fixed, "01")
    assert (header, key[1]) == thales_block.unwrap(version_id, MASTERS[version_id], block)
    assert len(block) == int(block[1:5])


@pytest.mark.parametrize("version_id", "01")
@given(at=st.integers(0, 71), bit=st.integers(0, 3))
def test_tampering_shows(version_id: str, at: int, bit: int) -> None:
    """A block changed in one place never opens."""
    header = BlockHeader("72", "T", "N", "00", "N")
    block = thales_block.wrap(version_id, MASTERS[version_id], header, bytes(16), fixed)
    digit = block[at]
    other = f"{int(digit, 16) ^ 1 << bit:X}" if digit in "0123456789ABCDEF" else "Q"
    changed = block[:at] + other + block[at + 1 :]
    with pytest.raises(KeyBlockError) as refusal:
        thales_block.unwrap(version_id, MASTERS[version_id], changed)
    assert refusal.value.code in ("A1", "A4", "A5", "AB", "AC", "B2")
    if at in range(5, 12) or at >= 16:
        assert refusal.value.code == "A4"


@pytest.mark.parametrize("version_id", "ABCD")
@given(key=st.binary(min_size=16, max_size=16), seed=st.binary(min_size=1, max_size=8))
def test_tr31_is_psecs(version_id: str, key: bytes, seed: bytes) -> None:
    """psec opens our TR-31 blocks and we open psec's."""
    master = hashlib.sha256(seed).digest()[: 32 if version_id == "D" else 16]
    header = BlockHeader("P0", "T", "E", "00", "E", (("KS", "00604B120F929280"),))
    opened, clear = psec.tr31.unwrap(master, tr31.wrap(version_id, master, header, key))
    assert ("P0", key) == (opened.key_usage, clear)
    theirs = psec.tr31.wrap(master, psec.tr31.Header(version_id, "K0", "T", "D", "12", "S"), key)
    assert (BlockHeader("K0", "T", "D", "12", "S"), key) == tr31.unwrap(master, theirs)
    with pytest.raises(KeyBlockError) as refusal:
        tr31.unwrap(master, theirs[:-1] + ("0" if theirs[-1] != "0" else "1"))
    assert refusal.value.code == "A4"


def openssls_tr31(master: bytes, block: str) -> tuple[bytes, str]:
    """The key in a TR-31 block and its authentic MAC, from OpenSSL's primitives alone.

    X9.143, 7.3 (variant binding: A, C) and 7.4 (derivation binding: B, D), without psec.
    """
    version_id, mac_bytes = block[0], {"A": 4, "C": 4, "B": 8, "D": 16}[block[0]]
    at = 16
    for _ in range(int(block[12:14])):
        at += int(block[at + 2 : at + 4], 16)
    head, ciphertext = block[:at].encode(), bytes.fromhex(block[at : -2 * mac_bytes])
    if version_id in "AC":
        encrypting, signing = (bytes(byte ^ v for byte in master) for v in (0x45, 0x4D))
        plain = Cipher(TripleDES(encrypting), modes.CBC(head[:8])).decryptor().update(ciphertext)
        chain = Cipher(TripleDES(signing), modes.CBC(bytes(8))).encryptor()
        tag = chain.update(head + ciphertext)[-8:-4]
    else:
        cipher = algorithms.AES if version_id == "D" else TripleDES
        encrypting, signing = (tr31_derived(cipher, master, usage) for usage in (0, 1))
        iv = bytes.fromhex(block[-2 * mac_bytes :])
        plain = Cipher(cipher(encrypting), modes.CBC(iv)).decryptor().update(ciphertext)
        authenticator = CMAC(cipher(signing))
        authenticator.update(head + plain)
        tag = authenticator.finalize()
    bits = int.from_bytes(plain[:2], "big")
    return plain[2 : 2 + bits // 8], tag.hex().upper()


def tr31_derived(
    cipher: type[algorithms.AES] | type[TripleDES], master: bytes, usage: int
) -> bytes:
    """A working key of derivation binding: CMAC over counter, usage, 0, algorithm and length."""
    kinds = {16: 0, 24: 1} if cipher is TripleDES else {16: 2, 24: 3, 32: 4}
    tail = usage.to_bytes(2, "big") + bytes(1) + kinds[len(master)].to_bytes(2, "big")
    derived = b""
    for counter in range(1, 5):
        authenticator = CMAC(cipher(master))
        authenticator.update(bytes((counter,)) + tail + (8 * len(master)).to_bytes(2, "big"))
        derived += authenticator.finalize()
    return derived[: len(master)]


@pytest.mark.parametrize("version_id", "ABCD")
@given(
    key=st.sampled_from((16, 24)).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    seed=st.binary(min_size=1, max_size=8),
    size=st.sampled_from((16, 24, 32)),
)
def test_tr31_by_openssl(version_id: str, key: bytes, seed: bytes, size: int) -> None:
    """Our TR-31 blocks open, and are authentic, by the standard's steps on OpenSSL's primitives."""
    master = hashlib.sha256(seed).digest()[: size if version_id == "D" else min(size, 24)]
    header = BlockHeader("P0", "T", "E", "00", "E", (("KS", "00604B120F929280"),))
    block = tr31.wrap(version_id, master, header, key)
    clear, tag = openssls_tr31(master, block)
    assert (key, tag) == (clear, block[-len(tag) :])


@pytest.mark.parametrize("vector", VECTORS["tr31"], ids=lambda vector: vector["id"])
def test_published_tr31_blocks(vector: dict[str, str]) -> None:
    """Blocks of the standard and of two makers' devices open to their keys, by OpenSSL too."""
    master = bytes.fromhex(vector["master"])
    header, clear = tr31.unwrap(master, vector["block"])
    expected = (vector["key"], vector["usage"], vector["mode"])
    assert expected == (clear.hex().upper(), header.usage, header.mode)
    by_openssl, tag = openssls_tr31(master, vector["block"])
    assert clear == by_openssl
    assert vector["block"].endswith(tag)


@given(st.text("0123456789ABCDEFKSPBTRN", max_size=100))
def test_any_text_is_answered(text: str) -> None:
    """No text whatever raises anything but a key block error."""
    for version_id, master in MASTERS.items():
        with pytest.raises(KeyBlockError):
            thales_block.unwrap(version_id, master, text)
    with pytest.raises(KeyBlockError):
        tr31.unwrap(TEST_TDES_LMK, text)


def test_headers_are_read_with_their_optional_blocks() -> None:
    """Padding blocks are left out, wrong lengths refused."""
    header, size = read_header("B0040K0TB00E0200KS08ABCDPB1000000000000000000000"[:40])
    assert ((("KS", "ABCD"),), 40) == (header.optional, size)
    header, size = read_header("B0030K0TB00E0100KS0002000EABCD")
    assert ((("KS", "ABCD"),), 30) == (header.optional, size)
    for text, code in (
        ("00016K0TB00E0000"[:15], "B2"),
        ("00017K0TB00E0000", "A5"),
        ("00016K0TB00E0X00", "AB"),
        ("00020K0TB00E0100KS03", "AC"),
        ("00020K0TB00E0100KS0x", "AC"),
        ("00022K0TB00E0100KS0000", "AC"),
        ("00026K0TB00E0100KS00020009", "AC"),
        ("00024K0TB00E0100KS000200", "AC"),
        ("00030K0TB00E0100KS0004000F0000", "AC"),
    ):
        with pytest.raises(KeyBlockError) as refusal:
            read_header(text)
        assert refusal.value.code == code
