"""All banks that the switch has links to, by name: what handlers and the reversal queue see.

The caller chooses the bank (``choice``) and knows what an outcome means for money (``outcomes``);
here one of the bank's links is taken by its strategy, and another where the first refuses before
anything has left.
"""

from __future__ import annotations

import random as random_numbers
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial

import msgspec
import trio

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.codecs.message import Message
from acquirer.config.tls import client_context, server_context
from acquirer.routing.banks.messages import (
    BankRequest,
    CardFields,
    card_fields_of,
)
from acquirer.routing.banks.strategies import NO_FACTS, LinkFacts, Turns, in_order, weights_of
from acquirer.routing.errors import BankSettingsError, SecurityUnavailableError
from acquirer.routing.links.link import BankLink
from acquirer.routing.links.link_streams import Connect, open_tcp
from acquirer.routing.links.mux import MatchKey
from acquirer.routing.links.ports import LinkSecurity
from acquirer.routing.links.shared_link import BankPlace, SharedLink
from acquirer.routing.outcomes import BankOutcome, LinkStatus, NotSent, Unmatched
from acquirer.routing.settings import BankSettings, LinkSettings

OnUnmatched = Callable[[str, Message], None]
Place = Callable[[str], BankPlace]
Link = BankLink | SharedLink

UNMATCHED_MAX = 1_000

_UNKNOWN = NotSent("unknown bank")
_LINK_DOWN = NotSent("link down")
# Another link may do what this one refused.
_TRY_ANOTHER = frozenset({"link down", "window full"})


def _utc_now() -> datetime:
    return datetime.now(UTC)


