"""PIN policy: which format may become which, and how often an account's PIN may be guessed.

A block of ISO format 4 (AES, random, bound to the card number) gives less away than any other, so a
PIN that came in one leaves in one. Wrong PINs are counted by account, in bounded memory.
Source: PCI PIN Security Requirements 3.1, requirement 3-3; ISO 9564-1:2017, 10.4.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from acquirer.hsm_sim.errors import Refusal

_STRONGEST = "48"
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
