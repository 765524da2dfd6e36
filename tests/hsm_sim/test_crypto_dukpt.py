"""Derived unique keys: the published series whole, and relations between the three methods."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hsm_sim.crypto import des, dukpt_aes, dukpt_des, dukpt_tdes, mac, pinblock
from acquirer.hsm_sim.crypto.dukpt_aes import KeyType, Usage
from acquirer.hsm_sim.crypto.errors import KeyLengthError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "dukpt.json").read_text())
TDES, DES, AES = VECTORS["tdes"], VECTORS["des"], VECTORS["aes"]

BDK = bytes.fromhex(TDES["bdk"])
TEXT = TDES["text"].encode()
PADDED = TEXT + bytes(-len(TEXT) % 8)

keys8 = st.binary(min_size=8, max_size=8)
counters = st.integers(0, (1 << 21) - 1)


def ksn_of(counter: int) -> bytes:
    """The published terminal's KSN at a counter."""
    return (0xFFFF9876543210E00000 & ~((1 << 21) - 1) | counter).to_bytes(10, "big")


@pytest.mark.parametrize("row", TDES["rows"], ids=lambda row: row["ksn"])
def test_published_tdes_series(row: dict[str, str]) -> None:
    """X9.24-1's transaction keys and PIN blocks, both sequences whole."""
    ksn = bytes.fromhex(row["ksn"])
    initial = dukpt_tdes.initial_key(BDK, ksn)
    key = dukpt_tdes.transaction_key(initial, ksn)
    block = des.encrypt_ecb(dukpt_tdes.pin_key(key), bytes.fromhex(TDES["clear_pin_block"]))
    expected = (TDES["initial_key"], row["key"], row["pin_block"])
    assert expected == tuple(value.hex().upper() for value in (initial, key, block))


@pytest.mark.parametrize("row", TDES["others"], ids=lambda row: row["ksn"])
def test_other_tdes_counters(row: dict[str, str]) -> None:
    """PIN keys and blocks of another implementation, at counters that the standard leaves out."""
    ksn = bytes.fromhex(row["ksn"])
    key = dukpt_tdes.pin_key(dukpt_tdes.transaction_key(dukpt_tdes.initial_key(BDK, ksn), ksn))
    block = des.encrypt_ecb(key, bytes.fromhex(TDES["clear_pin_block"]))
    assert (row["pin_key"], row["pin_block"]) == (key.hex().upper(), block.hex().upper())


@pytest.mark.parametrize(
    "row", [row for row in TDES["rows"] if "mac_request" in row], ids=lambda row: row["ksn"]
)
def test_published_tdes_variants(row: dict[str, str]) -> None:
    """MACs and data under the request and response variants."""
    ksn = bytes.fromhex(row["ksn"])
    key = dukpt_tdes.transaction_key(dukpt_tdes.initial_key(BDK, ksn), ksn)
    made = {
        "mac_request": mac.x919(dukpt_tdes.mac_request_key(key), TEXT),
        "mac_response": mac.x919(dukpt_tdes.mac_response_key(key), TEXT),
        "data_request": des.encrypt_cbc(dukpt_tdes.data_request_key(key), PADDED),
        "data_response": des.encrypt_cbc(dukpt_tdes.data_response_key(key), PADDED),
    }
    assert {name: row[name] for name in made} == {n: v.hex().upper() for n, v in made.items()}


@given(st.binary(min_size=16, max_size=16), counters)
def test_tdes_by_the_book(initial: bytes, counter: int) -> None:
    """The recursion equals the standard's loop over the counter's bits, on OpenSSL's cipher."""

    def encipher(key: bytes, data: bytes) -> bytes:
        return Cipher(TripleDES(key * 3), modes.ECB()).encryptor().update(data)

    def xor(left: bytes, right: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(left, right, strict=True))

    mask = bytes.fromhex("C0C0C0C000000000")
    key, register = initial, int.from_bytes(ksn_of(0)[2:], "big")
    for shift in range(20, -1, -1):
        if counter >> shift & 1:
            register |= 1 << shift
            value = register.to_bytes(8, "big")
            right = xor(encipher(key[:8], xor(value, key[8:])), key[8:])
            varied = xor(key[:8], mask), xor(key[8:], mask)
            left = xor(encipher(varied[0], xor(value, varied[1])), varied[1])
            key = left + right
    assert key == dukpt_tdes.transaction_key(initial, ksn_of(counter))


