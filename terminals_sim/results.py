"""What a transaction came to, as a frozen value for callers, the command line and load runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import CodecError
from acquirer.codecs.instalments import Repayment
from acquirer.codecs.message import Message
from acquirer.codecs.order_codes import STATUS_TEXTS
from acquirer.codecs.private_fields import Balance, parse_balances
from acquirer.codecs.response_codes import in_words
from acquirer.codecs.shown_text import one_line
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.terminals_sim.kinds import INSTALMENT, ORDER_QUERY
from acquirer.terminals_sim.messages import Reply, Request

Outcome = Literal["approved", "declined", "invalid", "no_answer", "unsent"]


@dataclass(frozen=True, slots=True)
class OrderView:
    """What the switch says of an order: DE59 of its reply.

    Attributes:
        amount_minor: DE4, what is due; None where the reply has none.
        status: ``OS``; ``pay_ways``: ``OW``; ``text``: ``OT`` by lines; ``reference``: ``OP``.
        asks: ``OI``, the names of what is to be keyed in before a payment.
        order_no: ``ON``; a part's number where a part was asked for.
    """

    amount_minor: int | None
    status: str = ""
    pay_ways: str = ""
    text: tuple[str, ...] = ()
    reference: str = ""
    asks: tuple[str, ...] = ()
    order_no: str = ""

    @property
    def status_in_words(self) -> str:
        """The status as a terminal shows it."""
        return STATUS_TEXTS.get(self.status, self.status)


@dataclass(frozen=True, slots=True)
class Result:
    """One transaction's end as the terminal sees it.

    Attributes:
        kind: the row of the table, such as ``sale``.
        outcome: ``approved``; ``declined``; ``invalid`` for a reply that must not be believed;
            ``no_answer``; ``unsent`` where nothing left the terminal.
        message: one line for people.
        reversed: whether a reversal of it was sent and acknowledged.
        order_no: the order that a shop's till has opened.
        fetched: what a download brought, an item or a page each.
        repayment: what an instalment costs the card's holder; None where it brings nothing such.
        faults: what breaks the interface in the reply.
        issuer: of a chip's request, whether the card found its issuer's answer ``right``,
            ``wrong`` or ``absent``; else empty.
        reply: the decoded reply, whose ``repr`` masks; None where there was none.
    """

    kind: str
    outcome: Outcome
    stan: str = ""
    batch: str = ""
    amount_minor: int = 0
    response_code: str = ""
    rrn: str = ""
    approval_code: str = ""
    message: str = ""
    reversed: bool = False
    demand: ProcessingDemand = ProcessingDemand.NOTHING
    mac: str = "none"
    faults: tuple[str, ...] = ()
    balances: tuple[Balance, ...] = ()
    order: OrderView | None = None
    order_no: str = ""
    repayment: Repayment | None = None
    fetched: tuple[bytes, ...] = ()
    issuer: str = ""
    reply: Message | None = field(default=None, repr=False)

    @property
    def approved(self) -> bool:
        """Whether the terminal may print a receipt."""
        return self.outcome == "approved"

    @property
    def answered(self) -> bool:
        """Whether the switch answered at all, believably or not."""
        return self.outcome not in ("no_answer", "unsent")


def from_reply(request: Request, reply: Reply, outcome: Outcome, encoding: str) -> Result:
    """The result of an answered request; texts that cannot be read count as absent."""
    message = reply.message
    amount = message.get(4) or request.message.get(4)
    try:
        balances = parse_balances(message.get(54))
    except CodecError:
        balances = ()
    return Result(
        kind=request.kind.name,
        outcome=outcome,
        stan=request.stan,
        batch=(message.get(60) or request.message.get(60))[2:8],
        amount_minor=int(amount or 0),
        response_code=reply.response_code,
        rrn=message.get(37).strip(),
        approval_code=message.get(38).strip(),
        message=_line(reply, outcome),
        demand=reply.demand,
        mac=reply.mac,
        faults=reply.faults,
        balances=balances,
        order=_order(request, message, encoding),
        repayment=_repayment(request, message),
        reply=message,
    )


def unanswered(request: Request) -> Result:
    """The result of a request that no reply came for."""
    return Result(
        kind=request.kind.name,
        outcome="no_answer",
        stan=request.stan,
        batch=request.batch,
        amount_minor=int(request.message.get(4) or 0),
        message="no answer",
    )


def unsent(kind: str, reason: str) -> Result:
    """The result of a request that never left."""
    return Result(kind=kind, outcome="unsent", message=reason)


def _line(reply: Reply, outcome: Outcome) -> str:
    words = in_words(reply.response_code)
    if outcome == "invalid":
        reasons = list(reply.faults) or ["the MAC is not good"]
        return f"not believed ({'; '.join(reasons)}): {words}"
    return words


def _repayment(request: Request, message: Message) -> Repayment | None:
    if request.kind != INSTALMENT:
        return None
    try:
        return Repayment.parse(message.binary(62).decode("latin-1"))
    except CodecError:
        return None


def _order(request: Request, message: Message, encoding: str) -> OrderView | None:
    if not message.get(59) and request.kind != ORDER_QUERY:
        return None
    amount = int(message.get(4)) if message.get(4) else None
    try:
        items = De59.parse(message.binary(59))
        return OrderView(
            amount,
            items.text("OS", encoding),
            items.text("OW", encoding),
            tuple(one_line(items.text("OT", encoding)).split("|")) if "OT" in items else (),
            one_line(items.text("OP", encoding)),
            tuple(one_line(items.text("OI", encoding)).split("|")) if "OI" in items else (),
            items.text("ON", encoding),
        )
    except CodecError:
        return OrderView(amount)
