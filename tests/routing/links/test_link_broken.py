"""Messages of a bank that cannot be read in part or at all: what counts, what is told and kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.config.log_limit import PER_S
from acquirer.routing.outcomes import NoReply, Replied

pytestmark = pytest.mark.anyio

DIALECT = load_dialect("iso87_ascii")
PAN = "6225882202982730907"
TEXT = b"A" * 23 + b"\xc4"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Trio, with a clock that jumps when all wait."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def chinese(tmp_path: Path) -> str:
    """A dialect whose text is GB18030, so that not all bytes are text."""
    path = tmp_path / "chinese.toml"
    path.write_text('extends = "iso87_ascii"\n[defaults]\ntext = "gb18030"\n', "utf-8")
    return str(path)


@asynccontextmanager
async def asked(rig: Any) -> AsyncIterator[tuple[Any, Message, list[Any]]]:
    """A link with one sale under way: the bank, its request, and where the outcome will be."""
    outcomes: list[Any] = []

    async def ask() -> None:
        outcomes.append(await rig.request("000017", timeout_s=3.0))

    async with trio.open_nursery() as nursery:
        await nursery.start(rig.banks.run)
        bank = await rig.bring_up()
        nursery.start_soon(ask)
        yield bank, await bank.receive(), outcomes
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


def events(logs: list[Any], name: str) -> list[dict[str, Any]]:
    """The log lines of one event, without their level and name."""
    found = [dict(line) for line in logs if line["event"] == name]
    return [{k: v for k, v in line.items() if k not in ("event", "log_level")} for line in found]


async def test_one_byte_too_many(make_rig: Any, reply_of: Any) -> None:
    """No reply counts; one log line says which message, field and byte, and why; it is kept."""
    rig = make_rig()
    with capture_logs() as logs:
        async with asked(rig) as (bank, request, outcomes):
            raw = DIALECT.encode(reply_of(request, de38="000123"))
            await bank.send_frames(raw + b"\x00")
            await trio.sleep(3.5)
    assert [NoReply("timeout")] == outcomes
    (line,) = events(logs, "link_message_malformed")
    assert {
        "bank": "demo",
        "link": "demo",
        "mti": "0210",
        "stan": "000017",
        "rrn": "615512000017",
        "field": "49",
        "offset": len(raw),
        "reason": "bytes left over behind it: 1",
        "left_out": 0,
    } == line
    (kept,) = rig.banks.unmatched
    assert ("demo", "0210", "000017", "00", "000123", 1250) == (
        kept.link,
        kept.mti,
        kept.stan,
        kept.response_code,
        kept.approval_code,
        kept.amount_minor,
    )
    assert f"field 49: bytes left over behind it: 1 (at byte {len(raw)})" == kept.reason
    assert [] == rig.unmatched
    assert 1 == rig.counters.malformed


async def test_a_field_that_nobody_needs(make_rig: Any, reply_of: Any, chinese: str) -> None:
    """Text that is cut inside a character is kept as far as it goes, and costs nothing."""
    rig = make_rig(dialect=chinese)
    with capture_logs() as logs:
        async with asked(rig) as (bank, request, outcomes):
            raw = DIALECT.encode(reply_of(request, de44="x" * 24))
            await bank.send_frames(raw.replace(b"x" * 24, TEXT))
            await wait_all_tasks_blocked()
            (outcome,) = outcomes
    assert isinstance(outcome, Replied)
    assert ("00", "A" * 23) == (outcome.message.get(39), outcome.message.get(44))
    (line,) = events(logs, "link_field_left_out")
    assert ("44", "cut inside a character", "000017") == (
        line["field"],
        line["reason"],
        line["stan"],
    )
    assert 0 == rig.counters.malformed


@pytest.mark.parametrize("number", [24, 38, 48, 54])
async def test_other_fields_that_do_not_decide(
    make_rig: Any, reply_of: Any, chinese: str, number: int
) -> None:
    """Letters among digits, bytes that are no text: left out, and the payment counts."""
    rig = make_rig(dialect=chinese)
    sound = {24: "789", 38: "xxxxxx"}.get(number, "xxxxxx")
    async with asked(rig) as (bank, request, outcomes):
        raw = DIALECT.encode(reply_of(request, **{f"de{number}": sound}))
        await bank.send_frames(raw.replace(sound.encode(), b"78A" if number == 24 else b"\xff" * 6))
        await wait_all_tasks_blocked()
        (outcome,) = outcomes
    assert isinstance(outcome, Replied)
    assert ("00", "") == (outcome.message.get(39), outcome.message.get(number))


@pytest.mark.parametrize(
    ("number", "broken"),
    [(4, b"00000000125A"), (39, b"\xff0"), (41, b"1000000\xff"), (49, b"\xff56")],
)
async def test_a_field_that_decides(
    make_rig: Any, reply_of: Any, chinese: str, number: int, broken: bytes
) -> None:
    """Amount, answer, terminal, currency: without one of them there is no reply."""
    rig = make_rig(dialect=chinese)
    async with asked(rig) as (bank, request, outcomes):
        reply = reply_of(request, de38="000123")
        raw = DIALECT.encode(reply)
        before = DIALECT.encode(
            Message(reply.mti, {n: v for n, v in reply.fields.items() if n < number})
        )
        at = len(before)
        await bank.send_frames(raw[:at] + broken + raw[at + len(broken) :])
        await trio.sleep(3.5)
    assert [NoReply("timeout")] == outcomes
    assert f"field {number}: " in rig.banks.unmatched[0].reason


async def test_no_card_number_is_told(make_rig: Any, reply_of: Any) -> None:
    """A length that lies spills a card number over the fields behind it: they are not shown."""
    rig = make_rig()
    with capture_logs() as logs:
        async with asked(rig) as (bank, request, _):
            raw = DIALECT.encode(reply_of(request, de2=PAN))
            await bank.send_frames(raw.replace(b"19" + PAN.encode(), b"04" + PAN.encode()))
            await wait_all_tasks_blocked()
            told = f"{logs} {list(rig.banks.unmatched)}"
    assert "link_message_malformed" in told
    assert not [at for at in range(len(PAN) - 6) if PAN[at : at + 7] in told]


async def test_frames_that_are_none(make_rig: Any) -> None:
    """Empty, too long, noise, or a length that cannot be followed: each is told and kept."""
    rig = make_rig(frame_bytes_max=100)
    async with asked(rig) as (bank, _, outcomes):
        await bank.stream.send_all(b"\x00\x00" + b"\x00\x65" + bytes(101))
        await bank.send_frames(b"0", b"02A0" + bytes(8), b"0210\x7f" + b"\xff" * 15)
        await wait_all_tasks_blocked()
        assert 5 == rig.counters.malformed
        assert [
            "no byte, or more than 100",
            "no byte, or more than 100",
            "MTI: 4 bytes are needed, 1 follow (at byte 0)",
            "MTI: the MTI is not four digits (at byte 0)",
            "field 2: the length is no digits (at byte 12)",
        ] == [kept.reason for kept in rig.banks.unmatched]
        assert [] == outcomes


async def test_a_flood_is_told_in_part(make_rig: Any) -> None:
    """So many lines a second, the rest as a number; what is kept is bounded, too."""
    rig = make_rig()
    with capture_logs() as logs:
        async with asked(rig) as (bank, _, _):
            await bank.send_frames(*[b"0210"] * 2000)
            await wait_all_tasks_blocked()
            await trio.sleep(1.1)
            await bank.send_frames(b"0210")
    lines = events(logs, "link_message_malformed")
    assert PER_S + 1 == len(lines)
    assert 2000 - PER_S == lines[-1]["left_out"]
    assert 2001 == rig.counters.malformed
    assert 1000 == len(rig.banks.unmatched)


async def test_answers_that_nobody_waits_for(make_rig: Any, reply_of: Any) -> None:
    """A late answer to an echo test is told as well."""
    rig = make_rig()
    with capture_logs() as logs:
        async with asked(rig) as (bank, _, _):
            await bank.send(Message("0810", {7: "0604123456", 11: "000099", 39: "00", 70: "301"}))
    (line,) = events(logs, "link_message_dropped")
    assert ("0810", "000099", "nobody waits for it") == (line["mti"], line["stan"], line["reason"])


async def test_a_trailer_behind_each_message(
    make_rig: Any, reply_of: Any, framed_as: Any, tmp_path: Path
) -> None:
    """Both sides write it; what comes without it is no message."""
    path = tmp_path / "trailer.toml"
    path.write_text('extends = "iso87_ascii"\ntrailer = "03"\n', "utf-8")
    framed_as(str(path))
    rig = make_rig(dialect=str(path))
    async with asked(rig) as (bank, request, outcomes):
        raw = DIALECT.encode(reply_of(request))
        await bank.stream.send_all(DIALECT.length_header.encode(raw))
        await wait_all_tasks_blocked()
        assert [] == outcomes
        await bank.send_frames(raw)
        await wait_all_tasks_blocked()
        (outcome,) = outcomes
    assert isinstance(outcome, Replied)
    assert (1, raw) == (rig.counters.malformed, outcome.message.raw)