@pytest.mark.parametrize("row", DES["rows"], ids=lambda row: row["ksn"])
def test_published_des_series(row: dict[str, str]) -> None:
    """The single DES standard's PIN keys and PIN blocks, the whole sequence."""
    ksn = bytes.fromhex(row["ksn"])
    initial = dukpt_des.initial_key(BDK, ksn)
    key = dukpt_des.pin_key(initial, ksn)
    clear = dukpt_des.decipher_pin_block(key, bytes.fromhex(row["pin_block"]))
    expected = (DES["initial_key"], row["pin_key"], DES["clear_pin_block"])
    assert expected == tuple(value.hex().upper() for value in (initial, key, clear))


@pytest.mark.parametrize("row", DES["others"], ids=lambda row: row["ksn"])
def test_other_des_pin_blocks(row: dict[str, str]) -> None:
    """Blocks of another implementation open to blocks of ISO format 0 for their card."""
    ksn = bytes.fromhex(row["ksn"])
    key = dukpt_des.pin_key(dukpt_des.initial_key(BDK, ksn), ksn)
    clear = dukpt_des.decipher_pin_block(key, bytes.fromhex(row["pin_block"]))
    assert row["pin"] == pinblock.decode_iso0(clear, row["account"])


@given(keys8, counters, keys8)
def test_des_by_the_book(initial: bytes, counter: int, clear: bytes) -> None:
    """Keys and PIN blocks equal IBM's description of the method, step by step, on OpenSSL's DES."""

    def xor(left: bytes, right: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(left, right, strict=True))

    def special(key: bytes, data: bytes) -> bytes:
        encryptor = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()
        return xor(encryptor.update(xor(data, key)), key)

    serial, bits_seen, key = int.from_bytes(ksn_of(0)[2:], "big"), 0, initial
    for position in range(21):
        tested = 0x100000 >> position
        if counter & tested:
            bits_seen |= tested
            key = special(key, (serial | bits_seen).to_bytes(8, "big"))
    key = key[:7] + bytes((key[7] ^ 0xFF,))
    assert key == dukpt_des.pin_key(initial, ksn_of(counter))
    assert clear == dukpt_des.decipher_pin_block(key, special(key, clear))


def test_short_ksns_are_filled_up() -> None:
    """A KSN of fewer than 10 bytes gets F on its left."""
    assert ksn_of(1) == dukpt_tdes.whole_ksn(ksn_of(1)[2:])
    for length in (5, 11):
        with pytest.raises(KeyLengthError):
            dukpt_tdes.whole_ksn(bytes(length))


def aes_ksn(counter: str) -> bytes:
    """The published AES terminal's KSN at a counter."""
    return bytes.fromhex(AES["initial_key_id"] + counter)


@pytest.mark.parametrize("size", ["128", "256"])
def test_published_aes_initial_keys(size: str) -> None:
    """X9.24-3's initial keys."""
    made = dukpt_aes.initial_key(bytes.fromhex(AES["base"][size]), aes_ksn("00000001"))
    assert AES["initial"][size] == made.hex().upper()


@pytest.mark.parametrize("size", ["128", "256"])
def test_published_aes_derivation_keys(size: str) -> None:
    """X9.24-3's derivation keys: the first, around a rollover, and the last."""
    initial = bytes.fromhex(AES["initial"][size])
    made = {
        counter: dukpt_aes.transaction_key(initial, aes_ksn(counter)).hex().upper()
        for counter in AES["derivation"][size]
    }
    assert AES["derivation"][size] == made


