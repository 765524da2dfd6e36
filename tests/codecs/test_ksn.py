"""Key serial numbers."""

import pytest

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.ksn import Ksn


@pytest.mark.parametrize(
    ("digits", "counter", "initial"),
    [
        ("FFFF9876543210E00001", 1, "FFFF9876543210E00000"),
        ("ffff9876543210fffff8", 0x1FFFF8, "FFFF9876543210E00000"),
        ("123456789012345600000001", 1, "123456789012345600000000"),
        ("1234567890123456FFFFFFFF", 0xFFFFFFFF, "123456789012345600000000"),
    ],
)
def test_counter_and_identifiers(digits: str, counter: int, initial: str) -> None:
    """21 bits count under TDES, 32 under AES."""
    ksn = Ksn.of(digits)

    assert (counter, initial) == (ksn.counter, ksn.initial)


@pytest.mark.parametrize(
    ("digits", "following"),
    [
        ("FFFF9876543210E00FFE", "FFFF9876543210E01000"),
        ("FFFF9876543210E003FE", "FFFF9876543210E003FF"),
        ("FFFF9876543210E007FE", "FFFF9876543210E00800"),
        ("12345678901234560000FFFF", "123456789012345600010000"),
    ],
)
def test_numbers_of_too_many_ones_are_left_out(digits: str, following: str) -> None:
    """X9.24 lets a terminal use counters of at most 10 one bits, under AES 16."""
    assert following == Ksn.of(digits).next().digits


def test_keys_are_used_up() -> None:
    """After the last counter there is none."""
    with pytest.raises(ValueError, match="used up"):
        Ksn.of("FFFF9876543210FFF800").next().next()


@pytest.mark.parametrize("digits", ["", "00" * 9, "00" * 11, "0" * 21, "G" * 20])
def test_no_serial_number(digits: str) -> None:
    """10 bytes, or 12, in hexadecimal."""
    with pytest.raises(RemoteFormatError):
        Ksn.of(digits)
