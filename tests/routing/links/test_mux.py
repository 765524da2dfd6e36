"""The match table: nothing is overwritten, lost or answered twice."""

from __future__ import annotations

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from acquirer.routing.links.mux import Mux, Refused, Slot

KEYS = [("02", stan) for stan in "abcdef"]
WINDOW = 4


def test_equal_keys_in_flight_are_refused() -> None:
    """The first request keeps its slot."""
    mux: Mux[str] = Mux(WINDOW)
    first = mux.open(KEYS[0], 1.0, "first")
    assert Refused("duplicate") == mux.open(KEYS[0], 2.0, "second")
    assert first is mux.match(KEYS[0])


def test_a_full_window_is_refused() -> None:
    """The window bounds what is in flight."""
    mux: Mux[str] = Mux(1)
    mux.open(KEYS[0], 1.0, "first")
    assert Refused("window") == mux.open(KEYS[1], 1.0, "second")


def test_expiry_tells_sent_from_unsent() -> None:
    """Only what was sent may have reached the bank."""
    mux: Mux[str] = Mux(WINDOW)
    sent, unsent = mux.open(KEYS[0], 1.0, "sent"), mux.open(KEYS[1], 1.0, "unsent")
    assert isinstance(sent, Slot)
    sent.sent = True
    assert [(sent, True), (unsent, False)] == [(slot, slot.sent) for slot in mux.expire(1.0)]


def test_answered_slots_do_not_pile_up() -> None:
    """A hundred thousand answered requests leave a small table."""
    mux: Mux[int] = Mux(WINDOW)
    for number in range(100_000):
        mux.open(("02", str(number)), 15.0 + number, number)
        mux.match(("02", str(number)))
    assert len(mux._deadlines) <= 2 * WINDOW + 65


class MuxMachine(RuleBasedStateMachine):
    """Compares the table with a plain dictionary of open slots."""

    def __init__(self) -> None:
        super().__init__()
        self.mux: Mux[int] = Mux(WINDOW)
        self.open: dict[tuple[str, ...], Slot[int]] = {}
        self.now = 0.0
        self.count = 0

    @rule(key=st.sampled_from(KEYS), wait=st.integers(0, 5))
    def open_one(self, key: tuple[str, ...], wait: int) -> None:
        """Open, unless the key is in flight or the window full."""
        self.count += 1
        slot = self.mux.open(key, self.now + wait, self.count)
        if key in self.open:
            assert Refused("duplicate") == slot
        elif len(self.open) == WINDOW:
            assert Refused("window") == slot
        else:
            assert isinstance(slot, Slot)
            self.open[key] = slot

    @rule(key=st.sampled_from(KEYS))
    def match(self, key: tuple[str, ...]) -> None:
        """A reply finds the open slot of its key or nothing."""
        assert self.open.pop(key, None) is self.mux.match(key)

    @precondition(lambda self: self.open)
    @rule(choice=st.randoms(use_true_random=False))
    def release(self, choice: object) -> None:
        """A waiter goes; releasing twice is harmless."""
        key = choice.choice(sorted(self.open))  # type: ignore[attr-defined]
        slot = self.open.pop(key)
        self.mux.release(slot)
        self.mux.release(slot)

    @rule(step=st.integers(0, 3))
    def expire(self, step: int) -> None:
        """Time passes: exactly the overdue slots end."""
        self.now += step
        due = {key for key, slot in self.open.items() if slot.deadline <= self.now}
        assert due == {slot.key for slot in self.mux.expire(self.now)}
        for key in due:
            del self.open[key]

    @rule()
    def close(self) -> None:
        """The link is lost: every slot ends once."""
        assert set(self.open.values()) == set(self.mux.close())
        self.open.clear()

    @invariant()
    def agree(self) -> None:
        """Sizes and the next deadline agree."""
        assert len(self.open) == len(self.mux)
        deadlines = [slot.deadline for slot in self.open.values()]
        assert min(deadlines, default=inf) == self.mux.next_deadline()
        assert max(deadlines, default=-inf) == self.mux.latest_deadline()


MuxMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestMux = MuxMachine.TestCase
