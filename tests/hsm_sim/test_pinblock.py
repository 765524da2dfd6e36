"""PIN block layouts."""

import psec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hsm_sim.crypto import pinblock
from acquirer.hsm_sim.crypto.errors import PinBlockError

pins = st.text("0123456789", min_size=4, max_size=12)
accounts = st.text("0123456789", min_size=12, max_size=12)
fills = st.binary(min_size=16, max_size=16)


def pan_of(account: str) -> str:
    """A card number with this account number, as psec wants it."""
    return f"{account}0"


@given(pins, accounts)
def test_iso0_is_psecs(pin: str, account: str) -> None:
    """Format 0 agrees with psec both ways."""
    block = psec.pinblock.encode_pinblock_iso_0(pin, pan_of(account))
    assert block == pinblock.encode_iso0(pin, account)
    assert pin == pinblock.decode_iso0(block, account)


@given(pins)
def test_iso2_is_psecs(pin: str) -> None:
    """Format 2 agrees with psec both ways."""
    block = psec.pinblock.encode_pinblock_iso_2(pin)
    assert block == pinblock.encode_iso2(pin)
    assert pin == pinblock.decode_iso2(block)


@given(pins, accounts, fills)
def test_iso3_is_psecs(pin: str, account: str, fill: bytes) -> None:
    """psec reads our format 3 and we read psec's."""
    ours = pinblock.encode_iso3(pin, account, fill)
    assert pin == psec.pinblock.decode_pinblock_iso_3(ours, pan_of(account))
    theirs = psec.pinblock.encode_pinblock_iso_3(pin, pan_of(account))
    assert pin == pinblock.decode_iso3(theirs, account)


@given(pins, accounts, fills)
def test_layouts_by_the_book(pin: str, account: str, fill: bytes) -> None:
    """Docutel, Diebold, PLUS and ISO 1, nibble by nibble as the manual draws them."""
    length, digits = len(pin), [int(digit) for digit in pin]
    number = [0, 0, 0, 0, *(int(digit) for digit in account)]
    decimal = [byte % 10 for byte in fill]
    ansi = [0, length, *digits, *[15] * (14 - length)]
    drawn = {
        "03": [*digits, *[15] * (16 - length)],
        "04": [a ^ b for a, b in zip(ansi, number, strict=True)],
        "05": [1, length, *digits, *decimal[: 14 - length]],
    }
    if length <= 6:
        drawn["02"] = [length, *digits, *[0] * (6 - length), *decimal[:9]]
    for code, nibbles in drawn.items():
        block = bytes(
            16 * high + low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True)
        )
        assert block == pinblock.FORMATS[code].encode(pin, account, fill)
        assert pin == pinblock.FORMATS[code].decode(block, account)


def test_published_example() -> None:
    """The well-known example of format 0: PIN 1234, card number 43219876543210987."""
    block = bytes.fromhex("0412AC89ABCDEF67")
    assert block == pinblock.encode_iso0("1234", "987654321098")


@given(pins, accounts, fills, st.sampled_from(sorted(pinblock.FORMATS)))
def test_round_trip(pin: str, account: str, fill: bytes, code: str) -> None:
    """Every format of the table gives back the PIN that it took; Docutel's holds six digits."""
    entry = pinblock.FORMATS[code]
    pin = pin[:6] if code == "02" else pin
    assert pin == entry.decode(entry.encode(pin, account, fill), account)


@given(st.binary(min_size=8, max_size=8), accounts, st.sampled_from(sorted(pinblock.FORMATS)))
def test_any_block_is_answered(block: bytes, account: str, code: str) -> None:
    """Any eight bytes give a PIN of 4 to 12 digits or a refusal with its code."""
    try:
        pin = pinblock.FORMATS[code].decode(block, account)
    except PinBlockError as refusal:
        outcome = refusal.code
    else:
        outcome = "PIN" if pin.isdecimal() and 4 <= len(pin) <= 12 else "nonsense"
    assert outcome in ("20", "24", "PIN")


@pytest.mark.parametrize(
    ("block", "code"),
    [
        ("241234FFFFFFFFFF", "20"),
        ("031234FFFFFFFFFF", "24"),
        ("0D12345678901234", "24"),
        ("04123AFFFFFFFFFF", "20"),
        ("041234FFFFFFFFF0", "20"),
    ],
)
def test_refusals(block: str, code: str) -> None:
    """Contents and length of a block of format 0 are refused with their own codes."""
    with pytest.raises(PinBlockError) as caught:
        pinblock.decode_iso0(bytes.fromhex(block), "0" * 12)
    assert code == caught.value.code


@pytest.mark.parametrize(
    ("pin", "account", "code"),
    [("123", "0" * 12, "24"), ("1" * 13, "0" * 12, "24"), ("12a4", "0" * 12, "24"),
     ("²³²³", "0" * 12, "24"), ("1234", "0" * 11, "22"), ("1234", "00000000000A", "22")],
)  # fmt: skip
def test_encode_refusals(pin: str, account: str, code: str) -> None:
    """A PIN or account number that no block can hold is refused with its code."""
    with pytest.raises(PinBlockError) as caught:
        pinblock.encode_iso0(pin, account)
    assert code == caught.value.code


@pytest.mark.parametrize(
    ("block", "code"),
    [("3123000111111111", "24"), ("4123401111111111", "20"), ("71234561111111FF", "20")],
)
def test_docutel_refusals(block: str, code: str) -> None:
    """Length, fill and characters of a Docutel block are looked at; seven digits do not fit."""
    with pytest.raises(PinBlockError) as caught:
        pinblock.decode_docutel(bytes.fromhex(block))
    assert code == caught.value.code
    with pytest.raises(PinBlockError):
        pinblock.encode_docutel("1234567", bytes(9))


def test_docutel_layout() -> None:
    """Length, PIN in six digits, nine digits of fill."""
    assert pinblock.encode_docutel("12345", bytes(9)).hex() == "5123450000000000"
    assert pinblock.decode_docutel(bytes.fromhex("4987600123456789")) == "9876"
