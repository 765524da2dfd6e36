"""What the terminal remembers: limits, STAN order, the file, a crash between save and send."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio
from fake_host import FakeHost
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs import bertlv
from acquirer.config.estate import Card
from acquirer.terminals_sim.cards import present
from acquirer.terminals_sim.errors import LocalRefusal, StateFileError
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.state import (
    ADVICES_MAX,
    ORDERS_MAX,
    JournalEntry,
    OrderPayment,
    StoredRequest,
    TerminalState,
)
from acquirer.terminals_sim.store import FileStore
from acquirer.terminals_sim.terminal import Terminal

DIGITS = st.text("0123456789", min_size=6, max_size=6)
STORED = st.builds(
    StoredRequest,
    kind=st.sampled_from(["sale", "void", "order_confirmation"]),
    mti=st.sampled_from(["0400", "0220"]),
    fields=st.dictionaries(st.integers(2, 63), DIGITS),
    attempts=st.integers(0, 9),
)
STATES = st.builds(
    TerminalState,
    terminal_id=st.just("10000001"),
    batch=DIGITS,
    next_stan=st.integers(1, 999_999),
    network_code=st.sampled_from(["", "001", "003", "004"]),
    wrapped_keys=st.binary(max_size=60).map(lambda b: b.hex().upper()),
    sign_on_due=st.booleans(),
    courier_id=st.text(max_size=20),
    reversal=st.none() | STORED,
    last_reversible=st.none() | STORED,
    advices=st.lists(STORED, max_size=3).map(tuple),
    orders=st.lists(
        st.builds(OrderPayment, *[DIGITS] * 2, st.integers(0), *[DIGITS] * 4), max_size=3
    ).map(tuple),
    journal=st.lists(st.builds(JournalEntry, *[DIGITS] * 3, st.integers(0)), max_size=3).map(tuple),
)


@given(STATES)
def test_state_survives_json(state: TerminalState) -> None:
    """Whatever the terminal remembers comes back from its file as it was."""
    assert state == msgspec.json.decode(msgspec.json.encode(state), type=TerminalState)


@given(st.integers(1, 999_999))
def test_stan_counts_and_skips_zero(start: int) -> None:
    """The next STAN is one more; 000001 follows 999999, and 000000 never comes."""
    state = TerminalState("10000001", next_stan=start).with_stan_taken()
    assert state.stan == f"{1 if start == 999_999 else start + 1:06d}"


def test_journal_keeps_the_newest() -> None:
    """A full journal drops its oldest entry."""
    state = TerminalState("10000001")
    for stan in range(5):
        state = state.with_entry(JournalEntry("sale", "000001", f"{stan:06d}"), 3)
    assert [entry.stan for entry in state.journal] == ["000002", "000003", "000004"]


def test_open_orders_are_never_dropped() -> None:
    """A full list of order payments makes room at the cost of settled ones only."""
    paid = OrderPayment("A", "000000", 1, "000001", "000000", "1121", "")
    state = TerminalState("10000001", orders=(paid,) * (ORDERS_MAX - 1))
    state = state.with_order(replace(paid, order_no="B", stage="confirmed"))
    state = state.with_order(replace(paid, order_no="C"))
    assert (len(state.orders), state.order("B")) == (ORDERS_MAX, None)


def test_too_many_waiting_confirmations_are_refused() -> None:
    """The list of confirmations has a limit."""
    advice = StoredRequest("order_confirmation", "0220", {11: "000001"})
    state = TerminalState("10000001", advices=(advice,) * ADVICES_MAX)
    with pytest.raises(LocalRefusal):
        state.with_advice(advice)


def test_a_terminal_takes_only_its_own_state(identity: Identity) -> None:
    """A state file of another terminal is refused."""
    with pytest.raises(LocalRefusal):
        Terminal(identity, TerminalState("10000002"))


def test_file_round_trip(tmp_path: Path) -> None:
    """Saved and loaded states are equal; the file is its owner's alone."""
    state = TerminalState("10000001", next_stan=42, courier_id="快递")
    with FileStore(tmp_path / "terminals" / "t.json") as store:
        assert store.load() is None
        store.write(state)
        assert store.load() == state
        assert store.path.stat().st_mode & 0o077 == 0


def test_save_from_an_event_loop(tmp_path: Path) -> None:
    """Saving does not block the loop and is durable when it returns."""
    with FileStore(tmp_path / "t.json") as store:
        trio.run(store.save, TerminalState("10000001"))
        assert store.load() == TerminalState("10000001")


def test_state_file_is_locked(tmp_path: Path) -> None:
    """A second program on the same state is turned away."""
    with FileStore(tmp_path / "t.json"), pytest.raises(StateFileError, match="another"):
        FileStore(tmp_path / "t.json")


@pytest.mark.parametrize("content", [b"", b"{", b'{"terminal_id": 5}'])
def test_damaged_state_file_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that is no state gives an error with its name, not a fresh terminal."""
    (tmp_path / "t.json").write_bytes(content)
    with FileStore(tmp_path / "t.json") as store, pytest.raises(StateFileError, match=r"t\.json"):
        store.load()


def test_failed_write_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk refuses, the old file stays whole."""
    with FileStore(tmp_path / "t.json") as store:
        store.write(TerminalState("10000001"))

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(StateFileError, match="No space"):
            store.write(TerminalState("10000001", next_stan=9))
        assert store.load() == TerminalState("10000001")


def test_crash_between_save_and_send(
    tmp_path: Path, host: FakeHost, signed_on: Terminal, card: Card
) -> None:
    """A terminal that died before sending starts with a reversal, and never uses the STAN again."""
    with FileStore(tmp_path / "t.json") as store:
        request = signed_on.sale(1250, present(card))
        store.write(signed_on.state)
    with FileStore(tmp_path / "t.json") as store:
        saved = store.load()
    assert saved is not None
    born_again = Terminal(signed_on.identity, saved)
    reversal = born_again.reverse()
    assert (reversal.message.mti, reversal.stan) == ("0400", request.stan)
    answers = host.replies(reversal.frame)
    assert born_again.take(reversal, answers[0]) is not None
    assert born_again.sale(1250, present(card)).stan == "000003"


def test_no_card_data_in_the_file(tmp_path: Path, signed_on: Terminal, card: Card) -> None:
    """Neither PAN, track, PIN, PIN block nor clear key is written."""
    with FileStore(tmp_path / "t.json") as store:
        request = signed_on.sale(1250, present(card, "chip"))
        store.write(signed_on.state)
        text = (tmp_path / "t.json").read_text()
    keys = signed_on.keys
    for secret in (
        card.pan,
        card.pan[6:-4],
        request.message.get(52),
        keys.pin_key.hex().upper(),
        keys.mac_key.hex().upper(),
    ):
        assert secret not in text.upper()
    fields = json.loads(text)["reversal"]["fields"]
    assert {"2", "14", "35", "52"}.isdisjoint(fields)
    said = {item.tag for item in bertlv.parse(bytes.fromhex(fields["55"]))}
    assert said == {"95", "9F10", "9F36", "9F1E"}
