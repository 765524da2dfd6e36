"""One ISO 8583 link of a simulated host: framing, network management, zone keys, replies on time.

A host of some kind derives from :class:`HostLink` and says in ``_transact`` what its requests mean;
what its links look like stands in :class:`LinkTerms`.
Source: docs/interfaces/bank-link.md, "Life of a link".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import trio
from trio.lowlevel import ParkingLot

from acquirer.codecs.bank_fields import BankKeys
from acquirer.codecs.dialect import Dialect
from acquirer.codecs.errors import FrameError, RemoteFormatError
from acquirer.codecs.framing import FrameDecoder, LengthHeader
from acquirer.codecs.message import Message, reply_mti
from acquirer.hosts_sim.zone_keys import ZoneKeys, ZonePair

SIGN_ON, SIGN_OFF, KEY_EXCHANGE, CUTOVER, ECHO = "001", "002", "101", "201", "301"

_KNOWN_CODES = frozenset({SIGN_ON, SIGN_OFF, CUTOVER, ECHO})
_ECHOED = (7, 11, 70)
_RECEIVE_BYTES = 65536


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """What all links of one host have in common.

    Attributes:
        security: ``zone`` for MACs and key exchange, ``none`` for neither.
        mac: the MAC's algorithm in ``zone``.
        key_exchange: bring keys in the reply to a 101, or promise and then push them.
        key_overlap_s: how long replaced keys stay good.
        rekey_s: push new keys this often; 0 never.
        in_flight_max: requests of one link that are being worked on.
        frame_bytes_max: longest frame that is taken.
        zmk: zone master key in clear (a test key).
        wall: local time.
        random_bytes: for new keys.
    """

    dialect: Dialect
    header: LengthHeader
    security: Literal["none", "zone"]
    mac: str
    key_exchange: Literal["reply", "push"]
    key_overlap_s: float
    rekey_s: float
    in_flight_max: int
    frame_bytes_max: int
    zmk: bytes
    wall: Callable[[], datetime]
    random_bytes: Callable[[int], bytes]


class HostLink(ABC):
    """One link.

    Resource handling: :meth:`serve` closes the stream.

    Attributes:
        malformed: frames that held no message.
    """

    def __init__(self, terms: LinkTerms, stream: trio.abc.Stream) -> None:
        self.malformed = 0
        self._terms = terms
        self._stream = stream
        self._keys: ZoneKeys | None = None
        if terms.security == "zone":
            self._keys = ZoneKeys(terms.zmk, terms.mac, terms.dialect, terms.key_overlap_s)
        self._outbox: list[bytes] = []
        self._outbox_filled = ParkingLot()
        self._eased = ParkingLot()
        self._in_flight = 0
        self._stan = 0
        self._is_open = True
        self._nursery: trio.Nursery | None = None

    async def serve(self) -> None:
        """Serve the link until either side ends it."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._write, nursery.cancel_scope)
                if self._keys is not None and self._terms.rekey_s > 0:
                    nursery.start_soon(self._rekey)
                await self._read()
                nursery.cancel_scope.cancel()
        finally:
            self._is_open = False
            await trio.aclose_forcefully(self._stream)

    def announce(self, code: str) -> None:
        """Start network management from the host's side: sign-on, sign-off, cut-over, echo, keys.

        Args:
            code: DE70.
        """
        self._stan = self._stan % 999_999 + 1
        at = f"{self._terms.wall():%m%d%H%M%S}"
        fields = {7: at, 11: f"{self._stan:06d}", 70: code}
        if code == KEY_EXCHANGE and self._keys is not None:
            offer = self._keys.offer(fields[11], self._terms.random_bytes)
            fields[48], fields[53] = offer.format()
        self._send(self._terms.dialect.encode(Message("0800", fields)))

    # What a kind of host says.

    @abstractmethod
    def _transact(self, envelope: bytes, message: Message) -> None:
        """Deal with a request of class 01, 02, 04 or 06; its MAC is still to be checked."""

    @abstractmethod
    def _cut_over(self) -> None:
        """The peer's business date ends."""

    def _sealed(self, envelope: bytes, reply: Message, pair: ZonePair | None) -> bytes:
        """The frame of a reply, with a MAC under these keys where there are any."""
        terms = self._terms
        if self._keys is None or pair is None:
            raw = terms.dialect.encode(reply)
        else:
            raw = self._keys.seal(reply, pair)
        return terms.header.encode(
            terms.dialect.frame_body(raw, terms.dialect.reply_envelope(envelope))
        )

    # The wire.

    async def _read(self) -> None:
        terms = self._terms
        decoder = FrameDecoder(terms.header, terms.frame_bytes_max)
        try:
            while received := await self._stream.receive_some(_RECEIVE_BYTES):
                for frame in decoder.feed(bytes(received)):
                    while max(self._in_flight, len(self._outbox)) >= terms.in_flight_max:
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
        terms = self._terms
        self._queue(terms.header.encode(terms.dialect.frame_body(raw, envelope)))

    def _queue(self, frame: bytes) -> None:
        if self._is_open:
            self._outbox.append(frame)
            self._outbox_filled.unpark()

    def _take(self, frame: bytes) -> None:
        try:
            envelope, raw = self._terms.dialect.split_envelope(frame)
            message = self._terms.dialect.decode(raw)
            self._terms.dialect.check_needs(message)
        except RemoteFormatError:
            self.malformed += 1
            return
        if message.mti[1] == "8":
            self._manage(envelope, message)
        elif message.mti[2] in "02":
            self._transact(envelope, message)

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
            self._cut_over()
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
        elif self._terms.key_exchange == "push":
            self._answer(envelope, message, {39: "00"})
            self.announce(KEY_EXCHANGE)
        else:
            de48, de53 = keys.offer("reply", self._terms.random_bytes).format()
            self._answer(envelope, message, {39: "00", 48: de48, 53: de53})
            keys.use_offered("reply", now)

    def _answer(self, envelope: bytes, message: Message, fields: dict[int, str]) -> None:
        echoed = {n: value for n, value in message.fields.items() if n in _ECHOED}
        reply = Message(reply_mti(message.mti), echoed | fields)
        raw = self._terms.dialect.encode(reply)
        self._send(raw, self._terms.dialect.reply_envelope(envelope))

    async def _rekey(self) -> None:
        while True:
            await trio.sleep(self._terms.rekey_s)
            if self._keys is not None and self._keys.pairs(trio.current_time()):
                self.announce(KEY_EXCHANGE)
