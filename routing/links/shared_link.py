"""A bank link that several processes of one switch use, and that lives in one of them.

``BankPlace`` knows where the links of a bank are; ``SharedLink`` stands where a :class:`BankLink`
would: with the link here it is that link, otherwise it shows what the process that has it last
said, and sends through it. While links move from one process to another, what was up counts as
up, and requests wait (``BankPlace.settled``). Knows no sockets between processes: see ``Relay``.
Source: docs/scale.md, "Many processes on one machine".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import NamedTuple, Protocol

import trio

from acquirer.codecs.message import Message
from acquirer.routing.banks.messages import BankRequest, to_message
from acquirer.routing.links.link import BankLink
from acquirer.routing.links.link_states import LinkState
from acquirer.routing.outcomes import BankOutcome, LinkStatus, NotSent

MOVE_S = 10.0
"""How long requests wait for links that move; then the bank is down, as it would be otherwise."""
FLIGHT_S = 5.0
"""What is in flight has so long to be answered before links leave a process in order."""

_LINK_DOWN = NotSent("link down")


class Relay(Protocol):
    """The way to the process that has a bank's links."""

    async def exchange(
        self, bank: str, link: str, message: Message, deadline: float
    ) -> BankOutcome:
        """As :meth:`BankLink.exchange`, over that process."""


class LinkView(NamedTuple):
    """A link as the process that has it shows it to the others.

    Attributes:
        zpk: see ``BankLink.zpk``.
        good_zpks: keys that PINs may be under, each with the time, on this process's clock, until
            which it is good.
    """

    link: str
    state: LinkState
    is_held: bool
    zpk: str | None
    good_zpks: dict[str, float]

    @classmethod
    def of(cls, link: BankLink) -> LinkView:
        """How a link is now."""
        now = trio.current_time()
        good = {zpk: now + left_s for zpk, left_s in link.good_zpks().items()}
        return cls(link.terms.name, link.state, link.is_held, link.zpk, good)


class BankPlace:
    """Where the links of one bank are, as this process knows it.

    Args:
        show: tells the other processes how links are that are here.

    Attributes:
        is_here: whether this process has them.
    """

    def __init__(self, bank: str, show: Callable[[BankPlace], None] = lambda place: None) -> None:
        self.bank = bank
        self.is_here = False
        self._show = show
        self._links: list[BankLink] = []
        self._relay: Relay | None = None
        self._views: dict[str, LinkView] = {}
        self._said_by: Relay | None = None
        self._moves_until = 0.0
        self._in_flight = 0
        self._running = 0
        self._is_leaving = False
        self._stirred = trio.lowlevel.ParkingLot()

    # What the switch asks.

    @property
    def is_moving(self) -> bool:
        """Whether links that were up are on their way to another process, and requests wait."""
        return bool(self._moves_until) and trio.current_time() < self._moves_until

    async def settled(self, deadline: float) -> None:
        """Wait while the links move, at most until a time on trio's clock."""
        while self.is_moving and trio.current_time() < deadline:
            with trio.move_on_at(min(deadline, self._moves_until)):
                await self._stirred.park()

    def view(self, link: str) -> LinkView | None:
        """What was said of a link by where it is now or, while it moves, by where it was."""
        is_good = self.is_moving or (self._relay is not None and self._relay is self._said_by)
        return self._views.get(link) if is_good else None

    async def stirred(self) -> None:
        """Wait until something of the above may have changed."""
        await self._stirred.park()

    async def exchange(self, link: str, message: Message, deadline: float) -> BankOutcome:
        """Send over a link of this bank, wherever it is."""
        if self.is_here:
            return await self.serve(link, message, deadline)
        if self._relay is None:
            return _LINK_DOWN
        return await self._relay.exchange(self.bank, link, message, deadline)

    async def serve(self, link: str, message: Message, deadline: float) -> BankOutcome:
        """Send over a link that is here, also for another process."""
        own = next((one for one in self._links if one.terms.name == link), None)
        if own is None or not self.is_here:
            return _LINK_DOWN
        self._in_flight += 1
        try:
            return await own.exchange(message, deadline)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._stirred.unpark_all()

    async def keep(self, link: BankLink) -> None:
        """Run a link whenever it is here, for ever."""
        self._links.append(link)
        while True:
            while not self.is_here:
                await self._stirred.park()
            if seen := self._views.get(link.terms.name):
                link.is_held = seen.is_held
            self._running += 1
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(link.run)
                    while self.is_here:
                        await self._stirred.park()
                    nursery.cancel_scope.cancel()
            finally:
                self._running -= 1
                self._stirred.unpark_all()

    # What is said of where they are.

    def take(self) -> None:
        """They are here from now on."""
        self._begin_move()
        self.is_here, self._relay = True, None
        self.note_change()

    async def give_up(self) -> None:
        """Let what is in flight be answered, then sign off and close; on return nothing is here."""
        self._views = {view.link: view for view in self.views()}
        self._begin_move()
        self._is_leaving = True
        with trio.move_on_after(FLIGHT_S):
            while self._in_flight:
                await self._stirred.park()
        self.is_here = self._is_leaving = False
        self._stirred.unpark_all()
        while self._running:
            await self._stirred.park()

    def follow(self, relay: Relay | None, views: Sequence[LinkView] = ()) -> None:
        """They are where this relay leads, or, with None, nowhere yet.

        Args:
            views: what was heard from there already.
        """
        if relay is None or relay is not self._relay:
            self._begin_move()
        self._relay = relay
        self.see(relay, views)

    def lost(self, relay: Relay) -> None:
        """A relay leads nowhere any more: the process is gone, or will not hear us."""
        if relay is self._relay:
            self.follow(None)

    def see(self, relay: Relay | None, views: Sequence[LinkView]) -> None:
        """How the links are; counts only from where they are now."""
        if relay is None or relay is not self._relay or self.is_here:
            return
        # While they move nobody needs to know how they come up, but that they do.
        if not self.is_moving or _any_up(views):
            self._views = {view.link: view for view in views}
            self._said_by = relay
            self._moves_until = 0.0
        self._stirred.unpark_all()

    def views(self) -> list[LinkView]:
        """How the links are that are here."""
        return [LinkView.of(link) for link in self._links]

    def note_change(self) -> None:
        """A link of this process has changed."""
        if self.is_here:
            if any(link.is_up for link in self._links) and not self._is_leaving:
                self._moves_until = 0.0
            # Links that leave are not down: others learn from their new place how they are.
            if not self._is_leaving:
                self._show(self)
        self._stirred.unpark_all()

    def _begin_move(self) -> None:
        if self.is_moving or _any_up(self._views.values()):
            self._moves_until = trio.current_time() + MOVE_S


