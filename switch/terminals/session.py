"""From a terminal's frame to the reply's bytes: the checks before a transaction, in their order.

decode (30) → terminal (97), merchant (03) → MAC (A0) → batch (77) → duplicate or 94 → the
transaction's own rules. What a terminal may take for final is sealed, and so stands in the books
under its STAN before it leaves; where it cannot, the answer has no MAC, or there is none.
Knows no sockets; ``server.py`` feeds it whole frames, and runs it once for each, several at a
time. Source: docs/interfaces/terminal.md, parts 1, 3 and 4.
"""

from __future__ import annotations

import msgspec
import structlog

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import LocalFormatError, RemoteFormatError
from acquirer.codecs.framing import LengthHeader
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60
from acquirer.codecs.response_codes import ResponseCode
from acquirer.codecs.tpdu import PosEnvelope, ProcessingDemand
from acquirer.config.log_limit import LogLimit
from acquirer.ledger.errors import BookBusy, BookError, BookUnavailable, BookUncertain
from acquirer.ledger.journal.kinds import Kind
from acquirer.payments.kernel.commands import Repeat
from acquirer.payments.kernel.errors import (
    HsmRefused,
    HsmUnavailable,
    InvalidCommand,
    response_code_for,
)
from acquirer.payments.kernel.records import refuse
from acquirer.switch.context import Context
from acquirer.switch.terminals.allowed import ASKING, not_allowed
from acquirer.switch.terminals.open_payments import OpenPayments
from acquirer.switch.terminals.received import Received
from acquirer.switch.terminals.recognition import identify
from acquirer.switch.terminals.repeats import Repeats
from acquirer.switch.terminals.reply import (
    ICC,
    MAC_PLACEHOLDER,
    build_format_error,
    build_reply,
    with_icc_open,
    write_reply,
)
from acquirer.switch.terminals.request import KeysChanged, Request, Silence, Told
from acquirer.switch.terminals.seals import Seals
from acquirer.switch.terminals.serials import with_ksn
from acquirer.switch.terminals.table import Transaction
from acquirer.switch.terminals.terminals import NO_KEYS, Keys, Terminal
from acquirer.switch.terminals.tracks import is_ciphered, with_clear_track
from acquirer.switch.watch.metrics import Metrics

log = structlog.get_logger("acquirer.switch")

KEYS_TRIES_MAX = 5
FRAMING = LengthHeader("binary", 2)
FRAME_BYTES_MAX = 4096
# Management, batch upload and settlement carry no MAC, the latter two but where a profile says so.
CLASSES_WITHOUT_MAC = frozenset("358")
# What names one financial original, whether or not the table knows it.
ORIGINALS = frozenset({"0100", "0200", "0220"})
ADVICE = "0220"
SETTLEMENT_CLASSES = frozenset("35")
# Of one terminal, refusals that are being stored because it has too much under way.
REFUSED_AT_ONCE_MAX = 64


class CloseConnection(Exception):
    """The frame cannot be answered: the connection must be closed."""


