"""The card number type and the Luhn digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.pan import Pan, luhn_ok, mask_digits


@pytest.mark.parametrize("digits", ["4111111111111111", "5500000000000004", "340000000000009"])
def test_published_test_numbers_pass_luhn(digits: str) -> None:
    """Test numbers that card schemes publish."""
    assert Pan(digits).luhn_ok


@given(digits=st.text("0123456789", min_size=7, max_size=18))
def test_exactly_one_check_digit_is_right(digits: str) -> None:
    """Of ten last digits one passes."""
    assert sum(luhn_ok(digits + last) for last in "0123456789") == 1


@given(digits=st.text("0123456789", min_size=13, max_size=19), at=st.integers(0, 18))
def test_one_changed_digit_is_noticed(digits: str, at: int) -> None:
    """Luhn finds every single wrong digit."""
    at %= len(digits)
    changed = digits[:at] + str((int(digits[at]) + 1) % 10) + digits[at + 1 :]

    assert not (luhn_ok(digits) and luhn_ok(changed))


@given(digits=st.text("0123456789", min_size=13, max_size=19))
def test_pan_shows_six_and_four_only(digits: str) -> None:
    """repr, str and format strings are masked alike."""
    pan = Pan(digits)
    masked = digits[:6] + "*" * (len(digits) - 10) + digits[-4:]

    assert [masked] * 3 == [pan.masked, str(pan), f"{pan}"]
    assert f"Pan('{masked}')" == repr(pan)


@given(digits=st.text("0123456789", max_size=12))
def test_short_number_keeps_two_digits_at_most(digits: str) -> None:
    """What is shorter than a card number is masked whole but for its end."""
    masked = mask_digits(digits)

    assert len(digits) == len(masked)
    assert max(len(digits) - 2, 0) == masked.count("*")


@pytest.mark.parametrize("digits", ["", "1234567", "1" * 20, "41111111111111A1", "٤" * 16])
def test_other_than_eight_to_nineteen_digits_is_refused(digits: str) -> None:
    """The error holds no digit of what was given."""
    with pytest.raises(RemoteFormatError) as caught:
        Pan(digits)

    assert not digits or digits not in str(caught.value)


@pytest.mark.parametrize(
    ("digits", "account"),
    [("6225880000000007", "588000000000"), ("12345678", "000001234567")],
)
def test_account_number_is_twelve_digits_without_the_check_digit(digits: str, account: str) -> None:
    """As ISO 9564-1 format 0 takes it."""
    assert account == Pan(digits).account_number


def test_pans_compare_by_their_digits() -> None:
    """Two of the same number are one in a set."""
    assert {Pan("4111111111111111")} == {Pan("4111111111111111"), Pan("4111111111111111")}
    assert Pan("4111111111111111") != "4111111111111111"
