"""Instalments and the items of a bank's DE48: what is read, refused and worked out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.bank_items import build_items, parse_items
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.instalments import InstalmentTerms, Repayment
from acquirer.codecs.masking import mask_field

P06 = "P06".ljust(30)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"01{P06}0",
        f"00{P06}1",
        f"06{P06}2",
        f"06{P06}",
        f"06{P06}00",
        f"0x{P06}0",
        "06" + " " * 30 + "0",
        "06" + "P 6".ljust(30) + "0",
        "06" + " P6".ljust(30) + "0",
        "06" + "Pé6".ljust(30) + "0",
        "06" + "P06".ljust(30, "\0") + "0",
        "6 " + P06 + "0",
    ],
)
def test_what_is_no_instalment(text: str) -> None:
    """A format error, whatever is wrong with it."""
    with pytest.raises(RemoteFormatError):
        InstalmentTerms.parse(text)


@pytest.mark.parametrize("plan", ["P", "P06", "Z" * 30])
def test_terms_read_back_as_they_were_written(plan: str) -> None:
    """33 characters, the plan with blanks on its right."""
    terms = InstalmentTerms(60, plan, True)
    assert (33, terms) == (len(terms.format()), InstalmentTerms.parse(terms.format()))


@pytest.mark.parametrize(
    ("amount_minor", "periods", "ppm", "spread", "told"),
    [
        (100_000, 3, 15_000, False, "0000000348341560000000015000"),
        (100_000, 3, 15_000, True, "0000000338341560000000015001"),
        (60_000, 6, 40_000, False, "0000000124001560000000024000"),
        (10_001, 2, 0, False, "0000000050011560000000000000"),
        (25, 2, 20_000, False, "0000000000141560000000000010"),
    ],
)
def test_repayments(amount_minor: int, periods: int, ppm: int, spread: bool, told: str) -> None:
    """The first has all remainders, and the fee whole or its share; half a cent rounds up."""
    terms = InstalmentTerms(periods, "P", spread)
    assert told == Repayment.of(amount_minor, terms, ppm, "156").format()
    assert told == Repayment.parse(told).format()


@given(
    amount_minor=st.integers(1, 10**9),
    periods=st.integers(2, 60),
    ppm=st.integers(0, 10**6),
    spread=st.booleans(),
)
def test_all_repayments_come_to_the_amount_and_its_fee(
    amount_minor: int, periods: int, ppm: int, spread: bool
) -> None:
    """Nothing is lost in the division."""
    paid = Repayment.of(amount_minor, InstalmentTerms(periods, "P", spread), ppm, "156")
    later = amount_minor // periods + (paid.fee_minor // periods if spread else 0)
    assert amount_minor + paid.fee_minor == paid.first_minor + (periods - 1) * later


@given(text=st.text(max_size=40))
def test_items_are_read_or_refused(text: str) -> None:
    """What is read is what would be written."""
    try:
        items = parse_items(text)
    except RemoteFormatError:
        return
    assert text == "".join(f"{tag}{len(value):03d}{value}" for tag, value in items.items())


@pytest.mark.parametrize("text", ["CV00312", "CV003123CV003123", "CV1", "cv003123", "CV003123x"])
def test_items_that_are_none(text: str) -> None:
    """Cut off, twice there, or no item."""
    with pytest.raises(RemoteFormatError):
        parse_items(text)


def test_secrets_of_a_bank_are_not_shown() -> None:
    """A CVN2 is starred, a code shows its ends; the rest stands as it is."""
    text = build_items({"IN": f"06{P06}0", "QR": "6225881234567890123", "CV": "123"})
    shown = f"IN03306{P06}0QR019622588*********0123CV003***"
    assert shown == mask_field(48, text)
    assert "CV003***x" == mask_field(48, "CV003123x")


def test_a_cvn2_is_not_shown_of_a_terminal() -> None:
    """Neither of a good DE59 nor of one that is cut off."""
    for text, shown in (("CV003123", "CV003***"), ("CV003123ON0", "CV003***ON0")):
        assert shown.encode().hex().upper() == mask_field(59, text.encode().hex().upper())
