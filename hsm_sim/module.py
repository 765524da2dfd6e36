"""The security module: request bytes in, reply bytes out.

Frames belong to :mod:`acquirer.hsm_sim.server`; what a command does stands in
``commands/<family>.py``, found by the table in ``commands/__init__.py``. Nothing here awaits, and
:meth:`SecurityModule.execute` never raises.
"""

from __future__ import annotations

import secrets
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping

import structlog

from acquirer.config.log_limit import LogLimit
from acquirer.hsm_sim.body import Body
from acquirer.hsm_sim.commands import COMMANDS, Advisory, Command, Handler, chain
from acquirer.hsm_sim.crypto.errors import KeyLengthError, PinBlockError
from acquirer.hsm_sim.errors import Refusal
from acquirer.hsm_sim.key_block_lmk import TEST_AES_LMK, TEST_TDES_LMK, KeyBlockLmk
from acquirer.hsm_sim.lmk import TEST_VARIANT_PAIRS, LocalMasterKey, VariantLmk
from acquirer.hsm_sim.pin_policy import PinTries
from acquirer.hsm_sim.state import ModuleState, Settings
from acquirer.hsm_sim.utilisation import Utilisation

log = structlog.get_logger("acquirer.hsm_sim")

PIN_VERIFYING = frozenset(("BC", "BE", "CK", "CU", "DA", "DC", "DU", "EA", "EC", "GO", "GQ", "GS"))
"""Commands whose 01 says that a PIN was wrong."""


TEST_LMK_NOTE = (
    "published keys: never for money; under them every activity with keys and data is authorised "
    "for whoever connects"
)
REPLY_CHARACTERS_MAX = 0xFFFF
"""What a frame can carry; a longer reply becomes error 80."""

LATENCY_BOUNDS_S = (10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3)
"""Upper bounds of the latency histogram's buckets; one more bucket holds what is slower."""


