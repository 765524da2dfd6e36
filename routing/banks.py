"""All banks that the switch has links to, by name: what handlers and the reversal queue see.

One link a bank so far. The caller chooses the bank (``choice``) and knows what an outcome means
for money (``outcomes``); this is only the way there.
"""

from __future__ import annotations

import random as random_numbers
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import trio

from acquirer.routing.bank_messages import BankRequest
from acquirer.routing.errors import BankSettingsError
from acquirer.routing.link import BankLink, Connect, OnUnmatched, open_tcp
from acquirer.routing.outcomes import BankOutcome, LinkStatus, NotSent
from acquirer.routing.ports import LinkSecurity
from acquirer.routing.settings import BankSettings

_UNKNOWN = NotSent("unknown bank")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Banks:
    """The links by bank name.

    Resource handling: :meth:`run` owns all connections; cancelling it signs off and closes them.
    Error handling: :meth:`request` gives values and raises nothing of the network.

    Args:
        settings: one entry a bank.
        security: zone keys and MACs; may be None where no bank has ``zone`` security.
        on_unmatched: takes (bank, reply) for every reply that nobody waits for and whose MAC, if
            there must be one, is right: late approvals above all. Returns at once, never raises.
        random: numbers from 0 to 1.
        wall: the wall clock in UTC.
        connect: opens a connection; for tests.

    Raises:
        BankSettingsError: settings that contradict each other, or a name used twice.
    """

    def __init__(
        self,
        settings: Iterable[BankSettings],
        security: LinkSecurity | None,
        *,
        on_unmatched: OnUnmatched,
        random: Callable[[], float] = random_numbers.random,
        wall: Callable[[], datetime] = _utc_now,
        connect: Connect = open_tcp,
    ) -> None:
        self._links: dict[str, BankLink] = {}
        for bank in settings:
            if bank.name in self._links:
                raise BankSettingsError(bank.name, "name", "is used by two banks")
            self._links[bank.name] = BankLink(
                bank,
                security,
                on_unmatched=on_unmatched,
                random=random,
                wall=wall,
                connect=connect,
            )

    async def request(self, bank: str, request: BankRequest, deadline: float) -> BankOutcome:
        """Send a transaction to a bank and wait for its reply.

        Args:
            bank: the bank's name.
            request: the facts; ``pin_block`` under :meth:`zpk`.
            deadline: on trio's clock (``trio.current_time()``).

        Returns:
            ``Replied``, ``NotSent`` (no reversal due) or ``NoReply`` (a reversal is due).
        """
        link = self._links.get(bank)
        if link is None:
            return _UNKNOWN
        return await link.request(request, deadline)

    def zpk(self, bank: str) -> str | None:
        """Key string under the LMK to translate PINs to; None while the bank is not up."""
        link = self._links.get(bank)
        return link.zpk if link else None

    def is_up(self, bank: str) -> bool:
        """Whether transactions can go to this bank now."""
        link = self._links.get(bank)
        return link is not None and link.is_up

    def reversal_mti(self, bank: str) -> str:
        """MTI of this bank's reversals, ``0400`` or ``0420``.

        Raises:
            KeyError: no such bank.
        """
        return self._links[bank].reversal_mti

    def states(self) -> list[LinkStatus]:
        """Every link's state and counters, in the order of the configuration."""
        return [link.status() for link in self._links.values()]

    async def wait_up(self, bank: str) -> None:
        """Wait until transactions can go to this bank.

        Raises:
            KeyError: no such bank.
        """
        await self._links[bank].wait_up()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep all links until cancelled; ``started`` does not wait for any to be up."""
        async with trio.open_nursery() as nursery:
            for link in self._links.values():
                nursery.start_soon(link.run)
            task_status.started()

    def __repr__(self) -> str:
        return f"<Banks {list(self._links.values())!r}>"
