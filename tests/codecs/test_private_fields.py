"""DE48, 53, 54, 60, 61 and 62 of the terminal interface."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.errors import CodecError, LocalFormatError, RemoteFormatError
from acquirer.codecs.private_fields import (
    Balance,
    BatchTotals,
    De53,
    De60,
    De61,
    SettlementTotals,
    WorkingKeys,
    parse_balances,
)

SIGN_ON_KEYS = bytes.fromhex(
    "46F161A743497B32EAC760DF5EA57DF5900ECCE3977731A7EA402DDF0000000000000000CFF1592A"
)


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("22000705", ("22", "000705")),
        ("00000519003", ("00", "000519", "003")),
        ("220000010006", ("22", "000001", "000", "6")),
        ("2200000100060", ("22", "000001", "000", "6", "0")),
        ("22000001000601048", ("22", "000001", "000", "6", "0", "1", "048")),
    ],
)
def test_de60_may_end_after_any_part(value: str, parts: tuple[str, ...]) -> None:
    """Management messages end at 60.3, card messages at 60.5 or later, some terminals sooner."""
    parsed = De60.parse(value)

    assert De60(*parts) == parsed
    assert value == parsed.format()


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("", "60.1"),
        ("2", "60.1"),
        ("22", "60.2"),
        ("2200070", "60.2"),
        ("2200070500", "60.3"),
        ("220000010006010480", "60"),
        ("2200070A", "60"),
    ],
)
def test_de60_that_is_cut_names_the_part(value: str, field: str) -> None:
    """The path leads to the part."""
    with pytest.raises(RemoteFormatError) as caught:
        De60.parse(value)

    assert field == caught.value.field


@pytest.mark.parametrize(
    "value", [De60("2", "000001"), De60("22", "1"), De60("22", "000001", "", "6"), De60("22", "")]
)
def test_de60_that_has_no_form_is_our_error(value: De60) -> None:
    """Wrong widths, or a part after an absent one."""
    with pytest.raises(LocalFormatError):
        value.format()


@pytest.mark.parametrize("end", [6, 12, 16, 18, 29])
def test_de61_may_end_after_any_part(end: int) -> None:
    """Batch, STAN, date, mode of authorisation, institution."""
    value = "00000100001706040100000012345"[:end]

    assert value == De61.parse(value).format()
    assert De61.parse(value).original_batch == "000001"


@pytest.mark.parametrize("value", ["", "00001", "0000010", "0" * 30])
def test_de61_between_parts_is_refused(value: str) -> None:
    """Nothing, too little, too much."""
    with pytest.raises(RemoteFormatError):
        De61.parse(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2600000000000000", De53(2, 6)),
        ("1000000000000000", De53(1, 0)),
        ("0610000000000000", De53(0, 6, True)),
    ],
)
def test_de53_says_how_pin_and_tracks_are_protected(value: str, expected: De53) -> None:
    """Three digits count."""
    assert expected == De53.parse(value)
    assert value == expected.format()


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("260000000000000", "53.1"),
        ("3600000000000000", "53.1"),
        ("2500000000000000", "53.2"),
        ("2620000000000000", "53.3"),
    ],
)
def test_de53_without_a_meaning_is_refused(value: str, field: str) -> None:
    """The path tells which digit."""
    with pytest.raises(RemoteFormatError) as caught:
        De53.parse(value)

    assert field == caught.value.field


@given(amount_minor=st.integers(-(10**12) + 1, 10**12 - 1))
def test_balance_keeps_amount_and_sign(amount_minor: int) -> None:
    """A debit balance is negative."""
    balance = Balance("10", "02", "156", amount_minor)

    assert (balance,) == parse_balances(balance.format())


def test_balances_stand_one_after_another() -> None:
    """A bank may send six."""
    balances = tuple(Balance("10", f"0{n}", "156", n) for n in range(6))

    assert balances == parse_balances("".join(b.format() for b in balances))
    assert parse_balances("") == ()


@pytest.mark.parametrize(
    "value", ["1002156C00000000125", "1002156X000000001250", "1002156C00000000125A", "0" * 140]
)
def test_balance_that_is_none_is_refused(value: str) -> None:
    """Length, sign, amount, number of items."""
    with pytest.raises(RemoteFormatError):
        parse_balances(value)


def test_balance_that_does_not_fit_is_our_error() -> None:
    """Thirteen digits, or a currency of two."""
    with pytest.raises(LocalFormatError):
        Balance("10", "02", "156", 10**12).format()
    with pytest.raises(LocalFormatError):
        Balance("10", "02", "15", 1).format()


def test_settlement_totals_of_a_published_reply() -> None:
    """DE48 of cup-mpossdk-settle in tests/vectors/messages.json."""
    value = "00000000001101100000000000200210000000000000000000000000000001"

    totals = SettlementTotals.parse(value)

    assert SettlementTotals(BatchTotals(11, 11, 2, 2, 1), BatchTotals(flag=1)) == totals
    assert value == totals.format()


@pytest.mark.parametrize("value", ["", "0" * 61, "0" * 63, "0" * 61 + "x"])
def test_settlement_totals_are_62_digits(value: str) -> None:
    """Anything else is refused."""
    with pytest.raises(RemoteFormatError):
        SettlementTotals.parse(value)


@pytest.mark.parametrize("totals", [BatchTotals(-1), BatchTotals(10**12), BatchTotals(1, 1000)])
def test_settlement_totals_that_do_not_fit_are_our_error(totals: BatchTotals) -> None:
    """Negative, or more digits than the part has."""
    with pytest.raises(LocalFormatError):
        SettlementTotals(totals).format()


def test_single_mac_key_stands_in_the_first_half() -> None:
    """DE62 of cup-easy8583ans-signin-rsp: the second half is its own eight zero bytes."""
    keys = WorkingKeys.parse(SIGN_ON_KEYS, "003")

    assert keys.pin_key.hex() == "46f161a743497b32eac760df5ea57df5"
    assert keys.mac_key.hex() == "977731a7ea402ddf"
    assert (keys.pin_kcv.hex(), keys.mac_kcv.hex()) == ("900ecce3", "cff1592a")
    assert keys.format("003") == SIGN_ON_KEYS


@pytest.mark.parametrize(
    ("code", "size", "keys"),
    [
        ("001", 24, WorkingKeys(b"P" * 8, b"pkcv", b"M" * 8, b"mkcv")),
        ("003", 40, WorkingKeys(b"P" * 16, b"pkcv", b"M" * 16, b"mkcv")),
        ("004", 60, WorkingKeys(b"P" * 16, b"pkcv", b"M" * 8, b"mkcv", b"T" * 16, b"tkcv")),
    ],
)
def test_working_keys_of_each_network_code(code: str, size: int, keys: WorkingKeys) -> None:
    """24, 40 and 60 bytes."""
    value = keys.format(code)

    assert size == len(value)
    assert keys == WorkingKeys.parse(value, code)


@pytest.mark.parametrize(("size", "code"), [(24, "003"), (40, "001"), (40, "004"), (24, "002")])
def test_working_keys_of_another_length_are_refused(size: int, code: str) -> None:
    """The network code says how many bytes there are."""
    with pytest.raises(RemoteFormatError):
        WorkingKeys.parse(bytes(size), code)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (WorkingKeys(b"P" * 16, b"pkcv", b"M" * 8, b"mkcv"), "001"),
        (WorkingKeys(b"P" * 8, b"pkcv", b"M" * 8, b"mkcv"), "003"),
        (WorkingKeys(b"P" * 8, b"pkcv", b"M" * 8, b"mkc"), "001"),
        (WorkingKeys(b"P" * 16, b"pkcv", b"M" * 8, b"mkcv", b"T" * 16, b"tkcv"), "003"),
        (WorkingKeys(b"P" * 16, b"pkcv", b"M" * 8, b"mkcv"), "004"),
        (WorkingKeys(b"P" * 8, b"pkcv", b"M" * 8, b"mkcv"), "002"),
    ],
)
def test_working_keys_that_have_no_form_are_our_error(keys: WorkingKeys, code: str) -> None:
    """Lengths that the network code does not have."""
    with pytest.raises(LocalFormatError):
        keys.format(code)


def test_working_keys_do_not_show_themselves() -> None:
    """A cryptogram in a log helps an attacker only."""
    assert "46F161" not in repr(WorkingKeys.parse(SIGN_ON_KEYS, "003")).upper()


@given(value=st.text("0123456789CDx", max_size=70))
def test_any_text_gives_a_value_or_a_codec_error(value: str) -> None:
    """Nothing else is raised, and what parses is written back alike."""
    for kind in (De60, De61, SettlementTotals):
        try:
            assert value == kind.parse(value).format()
        except CodecError:
            continue
