"""One link of the bank core simulator: the trio shell that reads, has decided, and answers.

A request's reply leaves once the books are on disk. Faults touch the reply only, so that a
dropped or late approval is real money on this side. ``host`` says what messages mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

import trio
from trio.lowlevel import ParkingLot

from acquirer.codecs.bank_fields import BankKeys
from acquirer.codecs.dialect import Dialect
from acquirer.codecs.errors import FrameError, RemoteFormatError
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.codecs.message import Message
from acquirer.hosts_sim.bank.cards import CardFile
from acquirer.hosts_sim.bank.entries import CutOver, Result
from acquirer.hosts_sim.bank.host import entry_of, reply_mti, reply_of
from acquirer.hosts_sim.bank.rules import NO_RULE, RuleBook, Verdict
from acquirer.hosts_sim.bank.settings import BankSimSettings
from acquirer.hosts_sim.bank.writer import Writer
from acquirer.hosts_sim.bank.zone_keys import ZoneKeys, ZonePair

SIGN_ON, SIGN_OFF, KEY_EXCHANGE, CUTOVER, ECHO = "001", "002", "101", "201", "301"

_KNOWN_CODES = frozenset({SIGN_ON, SIGN_OFF, CUTOVER, ECHO})
_ECHOED = (7, 11, 70)
_RECEIVE_BYTES = 65536
_GARBAGE_BYTES = 40
_LATER_MAX = 4096


@dataclass(frozen=True, slots=True)
class Core:
    """What all links of one bank share.

    Attributes:
        zmk: zone master key in clear (a test key).
        zpk: zone PIN key for security ``none``.
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
    wall: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]


class Connection:
    """One link.

    Resource handling: :meth:`serve` closes the stream.

    Attributes:
        malformed: frames that held no message.
    """

    def __init__(self, core: Core, stream: trio.abc.Stream) -> None:
        self.malformed = 0
        self._core = core
        self._stream = stream
        settings = core.settings
        self._keys: ZoneKeys | None = None
        if settings.security == "zone":
            self._keys = ZoneKeys(core.zmk, settings.mac, core.dialect, settings.key_overlap_s)
        self._outbox: list[bytes] = []
        self._outbox_filled = ParkingLot()
        self._eased = ParkingLot()
        self._in_flight = 0
        self._later = 0
        self._stan = 0
        self._is_open = True
        self._nursery: trio.Nursery | None = None

    async def serve(self) -> None:
        """Serve the link until either side ends it."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._write, nursery.cancel_scope)
                if self._keys is not None and self._core.settings.rekey_s > 0:
                    nursery.start_soon(self._rekey)
                await self._read()
                nursery.cancel_scope.cancel()
        finally:
            self._is_open = False
            await trio.aclose_forcefully(self._stream)

    def announce(self, code: str) -> None:
        """Start network management from the bank's side: sign-on, sign-off, cut-over, echo, keys.

        Args:
            code: DE70.
        """
        self._stan = self._stan % 999_999 + 1
        at = f"{self._core.wall():%m%d%H%M%S}"
        fields = {7: at, 11: f"{self._stan:06d}", 70: code}
        if code == KEY_EXCHANGE and self._keys is not None:
            offer = self._keys.offer(fields[11], self._core.random_bytes)
            fields[48], fields[53] = offer.format()
        self._send(self._core.dialect.encode(Message("0800", fields)))

    # The wire.

    async def _read(self) -> None:
        settings = self._core.settings
        decoder = FrameDecoder(self._core.header, settings.frame_bytes_max)
        try:
            while received := await self._stream.receive_some(_RECEIVE_BYTES):
                for frame in decoder.feed(bytes(received)):
                    while max(self._in_flight, len(self._outbox)) >= settings.in_flight_max:
                        await self._eased.park()
                    self._take(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except FrameError:
            self.malformed += 1

    async def _write(self, connection: trio.CancelScope) -> None:
        try:
            while True:
                while not self._outbox:
                    await self._outbox_filled.park()
                frames, self._outbox = self._outbox, []
                self._eased.unpark_all()
                await self._stream.send_all(b"".join(frames))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            connection.cancel()

    def _send(self, raw: bytes, envelope: bytes | None = None) -> None:
        core = self._core
        before = core.dialect.envelope if envelope is None else envelope
        self._queue(core.header.encode(before + raw))

    def _queue(self, frame: bytes) -> None:
        if self._is_open:
            self._outbox.append(frame)
            self._outbox_filled.unpark()

    def _take(self, frame: bytes) -> None:
        try:
            envelope, raw = self._core.dialect.split_envelope(frame)
            message = self._core.dialect.decode(raw)
            self._core.dialect.check_needs(message)
        except RemoteFormatError:
            self.malformed += 1
            return
        if message.mti[1] == "8":
            self._manage(envelope, message)
        elif message.mti[2] in "02":
            self._transact(envelope, message)

    # Transactions.

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
            currency_code=core.settings.currency_code,
            now=core.wall(),
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
        reply = reply_of(message, result, core.settings.currency_code)
        if fault == "wrong_stan":
            reply.fields[11] = f"{(int(message.get(11)) + 1) % 1_000_000:06d}"
        if self._keys is None or pair is None:
            raw = core.dialect.encode(reply)
        else:
            raw = self._keys.seal(reply, pair)
        frame = core.header.encode(core.dialect.reply_envelope(envelope) + raw)
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

    # Network management.

    def _manage(self, envelope: bytes, message: Message) -> None:
        code = message.get(70)
        if message.mti[2] == "1":
            if code == KEY_EXCHANGE and self._keys is not None:
                if message.get(39) == "00":
                    self._keys.use_offered(message.get(11), trio.current_time())
                else:
                    self._keys.withdraw(message.get(11))
            return
        if code == KEY_EXCHANGE and self._keys is not None:
            self._exchange_keys(self._keys, envelope, message)
            return
        if code == CUTOVER:
            day = self._core.wall().date().isoformat()
            self._core.writer.submit(CutOver(day), lambda _: None)
        self._answer(envelope, message, {39: "00" if code in _KNOWN_CODES else "40"})

    def _exchange_keys(self, keys: ZoneKeys, envelope: bytes, message: Message) -> None:
        now = trio.current_time()
        if message.get(48):
            try:
                brought = BankKeys.parse(message.get(48), message.get(53))
            except RemoteFormatError:
                self._answer(envelope, message, {39: "30"})
                return
            self._answer(envelope, message, {39: keys.accept(brought, now)})
        elif self._core.settings.key_exchange == "push":
            self._answer(envelope, message, {39: "00"})
            self.announce(KEY_EXCHANGE)
        else:
            de48, de53 = keys.offer("reply", self._core.random_bytes).format()
            self._answer(envelope, message, {39: "00", 48: de48, 53: de53})
            keys.use_offered("reply", now)

    def _answer(self, envelope: bytes, message: Message, fields: dict[int, str]) -> None:
        echoed = {n: value for n, value in message.fields.items() if n in _ECHOED}
        reply = Message(reply_mti(message.mti), echoed | fields)
        raw = self._core.dialect.encode(reply)
        self._send(raw, self._core.dialect.reply_envelope(envelope))

    async def _rekey(self) -> None:
        while True:
            await trio.sleep(self._core.settings.rekey_s)
            if self._keys is not None and self._keys.pairs(trio.current_time()):
                self.announce(KEY_EXCHANGE)