class _Bank:
    """One bank and its links.

    Attributes:
        place: where they are, if several processes share them.
    """

    def __init__(self, settings: BankSettings, links: list[Link], place: BankPlace | None) -> None:
        self.settings = settings
        self.links = links
        self.place = place
        self._by_name = {link.terms.name: link for link in links}
        self._turns = Turns()

    def candidates(self, facts: LinkFacts, zpk: str, attempt: int) -> list[Link]:
        """Links that are up and know the key, the one to try first in front."""
        able = [link for link in self.links if link.is_up]
        if zpk:
            able = [link for link in able if link.takes_pins_under(zpk)]
        if len(able) < 2:
            return able
        terms = [link.terms for link in able]
        names = in_order(self.settings.strategy, terms, facts, self._turns)
        shift = attempt % len(names) if names else 0
        return [self._by_name[name] for name in names[shift:] + names[:shift]]

    def took(self, link: Link) -> None:
        """A transaction went over a link."""
        if len(self.links) > 1:
            terms = [link.terms for link in self.links if link.is_up]
            self._turns.took(link.terms.name, weights_of(self.settings.strategy, terms))

    async def send(
        self, links: Iterable[Link], send: Callable[[Link], Awaitable[BankOutcome]]
    ) -> BankOutcome:
        """Send over the first of these links, or another where nothing has left yet."""
        refused = _LINK_DOWN
        for link in links:
            self.took(link)
            outcome = await send(link)
            if not isinstance(outcome, NotSent) or outcome.reason not in _TRY_ANOTHER:
                return outcome
            refused = outcome
        return refused

    async def when_settled(
        self, deadline: float, send: Callable[[], Awaitable[BankOutcome]]
    ) -> BankOutcome:
        """What sending gives, once links that move between processes have arrived."""
        if self.place is None:
            return await send()
        while True:
            if self.place.is_moving:
                await self.place.settled(deadline)
            outcome = await send()
            is_lost = outcome == _LINK_DOWN and self.place.is_moving
            if not is_lost or trio.current_time() >= deadline:
                return outcome


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
        place: where the links of a bank are, of a switch that is several processes.

    Attributes:
        unmatched: the latest replies that nobody waited for or that could not be understood,
            oldest first.

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
        place: Place | None = None,
    ) -> None:
        self._security = security
        self.unmatched: deque[Unmatched] = deque(maxlen=UNMATCHED_MAX)
        self._on_unmatched = on_unmatched
        self._wall = wall
        self._banks: dict[str, _Bank] = {}
        self._links: dict[str, Link] = {}
        for bank in settings:
            bank.check()
            if bank.name in self._banks:
                raise BankSettingsError(bank.name, "name", "is used by two banks")
            taken: set[MatchKey] = set()
            links: list[Link] = []
            shared = place(bank.name) if place else None
            for terms in bank.each_link():
                if terms.name in self._links:
                    raise BankSettingsError(bank.name, "links", f"{terms.name!r} is used twice")
                own = BankLink(
                    _settings_of(bank, terms),
                    terms,
                    security,
                    taken=taken,
                    on_unmatched=partial(self._unmatched, bank.name, terms.name),
                    on_malformed=partial(self._keep, bank.name, terms.name),
                    random=random,
                    wall=wall,
                    connect=connect,
                    on_change=shared.note_change if shared else lambda: None,
                )
                link = SharedLink(own, shared) if shared else own
                links.append(link)
                self._links[terms.name] = link
            self._banks[bank.name] = _Bank(bank, links, shared)

    async def request(
        self, bank: str, request: BankRequest, deadline: float, *, attempt: int = 0
    ) -> BankOutcome:
        """Send a transaction to a bank and wait for its reply.

        Args:
            bank: the bank's name.
            request: the facts; ``pin_block`` under ``zpk``, which :meth:`zpk` gave.
            deadline: on trio's clock (``trio.current_time()``).
            attempt: how often it was sent before; each time another link goes first.

        Returns:
            ``Replied``, ``NotSent`` (no reversal due) or ``NoReply`` (a reversal is due).
        """
        group = self._banks.get(bank)
        if group is None:
            return _UNKNOWN
        facts = LinkFacts(request.pan.digits if request.pan else "", request.amount_minor or 0)

        async def send() -> BankOutcome:
            ready, links = request, group.candidates(facts, request.zpk, attempt)
            if not links and group.place is not None and request.zpk:
                try:
                    ready = await self._under_good_key(group, facts, request)
                except SecurityUnavailableError:
                    return NotSent("security")
                links = group.candidates(facts, ready.zpk, attempt)
            return await group.send(links, lambda link: link.request(ready, deadline))

        return await group.when_settled(deadline, send)

    async def exchange(self, bank: str, message: Message, deadline: float) -> BankOutcome:
        """As :meth:`request`, for a host that is no bank and has messages of its own.

        Args:
            bank: the host's name.
            message: ready but for its MAC; see :meth:`BankLink.exchange`.
            deadline: on trio's clock.
        """
        group = self._banks.get(bank)
        if group is None:
            return _UNKNOWN

        async def send() -> BankOutcome:
            links = group.candidates(NO_FACTS, "", 0)
            return await group.send(links, lambda link: link.exchange(message, deadline))

        return await group.when_settled(deadline, send)

    async def _under_good_key(
        self, group: _Bank, facts: LinkFacts, request: BankRequest
    ) -> BankRequest:
        """The request with its PIN under the key of a link that came up elsewhere, if there is one.

        Raises:
            SecurityUnavailableError: the PIN could not be translated.
        """
        zpk = next((zpk for link in group.candidates(facts, "", 0) if (zpk := link.zpk)), None)
        if not (zpk and self._security and request.pan and request.pin_block):
            return request
        account = request.pan.account_number
        block = await self._security.translate_pin(request.zpk, zpk, request.pin_block, account)
        return msgspec.structs.replace(request, zpk=zpk, pin_block=block)

    def acquirer_id(self, bank: str) -> str:
        """Our institution id at a bank or host.

        Raises:
            KeyError: no such bank.
        """
        return self._banks[bank].settings.acquirer_id

    def unfit(self, bank: str, kind: BankMessage, card: CardFields) -> int | None:
        """The first field of a message of this kind that the bank's dialect cannot hold, if any.

        Args:
            kind: of the message; fields that it does not carry are not looked at.
            card: as it was presented.

        Raises:
            KeyError: no such bank.
        """
        link = self._banks[bank].links[0]
        for place, number in card_fields_of(kind):
            value = card[place]
            if value and not link.can_carry(number, value):
                return number
        return None

    def zpk(self, bank: str, facts: LinkFacts = NO_FACTS) -> str | None:
        """Key string under the LMK to translate a PIN to; None while the bank is not up.

        Args:
            bank: the bank's name.
            facts: of the transaction, for the choice of the link.
        """
        group = self._banks.get(bank)
        links = group.candidates(facts, "", 0) if group else []
        return next((zpk for link in links if (zpk := link.zpk) is not None), None)

    def is_up(self, bank: str) -> bool:
        """Whether transactions can go to this bank now."""
        group = self._banks.get(bank)
        return group is not None and any(link.is_up for link in group.links)

    def reversal_mti(self, bank: str) -> str:
        """MTI of this bank's reversals, ``0400`` or ``0420``.

        Raises:
            KeyError: no such bank.
        """
        return self._banks[bank].links[0].reversal_mti

    def link(self, name: str) -> BankLink:
        """One link of this process, for an operator's hold, release, change of keys or cut-over.

        Raises:
            KeyError: no such link.
        """
        link = self._links[name]
        return link.own if isinstance(link, SharedLink) else link

    def is_here(self, name: str) -> bool:
        """Whether a link is in this process.

        Raises:
            KeyError: no such link.
        """
        link = self._links[name]
        return not isinstance(link, SharedLink) or link.is_here

    def states(self) -> list[LinkStatus]:
        """Every link's state and counters, in the order of the configuration."""
        return [link.status() for link in self._links.values()]

    def states_here(self) -> list[LinkStatus]:
        """As :meth:`states`, without links that are in another process."""
        here = [g for g in self._banks.values() if g.place is None or g.place.is_here]
        return [link.status() for group in here for link in group.links]

    def states_of(self, banks: Iterable[BankSettings]) -> list[LinkStatus]:
        """As :meth:`states`, of the links to these banks."""
        names = {bank.name for bank in banks}
        return [status for status in self.states() if status.bank in names]

    async def wait_up(self, bank: str) -> None:
        """Wait until transactions can go to this bank.

        Raises:
            KeyError: no such bank.
        """
        links = self._banks[bank].links
        async with trio.open_nursery() as nursery:

            async def wait(link: Link) -> None:
                await link.wait_up()
                nursery.cancel_scope.cancel()

            for link in links:
                nursery.start_soon(wait, link)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep all links until cancelled; ``started`` does not wait for any to be up."""
        async with trio.open_nursery() as nursery:
            for link in self._links.values():
                nursery.start_soon(link.run)
            task_status.started()

    def _unmatched(self, bank: str, link: str, message: Message) -> None:
        self._keep(bank, link, message)
        self._on_unmatched(bank, message)

    def _keep(self, bank: str, link: str, message: Message, reason: str = "") -> None:
        """Keep a message for the operator.

        Args:
            reason: why it could not be understood; empty where nobody waited for it.
        """
        amount = message.get(4)
        self.unmatched.append(
            Unmatched(
                at=self._wall().isoformat(timespec="milliseconds"),
                bank=bank,
                link=link,
                mti=message.mti,
                stan=message.get(11),
                rrn=message.get(37),
                terminal_id=message.get(41),
                amount_minor=int(amount) if amount.isdigit() else 0,
                currency_code=message.get(49) or "156",
                response_code=message.get(39),
                approval_code=message.get(38),
                reason=reason,
            )
        )

    def __repr__(self) -> str:
        return f"<Banks {list(self._links.values())!r}>"


def _settings_of(bank: BankSettings, link: LinkSettings) -> BankSettings:
    """The bank's settings as they are for one of its links."""
    if link.tls is not None:
        try:
            (server_context if link.mode == "listen" else client_context)(link.tls)
        except OSError as error:
            raise BankSettingsError(bank.name, "tls", f"{link.name}: {error}") from None
    return msgspec.structs.replace(
        bank, address=link.address, window=link.window or bank.window, tls=link.tls, links=[]
    )
