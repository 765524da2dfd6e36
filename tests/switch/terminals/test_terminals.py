"""How sign-on and a first verified message change a terminal's keys; who gets the same again."""

from __future__ import annotations

import pytest

from acquirer.config.business import MerchantSettings, ProfileSettings, TerminalSettings
from acquirer.ledger.journal.entries import (
    HandedKeys,
    TerminalRow,
)
from acquirer.switch.terminals.terminals import (
    HANDED_AGAIN_MS,
    WAITING_PER_CODE_MAX,
    Keys,
    Terminal,
    handed_again,
    promoted,
    signed_on,
    without_keys,
)

NEW = TerminalRow("10000001", "000001")


def handed(name: str, code: str = "003", made_at_ms: int = 0) -> HandedKeys:
    """Keys p…, a… and d… of a sign-on."""
    return HandedKeys(f"p{name}", f"a{name}", f"d{name}", code, f"62{name}", made_at_ms)


def confirmed(row: TerminalRow, name: str) -> TerminalRow:
    """The row once a message bears waiting keys."""
    return promoted(row, Keys(f"p{name}", f"a{name}"), 0)


def generations(row: TerminalRow) -> list[str]:
    """The MAC keys that a message may verify under."""
    terminal = Terminal(
        TerminalSettings("10000001", "M", "U0", "cup"),
        ProfileSettings("cup"),
        MerchantSettings("M", "Shop", "5411", 0, "whsec_"),
        row,
    )
    return [keys.tak for keys in terminal.key_generations()]


def sign_ons(row: TerminalRow, *times_ms: int, code: str = "003") -> tuple[TerminalRow, list[str]]:
    """The row after sign-ons at these times, and the MAC key that each was given."""
    given = []
    for now_ms in times_ms:
        keys = handed_again(row, code, now_ms)
        if keys is None:
            keys = handed(f"{code}@{now_ms}", code, now_ms)
            row = signed_on(row, keys)
        given.append(keys.tak)
    return row, given


def test_no_keys_before_any_sign_on() -> None:
    """A new terminal has nothing to verify under."""
    assert [] == generations(NEW)


def test_confirmed_keys_are_tried_first_and_what_is_older_goes() -> None:
    """Both sign-ons' keys are good until a message verifies; newer ones go on waiting."""
    row = signed_on(signed_on(NEW, handed("1")), handed("2"))
    assert ["a2", "a1"] == generations(row)
    row = confirmed(row, "1")
    assert ("p1", "a1", "d1") == (row.tpk, row.tak, row.tdk)
    assert ["a1", "a2"] == generations(row)
    row = confirmed(row, "2")
    assert ("p2", "a2", "d2") == (row.tpk, row.tak, row.tdk)
    assert ["a2"] == generations(row)


def test_any_number_of_sign_ons_push_nothing_out_for_a_day() -> None:
    """Strangers get the same keys as the terminal; those of its own sign-on stay good."""
    row = confirmed(signed_on(NEW, handed("0")), "0")
    row, given = sign_ons(row, 0, *range(1, HANDED_AGAIN_MS, HANDED_AGAIN_MS // 50))
    assert WAITING_PER_CODE_MAX == len(set(given))
    assert ["a0", given[-1], given[0]] == generations(row)
    assert given[0] in generations(confirmed(row, given[0][1:]))


def test_keys_last_a_day_from_when_they_were_handed_out_last() -> None:
    """However a stranger times his sign-ons, he cannot make a terminal's keys go sooner."""
    for first_ms in range(0, 2 * HANDED_AGAIN_MS, HANDED_AGAIN_MS // 4):
        row, _ = sign_ons(NEW, 0, 1)
        row, given = sign_ons(row, first_ms)
        for now_ms in range(first_ms, first_ms + HANDED_AGAIN_MS, HANDED_AGAIN_MS // 16):
            row, _ = sign_ons(row, now_ms)
            assert given[0] in generations(row), (first_ms, now_ms)


def test_other_lengths_have_places_of_their_own() -> None:
    """A stranger who asks for other keys than the terminal does not take its places."""
    row, mine = sign_ons(NEW, 0)
    for code in ("001", "004"):
        row, _ = sign_ons(row, 1, 2, 3, 4, code=code)
    assert mine[0] in generations(row)
    _, again = sign_ons(row, 5)
    assert again[0] not in generations(row)
    assert 1 + 2 * WAITING_PER_CODE_MAX == len(generations(row))


@pytest.mark.parametrize("jump_ms", [400 * HANDED_AGAIN_MS, -400 * HANDED_AGAIN_MS])
def test_a_clock_that_jumps_costs_one_generation_at_most(jump_ms: int) -> None:
    """What is dated far ahead or behind does not stand in the way of new keys for ever."""
    row, given = sign_ons(NEW, 0, 1)
    row, ahead = sign_ons(row, jump_ms, jump_ms + 1)
    assert 1 == len(set(ahead))
    assert [ahead[0], given[1]] == generations(row)
    _, back = sign_ons(row, 2)
    assert back[0] not in (*ahead, *given)


def test_nothing_verifies_without_keys() -> None:
    """Confirmed and waiting ones are gone."""
    row = signed_on(confirmed(signed_on(NEW, handed("0")), "0"), handed("1"))
    assert [] == generations(without_keys(row))
