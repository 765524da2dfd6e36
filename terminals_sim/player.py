"""Plays a scenario: each step one transaction, or a message bent on purpose, and its expectations.

Steps without ``set``, ``remove`` and ``mac`` go through the terminal as a customer's would. Others
are built by a copy of the terminal, bent, sent past its state, and only looked at: that is how
wrong MACs, old batches and repeated requests are made. The connection itself is ``link.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from acquirer.codecs.de59 import De59
from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import CodecError
from acquirer.codecs.instalments import InstalmentTerms
from acquirer.codecs.private_fields import De60
from acquirer.codecs.response_codes import APPROVING
from acquirer.codecs.tpdu import PosEnvelope, ProcessingDemand
from acquirer.config.estate import Estate
from acquirer.terminals_sim import identity as who
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.amounts import parse_amount
from acquirer.terminals_sim.cards import Presented, present
from acquirer.terminals_sim.client import TerminalClient
from acquirer.terminals_sim.errors import EstateError, LinkError, LocalRefusal, ScenarioError
from acquirer.terminals_sim.kinds import Kind
from acquirer.terminals_sim.link import Heard
from acquirer.terminals_sim.messages import DIALECT, Reply, Request, read_reply, seal
from acquirer.terminals_sim.results import Result
from acquirer.terminals_sim.scenario import (
    Mismatch,
    Observed,
    Scenario,
    Step,
    check,
    value_of,
    with_variables,
)
from acquirer.terminals_sim.terminal import Terminal

HEARD_MAX = 16
Builder = Callable[[Estate, Terminal, Step], Request]


def _card(estate: Estate, step: Step) -> Presented:
    return present(who.card(estate, step.card), step.entry, step.pin)


def _keyed(estate: Estate, step: Step) -> Presented:
    return present(who.card(estate, step.card), "keyed", step.pin or "")


def _shown(estate: Estate, step: Step) -> Presented | None:
    return _card(estate, step) if step.card else None


def _courier_sign_on(estate: Estate, terminal: Terminal, step: Step) -> Request:
    password = step.password
    if password is None:
        password = who.courier(estate, step.courier).password
    return terminal.courier_sign_on(step.courier, password)


def _order_pay(estate: Estate, terminal: Terminal, step: Step) -> Request:
    way = step.way or "card"
    shown = _card(estate, step) if way == "card" else None
    amount = parse_amount(step.amount)
    keyed = list(step.fields.values())
    return terminal.order_payment(step.order, amount, way, shown, step.courier, step.more, keyed)


def _order_query(estate: Estate, terminal: Terminal, step: Step) -> Request:
    part_minor = parse_amount(step.part) if step.part else 0
    return terminal.order_query(step.order, step.courier, step.items, part_minor)


ACTIONS: dict[str, tuple[Kind, Builder]] = {
    "sign-on": (kinds.SIGN_ON, lambda e, t, s: t.sign_on(s.code)),
    "sign-off": (kinds.SIGN_OFF, lambda e, t, s: t.sign_off()),
    "echo": (kinds.ECHO, lambda e, t, s: t.echo()),
    "balance": (kinds.BALANCE, lambda e, t, s: t.balance(_card(e, s))),
    "sale": (kinds.SALE, lambda e, t, s: t.sale(parse_amount(s.amount), _card(e, s))),
    "void": (kinds.VOID, lambda e, t, s: t.void(s.rrn, _shown(e, s))),
    "refund": (
        kinds.REFUND,
        lambda e, t, s: t.refund(parse_amount(s.amount), _card(e, s) if s.card else None, s.rrn),
    ),
    "instalment": (
        kinds.INSTALMENT,
        lambda e, t, s: t.instalment(
            parse_amount(s.amount), _card(e, s), InstalmentTerms(s.periods, s.plan, s.spread)
        ),
    ),
    "instalment-void": (
        kinds.INSTALMENT_VOID,
        lambda e, t, s: t.void(s.rrn, None, {kinds.INSTALMENT.name}),
    ),
    "qr": (kinds.QR, lambda e, t, s: t.qr(parse_amount(s.amount), s.code)),
    "moto": (kinds.MOTO, lambda e, t, s: t.moto(parse_amount(s.amount), _keyed(e, s), s.cvn2)),
    "offline": (
        kinds.OFFLINE_SALE,
        lambda e, t, s: t.offline_sale(parse_amount(s.amount), _card(e, s), s.code),
    ),
    "tip": (kinds.TIP, lambda e, t, s: t.tip(parse_amount(s.amount), s.rrn)),
    "pre-auth": (
        kinds.PREAUTH,
        lambda e, t, s: t.preauth(parse_amount(s.amount), _card(e, s)),
    ),
    "pre-auth-void": (kinds.PREAUTH_VOID, lambda e, t, s: t.preauth_void(s.rrn, _shown(e, s))),
    "complete": (
        kinds.COMPLETION,
        lambda e, t, s: t.completion(parse_amount(s.amount), s.rrn, _shown(e, s)),
    ),
    "complete-advice": (
        kinds.COMPLETION_ADVICE,
        lambda e, t, s: t.completion_advice(parse_amount(s.amount), s.rrn, _shown(e, s)),
    ),
    "complete-void": (
        kinds.COMPLETION_VOID,
        lambda e, t, s: t.completion_void(s.rrn, _shown(e, s)),
    ),
    "reverse": (kinds.REVERSAL, lambda e, t, s: t.reverse()),
    "courier-sign-on": (kinds.COURIER_SIGN_ON, _courier_sign_on),
    "courier-sign-off": (kinds.COURIER_SIGN_OFF, lambda e, t, s: t.courier_sign_off(s.courier)),
    "order-query": (kinds.ORDER_QUERY, _order_query),
    "order-pay": (kinds.ORDER_CARD, _order_pay),
    "order-confirm": (kinds.ORDER_CONFIRM, lambda e, t, s: t.order_confirm(s.order)),
    "order-sign": (kinds.ORDER_RECEIPT, lambda e, t, s: t.order_receipt(s.order, s.by)),
    "order-cancel": (kinds.ORDER_CANCEL, lambda e, t, s: t.order_cancel(s.order)),
    "order-cancel-confirm": (
        kinds.ORDER_CANCEL_CONFIRM,
        lambda e, t, s: t.order_cancel_confirm(s.order),
    ),
    "order-exception": (
        kinds.ORDER_EXCEPTION,
        lambda e, t, s: t.order_exception(s.order, s.reason, s.text),
    ),
}


@dataclass(frozen=True, slots=True)
class StepReport:
    """How one step went; ``mismatch`` is None where all held."""

    number: int
    step: Step
    terminal_id: str
    observed: Observed
    mismatch: Mismatch | None


class Player:
    """Plays the steps of one scenario over clients that the caller opened.

    Args:
        estate: cards and couriers by name.
        clients: the scenario's terminals by name, in the file's order.
    """

    def __init__(self, estate: Estate, clients: dict[str, TerminalClient]) -> None:
        self._estate = estate
        self._clients = clients
        self._last: dict[str, Request] = {}
        self.variables: dict[str, str] = {}

    async def play(
        self, scenario: Scenario, tell: Callable[[StepReport], None] | None = None
    ) -> list[StepReport]:
        """Play until the end or the first step that fails, whose report is then the last.

        Args:
            scenario: its steps.
            tell: is called after each step.

        Raises:
            ScenarioError: a step that cannot be played; the text names it.
        """
        reports: list[StepReport] = []
        for number, step in enumerate(scenario.steps, 1):
            try:
                reports.append(await self._step(number, step))
            except (EstateError, ScenarioError, ValueError, LinkError) as error:
                raise ScenarioError(f"step {number} ({step.do}): {error}") from None
            if tell:
                tell(reports[-1])
            if reports[-1].mismatch is not None:
                break
        return reports

    async def _step(self, number: int, raw: Step) -> StepReport:
        name = raw.terminal or next(iter(self._clients))
        client = self._clients[name]
        step = with_variables(raw, self.variables)
        observed = await self._observe(name, client, step)
        mismatch = check(step, observed)
        for variable, key in step.capture.items():
            self.variables[variable] = value_of(key, observed)
        return StepReport(number, step, client.terminal.identity.terminal_id, observed, mismatch)

    async def _observe(self, name: str, client: TerminalClient, step: Step) -> Observed:
        if step.do == "hang-up":
            await client.link.close()
            return Observed("none", "approved", state=client.state)
        if step.do == "raw":
            return await _send_raw(client, step)
        if step.do == "repeat":
            if name not in self._last:
                raise ScenarioError("this terminal has sent nothing that could be repeated")
            return await _send_bent(client, self._last[name], step)
        if step.do not in ACTIONS:
            known = ", ".join((*ACTIONS, "repeat", "raw", "hang-up"))
            raise ScenarioError(f"no such action; there are {known}")
        try:
            if step.crafted:
                request = self._bend(client, step)
                self._last[name] = request
                return await _send_bent(client, request, step)
            result = await self._usual(client, step)
        except LocalRefusal as error:
            return Observed("none", "refused", state=client.state, reason=str(error))
        if client.last_request is not None:
            self._last[name] = client.last_request
        return _of_result(result, client)

    async def _usual(self, client: TerminalClient, step: Step) -> Result:
        kind, build = ACTIONS[step.do]
        if step.do == "order-pay" and not step.amount:
            shown = who.card(self._estate, step.card) if step.card else None
            return await client.pay_order(
                step.order,
                step.way,
                shown,
                entry=step.entry,
                pin=step.pin,
                courier_id=step.courier,
                more=step.more,
                fields=step.fields,
            )
        return await client.perform(kind, lambda: build(self._estate, client.terminal, step))

    def _bend(self, client: TerminalClient, step: Step) -> Request:
        copy = Terminal(client.terminal.identity, client.state)
        request = ACTIONS[step.do][1](self._estate, copy, step)
        if "11" not in step.set and request.stan == client.state.stan:
            client.terminal.state = client.state.with_stan_taken()
        return bent(request, step, client.terminal.identity.encoding)


def bent(request: Request, step: Step, encoding: str) -> Request:
    """The request as a step wants it: values set, fields removed, MAC good, wrong or absent.

    Args:
        request: what the terminal would have sent.
        step: ``set`` has data elements, ``60.n``, ``59.TAG``, ``mti``, ``tpdu`` and ``header``.
        encoding: character set of DE59.

    Raises:
        ScenarioError: ``set`` names something else.
        LocalFormatError: a value that the dialect cannot hold.
    """
    message, envelope = request.message, request.envelope
    for key, value in step.set.items():
        number, _, part = key.partition(".")
        if key == "mti":
            message.mti = value
        elif key == "tpdu":
            envelope = PosEnvelope(bytes.fromhex(value), envelope.header)
        elif key == "header":
            envelope = PosEnvelope(envelope.tpdu, bytes.fromhex(value))
        elif number.isdigit() and not part:
            message.fields[int(number)] = value
        elif number == "60" and part in tuple("1234567"):
            digits = De60.parse(message.get(60))
            name = De60.__struct_fields__[int(part) - 1]
            message.fields[60] = msgspec.structs.replace(digits, **{name: value}).format()
        elif number == "59" and len(part) == 2:
            items = dict(De59.parse(message.binary(59)).items)
            built: dict[str, str | bytes] = {**items, part: value}
            message.fields[59] = De59.build(built, encoding).hex
        else:
            raise ScenarioError(f"a request has no {key!r} to set")
    for absent in (*step.remove, *((64,) if step.mac == "none" else ())):
        message.fields.pop(absent, None)
    changed = replace(request, envelope=envelope)
    seal(changed)
    if step.mac == "wrong" and 64 in message.fields:
        last = message.raw[-1] ^ 1
        message.raw = message.raw[:-1] + bytes([last])
    return changed


async def _send_bent(client: TerminalClient, request: Request, step: Step) -> Observed:
    await client.link.open(client.timeout_s)
    await client.link.send(request.frame)
    return await _hear(client, step, lambda frame: read_reply(request, frame))


async def _send_raw(client: TerminalClient, step: Step) -> Observed:
    raw = bytes.fromhex(step.hex)
    await client.link.open(client.timeout_s)
    if step.framed:
        await client.link.send(raw)
    else:
        await client.link.send_bytes(raw)
    return await _hear(client, step, _any_reply)


async def _hear(
    client: TerminalClient, step: Step, accept: Callable[[bytes], Reply | None]
) -> Observed:
    wanted = step.expect.get("answer", "yes")
    timeout_s = client.timeout_s if wanted == "yes" else step.wait_s
    heard = Heard((), closed=False)
    for _ in range(HEARD_MAX):
        heard = await client.link.listen(timeout_s)
        for frame in heard.frames:
            reply = accept(frame)
            if reply is not None:
                return _of_reply(reply, client)
        if not heard.frames:
            break
    await client.link.close()
    answer: Literal["none", "close"] = "close" if heard.closed else "none"
    return Observed(answer, "no_answer", state=client.state)


def _any_reply(frame: bytes) -> Reply | None:
    try:
        envelope, raw = PosEnvelope.split(frame)
        message = load_dialect(DIALECT).decode(raw)
    except CodecError:
        return None
    return Reply(message, envelope.processing_demand, "none")


def _of_reply(reply: Reply, client: TerminalClient) -> Observed:
    approved = reply.response_code in APPROVING
    return Observed(
        "yes",
        "approved" if approved else "declined",
        reply.message,
        reply.mac,
        reply.demand,
        faults=reply.faults,
        state=client.state,
        encoding=client.terminal.identity.encoding,
    )


def _of_result(result: Result, client: TerminalClient) -> Observed:
    demand = result.demand if result.reply else ProcessingDemand.NOTHING
    return Observed(
        "yes" if result.reply else "none",
        result.outcome,
        result.reply,
        result.mac,
        demand,
        result.reversed,
        result.faults,
        client.state,
        client.terminal.identity.encoding,
        "" if result.reply else result.message,
    )
