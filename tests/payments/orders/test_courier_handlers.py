"""Courier sign-on and sign-off, the handlers alone: tries count, and count once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from counter import OTHER_TERMINAL, TERMINAL, Counter, answered, code_of
from origins import COURIER

from acquirer.config.business import CourierSettings
from acquirer.ledger.errors import BookBusy, BookUnavailable
from acquirer.ledger.journal.entries import (
    CourierRow,
    State,
)
from acquirer.ledger.journal.steps import (
    PutCourier,
)
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.kernel.errors import HsmRefused, HsmUnavailable
from acquirer.payments.orders.couriers import (
    CourierSignOffRequested,
    CourierSignOnRequested,
    courier_sign_off,
    courier_sign_on,
)

pytestmark = pytest.mark.anyio

RIGHT, WRONG = bytes(8), bytes([1] * 8)


def _signing_on(
    counter: Counter, block: bytes = RIGHT, courier_id: str = "C1", **changes: Any
) -> CourierSignOnRequested:
    return CourierSignOnRequested(counter.origin(**changes), courier_id, block)


async def _sign_on(counter: Counter, block: bytes = RIGHT, **changes: Any) -> str:
    return await code_of(courier_sign_on(counter.ports, _signing_on(counter, block, **changes)))


async def _sign_off(counter: Counter, **changes: Any) -> str:
    command = CourierSignOffRequested(counter.origin(**changes), "C1")
    return await code_of(courier_sign_off(counter.ports, command))


def _row(counter: Counter) -> CourierRow:
    return counter.books.rows.couriers["C1"]


async def test_a_courier_is_at_one_terminal_at_a_time(counter: Counter) -> None:
    """The newest sign-on counts; only there he signs off."""
    assert "00" == await _sign_on(counter)
    assert CourierRow("C1", TERMINAL) == _row(counter)
    assert "00" == await _sign_on(counter, terminal_id=OTHER_TERMINAL)
    assert "58" == await _sign_off(counter)
    assert CourierRow("C1", OTHER_TERMINAL) == _row(counter)
    assert "00" == await _sign_off(counter, terminal_id=OTHER_TERMINAL)
    assert CourierRow("C1") == _row(counter)
    assert "58" == await _sign_off(counter, terminal_id=OTHER_TERMINAL)


async def test_a_sign_on_tells_neither_date_nor_number(counter: Counter) -> None:
    """Its answer has no business date and no reference number."""
    command = _signing_on(counter)
    reply = answered(await courier_sign_on(counter.ports, command)).reply
    assert ("", "") == (reply.rrn, reply.settlement_date)
    assert State.APPROVED == counter.entry(command.origin).state
    assert isinstance(await courier_sign_on(counter.ports, command), Repeat)


async def test_three_wrong_passwords_lock(counter: Counter) -> None:
    """55, 55, 75; then even the right one gets 75, and the module is not asked."""
    assert ["55", "55", "75"] == [await _sign_on(counter, WRONG) for _ in range(3)]
    assert CourierRow("C1", TERMINAL, 3, locked=True) == _row(counter)
    counter.module.error = HsmUnavailable("gone")
    assert "75" == await _sign_on(counter)


async def test_a_right_password_forgives_the_wrong_ones(counter: Counter) -> None:
    """They count in a row only."""
    codes = [await _sign_on(counter, block) for block in (WRONG, WRONG, RIGHT, WRONG, WRONG)]
    assert ["55", "55", "00", "55", "55"] == codes


async def test_a_copy_is_no_second_try(counter: Counter) -> None:
    """The try is stored with its answer, under the message's number."""
    command = _signing_on(counter, WRONG)
    assert "55" == await code_of(courier_sign_on(counter.ports, command))
    for _ in range(5):
        assert isinstance(await courier_sign_on(counter.ports, command), Repeat)
    assert 1 == _row(counter).password_tries


async def test_whom_nobody_knows_cannot_sign_on(counter: Counter) -> None:
    """58, as for another merchant's courier; a password in another form gets 99."""
    assert "58" == await _sign_on(counter, courier_id="C9")
    couriers = {"C2": CourierSettings("C2", "M2", ""), "C1": COURIER}
    counter.business = Counter(couriers=couriers).business
    assert "58" == await _sign_on(counter, courier_id="C2")
    unfit = CourierSignOnRequested(counter.origin(), "C1", b"", is_pin_unfit=True)
    assert "99" == await code_of(courier_sign_on(counter.ports, unfit))
    assert (["C1"], 0) == (list(counter.books.rows.couriers), _row(counter).password_tries)


@pytest.mark.parametrize("error", [HsmRefused("BC", "20"), HsmUnavailable("gone")])
async def test_what_the_module_cannot_check_is_no_try(counter: Counter, error: Exception) -> None:
    """Nothing is recorded; the same message may come again."""
    counter.module.error = error
    command = _signing_on(counter, WRONG)
    with pytest.raises(type(error)):
        await courier_sign_on(counter.ports, command)
    assert ([], 0) == (counter.entries, _row(counter).password_tries)
    counter.module.error = None
    assert "55" == await code_of(courier_sign_on(counter.ports, command))


def _try_elsewhere(counter: Counter) -> None:
    """Another process stores a wrong password."""
    row = _row(counter)
    tries = row.password_tries + 1
    assert not counter.books.apply(PutCourier(replace(row, password_tries=tries), row))


async def test_tries_at_two_places_all_count(counter: Counter) -> None:
    """One between read and commit: this one is the second, and the next locks."""
    counter.books.meanwhile = [lambda: _try_elsewhere(counter)]
    assert "55" == await _sign_on(counter, WRONG)
    assert 2 == _row(counter).password_tries
    assert "75" == await _sign_on(counter, WRONG)


async def test_a_lock_that_comes_first_holds(counter: Counter) -> None:
    """Locked elsewhere between read and commit: the right password gets 75."""
    row = _row(counter)
    lock = PutCourier(replace(row, locked=True, password_tries=3), row)
    counter.books.meanwhile = [lambda: counter.books.apply(lock)]
    assert "75" == await _sign_on(counter)
    assert _row(counter).locked


async def test_a_courier_who_keeps_changing_is_said_again(counter: Counter) -> None:
    """Nothing of this message is stored."""
    counter.books.meanwhile = [lambda: _try_elsewhere(counter)] * 5
    with pytest.raises(BookBusy):
        await _sign_on(counter, WRONG)
    counter.books.meanwhile = [lambda: _try_elsewhere(counter)] * 5
    with pytest.raises(BookBusy):
        await _sign_off(counter)
    assert ([], 10, TERMINAL) == (
        counter.entries,
        _row(counter).password_tries,
        _row(counter).terminal_id,
    )


async def test_what_cannot_be_stored_signs_nobody_on(counter: Counter) -> None:
    """The row stays as it was."""

    def fail() -> None:
        raise BookUnavailable("full")

    before = _row(counter)
    for block in (RIGHT, WRONG):
        counter.books.meanwhile = [fail]
        with pytest.raises(BookUnavailable):
            await _sign_on(counter, block, terminal_id=OTHER_TERMINAL)
    assert ([], before) == (counter.entries, _row(counter))
