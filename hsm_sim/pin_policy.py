"""PIN policy: which format may become which, which decimalisation tables are fit, how often an
account's PIN may be guessed.

A block of ISO format 4 (AES, random, bound to the card number) gives less away than any other, so a
PIN that came in one leaves in one. A PIN that a block binds to an account stays bound to it: else
two translations would bring it to an account of the caller's choice. Wrong PINs are counted by
account, in bounded memory.
Source: PCI PIN Security Requirements 3.1, requirement 3-3; ISO 9564-1:2017, 9.4 and 10.4.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from acquirer.hsm_sim.errors import Refusal

_STRONGEST = "48"
UNDER_LMK = "LMK"
"""Stands for the stored form of a PIN where a format code is wanted."""
_BINDING = {"01": "tail", "47": "tail", UNDER_LMK: "tail", "04": "head", "48": "whole"}
"""By which end of the account number a format binds a PIN; the others do not."""
_DIFFERENT_MIN, _SAME_MAX = 8, 4
ACCOUNTS_WATCHED_MAX = 100_000


def translation_allowed(source_code: str, destination_code: str) -> bool:
    """Whether a PIN may pass from one block format to another.

    Args:
        source_code: payShield's two-digit code of the format it came in.
        destination_code: the code of the format it shall leave in.

    >>> translation_allowed("01", "48"), translation_allowed("48", "01")
    (True, False)
    """
    return source_code != _STRONGEST or destination_code == _STRONGEST


def keeps_account(source_code: str, destination_code: str) -> bool:
    """Whether a PIN stays bound to its account, or becomes so, from one format to another.

    Args:
        source_code: payShield's two-digit code, or :data:`UNDER_LMK`.
        destination_code: likewise.

    >>> keeps_account("05", "01"), keeps_account("01", "05"), keeps_account("01", "04")
    (True, False, False)
    """
    have, want = _BINDING.get(source_code), _BINDING.get(destination_code)
    if have is None:
        return want is not None
    return have == want or (have, want) == ("tail", "whole")


def is_even_table(table: str) -> bool:
    """Whether a text is a decimalisation table that gives no PIN away by its unevenness.

    16 digits, at least 8 different, none more than 4 times.
    """
    if len(table) != 16 or not (table.isascii() and table.isdecimal()):
        return False
    digits = set(table)
    return len(digits) >= _DIFFERENT_MIN and max(map(table.count, digits)) <= _SAME_MAX


class PinTries:
    """Counts wrong PINs by account and refuses accounts that had too many.

    The oldest account is forgotten where there are too many, and a right PIN forgets its account.

    Attributes:
        tries_max: wrong PINs after which an account is refused.
        window_s: seconds after its last wrong PIN in which an account is remembered.
    """

    def __init__(
        self,
        tries_max: int,
        window_s: float,
        now: Callable[[], float],
        accounts_max: int = ACCOUNTS_WATCHED_MAX,
    ) -> None:
        self.tries_max = tries_max
        self.window_s = window_s
        self._now = now
        self._accounts_max = accounts_max
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, account_number: str) -> None:
        """Refuse an account that had too many wrong PINs.

        Raises:
            Refusal: 39.
        """
        count, last = self._wrong.get(account_number, (0, 0.0))
        if count >= self.tries_max and self._now() - last < self.window_s:
            raise Refusal("39", "too many wrong PINs for this account: wait or clear its count")

    def wrong(self, account_number: str) -> None:
        """Count a wrong PIN."""
        count, last = self._wrong.pop(account_number, (0, 0.0))
        now = self._now()
        self._wrong[account_number] = (1 if now - last >= self.window_s else count + 1, now)
        if len(self._wrong) > self._accounts_max:
            self._wrong.popitem(last=False)

    def right(self, account_number: str) -> None:
        """Forget an account whose PIN was right."""
        self._wrong.pop(account_number, None)

    def __len__(self) -> int:
        return len(self._wrong)

    def __repr__(self) -> str:
        return f"<PinTries of {len(self)} accounts, at most {self.tries_max}>"