@pytest.mark.parametrize("row", AES["working"], ids=lambda r: f"{r['base']}-{r['type']}")
def test_published_aes_working_keys(row: dict[str, str]) -> None:
    """X9.24-3's working keys: every usage, TDES and AES of every size."""
    base = bytes.fromhex(AES["base"][str(row["base"])])
    initial = dukpt_aes.initial_key(base, aes_ksn(row["counter"]))
    expected = {name: value for name, value in row.items() if name.isupper()}
    made = {
        name: dukpt_aes.working_key(
            initial, aes_ksn(row["counter"]), Usage[name], KeyType[row["type"]]
        )
        for name in expected
    }
    assert expected == {name: key.hex().upper() for name, key in made.items()}


@pytest.mark.parametrize("row", AES["macs"], ids=lambda row: row["counter"])
def test_published_aes_macs(row: dict[str, str]) -> None:
    """CMACs of a text under the keys of both directions, as another implementation has them."""
    initial, ksn = bytes.fromhex(AES["initial"]["128"]), aes_ksn(row["counter"])
    for name, usage in (("request", Usage.MAC_GENERATION), ("response", Usage.MAC_VERIFICATION)):
        key = dukpt_aes.working_key(initial, ksn, usage, KeyType.AES_128)
        assert row[name] == mac.cmac_aes(key, AES["text"].encode()).hex().upper()


@given(
    st.sampled_from((16, 24, 32)).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    st.binary(min_size=8, max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_aes_by_the_book(initial: bytes, key_id: bytes, counter: int) -> None:
    """The recursion equals the standard's loop over the counter's bits, on OpenSSL's cipher."""
    size, algorithm = len(initial), {16: 2, 24: 3, 32: 4}[len(initial)]
    key, seen = initial, 0
    for shift in range(31, -1, -1):
        if counter >> shift & 1:
            seen |= 1 << shift
            tail = b"\x80\x00" + algorithm.to_bytes(2, "big") + (size * 8).to_bytes(2, "big")
            tail += key_id[4:] + seen.to_bytes(4, "big")
            encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
            key = encryptor.update(b"\x01\x01" + tail + b"\x01\x02" + tail)[:size]
    assert key == dukpt_aes.transaction_key(initial, key_id + counter.to_bytes(4, "big"))


def test_hmac_keys_have_the_length_asked_for() -> None:
    """HMAC keys are as long as said, or as the initial key."""
    initial, ksn = bytes.fromhex(AES["initial"]["256"]), aes_ksn("00000001")
    for length in (None, 16, 24, 32):
        made = dukpt_aes.working_key(initial, ksn, Usage.MAC_BOTH_WAYS, KeyType.HMAC, length)
        assert (length or 32) == len(made)


def test_a_working_key_is_not_stronger_than_its_base() -> None:
    """AES-256 from an AES-128 base key is refused, as are keys and KSNs of wrong lengths."""
    initial = bytes(16)
    with pytest.raises(KeyLengthError, match="stronger"):
        dukpt_aes.working_key(initial, bytes(12), Usage.PIN_ENCRYPTION, KeyType.AES_256)
    calls: tuple[Callable[[], object], ...] = (
        lambda: dukpt_aes.initial_key(bytes(17), bytes(12)),
        lambda: dukpt_aes.initial_key(bytes(16), bytes(10)),
        lambda: dukpt_aes.transaction_key(bytes(16), bytes(10)),
        lambda: dukpt_tdes.initial_key(bytes(8), bytes(10)),
        lambda: dukpt_tdes.transaction_key(bytes(8), bytes(10)),
        lambda: dukpt_des.initial_key(bytes(24), bytes(10)),
        lambda: dukpt_des.pin_key(bytes(16), bytes(10)),
        lambda: dukpt_des.decipher_pin_block(bytes(16), bytes(8)),
    )
    for call in calls:
        with pytest.raises(KeyLengthError):
            call()
