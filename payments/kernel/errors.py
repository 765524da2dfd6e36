"""What can go wrong in a payment, sorted by who must act, and the one table to response codes.

A decline is a value, not one of these. Format errors of the peer come from ``codecs``, refusals
of the database from ``ledger``.
"""

from __future__ import annotations

import structlog

from acquirer.codecs.errors import CodecError, RemoteFormatError
from acquirer.codecs.response_codes import ResponseCode
from acquirer.ledger.errors import BookBusy, BookError, BookUnavailable, LedgerError, UnitRefused
from acquirer.routing.errors import RoutingError

log = structlog.get_logger("acquirer.switch")


class SwitchError(Exception):
    """Root of this folder's errors."""


class HsmUnavailable(SwitchError):
    """No security module answers in time: the network or the module must be mended."""


class HsmOtherLmk(HsmUnavailable):
    """The modules that answer are under another local master key than the books' data key."""


class HsmRefused(SwitchError):
    """The security module refused a command.

    Attributes:
        command: the two-character command code.
        code: the module's two-character error code.
    """

    def __init__(self, command: str, code: str) -> None:
        super().__init__(f"the security module refused {command} with error {code}")
        self.command = command
        self.code = code


class CardUnreadable(SwitchError):
    """A stored card number does not open: its row was altered, or the key is another."""


class InvalidCommand(SwitchError):
    """Whoever asked must ask otherwise: a value is missing, or is not what the merchant wants."""


# Error → response code of the answer. A PIN block that does not open counts as the terminal's
# fault (99), every other refusal of the module as failed security processing (A7).
PIN_BLOCK_CODES = frozenset({"20", "22", "23", "24", "69"})
# Refusals of a key: its parity is wrong, no such LMK, it is no key block, or not one of this LMK.
KEY_CODES = frozenset({"10", "11", "13", "A1", "A4"})


def response_code_for(error: Exception) -> str:
    """The response code for an error that ended a transaction before it was recorded.

    Raises:
        Exception: ``error`` itself, where no table row covers it: a bug must not look like a
            decline.
    """
    if isinstance(error, RemoteFormatError | InvalidCommand):
        return ResponseCode.FORMAT_ERROR
    if isinstance(error, HsmRefused):
        return (
            ResponseCode.PIN_FORMAT
            if error.code in PIN_BLOCK_CODES
            else ResponseCode.SECURITY_FAILED
        )
    if isinstance(error, HsmUnavailable | BookBusy | BookUnavailable):
        return ResponseCode.SWITCH_FAULT
    raise error


def reason_of(error: Exception) -> str:
    """Why one item of a queue cannot be worked on, for operators; without card data.

    Raises:
        BookError: ``error`` itself, where it is the database that has a fault and not the item.
    """
    if isinstance(error, BookError) and not isinstance(error, UnitRefused):
        raise error
    if isinstance(error, SwitchError | LedgerError | CodecError | RoutingError):
        return str(error).encode("utf-8", "backslashreplace").decode()
    log.error("item_failed", exc_info=error)
    return f"an error of the program, {type(error).__name__}; the log has it"