class Session:
    """Answers frames. One for the whole server: it remembers which requests are in flight."""

    def __init__(self, context: Context, metrics: Metrics) -> None:
        self._context = context
        self._metrics = metrics
        self._dialect = load_dialect("cup_pos")
        self._seals = Seals(context, self._dialect)
        self._repeats = Repeats(context)
        self._log_limit = LogLimit()
        self._open_payments = OpenPayments()

    async def answer(
        self, frame: bytes, address: str = "", *, is_too_much: bool = False
    ) -> bytes | None:
        """The reply to one frame, with its length header; None where none may be given.

        Args:
            frame: TPDU, header and message, without the length.
            address: where it came from; empty where that is not known.
            is_too_much: whether what asks for something new is refused (96), since there is more
                to do than can be done in time.

        Raises:
            CloseConnection: it is no message that could be answered.
        """
        started_at = self._context.ports.monotonic()
        now_ms = self._context.clock.now_ms()
        current = self._context.current()
        try:
            envelope, raw = PosEnvelope.split(frame)
        except RemoteFormatError as error:
            raise CloseConnection(str(error)) from None
        try:
            message = self._dialect.decode(raw)
            transaction, de60 = identify(message)
        except RemoteFormatError as error:
            return self._format_error(envelope, raw, error)
        keys, answer = NO_KEYS, None
        try:
            received = Received(
                message, transaction, de60, started_at, now_ms, address, current, is_too_much
            )
            keys, answer = await self._decide(received)
        except BookUncertain:
            self._metrics.uncertain.inc()
        except Silence:
            pass
        except (RemoteFormatError, InvalidCommand, HsmRefused, HsmUnavailable) as error:
            answer = Told(self._not_handled(error))
        except BookError as error:
            code = self._not_handled(error)
            answer = None if _bears_mac(message, transaction) else Told(code)
        name = transaction.name if transaction else Kind.UNSUPPORTED.value
        code = answer.response_code if answer else ""
        took_s = self._context.ports.monotonic() - started_at
        self._metrics.transaction(name, code, took_s)
        log.info(
            "transaction",
            kind=name,
            terminal_id=message.get(41),
            stan=message.get(11),
            rrn=answer.fields.get(37, "") if answer else "",
            amount_minor=int(message.get(4) or 0),
            response_code=code,
            took_ms=round(took_s * 1000, 1),
        )
        if answer is None:
            return None
        terminal = current.terminals.get(message.get(41))
        return await self._seal(envelope, message, answer, terminal, keys, now_ms)

    def _format_error(self, envelope: PosEnvelope, raw: bytes, error: RemoteFormatError) -> bytes:
        self._metrics.malformed.inc()
        left_out = self._log_limit.take(self._context.ports.monotonic())
        if left_out is not None:
            log.warning("malformed", reason=str(error), left_out=left_out)
        reply = build_format_error(error.readable or error.partial)
        if reply is None:
            raise CloseConnection(str(error)) from None
        try:
            return FRAMING.encode(bytes(envelope.reply()) + self._dialect.encode(reply))
        except LocalFormatError:
            raise CloseConnection(str(error)) from None

    def _not_handled(self, error: Exception) -> str:
        """Count and log what kept a request from being handled; its response code."""
        code = response_code_for(error)
        self._metrics.not_handled(error)
        log.warning("not_handled", reason=str(error), response_code=code)
        return code

    # --- checks ------------------------------------------------------------------------------

    async def _decide(self, received: Received) -> tuple[Keys, Told]:
        """The answer, and the keys that seal it: none unless its STAN is stored.

        A refusal that no entry records is left unsealed: a copy, or what was garbled on its way,
        may still arrive and be approved, so the terminal must not believe that it was not.
        """
        terminal = received.current.terminals.get(received.message.get(41))
        if terminal is None:
            return NO_KEYS, Told(ResponseCode.UNKNOWN_TERMINAL)
        for _ in range(KEYS_TRIES_MAX):
            try:
                return await self._verified(received, terminal)
            except KeysChanged:
                await self._context.terminals.refresh(terminal)
        raise Silence

    async def _verified(self, received: Received, terminal: Terminal) -> tuple[Keys, Told]:
        """Verify a known terminal's message, and decide on it.

        Raises:
            KeysChanged: it was verified under keys that its terminal has not any more.
        """
        message, transaction = received.message, received.transaction
        keys: Keys | None = NO_KEYS
        needs_mac = _bears_mac(message, transaction) or (
            message.mti[1] in SETTLEMENT_CLASSES and terminal.profile.settlement_mac
        )
        if needs_mac or (message.get(64) and transaction and transaction.mac_counts):
            message, ksn = with_ksn(message, transaction, terminal)
            keys = await self._seals.keys_of(message, terminal, received.now_ms, ksn)
            if needs_mac and keys is None and message.get(42) == terminal.settings.merchant_id:
                return NO_KEYS, self._unverified(terminal)
        clear = await with_clear_track(self._context.hsm, message, keys or NO_KEYS)
        vault = self._context.ports.vault
        request = received.request(clear, terminal, keys or NO_KEYS, vault)
        if await self._is_replayed(request):
            self._metrics.mac_errors.inc()
            return NO_KEYS, Told(ResponseCode.MAC_ERROR)
        code = await self._refusal(request, transaction)
        if transaction is not None and not code:
            answer = await self._limited(transaction, request)
            self._open_payments.note(transaction.name, request, answer.response_code)
            return request.keys, answer
        wanted = (
            ProcessingDemand.SIGN_ON
            if code == ResponseCode.SIGN_ON_AGAIN
            else ProcessingDemand.NOTHING
        )
        stored = transaction.journaled if transaction else message.mti in ORIGINALS
        if not (stored and request.origin.stan and request.keys.tak):
            return NO_KEYS, Told(code, demand=wanted)
        kind = Kind(transaction.name) if transaction else Kind.UNSUPPORTED
        outcome = await refuse(self._context.ports, request.origin, kind, code)
        if isinstance(outcome, Repeat):
            # These checks come before the first answer of a STAN that is taken already.
            await self._repeats.check_taken(request)
            answer = Told(code)
        else:
            answer = Told.of(outcome)
        return request.keys, msgspec.structs.replace(answer, demand=wanted)

    async def _is_replayed(self, request: Request) -> bool:
        """Whether a message is under a derived key that was used, and repeats nothing stored."""
        taken = request.origin.ksn
        if taken is None:
            return False
        highest = await self._context.book.highest_ksn(taken.terminal_id, taken.initial)
        if taken.counter > highest or await self._repeats.is_stored(request):
            return False
        counters = {"counter": taken.counter, "highest": highest}
        log.warning("ksn_replayed", terminal_id=taken.terminal_id, **counters)
        return True

    async def _refusal(self, request: Request, transaction: Transaction | None) -> str:
        """The code of the checks around the MAC's, or the empty string."""
        message, terminal = request.message, request.terminal
        if message.get(42) != terminal.settings.merchant_id:
            return ResponseCode.INVALID_MERCHANT
        if transaction is None:
            return ResponseCode.NOT_SUPPORTED
        if not transaction.any_batch and request.de60.batch != terminal.row.batch:
            # Another process may have opened the next one.
            await self._context.terminals.refresh(terminal)
            if request.de60.batch != terminal.row.batch:
                return ResponseCode.SIGN_ON_AGAIN
        conditions = transaction.conditions
        if conditions and message.get(25) not in conditions:
            return ResponseCode.NOT_SUPPORTED
        if is_ciphered(message):
            log.warning("no_track_key", terminal_id=terminal.terminal_id)
            return ResponseCode.SECURITY_FAILED
        return ""

    async def _limited(self, transaction: Transaction, request: Request) -> Told:
        """Handle a request, or refuse it (96) where its terminal has too many under way.

        Only what bears its MAC counts: nobody else can use up a terminal's share.
        """
        if not request.keys.tak:
            return await self._run(transaction, request)
        terminal_id = request.terminal.terminal_id
        share = self._context.limits.per_terminal_max
        under_way = self._context.at_once.enter(terminal_id)
        try:
            if under_way >= share + REFUSED_AT_ONCE_MAX:
                raise Silence
            if request.is_too_much and request.message.mti in ASKING:
                self._metrics.refused_busy.inc()
                return await self._not_now(transaction, request, ResponseCode.SWITCH_FAULT)
            if under_way >= share:
                return await self._not_now(transaction, request, ResponseCode.SWITCH_FAULT)
            return await self._run(transaction, request)
        finally:
            self._context.at_once.leave(terminal_id)

    def _unverified(self, terminal: Terminal) -> Told:
        if not terminal.is_signed_on:
            return Told(ResponseCode.SIGN_ON_AGAIN, demand=ProcessingDemand.SIGN_ON)
        self._metrics.mac_errors.inc()
        return Told(ResponseCode.MAC_ERROR)

    # --- running -----------------------------------------------------------------------------

    async def _run(self, transaction: Transaction, request: Request) -> Told:
        try:
            if code := not_allowed(transaction, request):
                return await self._refuse(transaction, request, code)
            if transaction.journaled:
                return await self._repeats.handle(transaction, request)
            return _certain(await transaction.handler(self._context, request))
        except (HsmRefused, HsmUnavailable, BookBusy, BookUnavailable) as error:
            code = self._not_handled(error)
            try:
                return await self._not_now(transaction, request, code)
            except (BookBusy, BookUnavailable):
                raise Silence from error

    async def _not_now(self, transaction: Transaction, request: Request, code: str) -> Told:
        """The answer to what is not handled, or the first answer where there was one.

        It is stored, but for what the terminal sends again until it is taken: a reversal, an
        advice.

        Raises:
            BookBusy, BookUnavailable: it is not.
            BookUncertain: it may be, or an earlier copy has no outcome yet.
        """
        if not transaction.journaled or request.message.mti == ADVICE:
            return Told(code)
        return await self._refuse(transaction, request, code)

    async def _refuse(self, transaction: Transaction, request: Request, code: str) -> Told:
        """Store a refusal and answer it, or the first answer where there was one."""
        kind = Kind(transaction.name)
        outcome = await refuse(self._context.ports, request.origin, kind, code)
        if isinstance(outcome, Repeat):
            return await self._repeats.answer_again(request)
        return Told.of(outcome)

    # --- sealing -----------------------------------------------------------------------------

    async def _seal(
        self,
        envelope: PosEnvelope,
        request: Message,
        answer: Told,
        terminal: Terminal | None,
        keys: Keys,
        now_ms: int,
    ) -> bytes | None:
        stamp = self._context.ports.calendar.stamp(now_ms)
        if ICC in answer.fields:
            answer = with_icc_open(answer, self._context.ports.vault)
        reply = build_reply(request, answer, stamp, is_known=bool(keys.tak))
        if answer.response_code == ResponseCode.SIGN_ON_AGAIN and terminal is not None:
            de60 = msgspec.structs.replace(De60.parse(request.get(60)), batch=terminal.row.batch)
            reply.fields[60] = de60.format()
        if keys.tak:
            reply.fields[64] = MAC_PLACEHOLDER
        raw = write_reply(reply)
        if keys.tak and terminal is not None:
            try:
                raw = await self._seals.seal(raw, terminal, keys)
            except (HsmRefused, HsmUnavailable) as error:
                # Without a MAC the terminal would not believe the answer; silence makes it
                # reverse, which is safe.
                self._metrics.not_handled(error)
                log.warning("reply_not_sealed", reason=str(error))
                return None
        demand = answer.demand
        if demand is ProcessingDemand.NOTHING and self._asks_for_confirmation(request):
            demand = ProcessingDemand.UPLOAD_STATUS
        elif demand is ProcessingDemand.NOTHING and terminal is not None and keys.tak:
            demand = await self._keys_demand(terminal)
        if demand is ProcessingDemand.NOTHING and terminal is not None:
            demand = await self._context.terminals.download_demand(
                terminal, self._context.current().downloads
            )
        return FRAMING.encode(bytes(envelope.reply(demand)) + raw)

    async def _keys_demand(self, terminal: Terminal) -> ProcessingDemand:
        """Whether a terminal has used its working keys often enough to get others."""
        row, every = terminal.row, terminal.settings.keys_every
        if not every or terminal.is_derived:
            return ProcessingDemand.NOTHING
        try:
            used = await self._context.book.originals_since(
                row.terminal_id, row.batch, row.proved_at_ms
            )
        except BookError:
            return ProcessingDemand.NOTHING
        return ProcessingDemand.SIGN_ON if used >= every else ProcessingDemand.NOTHING

    def _asks_for_confirmation(self, request: Message) -> bool:
        terminal_id = request.get(41)
        if terminal_id in self._context.ports.to_ask:
            return True
        if terminal_id not in self._open_payments:
            return False
        batch = De60.parse(request.get(60)).batch
        return self._open_payments.asks(terminal_id, batch, request.get(11))


def _bears_mac(message: Message, transaction: Transaction | None) -> bool:
    return transaction.mac if transaction else message.mti[1] not in CLASSES_WITHOUT_MAC


def _certain(outcome: Told | Repeat) -> Told:
    return Told(ResponseCode.DUPLICATE) if isinstance(outcome, Repeat) else outcome
