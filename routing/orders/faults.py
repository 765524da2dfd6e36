"""What an order system does wrong: one log event and one count for each, whichever way it speaks.

An operator and the system's builder learn from it which merchant's orders suffer, what the switch
had asked or told, and which member of the answer is at fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
import structlog

from acquirer.routing.orders.adapter import (
    Delivery,
    NotOpened,
    OrderReply,
    OrderSystemDown,
    OrderSystemSilent,
    Rejected,
)

_log = structlog.get_logger("acquirer.orders")

REASON_CHARACTERS_MAX = 200
Call = Literal["query", "opening", "event"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an order system did wrong.

    Attributes:
        system: its name in the configuration; empty where none serves the order.
        call: what the switch had sent.
        fault: ``silent`` no answer in time; ``answer`` one against the contract; ``down`` any
            other; ``not_taken`` an event that it did not take.
        member: of the answer, or empty where it is not about one.
        got: what was sent there, as it may be shown.
    """

    system: str
    merchant_id: str
    order_no: str
    call: Call
    fault: Literal["silent", "answer", "down", "not_taken"]
    reason: str
    member: str = ""
    got: str = ""


Told = Callable[[Fault], None]


def fault_of(
    system: str,
    merchant_id: str,
    order_no: str,
    call: Call,
    outcome: OrderReply | NotOpened | Delivery,
) -> Fault | None:
    """What is wrong with an outcome, or None. Pure."""
    fault: Literal["silent", "answer", "down", "not_taken"]
    member, got = "", ""
    if isinstance(outcome, OrderSystemSilent):
        fault, reason = "silent", "no answer in time"
    elif isinstance(outcome, OrderSystemDown):
        fault, reason = "answer" if outcome.member else "down", outcome.reason
        member, got = outcome.member, outcome.got
    elif isinstance(outcome, Rejected):
        fault, reason = "not_taken", outcome.reason
    else:
        return None
    return Fault(
        system=system,
        merchant_id=merchant_id,
        order_no=order_no,
        call=call,
        fault=fault,
        reason=reason[:REASON_CHARACTERS_MAX],
        member=member,
        got=got,
    )


def log_fault(fault: Fault) -> None:
    """One line of the log; members that do not apply are left out."""
    members = {name: text for name, text in msgspec.structs.asdict(fault).items() if text}
    _log.warning("order_system_fault", **members)
