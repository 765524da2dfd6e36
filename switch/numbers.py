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


def rrn_of(number: int, rrn_day: str) -> str:
    """DE37, 12 digits: last digit of the year, day of the year, eight digits of the number.

    >>> rrn_of(1234, "6325")
    '632500001234'
    """
    return f"{rrn_day}{number % 10**8:08d}"


def bank_stan_of(number: int) -> str:
    """DE11 of a bank link, 6 digits, never all zeros.

    >>> bank_stan_of(999_998), bank_stan_of(999_999)
    ('999999', '000001')
    """
    return f"{number % 999_999 + 1:06d}"


class Numbers:
    """Hands out ids; fetches the next block before the present one runs out."""

    def __init__(self, next_block: Callable[[int], Awaitable[int]], nursery: trio.Nursery) -> None:
        self._next_block = next_block
        self._nursery = nursery
        self._blocks: deque[range] = deque()
        self._left = 0
        self._lock = trio.Lock()
        self._filling = False

    async def take(self) -> int:
        """The next id. Waits only where the block ran out before the next one arrived.

        Raises:
            BookError: the books could not give a block.
        """
        if self._left == 0:
            async with self._lock:
                if self._left == 0:
                    await self._fill()
        elif self._left < LOW_WATER and not self._filling:
            self._filling = True
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
        first = await self._next_block(BLOCK)
        self._blocks.append(range(first, first + BLOCK))
        self._left += BLOCK

    async def _fill_ahead(self) -> None:
        try:
            await self._fill()
        except BookError:
            pass
        finally:
            self._filling = False
