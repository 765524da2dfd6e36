"""One link of the bank core simulator: the trio shell that reads, has decided, and answers.

A request's reply leaves once the books are on disk. Faults touch the reply only, so that a
dropped or late approval is real money on this side. ``host`` says what messages mean, and
``hosts_sim/host_link.py`` what any host's links do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

import trio

from acquirer.codecs.dialect import Dialect
from acquirer.codecs.framing import LengthHeader
from acquirer.codecs.message import Message
from acquirer.hosts_sim.bank.cards import CardFile
from acquirer.hosts_sim.bank.entries import CutOver, Result
from acquirer.hosts_sim.bank.host import CardTerms, entry_of, reply_of
from acquirer.hosts_sim.bank.plans import Plans
from acquirer.hosts_sim.bank.rules import NO_RULE, RuleBook, Verdict
from acquirer.hosts_sim.bank.settings import BankSimSettings
from acquirer.hosts_sim.bank.writer import Writer
from acquirer.hosts_sim.host_link import HostLink, LinkTerms
from acquirer.hosts_sim.zone_keys import ZonePair

_GARBAGE_BYTES = 40
_LATER_MAX = 4096


@dataclass(frozen=True, slots=True)
class Core:
    """What all links of one bank share.

    Attributes:
        zmk: zone master key in clear (a test key).
        zpk: zone PIN key for security ``none``.
        plans: for instalments.
        terms: what cards are held to.
        wall: local time.
        random_bytes: for new keys.
    """

    settings: BankSimSettings
    dialect: Dialect
    header: LengthHeader
    cards: CardFile
    rules: RuleBook
    random: Random
    writer: Writer
    zmk: bytes
    zpk: bytes
    plans: Plans
    terms: CardTerms
    wall: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]


class Connection(HostLink):
    """One link.

    Resource handling: :meth:`serve` closes the stream.
    """

    def __init__(self, core: Core, stream: trio.abc.Stream) -> None:
        settings = core.settings
        terms = LinkTerms(
            dialect=core.dialect,
            header=core.header,
            security=settings.security,
            mac=settings.mac,
            key_exchange=settings.key_exchange,
            key_overlap_s=settings.key_overlap_s,
            rekey_s=settings.rekey_s,
            in_flight_max=settings.in_flight_max,
            frame_bytes_max=settings.frame_bytes_max,
            zmk=core.zmk,
            wall=core.wall,
            random_bytes=core.random_bytes,
        )
        super().__init__(terms, stream)
        self._core = core
        self._later = 0

    def _cut_over(self) -> None:
        day = self._core.wall().date().isoformat()
        self._core.writer.submit(CutOver(day), lambda _: None)

    def _transact(self, envelope: bytes, message: Message) -> None:
        core, pair, zpks = self._core, None, [self._core.zpk]
        if self._keys is not None:
            now = trio.current_time()
            pair = self._keys.check(message, now)
            candidates = self._keys.pairs(now)
            if pair is None:
                sealed_by = candidates[0] if candidates else None
                self._finish(envelope, message, sealed_by, NO_RULE, Result("A0"))
                return
            zpks = [pair.zpk, *(other.zpk for other in candidates if other is not pair)]
        verdict = core.rules.decide(message)
        entry = entry_of(
            message,
            core.cards,
            zpks,
            forced=verdict.response_code,
            approved_minor=verdict.approved_minor,
            currency_code=core.settings.currency_code,
            now=core.wall(),
            plans=core.plans,
            terms=core.terms,
        )
        if isinstance(entry, str):
            self._finish(envelope, message, pair, verdict, Result(entry))
            return
        self._in_flight += 1

        def done(result: Result) -> None:
            self._in_flight -= 1
            self._eased.unpark_all()
            self._finish(envelope, message, pair, verdict, result)

        core.writer.submit(entry, done)

    def _finish(
        self,
        envelope: bytes,
        message: Message,
        pair: ZonePair | None,
        verdict: Verdict,
        result: Result,
    ) -> None:
        """Answer, as far as the verdict's fault lets it."""
        core, fault = self._core, verdict.fault
        if not self._is_open or fault == "drop":
            return
        if fault == "close":
            assert self._nursery is not None
            self._nursery.cancel_scope.cancel()
            return
        if fault == "garbage":
            self._queue(core.header.encode(core.random.randbytes(_GARBAGE_BYTES)))
            return
        card = core.cards.find(message.get(2) or message.get(35).partition("D")[0])
        icc = core.terms.answer(card, message, result.response_code, verdict.script)
        reply = reply_of(message, result, core.settings.currency_code, core.plans, icc)
        reply.fields |= verdict.fields
        if fault == "wrong_stan":
            reply.fields[11] = f"{(int(message.get(11)) + 1) % 1_000_000:06d}"
        frame = self._sealed(envelope, reply, pair)
        if fault == "extra_byte":
            frame = core.header.encode(frame[core.header.size :] + b" ")
        if fault in ("delay", "late_reply"):
            if self._later < _LATER_MAX and self._nursery is not None:
                self._later += 1
                self._nursery.start_soon(self._queue_later, frame, verdict.delay_s)
            return
        self._queue(frame)
        if fault == "duplicate_reply":
            self._queue(frame)

    async def _queue_later(self, frame: bytes, delay_s: float) -> None:
        await trio.sleep(delay_s)
        self._later -= 1
        self._queue(frame)
