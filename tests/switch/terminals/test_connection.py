"""A terminal's connection: when patience with it ends."""

import pytest
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, wait_all_tasks_blocked

from acquirer.switch.settings import LimitSettings
from acquirer.switch.terminals.connection import DEADLINE_MOVES, Connection

pytestmark = pytest.mark.anyio

LIMITS = LimitSettings(first_frame_s=30.0, frame_s=10.0, idle_s=300.0)


def connection() -> Connection:
    """One that begins at second 1000."""
    stream = trio.StapledStream(MemorySendStream(), MemoryReceiveStream())
    made = Connection(stream, "", LIMITS)
    made.heard(1000.0, whole=True, partial=False)
    return made


def is_patient_for(one: Connection, seconds: float, since: float) -> bool:
    """Whether patience ends after so many seconds, or a 64th later at the most."""
    left = one.reading.deadline - since
    return seconds <= left <= seconds * (1 + 1 / DEADLINE_MOVES)


async def test_patience_grows_once_a_message_was_answered() -> None:
    """A stranger has the time of a first frame, who was answered that of an idle one."""
    one = connection()
    assert is_patient_for(one, 30.0, 1000.0)
    one.prove(1010.0)
    assert is_patient_for(one, 300.0, 1010.0)


async def test_a_frame_has_its_time_from_its_first_byte() -> None:
    """More bytes of it move nothing; once it is whole the next one has its own."""
    one = connection()
    one.prove(1000.0)
    one.heard(1100.0, whole=False, partial=True)
    assert 1110.0 == one.reading.deadline
    one.heard(1109.0, whole=False, partial=True)
    assert 1110.0 == one.reading.deadline
    one.heard(1109.5, whole=True, partial=True)
    assert 1119.5 == one.reading.deadline
    one.heard(1110.0, whole=True, partial=False)
    assert is_patient_for(one, 300.0, 1110.0)


async def test_a_frame_does_not_lengthen_patience() -> None:
    """Who begins a frame just before patience ends has no more time for that."""
    one = connection()
    ends = one.reading.deadline
    one.heard(ends - 1.0, whole=False, partial=True)
    assert ends == one.reading.deadline


async def test_a_busy_connection_moves_its_deadline_seldom() -> None:
    """Of a thousand frames in a second one or two move it, and patience is never less."""
    one = connection()
    one.prove(1000.0)
    moved = set()
    for frame in range(1000):
        one.heard(1001.0 + frame / 1000, whole=True, partial=False)
        moved.add(one.reading.deadline)
        assert is_patient_for(one, 300.0, 1001.0 + frame / 1000)
    assert len(moved) <= 2


async def test_patience_does_not_end_while_a_turn_is_waited_for() -> None:
    """Frames that have come are not lost, however long those before them take."""
    one = connection()
    one.in_flight = 2
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.wait_for_turn, 2)
        await wait_all_tasks_blocked()
        assert trio.CancelScope().deadline == one.reading.deadline
        one.prove(1001.0)
        assert trio.CancelScope().deadline == one.reading.deadline
        one.done()
    assert is_patient_for(one, 300.0, trio.current_time())
