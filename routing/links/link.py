"""One dedicated TCP link to a bank core: the trio shell round the pure parts.

``BankLink.run`` connects, signs on, changes keys, keeps alive and connects again; ``request``
sends one transaction. What state follows which event says ``link_states``; what travels,
``link_traffic``; how a request is sealed and its reply checked, ``link_requests``; MACs and zone
keys, ``link_keys``. A transaction costs one encoding and shares its ``send_all`` with what else
is ready; nothing is logged for it.
Source: docs/interfaces/bank-link.md, "Life of a link". Start reading at :meth:`BankLink.request`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from math import inf

import structlog
import trio

from acquirer.codecs.message import Message
from acquirer.routing.banks.messages import BankRequest, to_message
from acquirer.routing.links import network
from acquirer.routing.links.link_drops import LinkDrops
from acquirer.routing.links.link_keys import link_keys
from acquirer.routing.links.link_network import LinkNetwork
from acquirer.routing.links.link_requests import LinkRequests
from acquirer.routing.links.link_states import LinkEvent, LinkState, next_state
from acquirer.routing.links.link_streams import Connect, LinkListener, open_tcp
from acquirer.routing.links.link_traffic import LinkTraffic, wire_format
from acquirer.routing.links.mux import MatchKey
from acquirer.routing.links.ports import LinkSecurity
from acquirer.routing.outcomes import BankOutcome, LinkCounters, LinkStatus
from acquirer.routing.retry import RetrySchedule
from acquirer.routing.settings import BankSettings, LinkSettings

_STEADY_S = 5.0
_SIGN_OFF_S = 1.0
_PLAIN_ANSWERS = frozenset({network.SIGN_ON, network.SIGN_OFF, network.CUTOVER, network.ECHO})

_HOLDABLE = frozenset(LinkState) - {LinkState.DOWN, LinkState.SIGNING_ON, LinkState.HELD}
_KEYS_COME = frozenset({LinkEvent.KEYS_INSTALLED, LinkEvent.KEYS_PROMISED})

_log = structlog.get_logger("acquirer.routing")


class BankLink:
    """One link; its public methods are for the trio thread.

    Resource handling: ``run`` owns the connection and closes it, also when cancelled.
    Error handling: network failures become states and outcomes; only bugs are raised.

    Args:
        settings: the bank's settings, with the address, window and certificates of this link.
        terms: the link's own settings.
        security: zone keys and MACs; needed in ``zone``.
        taken: match keys in flight on any link of the bank.
        on_unmatched: takes late, doubled and unknown replies whose MAC is right. It must return
            at once and not raise.
        on_malformed: takes what may be shown of a message that cannot be understood, and why.
        random: numbers from 0 to 1 for jitter.
        wall: the wall clock, in UTC, for DE7.
        connect: opens the connection; an ``OSError`` means try again later.
        on_change: called when state, keys or hold may have changed; as ``on_unmatched``.

    Raises:
        BankSettingsError: the settings contradict each other.
    """

    def __init__(
        self,
        settings: BankSettings,
        terms: LinkSettings,
        security: LinkSecurity | None,
        *,
        taken: set[MatchKey],
        on_unmatched: Callable[[Message], None],
        on_malformed: Callable[[Message, str], None],
        random: Callable[[], float],
        wall: Callable[[], datetime],
        connect: Connect = open_tcp,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_change = on_change
        self.settings = settings
        self.terms = terms
        self.is_held = False
        self._names = {"bank": settings.name, "link": terms.name}
        self.state = LinkState.DOWN
        self.counters = LinkCounters()
        self._dialect, header = wire_format(settings)
        self.reversal_mti = settings.reversal_mti or self._dialect.reversal_mti
        self._keys = link_keys(settings, self._dialect, security)
        self._on_unmatched = on_unmatched
        self._random = random
        self._connect = connect
        self._listener = (
            LinkListener(settings, terms.peers, self._interrupt) if terms.mode == "listen" else None
        )
        drops = LinkDrops(self._names)
        self._drops = drops
        self._traffic = LinkTraffic(
            settings,
            self._dialect,
            header,
            self.counters,
            taken,
            drops=drops,
            on_malformed=on_malformed,
        )
        self._stirred = self._traffic.stirred
        self._schedule = RetrySchedule(settings.reconnect_first_s, settings.reconnect_cap_s)
        self._session_scope = trio.CancelScope()
        self._network = LinkNetwork(
            settings,
            self._dialect,
            self._traffic,
            self._keys,
            wall=wall,
            counters=self.counters,
            names=self._names,
        )
        self._requests = LinkRequests(
            self._dialect,
            self._traffic,
            self._keys,
            counters=self.counters,
            names=self._names,
            drops=drops,
            is_up=lambda: self.is_up,
            on_doubted_keys=lambda: self._advance(LinkEvent.SILENT),
        )

    # What the switch asks of a link.

    async def request(self, request: BankRequest, deadline: float) -> BankOutcome:
        """Send a transaction and wait for the reply.

        Args:
            request: the facts.
            deadline: on trio's clock; no reply counts after it.

        Returns:
            The outcome; nothing of the network is raised. Cancelling releases the slot: a reply
            that comes afterwards is unmatched.
        """
        return await self.exchange(to_message(request, self.reversal_mti), deadline)

    async def exchange(self, message: Message, deadline: float) -> BankOutcome:
        """As :meth:`request`, for a message that is ready but for its MAC, which is put in.

        Args:
            message: a request of class 01, 02, 04 or 06 with the fields of the match key.
            deadline: on trio's clock.
        """
        return await self._requests.exchange(message, deadline)

    @property
    def zpk(self) -> str | None:
        """The key string under the LMK to translate PINs to; None while the link is not up."""
        if self.state is not LinkState.UP:
            return None
        return self.settings.zpk if self._keys is None else self._keys.zpk

    def takes_pins_under(self, zpk: str) -> bool:
        """Whether the bank can still open a PIN that was translated to this key."""
        if self._keys is None:
            return zpk == self.settings.zpk
        return self._keys.is_good_zpk(zpk, trio.current_time())

    def good_zpks(self) -> dict[str, float]:
        """Keys that the bank can still open PINs under, and for how many seconds each."""
        if self._keys is None:
            return {self.settings.zpk: inf}
        return self._keys.good_zpks(trio.current_time())

    def can_carry(self, number: int, value: str) -> bool:
        """Whether a field of this link's dialect can hold a value."""
        return self._dialect.fits(number, value)

    @property
    def is_up(self) -> bool:
        """Whether transactions can go out."""
        return self.state is LinkState.UP

    def status(self) -> LinkStatus:
        """State and counters for operators and metrics."""
        return LinkStatus(
            self.settings.name,
            self.state,
            self._traffic.in_flight,
            replace(self.counters),
            link=self.terms.name,
            address=self._listener.bound if self._listener else self.settings.address,
            is_held=self.is_held,
        )

    async def wait_up(self) -> None:
        """Wait until transactions can go out."""
        while not self.is_up:
            await self._stirred.park()

    async def hold(self) -> None:
        """Sign off and take no more transactions until released; what is in flight goes on.

        The connection stays, and a lost one is made again, but no sign-on follows.
        """
        self.is_held = True
        if self.state in _HOLDABLE:
            self._advance(LinkEvent.HELD)
            await self._network.ask(network.SIGN_OFF)
        else:
            self._on_change()

    def release(self) -> None:
        """Sign on again after :meth:`hold`."""
        self.is_held = False
        if self.state is LinkState.HELD:
            self._advance(LinkEvent.RELEASED)
        else:
            self._on_change()

    async def change_keys(self) -> bool:
        """Ask for new zone keys while the link is up; false where none came.

        What is in flight is not disturbed: the keys before stay good for it.
        """
        if self._keys is None or not self.is_up:
            return False
        is_coming = await self._network.request_keys() in _KEYS_COME
        self._on_change()
        return is_coming

    async def cut_over(self) -> bool:
        """Tell the bank that our business date ends; false where it does not agree."""
        reply = await self._network.ask(network.CUTOVER) if self.is_up else None
        return reply is not None and reply.get(39) == "00"

    async def run(self) -> None:
        """Keep the link until cancelled."""
        if self._listener is None:
            return await self._keep()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listener.run)
            while True:
                await self._session(await self._listener.next())

    async def _keep(self) -> None:
        failed = 0
        while True:
            if failed > 1:
                await trio.sleep(self._schedule.pause_s(failed - 1, self._random()))
            try:
                with trio.fail_after(self.settings.connect_s):
                    stream = await self._connect(self.settings)
            except (OSError, trio.TooSlowError) as error:
                failed += 1
                _log.warning("link_unreachable", **self._names, reason=str(error) or "time-out")
                continue
            was_steady = await self._session(stream)
            failed = 1 if was_steady else failed + 1

    # One connection.

    async def _session(self, stream: trio.abc.Stream) -> bool:
        """Use a connection until it is lost; say whether it served for a while."""
        self._requests.begin()
        self._network.has_fresh_keys = False
        self.counters.connects += 1
        up_at = inf
        try:
            async with trio.open_nursery() as nursery:
                self._session_scope = nursery.cancel_scope
                nursery.start_soon(self._traffic.carry, stream, nursery.cancel_scope)
                nursery.start_soon(self._attend)
                nursery.start_soon(self._renew_keys)
                self._advance(LinkEvent.CONNECTED)
                while self.state is not LinkState.DOWN:
                    before = self.state
                    event = await self._activity(before)
                    # The peer may have moved the link on meanwhile; then this is stale.
                    if event is not None and self.state is before:
                        self._advance(event)
                    if self.is_up:
                        up_at = min(up_at, trio.current_time())
                nursery.cancel_scope.cancel()
        finally:
            was_up = self.is_up
            self._advance(LinkEvent.LOST)
            self._traffic.lost()
            if was_up:
                with trio.move_on_after(_SIGN_OFF_S, shield=True):
                    await self._traffic.farewell(stream, self._network.frame(network.SIGN_OFF)[1])
            await trio.aclose_forcefully(stream)
        return trio.current_time() - up_at >= _STEADY_S

    async def _renew_keys(self) -> None:
        every_s = self.settings.rekey_s
        while every_s and self._keys is not None:
            await trio.sleep(every_s)
            await self.change_keys()

    def _interrupt(self) -> None:
        self._session_scope.cancel()

    async def _attend(self) -> None:
        """Deal with what the peer starts, and with replies that nobody waits for."""
        while True:
            envelope, message = await self._traffic.next_inbound()
            if message.mti == "0800":
                await self._answer(envelope, message)
            elif message.mti[1] == "8":
                self.counters.unmatched += 1
                self._drops.tell("link_message_dropped", message, reason="nobody waits for it")
            elif await self._requests.is_genuine(message):
                self.counters.unmatched += 1
                self._on_unmatched(message)

    # What a link does in each state.

    async def _activity(self, state: LinkState) -> LinkEvent | None:
        """Do what a link does in this state; None where the state changed from outside."""
        if self.is_held and state is not LinkState.HELD:
            return LinkEvent.HELD
        if state is LinkState.SIGNING_ON:
            reply = await self._network.ask(network.SIGN_ON)
            if reply is None:
                return LinkEvent.SILENT
            return LinkEvent.SIGNED_ON if reply.get(39) == "00" else LinkEvent.REFUSED
        if state is LinkState.REQUESTING_KEYS:
            if self._network.has_fresh_keys:
                return LinkEvent.KEYS_INSTALLED
            return await self._network.request_keys()
        if state is LinkState.AWAITING_KEYS:
            if self._network.has_fresh_keys:
                return LinkEvent.KEYS_INSTALLED
            with trio.move_on_after(self.settings.key_wait_s) as waiting:
                await self._stirred.park()
            return LinkEvent.SILENT if waiting.cancelled_caught else None
        if state is LinkState.UP:
            return await self._watch()
        with trio.move_on_after(self.settings.echo_s) as waiting:
            await self._stirred.park()
        return LinkEvent.IDLE if waiting.cancelled_caught else None

    async def _watch(self) -> LinkEvent | None:
        """Wait for silence, then ask whether the peer is there, and serves."""
        traffic = self._traffic
        if not traffic.suspect:
            with trio.CancelScope(deadline=traffic.received_at + self.settings.echo_s) as waiting:
                await self._stirred.park()
            # The same sum as the deadline's, or rounding could wake this for ever without time.
            is_quiet = trio.current_time() >= traffic.received_at + self.settings.echo_s
            if not waiting.cancelled_caught or not is_quiet:
                return None
        traffic.suspect = False
        asked_at = trio.current_time()
        reply = await self._network.ask(network.ECHO)
        if reply is not None and reply.get(39) != "00":
            self._network.has_fresh_keys = False
            return LinkEvent.REFUSED
        return LinkEvent.IDLE if traffic.received_at >= asked_at else LinkEvent.SILENT

    # Network management.

    async def _answer(self, envelope: bytes, message: Message) -> None:
        code = message.get(70)
        if code == network.KEY_EXCHANGE and self._keys is not None and message.get(48):
            refused = await self._network.take_over(message, envelope)
            is_ready = refused is None and self._network.has_fresh_keys
            if is_ready and self.state is not LinkState.DOWN:
                self._advance(LinkEvent.KEYS_INSTALLED)
            return
        is_known = code in _PLAIN_ANSWERS
        self._network.reply(envelope, message, "00" if is_known else "40")
        if code == network.CUTOVER:
            self.counters.cutovers += 1
            _log.info("link_cutover", **self._names)
        elif self.state is LinkState.DOWN:
            return
        elif code == network.SIGN_ON:
            self._advance(LinkEvent.PEER_SIGNED_ON)
        elif code == network.SIGN_OFF:
            self._advance(LinkEvent.PEER_SIGNED_OFF)

    def _advance(self, event: LinkEvent) -> None:
        before = self.state
        self.state = next_state(before, event, self.settings.security)
        if self.state is not before:
            _log.info("link_state", **self._names, state=self.state.value)
            self._stirred.unpark_all()
        self._on_change()

    def __repr__(self) -> str:
        return f"<BankLink {self.settings.name} {self.state.value}>"
