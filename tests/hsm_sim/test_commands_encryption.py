"""Data commands M0, M2 and M4."""

from collections.abc import Callable

import pytest

from acquirer.hsm_sim.crypto import cfb, des

Send = Callable[[str], str]
ClearAndText = tuple[bytes, str]
KeyMaker = Callable[[str, str, str], ClearAndText]

IV = "0011223344556677"
SECRET = bytes(range(200, 232))


@pytest.fixture
def dek(key: KeyMaker) -> ClearAndText:
    """A double-length DEK."""
    return key("00B", "0123456789ABCDEFFEDCBA9876543210", "U")


def test_data_key_wrapped_in_cbc(send: Send, dek: ClearAndText) -> None:
    """A 32-byte key goes through M0 and comes back through M2, hexadecimal in and out."""
    digits = SECRET.hex().upper()
    expected = des.encrypt_cbc(dek[0], SECRET, bytes.fromhex(IV)).hex().upper()
    made = send(f"M0011100B{dek[1]}{IV}0040{digits}")
    assert f"M100{expected[-16:]}0040{expected}" == made
    back = send(f"M2011100B{dek[1]}{IV}0040{expected}")
    assert f"M300{expected[-16:]}0040{digits}" == back


@pytest.mark.parametrize(("input_format", "output_format"), [("0", "0"), ("0", "1"), ("1", "2")])
def test_ecb_in_all_formats(
    send: Send, dek: ClearAndText, input_format: str, output_format: str
) -> None:
    """Lengths count characters as they stand in the message."""
    sent = SECRET.hex() if input_format == "1" else SECRET.decode("latin-1")
    expected = des.encrypt_ecb(dek[0], SECRET)
    written = expected.hex().upper() if output_format == "1" else expected.decode("latin-1")
    head = f"M000{input_format}{output_format}00B{dek[1]}"
    assert f"M100{len(written):04X}{written}" == send(f"{head}{len(sent):04X}{sent}")


def test_translate(send: Send, key: KeyMaker, dek: ClearAndText) -> None:
    """M4 takes data from CBC under one key to ECB under another."""
    zek = key("00A", "FEDCBA98765432100123456789ABCDEF", "U")
    ciphertext = des.encrypt_cbc(dek[0], SECRET, bytes.fromhex(IV)).hex().upper()
    expected = des.encrypt_ecb(zek[0], SECRET).hex().upper()
    made = send(f"M401001100B{dek[1]}00A{zek[1]}{IV}0040{ciphertext}")
    assert f"M500{ciphertext[-16:]}0040{expected}" == made


@pytest.mark.parametrize(
    ("head", "code"),
    [("091100B", "02"), ("003100B", "03"), ("001300B", "04"), ("0011001", "05")],
)
def test_refusals(send: Send, dek: ClearAndText, head: str, code: str) -> None:
    """Each field of the head has its own code."""
    assert f"M1{code}" == send(f"M0{head}{dek[1]}0010{'00' * 8}")


def test_lengths(send: Send, dek: ClearAndText) -> None:
    """Data is whole blocks, and as long as said."""
    assert send(f"M0001100B{dek[1]}000E{'00' * 7}") == "M106"
    assert send(f"M0001100B{dek[1]}0000") == "M106"
    assert send(f"M0001100B{dek[1]}0012{'00' * 8}") == "M180"
    assert send(f"M0001100B{dek[1]}0010{'0G' * 8}") == "M115"


@pytest.mark.parametrize(("mode", "segment"), [("02", 1), ("03", 8)])
def test_cipher_feedback(send: Send, dek: ClearAndText, mode: str, segment: int) -> None:
    """CFB of one byte and of one block, whole and in parts."""
    data, iv = SECRET[:24], bytes.fromhex(IV)
    expected = cfb.encrypt(des.cipher(dek[0]), data, iv, segment).hex().upper()
    made = send(f"M0{mode}1100B{dek[1]}{IV}0030{data.hex()}")
    assert f"M100{expected[-16:]}0030{expected}" == made
    back = send(f"M2{mode}1100B{dek[1]}{IV}0030{expected}")
    assert f"M300{expected[-16:]}0030{data.hex().upper()}" == back
    first = send(f"M0{mode}1100B{dek[1]}{IV}0010{data[:8].hex()}")
    rest = send(f"M0{mode}1100B{dek[1]}{first[4:20]}0020{data[8:].hex()}")
    assert expected == first[24:] + rest[24:]


def test_cipher_feedback_of_a_byte_takes_any_length(send: Send, dek: ClearAndText) -> None:
    """Five bytes are enough for mode 02, and the chaining value reaches back into the IV."""
    made = send(f"M0021100B{dek[1]}{IV}000A0011223344")
    assert made[4:14] + made[-10:] == IV[10:] + made[10:14] + made[-10:]
    assert send(f"M0031100B{dek[1]}{IV}000A0011223344") == "M106"