def _any_up(views: Iterable[LinkView]) -> bool:
    return any(view.state is LinkState.UP for view in views)


class SharedLink:
    """One link to a bank whose links are in one process of several.

    Args:
        own: the link as it is where it is here.
        place: of its bank.
    """

    def __init__(self, own: BankLink, place: BankPlace) -> None:
        self.own = own
        self.terms = own.terms
        self.reversal_mti = own.reversal_mti
        self._place = place

    async def run(self) -> None:
        """Keep the link whenever it is here, until cancelled."""
        await self._place.keep(self.own)

    async def request(self, request: BankRequest, deadline: float) -> BankOutcome:
        """As :meth:`BankLink.request`."""
        return await self.exchange(to_message(request, self.reversal_mti), deadline)

    async def exchange(self, message: Message, deadline: float) -> BankOutcome:
        """As :meth:`BankLink.exchange`."""
        return await self._place.exchange(self.terms.name, message, deadline)

    @property
    def is_here(self) -> bool:
        """Whether this process has it."""
        return self._place.is_here

    @property
    def is_up(self) -> bool:
        """Whether transactions can go out, or could before the link began to move."""
        if self._is_own:
            return self.own.is_up
        view = self._view
        return view is not None and view.state is LinkState.UP

    @property
    def zpk(self) -> str | None:
        """As :attr:`BankLink.zpk`."""
        if self._is_own:
            return self.own.zpk
        view = self._view
        return view.zpk if view else None

    def takes_pins_under(self, zpk: str) -> bool:
        """As :meth:`BankLink.takes_pins_under`."""
        if self._is_own:
            return self.own.takes_pins_under(zpk)
        view = self._view
        until = view.good_zpks.get(zpk, -inf) if view else -inf
        return trio.current_time() <= until

    def can_carry(self, number: int, value: str) -> bool:
        """As :meth:`BankLink.can_carry`."""
        return self.own.can_carry(number, value)

    def status(self) -> LinkStatus:
        """As :meth:`BankLink.status`; of a link elsewhere without what only that process counts."""
        if self._place.is_here:
            return self.own.status()
        view = self._view
        return LinkStatus(
            self.own.settings.name,
            view.state if view else LinkState.DOWN,
            0,
            link=self.terms.name,
            address=self.own.settings.address,
            is_held=view.is_held if view else False,
        )

    async def wait_up(self) -> None:
        """As :meth:`BankLink.wait_up`."""
        while not self.is_up:
            await self._place.stirred()

    @property
    def _is_own(self) -> bool:
        return self._place.is_here and not self._place.is_moving

    @property
    def _view(self) -> LinkView | None:
        return self._place.view(self.terms.name)

    def __repr__(self) -> str:
        return f"<SharedLink {self.own!r} {'here' if self._place.is_here else 'elsewhere'}>"
