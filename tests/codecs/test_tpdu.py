"""TPDU and POS header."""

import pytest

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.tpdu import PosEnvelope, ProcessingDemand

FRAME = bytes.fromhex("6000030001613100311108") + b"message"


def test_reply_swaps_the_addresses() -> None:
    """Destination and source change places, 60 stays."""
    envelope, message = PosEnvelope.split(FRAME)

    assert message == b"message"
    assert envelope.reply().tpdu.hex() == "6000010003"


def test_reply_of_a_reply_is_the_request() -> None:
    """Swapping twice gives the first TPDU."""
    envelope, _ = PosEnvelope.split(FRAME)

    assert envelope.tpdu == envelope.reply().reply().tpdu


@pytest.mark.parametrize("demand", list(ProcessingDemand))
def test_reply_echoes_the_header_with_its_own_demand(demand: ProcessingDemand) -> None:
    """Only the fourth pair's right digit changes."""
    reply = PosEnvelope.split(FRAME)[0].reply(demand)

    assert f"61313{demand.value}311108"[:4] + f"0{demand.value}311108" == reply.header.hex()
    assert demand == reply.processing_demand


def test_demand_without_a_meaning_counts_as_nothing() -> None:
    """Digits from 6 on are not defined."""
    envelope = PosEnvelope(FRAME[:5], bytes.fromhex("613109311108"))

    assert envelope.processing_demand == ProcessingDemand.NOTHING


def test_bytes_are_tpdu_and_header() -> None:
    """An envelope is written as it was read."""
    assert FRAME[:11] == bytes(PosEnvelope.split(FRAME)[0])


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ("6000030001613100311108", "tpdu"),
        ("60", "tpdu"),
        ("61000300016131003111080200", "tpdu"),
        ("60000A00016131003111080200", "tpdu"),
        ("600003000161310031110F0200", "header"),
    ],
)
def test_frame_without_an_envelope_is_refused(frame: str, field: str) -> None:
    """Too short, not 60, or letters."""
    with pytest.raises(RemoteFormatError) as caught:
        PosEnvelope.split(bytes.fromhex(frame))

    assert field == caught.value.field
