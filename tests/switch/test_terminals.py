"""How sign-on, a first verified message and sign-off change a terminal's keys."""

from acquirer.ledger.journal.entries import TerminalRow
from acquirer.switch.settings import MerchantSettings, ProfileSettings, TerminalSettings
from acquirer.switch.terminals.terminals import (
    WAITING_MAX,
    FeeRate,
    Keys,
    Terminal,
    promoted,
    signed_off,
    signed_on,
)

NEW = TerminalRow("10000001", "000001")


def generations(row: TerminalRow) -> list[str]:
    """The MAC keys that a message may verify under."""
    terminal = Terminal(
        TerminalSettings("10000001", "M", "U0", "cup"),
        ProfileSettings("cup"),
        MerchantSettings("M", "Shop", "5411", 0, "whsec_"),
        FeeRate(),
        row,
    )
    return [keys.tak for keys in terminal.key_generations()]


def test_no_keys_before_any_sign_on() -> None:
    """A new terminal has nothing to verify under."""
    assert generations(NEW) == []


def test_a_strangers_sign_on_does_not_push_out_the_keys_that_wait() -> None:
    """Both sign-ons' keys are good until a message verifies."""
    row = signed_on(signed_on(NEW, "p1", "a1", ""), "p2", "a2", "d2")
    assert generations(row) == ["a2", "a1"]
    row = promoted(row, Keys("p1", "a1"))
    assert (row.tpk, row.tak, row.tdk) == ("p1", "a1", "")
    assert generations(row) == ["a2", "a1"]
    row = promoted(row, Keys("p2", "a2"))
    assert (row.tpk, row.tak, row.tdk) == ("p2", "a2", "d2")
    assert generations(row) == ["a2"]


def test_the_confirmed_keys_stay_behind_any_number_of_sign_ons() -> None:
    """The list of waiting keys is bounded and the confirmed ones are not part of it."""
    row = promoted(signed_on(NEW, "p0", "a0", "d0"), Keys("p0", "a0"))
    for n in range(1, 9):
        row = signed_on(row, f"p{n}", f"a{n}", "")
    assert generations(row) == ["a8", "a7", "a6", "a0"]
    assert len(row.next_tpk.split(",")) == WAITING_MAX


def test_sign_off_forgets_all_keys() -> None:
    """Nothing verifies after a sign-off."""
    row = promoted(signed_on(NEW, "p0", "a0", ""), Keys("p0", "a0"))
    assert generations(signed_off(signed_on(row, "p1", "a1", ""))) == []
