"""Track 2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.errors import CodecError, RemoteFormatError
from acquirer.codecs.pan import Pan
from acquirer.codecs.track2 import Track2, ciphered_part


@pytest.mark.parametrize("separator", ["D", "="])
def test_both_separators_are_read(separator: str) -> None:
    """BCD has D, text often =."""
    track = Track2.parse(f"6225880000000007{separator}30121010000000000")

    assert Track2(Pan("6225880000000007"), "3012", "101", "0000000000") == track
    assert track.format() == "6225880000000007D30121010000000000"
    assert track.format("=") == "6225880000000007=30121010000000000"


@pytest.mark.parametrize(
    ("value", "expiry", "service_code"),
    [("62258800D3012D99", "3012", ""), ("62258800DD10199", "", "101"), ("62258800DDD99", "", "")],
)
def test_absent_parts_have_separators(value: str, expiry: str, service_code: str) -> None:
    """ISO/IEC 7813 writes a separator for an absent expiry or service code."""
    track = Track2.parse(value)

    assert (expiry, service_code, "99") == (track.expiry, track.service_code, track.discretionary)
    assert value == track.format()


def test_track_masks_itself() -> None:
    """Neither text form shows more than the masked PAN."""
    track = Track2.parse("6225880000000007D30121010000000000")

    assert str(track) == "622588******0007D*"
    assert repr(track) == "Track2('622588******0007D*')"
    assert f"{track}" == track.masked


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("", "35"),
        ("6225880000000007", "35"),
        ("1234567D3012101", "35.1"),
        ("D3012101", "35.1"),
        ("6225880000000007D301", "35.2"),
        ("6225880000000007D301210", "35.3"),
        ("6225880000000007D3012101x", "35.4"),
        ("6225880000000007D3012101" + "0" * 15, "35"),
    ],
)
def test_track_that_is_none_names_the_part(value: str, field: str) -> None:
    """And shows nothing of the track."""
    with pytest.raises(RemoteFormatError) as caught:
        Track2.parse(value)

    assert field == caught.value.field
    assert "62258800" not in str(caught.value)


@given(value=st.text("0123456789D=x", max_size=40))
def test_any_text_gives_a_track_or_a_codec_error(value: str) -> None:
    """Nothing else is raised, and what parses is written back alike."""
    try:
        track = Track2.parse(value)
    except CodecError:
        return
    assert value.replace("=", "D") == track.format()


@pytest.mark.parametrize(
    ("digits", "part"), [(17, (0, 16)), (18, (0, 16)), (36, (18, 34)), (37, (20, 36))]
)
def test_which_digits_of_a_track_are_enciphered(digits: int, part: tuple[int, int]) -> None:
    """16 that end before the last one of an odd number, before the last two of an even one."""
    found = ciphered_part("1" * digits)

    assert part == (found.start, found.stop)


def test_a_track_too_short_to_be_enciphered() -> None:
    """16 digits leave none behind."""
    with pytest.raises(RemoteFormatError):
        ciphered_part("1" * 16)