class CommandCount:
    """How often a command was called, how often it ended with an error code, how long it took.

    Attributes:
        calls: requests.
        errors: replies with another error code than 00, advisories apart.
        seconds: time spent, all calls together.
        buckets: calls by latency, one number for each of :data:`LATENCY_BOUNDS_S` and one more.
    """

    __slots__ = ("buckets", "calls", "errors", "seconds")

    def __init__(self) -> None:
        self.calls = 0
        self.errors = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(LATENCY_BOUNDS_S) + 1)

    def took(self, seconds: float) -> None:
        """Count a call's latency."""
        self.seconds += seconds
        self.buckets[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1

    def __repr__(self) -> str:
        return f"<CommandCount {self.calls} calls, {self.errors} errors>"


class _Entry:
    """A command with what each call of it needs at hand."""

    __slots__ = ("count", "handler", "reply", "reply_ok")

    def __init__(self, code: str, command: Command) -> None:
        self.handler = command.handler
        self.reply = reply_code(code)
        self.reply_ok = self.reply + "00"
        self.count = CommandCount()


class SecurityModule:
    """A payShield-compatible security module in software.

    Attributes:
        state: LMKs, settings, authorised state.
        commands: what it can do: the table it was given, and NK.
        counts: per command code; plain integers, read them at any time.
        unknown_count: requests with an unknown command.
        last_refusal: why the last refused request was refused.
    """

    def __init__(
        self,
        lmks: Mapping[str, LocalMasterKey],
        *,
        default_lmk: str = "00",
        settings: Settings | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
        commands: Mapping[str, Command] = COMMANDS,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
        old_lmks: Mapping[str, LocalMasterKey] | None = None,
    ) -> None:
        chosen = settings or Settings()
        self.state = ModuleState(lmks, default_lmk, chosen, random, now, old_lmks)
        self._header_length = self.state.settings.header_length
        self._clock = clock
        chained = Command(chain.TITLE, chain.chain(self._execute, self._header_length))
        self.commands = {**commands, chain.CODE: chained}
        self._entries = {code: _Entry(code, command) for code, command in self.commands.items()}
        if chosen.pin_tries_max:
            tries = PinTries(chosen.pin_tries_max, chosen.pin_tries_window_s, now)
            for code in PIN_VERIFYING & self._entries.keys():
                self._entries[code].handler = _watched(self._entries[code].handler, tries)
        self.counts = {code: entry.count for code, entry in self._entries.items()}
        self.state.utilisation = self._utilisation = Utilisation(self.counts, wall)
        self.unknown_count = 0
        self.last_refusal: Refusal | None = None
        self._now = now
        self._log_limit = LogLimit()
        for lmk_id, lmk in lmks.items():
            if lmk.is_test:
                log.warning("hsm_test_lmk", lmk_id=lmk_id, note=TEST_LMK_NOTE)

    @classmethod
    def with_test_lmks(
        cls,
        settings: Settings | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
        default_lmk: str = "00",
    ) -> SecurityModule:
        """A module with the published test LMKs: 00 variant, 01 TDES and 02 AES key block.

        Raises:
            HsmConfigError: the settings do not allow test LMKs, or there is no such default.
        """
        chosen = settings or Settings(test_lmk=True)
        lmks = published_lmks(chosen, random)
        return cls(
            lmks,
            default_lmk=default_lmk,
            settings=chosen,
            random=random,
            old_lmks=published_old_lmks(lmks),
        )

    def execute(self, request: bytes) -> bytes:
        """Carry out one host command.

        Args:
            request: message header, command code and body, without the frame's length.

        Returns:
            The same header, reply code, error code and fields, and the request's trailer.
        """
        return self.execute_text(request.decode("latin-1")).encode("latin-1")

    def execute_text(self, request: str) -> str:
        """:meth:`execute` with request and reply as Latin-1 text, one character a byte."""
        reply = self._execute(request, self._header_length)
        if len(reply) > REPLY_CHARACTERS_MAX:
            head = self._header_length + 2
            return reply[:head] + "80"
        return reply

    def _execute(self, text: str, size: int) -> str:
        """Carry out a request whose header has ``size`` characters."""
        entry = self._entries.get(text[size : size + 2])
        if entry is None:
            return self._unknown(text, size)
        count = entry.count
        count.calls += 1
        body = Body(text, size + 2, self.state)
        clock = self._clock
        started = clock()
        try:
            fields = entry.handler(body)
        except Refusal as refusal:
            return self._refused(text, size, entry, body, refusal)
        except PinBlockError as refusal:
            return self._refused(text, size, entry, body, Refusal(refusal.code, str(refusal)))
        except KeyLengthError as refusal:
            return self._refused(text, size, entry, body, Refusal("27", str(refusal)))
        except Exception as fault:
            return self._refused(text, size, entry, body, self._internal(fault))
        finally:
            seconds = clock() - started
            count.took(seconds)
            self._utilisation.took(seconds)
        if type(fields) is Advisory:
            return text[:size] + entry.reply + fields.code + fields.fields + body.trailer
        return f"{text[:size]}{entry.reply_ok}{fields}{body.trailer}"

    def _unknown(self, text: str, size: int) -> str:
        self.unknown_count += 1
        code = text[size : size + 2]
        if len(code) < 2:
            return text[:size] + "51"
        body = Body(text, size + 2, self.state)
        body.echo_trailer()
        self._tell(log.info, "hsm_unknown_command", command=repr(code))
        return text[:size] + reply_code(code) + "68" + body.trailer

    def _refused(self, text: str, size: int, entry: _Entry, body: Body, refusal: Refusal) -> str:
        entry.count.errors += 1
        self._utilisation.refused_accounts += refusal.code == "39"
        # A copy: the one that was raised keeps the command's frames, and clear keys in them.
        self.last_refusal = Refusal(refusal.code, refusal.reason, refusal.fields)
        body.echo_trailer()
        self._tell(
            log.info,
            "hsm_refused",
            command=text[size : size + 2],
            code=refusal.code,
            reason=refusal.reason,
        )
        return text[:size] + entry.reply + refusal.code + refusal.fields + body.trailer

    def _internal(self, fault: Exception) -> Refusal:
        """An internal error; its message stays out of the log, for it may hold clear data."""
        frame = sys.exc_info()[2]
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame is not None else "?"
        self._tell(log.error, "hsm_internal_error", error=type(fault).__name__, place=place)
        return Refusal("41", f"internal error: {type(fault).__name__} in {place}")

    def _tell(self, write: Callable[..., object], event: str, **facts: str) -> None:
        """Write a line that a client can cause, but not more than a few a second."""
        left_out = self._log_limit.take(self._now())
        if left_out is not None:
            write(event, **facts, left_out=left_out)

    def __repr__(self) -> str:
        return f"<SecurityModule with LMKs {', '.join(sorted(self.state.lmks))}>"


def published_lmks(
    settings: Settings, random: Callable[[int], bytes] = secrets.token_bytes
) -> dict[str, LocalMasterKey]:
    """The published test LMKs by their ids."""
    longest = settings.pin_digits_max
    return {
        "00": VariantLmk(
            TEST_VARIANT_PAIRS,
            pci_key_separation=settings.pci_key_separation,
            pin_digits_max=longest,
        ),
        "01": KeyBlockLmk(TEST_TDES_LMK, "01", pin_digits_max=longest, random=random),
        "02": KeyBlockLmk(TEST_AES_LMK, "02", pin_digits_max=longest, random=random),
    }


def published_old_lmks(lmks: Mapping[str, LocalMasterKey]) -> dict[str, LocalMasterKey]:
    """Which published LMK is the old one of which: 00 of 01 and 02."""
    return dict.fromkeys(("01", "02"), lmks["00"])


def _watched(handler: Handler, tries: PinTries) -> Handler:
    """A command that verifies PINs, with wrong ones counted by account."""

    def handle(body: Body) -> str | Advisory:
        body.account_check = tries.check
        try:
            fields = handler(body)
        except Refusal as refusal:
            if refusal.code == "01":
                tries.wrong(body.account_number)
            raise
        tries.right(body.account_number)
        return fields

    return handle


def reply_code(code: str) -> str:
    """The reply's code: the command's with its second character plus one.

    >>> reply_code("CC")
    'CD'
    """
    return code[0] + chr((ord(code[1]) + 1) & 0xFF)
