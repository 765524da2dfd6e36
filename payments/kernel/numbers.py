"""Numbers that are never used twice: journal ids, RRNs, STANs of the bank link.

Ids come in blocks from the books, so that they are unique over processes and restarts; RRN and
bank STAN are derived from the id and the day, so that one number is made per transaction.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import trio

from acquirer.ledger.errors import BookError

BLOCK = 1000
LOW_WATER = 400
STANS = 999_999
DAY_MS = 86_400_000
# More numbers than a switch hands out in a day, and a multiple of all STANs.
_A_DAY = 10 * STANS
# Of all STANs, what is left to the lost books, and what is shared out over the hours of a day.
_LOST = 400_000
_OVER_A_DAY = 200_000


def rrn_of(number: int, rrn_day: str) -> str:
    """DE37, 12 digits: last digit of the year, day of the year, eight digits of the number.

    >>> rrn_of(1234, "6325")
    '632500001234'
    """
    return f"{rrn_day}{number % 10**8:08d}"


def unnumbered_rrn(stan: str, rrn_day: str) -> str:
    """DE37 of an answer that no entry stands behind, from the terminal's own STAN.

    >>> unnumbered_rrn("000042", "6325")
    '632599000042'
    """
    return f"{rrn_day}99{stan}"


def bank_stan_of(number: int) -> str:
    """DE11 of a bank link, 6 digits, never all zeros.

    >>> bank_stan_of(999_998), bank_stan_of(999_999)
    ('999999', '000001')
    """
    return f"{number % STANS + 1:06d}"


def skip_after_restore(copied_at_ms: int, now_ms: int) -> int:
    """How many numbers to leave out in books that were brought back from a copy.

    A copy does not know what was handed out after it was taken: by the books that are lost, by
    other processes, by the same copy brought back before. The next number is beyond all of these
    (ten million for each day since the copy), and the next STAN where this day's cannot be: 400,000
    beyond the copy's, and the later in the day the further, so that a copy that comes back
    twice does not begin at one place twice.

    So no STAN is used twice on a day on which the lost books have handed out at most 400,000
    numbers since the copy, and the copy before that and the books after it 399,999 together; where
    the copy comes back again, if those between handed out less than 200,000 in 24 hours.

    Args:
        copied_at_ms: when the newest entry of the copy was stored.
        now_ms: wall clock.
    """
    days = max(now_ms - copied_at_ms, 0) // DAY_MS
    return (1 + days) * _A_DAY + _LOST + _OVER_A_DAY * (now_ms % DAY_MS) // DAY_MS


class _Filling:
    """A block on its way."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.error: BookError | None = None


class Numbers:
    """Hands out ids; fetches the next block before the present one runs out."""

    def __init__(self, next_block: Callable[[int], Awaitable[int]], nursery: trio.Nursery) -> None:
        self._next_block = next_block
        self._nursery = nursery
        self._blocks: deque[range] = deque()
        self._left = 0
        self._filling: _Filling | None = None
        self._is_filling_ahead = False

    async def take(self) -> int:
        """The next id. Waits only where the block ran out before the next one arrived.

        Raises:
            BookError: the books could not give a block.
        """
        while self._left == 0:
            await self._fill()
        if self._left < LOW_WATER and not self._is_filling_ahead:
            self._is_filling_ahead = True
            self._nursery.start_soon(self._fill_ahead)
        return self._pop()

    def _pop(self) -> int:
        block = self._blocks[0]
        number = block.start
        self._left -= 1
        if len(block) == 1:
            self._blocks.popleft()
        else:
            self._blocks[0] = range(number + 1, block.stop)
        return number

    async def _fill(self) -> None:
        """Fetch a block. All who come meanwhile wait for that one, and go on in the same turn."""
        if self._filling is not None:
            filling = self._filling
            await filling.done.wait()
            if filling.error is not None:
                raise type(filling.error)(*filling.error.args) from filling.error
            return
        self._filling = filling = _Filling()
        try:
            first = await self._next_block(BLOCK)
            self._blocks.append(range(first, first + BLOCK))
            self._left += BLOCK
        except BookError as error:
            filling.error = error
            raise
        finally:
            self._filling = None
            filling.done.set()

    async def _fill_ahead(self) -> None:
        try:
            await self._fill()
        except BookError:
            pass
        finally:
            self._is_filling_ahead = False
