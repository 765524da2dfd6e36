"""Faults by rule: the money moves as it should, only the reply suffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.hosts_sim.bank.settings import Match, Rule

pytestmark = pytest.mark.anyio
Open = Callable[..., Any]
ECHO = Message("0800", {7: "0604123456", 11: "000009", 70: "301"})


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Trio, with a clock that jumps when all wait."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


def fault(name: str, **more: Any) -> list[Rule]:
    """One rule for 66.68, once."""
    return [Rule(Match(amount_minor=6668), fault=name, times=1, **more)]  # type: ignore[arg-type]


async def test_drop_approves_and_says_nothing(desk: Open, messages: Any) -> None:
    """Only the reversal puts it right."""
    async with desk(rules=fault("drop")) as bank:
        sale = messages.sale(1, 6668)
        assert "0810" == (await bank.send(sale) or await bank.ask(ECHO)).mti
        assert ["approved"] == bank.states()
        assert "00" == await bank.code(messages.undo(sale, 2, "0400"))
        assert ["reversed"] == bank.states()


@pytest.mark.parametrize(("name", "delay_s"), [("delay", 1.0), ("late_reply", 5.0)])
async def test_late_answers_come_late(desk: Open, messages: Any, name: str, delay_s: float) -> None:
    """Others overtake them."""
    async with desk(rules=fault(name)) as bank:
        started = trio.current_time()
        await bank.send(messages.sale(1, 6668), messages.sale(2, 100))
        assert "000002" == (await bank.receive()).get(11)
        assert "000001" == (await bank.receive()).get(11)
        assert delay_s == pytest.approx(trio.current_time() - started)


async def test_close_ends_the_connection_after_booking(desk: Open, messages: Any) -> None:
    """The reply is lost with the link, the money is not."""
    async with desk(rules=fault("close")) as bank:
        await bank.send(messages.sale(1, 6668))
        with pytest.raises(EOFError):
            await bank.receive()
        assert ["approved"] == bank.states()


async def test_garbage_is_a_frame_of_no_message(desk: Open, messages: Any) -> None:
    """The frame can be cut, the message cannot be read, the next one can."""
    async with desk(rules=fault("garbage")) as bank:
        await bank.send(messages.sale(1, 6668))
        chunk = await bank.stream.receive_some(4096)
        assert 40 == int.from_bytes(chunk[:2], "big") == len(chunk) - 2
        assert "00" == await bank.code(messages.sale(2))


async def test_wrong_stan_and_duplicate_reply(desk: Open, messages: Any) -> None:
    """One reply with the next STAN; one reply twice."""
    async with desk(rules=fault("wrong_stan")) as bank:
        assert "000002" == (await bank.ask(messages.sale(1, 6668))).get(11)
    async with desk(rules=fault("duplicate_reply")) as bank:
        first = await bank.ask(messages.sale(3, 6668))
        assert first == await bank.receive()
        assert "0810" == (await bank.ask(ECHO)).mti


async def test_what_is_no_message_is_counted_and_skipped(desk: Open, messages: Any) -> None:
    """Garbage from the acquirer does not end the link; a frame that cannot be cut does."""
    async with desk(frame_bytes_max=512) as bank:
        await bank.send_frames(b"garbage", b"0200" + bytes(8), b"\xff" * 200)
        assert "00" == await bank.code(messages.sale())
        assert 3 == bank.bank.malformed
        await bank.stream.send_all(b"\xff\xff")
        with pytest.raises(EOFError):
            await bank.receive()


async def test_network_management(desk: Open) -> None:
    """Sign-on, sign-off, cut-over and echo get 00, others 40; keys need zone security."""
    async with desk() as bank:
        for code, expected in (
            ("001", "00"),
            ("301", "00"),
            ("201", "00"),
            ("002", "00"),
            ("777", "40"),
            ("101", "40"),
        ):
            reply = await bank.ask(Message("0800", {7: "0604123456", 11: "000001", 70: code}))
            assert ("0810", expected, code) == (reply.mti, reply.get(39), reply.get(70))


@pytest.mark.parametrize("dialect", ["iso87_ascii_hex", "iso87_bcd", "iso87_ebcdic"])
async def test_it_speaks_other_dialects(desk: Open, messages: Any, dialect: str) -> None:
    """The dialect and its length header are configuration."""
    async with desk(dialect=dialect) as bank:
        spoken = load_dialect(dialect)
        await bank.stream.send_all(spoken.length_header.encode(spoken.encode(messages.sale())))
        chunk = await bank.stream.receive_some(4096)
        reply = spoken.decode(bytes(chunk[spoken.length_header.size :]))
        assert ("0210", "00") == (reply.mti, reply.get(39))


async def test_a_link_too_many_is_closed(desk: Open, messages: Any) -> None:
    """The first one goes on."""
    async with desk(connections_max=1) as bank:
        await bank.code(messages.sale(1))
        near, far = trio.testing.memory_stream_pair()
        await bank.bank.serve_stream(far)
        assert b"" == await near.receive_some(1)
        assert "00" == await bank.code(messages.sale(2))
