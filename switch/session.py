"""From a terminal's frame to the reply's bytes: the checks before a transaction, in their order.

decode (30) → terminal (97), merchant (03) → MAC (A0) → batch (77) → duplicate or 94 → the
transaction's own rules. Knows no sockets; ``server.py`` feeds it whole frames, and runs it once
for each, several at a time. Source: terminal interface, parts 1, 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
import trio

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import LocalFormatError, RemoteFormatError
from acquirer.codecs.framing import LengthHeader
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60
from acquirer.codecs.tpdu import PosEnvelope, ProcessingDemand
from acquirer.config.log_limit import LogLimit
from acquirer.ledger.entries import Entry, Role, State
from acquirer.ledger.errors import BookBusy, BookError, BookUnavailable, BookUncertain
from acquirer.ledger.kinds import Kind
from acquirer.switch.context import Context
from acquirer.switch.errors import HsmRefused, HsmUnavailable, response_code_for
from acquirer.switch.metrics import Metrics
from acquirer.switch.open_payments import OpenPayments
from acquirer.switch.recognition import identify, items_of, order_numbers
from acquirer.switch.refusals import Refusals
from acquirer.switch.reply import MAC_PLACEHOLDER, build_format_error, build_reply
from acquirer.switch.request import APPROVED, Answer, Outcome, Repeat, Request, answer_of
from acquirer.switch.terminals import Keys, Terminal, promoted
from acquirer.switch.transactions import Transaction

log = structlog.get_logger("acquirer.switch")

FRAMING = LengthHeader("binary", 2)
FRAME_BYTES_MAX = 4096
NO_KEYS = Keys()
# Batch upload, settlement and management carry no MAC (part 4).
CLASSES_WITHOUT_MAC = frozenset("358")
POLL_FIRST_S = 0.05
POLL_MAX_S = 1.0
ANSWERED_MAX = 10_000


class _Refused(Exception):
    """A check before the transaction failed; ``keys`` seal the answer where they are known."""

    def __init__(
        self,
        response_code: str,
        keys: Keys = NO_KEYS,
        demand: ProcessingDemand = ProcessingDemand.NOTHING,
    ) -> None:
        self.response_code = response_code
        self.keys = keys
        self.demand = demand


@dataclass(frozen=True, slots=True)
class _InFlight:
    fingerprint: bytes
    done: trio.Event


class CloseConnection(Exception):
    """The frame cannot be answered: the connection must be closed."""


class Session:
    """Answers frames. One for the whole server: it remembers which requests are in flight."""

    def __init__(self, context: Context, metrics: Metrics, refusals: Refusals) -> None:
        self._context = context
        self._metrics = metrics
        self._refusals = refusals
        self._dialect = load_dialect("cup_pos")
        self._in_flight: dict[tuple[str, str, str], _InFlight] = {}
        self._of_terminal: dict[str, int] = {}
        self._log_limit = LogLimit()
        self._open_payments = OpenPayments()
        self._answered: dict[tuple[str, str, str, bytes], str] = {}

    async def answer(self, frame: bytes) -> bytes | None:
        """The reply to one frame, with its length header; None where none may be given.

        Args:
            frame: TPDU, header and message, without the length.

        Raises:
            CloseConnection: it is no message that could be answered.
        """
        started_at = self._context.monotonic()
        now_ms = self._context.wall_ms()
        try:
            envelope, raw = PosEnvelope.split(frame)
        except RemoteFormatError as error:
            raise CloseConnection(str(error)) from None
        try:
            message = self._dialect.decode(raw)
            transaction, de60 = identify(message)
        except RemoteFormatError as error:
            return self._format_error(envelope, raw, error)
        keys, answer = NO_KEYS, Answer("96")
        try:
            transaction, request = await self._check(message, transaction, de60, started_at, now_ms)
            keys = request.keys
            answer = await self._limited(transaction, request)
            self._open_payments.note(transaction.name, request, answer.response_code)
        except _Refused as refused:
            keys = refused.keys
            answer = Answer(refused.response_code, demand=refused.demand)
        except BookUncertain:
            self._metrics.uncertain.inc()
            return None
        except (RemoteFormatError, HsmRefused, HsmUnavailable, BookError) as error:
            answer = Answer(response_code_for(error))
            self._metrics.not_handled(error)
            log.warning("not_handled", reason=str(error), response_code=answer.response_code)
        name = transaction.name if transaction else "unsupported"
        took_s = self._context.monotonic() - started_at
        self._metrics.transaction(name, answer.response_code, took_s)
        log.info(
            "transaction",
            kind=name,
            terminal_id=message.get(41),
            stan=message.get(11),
            rrn=answer.fields.get(37, ""),
            amount_minor=int(message.get(4) or 0),
            response_code=answer.response_code,
            took_ms=round(took_s * 1000, 1),
        )
        return await self._seal(envelope, message, answer, keys, now_ms)

    def _format_error(self, envelope: PosEnvelope, raw: bytes, error: RemoteFormatError) -> bytes:
        self._metrics.malformed.inc()
        left_out = self._log_limit.take(self._context.monotonic())
        if left_out is not None:
            log.warning("malformed", reason=str(error), left_out=left_out)
        reply = build_format_error(error.readable or error.partial)
        if reply is None:
            raise CloseConnection(str(error)) from None
        try:
            return FRAMING.encode(bytes(envelope.reply()) + self._dialect.encode(reply))
        except LocalFormatError:
            raise CloseConnection(str(error)) from None

    # --- checks ------------------------------------------------------------------------------

    async def _check(
        self,
        message: Message,
        transaction: Transaction | None,
        de60: De60,
        started_at: float,
        now_ms: int,
    ) -> tuple[Transaction, Request]:
        terminal = self._context.terminals.get(message.get(41))
        if terminal is None:
            raise _Refused("97")
        if message.get(42) != terminal.settings.merchant_id:
            raise _Refused("03", await self._proven_keys(message, transaction, terminal))
        if transaction is None and message.mti[1] in CLASSES_WITHOUT_MAC:
            raise _Refused("40")
        keys = NO_KEYS
        if transaction is None or transaction.mac:
            keys = await self._verify_mac(message, terminal)
        if transaction is None:
            raise _Refused("40", keys)
        if not transaction.any_batch and de60.batch != terminal.row.batch:
            raise _Refused("77", keys, ProcessingDemand.SIGN_ON)
        if transaction.plain_condition and message.get(25) not in ("", "00"):
            raise _Refused("40", keys)
        fingerprint = self._fingerprint(message, de60)
        return transaction, Request(
            message, de60, terminal, keys, fingerprint, started_at, now_ms, items_of(message)
        )

    async def _limited(self, transaction: Transaction, request: Request) -> Answer:
        """Handle a request, unless its terminal has too many under way; nothing is recorded then.

        Whoever only pretends to be the terminal has been refused before.
        """
        terminal_id = request.terminal.terminal_id
        under_way = self._of_terminal.get(terminal_id, 0)
        if under_way >= self._context.limits.per_terminal_max:
            return Answer("96")
        self._of_terminal[terminal_id] = under_way + 1
        try:
            return await self._run(transaction, request)
        finally:
            self._of_terminal[terminal_id] -= 1
            if not self._of_terminal[terminal_id]:
                del self._of_terminal[terminal_id]

    async def _verify_mac(self, message: Message, terminal: Terminal) -> Keys:
        keys = await self._matching_keys(message, terminal)
        if keys is None and await self._context.terminals.refresh(terminal):
            keys = await self._matching_keys(message, terminal)
        if keys is None:
            known = terminal.key_generations()
            if not known:
                raise _Refused("77", demand=ProcessingDemand.SIGN_ON)
            self._metrics.mac_errors.inc()
            raise _Refused("A0", known[0])
        if keys.tak in terminal.row.next_tak:
            await self._context.terminals.save(terminal, promoted(terminal.row, keys))
        return keys

    async def _proven_keys(
        self, message: Message, transaction: Transaction | None, terminal: Terminal
    ) -> Keys:
        """Keys to seal a refusal that comes before the MAC check, or none.

        A message that was garbled on its way must not get a refusal that its terminal believes:
        a true copy of it may still arrive and be approved.
        """
        if transaction.mac if transaction else message.mti[1] not in CLASSES_WITHOUT_MAC:
            return await self._matching_keys(message, terminal) or NO_KEYS
        return NO_KEYS

    async def _matching_keys(self, message: Message, terminal: Terminal) -> Keys | None:
        if not message.get(64):
            return None
        data = self._dialect.mac_input(message.raw)
        for keys in terminal.key_generations():
            if await self._context.hsm.mac_ok(
                terminal.profile.mac, keys.tak, data, message.binary(64)
            ):
                return keys
        return None

    def _fingerprint(self, message: Message, de60: De60) -> bytes:
        """What makes two requests the same (part 4, "STAN")."""
        pan = message.get(2) or message.get(35).replace("=", "D").partition("D")[0]
        return self._context.vault.fingerprint(
            message.mti,
            message.get(3),
            message.get(4),
            message.get(11),
            de60.transaction_type,
            de60.batch,
            message.get(61),
            pan,
            message.get(59) and order_numbers(message),
        )

    # --- running -----------------------------------------------------------------------------

    async def _run(self, transaction: Transaction, request: Request) -> Answer:
        if not transaction.journaled:
            return _certain(await transaction.handler(self._context, request))
        key = (request.terminal.terminal_id, request.de60.batch, request.stan)
        while (first := self._in_flight.get(key)) is not None:
            if first.fingerprint != request.fingerprint:
                return Answer("94")
            await first.done.wait()
        if code := self._answered.get((*key, request.fingerprint)):
            return Answer(code)
        mine = self._in_flight[key] = _InFlight(request.fingerprint, trio.Event())
        try:
            outcome: Outcome = Repeat()
            if not (transaction.looks_back and await self._find(request)):
                outcome = await transaction.handler(self._context, request)
            if isinstance(outcome, Repeat):
                outcome = await self._answer_again(request)
            self._remember((*key, request.fingerprint), "")
            return outcome
        except (HsmRefused, HsmUnavailable, BookBusy, BookUnavailable) as error:
            if transaction.any_batch:
                # An advice, which the terminal sends again until it is taken.
                raise
            return await self._failed(transaction, request, error)
        finally:
            del self._in_flight[key]
            mine.done.set()

    async def _failed(self, transaction: Transaction, request: Request, error: Exception) -> Answer:
        """The answer where nothing could be recorded: that of an earlier copy, if there was one.

        Raises:
            BookUncertain: there was one, and the books cannot be asked what became of it.
        """
        name = (request.terminal.terminal_id, request.de60.batch, request.stan, request.fingerprint)
        try:
            earlier = await self._find(request)
        except (BookBusy, BookUnavailable):
            if self._answered.get(name) == "":
                raise BookUncertain("an earlier copy of this request was recorded") from error
            earlier = None
        if earlier is not None and earlier.state not in (State.RECEIVED, State.SENT):
            return await self._answer_again(request)
        code = response_code_for(error)
        self._remember(name, code)
        self._refusals.add(request, Kind(transaction.name), code)
        raise error

    def _remember(self, name: tuple[str, str, str, bytes], unrecorded_code: str) -> None:
        """Keep an answer that no entry records, or empty where the books have it."""
        self._answered[name] = unrecorded_code
        if len(self._answered) > ANSWERED_MAX:
            del self._answered[next(iter(self._answered))]

    async def _is_undone(self, request: Request, entry: Entry) -> bool:
        """Whether an answer that approves may not be given again.

        A reversal that found nothing left to undo was answered 00 too.
        """
        if entry.state in (State.REVERSING, State.REVERSED):
            return True
        if entry.response_code != APPROVED:
            return False
        reversal = await self._find(request, Role.REVERSAL)
        return reversal is not None and reversal.response_code == APPROVED

    async def _find(self, request: Request, role: Role = Role.ORIGINAL) -> Entry | None:
        return await self._context.book.find_entry(
            request.terminal.terminal_id, request.de60.batch, request.stan, role
        )

    async def _answer_again(self, request: Request) -> Answer:
        """The first answer of a STAN that is taken, or 94.

        An entry that another process has in flight is waited for while the terminal waits.
        """
        give_up_at = request.started_at + self._context.limits.terminal_s
        pause_s = POLL_FIRST_S
        while True:
            entry = await self._find(request)
            if entry is None or entry.fingerprint != request.fingerprint:
                return Answer("94")
            if entry.state not in (State.RECEIVED, State.SENT):
                return Answer("94") if await self._is_undone(request, entry) else answer_of(entry)
            if self._context.monotonic() + pause_s > give_up_at:
                raise BookUncertain("the first request of this STAN has no outcome yet")
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, POLL_MAX_S)

    # --- sealing -----------------------------------------------------------------------------

    async def _seal(
        self, envelope: PosEnvelope, request: Message, answer: Answer, keys: Keys, now_ms: int
    ) -> bytes | None:
        stamp = self._context.calendar.stamp(now_ms)
        reply = build_reply(request, answer, stamp, is_known=bool(keys.tak))
        if keys.tak:
            reply.fields[64] = MAC_PLACEHOLDER
        raw = self._dialect.encode(reply)
        if keys.tak:
            terminal = self._context.terminals.get(request.get(41))
            if terminal is None:
                return None
            try:
                mac = await self._context.hsm.mac(
                    terminal.profile.mac, keys.tak, self._dialect.mac_input(raw)
                )
            except (HsmRefused, HsmUnavailable) as error:
                # Without a MAC the terminal would not believe the answer; silence makes it
                # reverse, which is safe.
                self._metrics.not_handled(error)
                log.warning("reply_not_sealed", reason=str(error))
                return None
            raw = self._dialect.with_mac(raw, mac)
        demand = answer.demand
        if demand is ProcessingDemand.NOTHING and self._asks_for_confirmation(request):
            demand = ProcessingDemand.UPLOAD_STATUS
        return FRAMING.encode(bytes(envelope.reply(demand)) + raw)

    def _asks_for_confirmation(self, request: Message) -> bool:
        terminal_id = request.get(41)
        if terminal_id in self._context.to_ask:
            return True
        batch = De60.parse(request.get(60)).batch
        return self._open_payments.asks(terminal_id, batch, request.get(11))


def _certain(outcome: Outcome) -> Answer:
    return outcome if isinstance(outcome, Answer) else Answer("94")
