"""Which worker has which bank's links: said by the supervisor, and by nobody else.

So no two workers have the links of one bank: a new owner is named once the old one has let go, or
its process has ended.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import structlog
import trio

from acquirer.routing.settings import BankSettings
from acquirer.switch.processes.balance import parts
from acquirer.switch.processes.living import Living, either

log = structlog.get_logger("acquirer.supervisor")


class LinkOwners:
    """The owners of all links.

    Args:
        hosts: banks and order hosts.
        slots: of the workers; hosts are spread over them.
        workers: those that there are, by slot; kept up to date by the caller.
    """

    def __init__(
        self, hosts: Sequence[BankSettings], slots: Iterable[int], workers: Mapping[int, Living]
    ) -> None:
        self._workers = workers
        self._owners = dict(
            zip((host.name for host in hosts), itertools.cycle(slots), strict=False)
        )
        self._bank_of = {link.name: host.name for host in hosts for link in host.each_link()}
        self._gave_up: dict[str, trio.Event] = {}

    def shares(self) -> dict[int, float]:
        """The part of all links that each worker has."""
        return parts(list(self._owners.values()))

    def of_link(self, link: str) -> int | None:
        """The slot of a link's owner, 0 while it has none; None where there is no such link."""
        bank = self._bank_of.get(link)
        return None if bank is None else self._owners[bank]

    def banks_of(self, slot: int) -> list[str]:
        """The banks whose links a worker has."""
        return [bank for bank, owner in self._owners.items() if owner == slot]

    def welcome(self, worker: Living) -> None:
        """A worker has come: it gets what is meant for it, or nobody's, and learns the rest."""
        for bank, owner in self._owners.items():
            if owner in (0, worker.slot):
                self._assign(bank, worker.slot)
            else:
                worker.control.tell("follow", bank, owner)

    def lost(self, slot: int) -> None:
        """A worker's process has ended: its links go to others."""
        for bank in self.banks_of(slot):
            self._move(bank)

    async def leave(self, worker: Living) -> None:
        """Have a worker's links go to others, in order; on return it has none, or has ended."""
        for bank in self.banks_of(worker.slot):
            gave_up = self._gave_up[bank] = trio.Event()
            self._follow_all(bank, 0, but=worker.slot)
            worker.control.tell("give_up", bank)
            await either(gave_up, worker.ended)
            if worker.ended.is_set():
                return
            self._move(bank)

    def gave_up(self, bank: str) -> None:
        """A worker has let a bank's links go."""
        self._gave_up[bank].set()

    def _move(self, bank: str) -> None:
        """Give a bank's links to the worker that has the fewest; a serving one before others."""
        load = self.shares()
        left = [worker for worker in self._workers.values() if worker.state != "leaving"]
        left.sort(key=lambda one: (one.state != "serving", load.get(one.slot, 0.0), one.slot))
        if left:
            self._assign(bank, left[0].slot)
        else:
            self._owners[bank] = 0
            self._follow_all(bank, 0)

    def _assign(self, bank: str, slot: int) -> None:
        self._owners[bank] = slot
        self._follow_all(bank, slot, but=slot)
        self._workers[slot].control.tell("take", bank)
        log.info("links_moved", bank=bank, worker=slot)

    def _follow_all(self, bank: str, slot: int, but: int = 0) -> None:
        for worker in self._workers.values():
            if worker.slot != but:
                worker.control.tell("follow", bank, slot)
