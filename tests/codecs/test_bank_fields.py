"""DE90 and the keys of DE48 on the bank link."""

import pytest

from acquirer.codecs.bank_fields import BankKeys, De90
from acquirer.codecs.errors import LocalFormatError, RemoteFormatError

ZPK = "X0123456789ABCDEFFEDCBA9876543210"
ZAK = "XFEDCBA98765432100123456789ABCDEF"


def test_original_data_elements() -> None:
    """MTI 4, STAN 6, DE7 10, acquirer 11, forwarder 11."""
    original = De90.of("0200", "000017", "0604123456", "12345", "67")

    assert original.format() == "020000001706041234560000001234500000000067"
    assert original == De90.parse(original.format())


@pytest.mark.parametrize(
    ("value", "field"), [("0200", "90.2"), ("0" * 41, "90.5"), ("0" * 43, "90"), ("x" * 42, "90")]
)
def test_original_data_elements_are_42_digits(value: str, field: str) -> None:
    """The path tells the part that is cut."""
    with pytest.raises(RemoteFormatError) as caught:
        De90.parse(value)

    assert field == caught.value.field


def test_original_data_elements_that_do_not_fit_are_our_error() -> None:
    """An id of twelve digits."""
    with pytest.raises(LocalFormatError):
        De90.of("0200", "000017", "0604123456", "123456789012").format()


@pytest.mark.parametrize(
    ("keys", "de53"),
    [
        (BankKeys(ZPK, "08D7B4", ZAK, "82E136"), "3600000000000000"),
        (BankKeys(zpk=ZPK, zpk_kcv="08D7B4"), "1600000000000000"),
        (BankKeys(zak=ZAK, zak_kcv="82E136"), "2600000000000000"),
    ],
)
def test_exchanged_keys(keys: BankKeys, de53: str) -> None:
    """DE53 tells which keys DE48 brings."""
    de48, security = keys.format()

    assert de53 == security
    assert keys == BankKeys.parse(de48, security)


def test_keys_without_the_scheme_letter_are_read() -> None:
    """32 digits and 6 are scheme X as well."""
    keys = BankKeys.parse(ZPK[1:].lower() + "08d7b4" + ZAK[1:] + "82E136", "")

    assert BankKeys(ZPK, "08D7B4", ZAK, "82E136") == keys


@pytest.mark.parametrize(
    ("de48", "de53"),
    [
        ("", "3600000000000000"),
        (ZPK, "1600000000000000"),
        (ZPK + "08D7B4" + "rest", "1600000000000000"),
        (ZPK + "08D7B4", ""),
        (ZPK + "08D7B4", "3600000000000000"),
    ],
)
def test_de48_without_keys_is_refused(de48: str, de53: str) -> None:
    """No key, a cut one, a rest, or one key that nobody names."""
    with pytest.raises(RemoteFormatError):
        BankKeys.parse(de48, de53)


@pytest.mark.parametrize(
    "keys", [BankKeys(), BankKeys("U" + ZPK[1:], "08D7B4"), BankKeys(ZPK, "08D7")]
)
def test_keys_that_have_no_form_are_our_error(keys: BankKeys) -> None:
    """No key, another scheme, a short KCV."""
    with pytest.raises(LocalFormatError):
        keys.format()


def test_exchanged_keys_do_not_show_themselves() -> None:
    """Only the KCVs are in ``repr``."""
    text = repr(BankKeys(ZPK, "08D7B4", ZAK, "82E136"))

    assert "0123456789ABCDEF" not in text
    assert "08D7B4" in text
