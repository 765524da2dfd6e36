"""Scenario files: what a scripted exchange says, and whether an answer is what it expects. Pure.

A scenario is a TOML file: ``title``, ``[[terminals]]`` (name, tid), ``[[steps]]``. ``player.py``
plays it. Source: docs/terminals.md, "Scenarios".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from acquirer.codecs.de59 import De59
from acquirer.codecs.errors import CodecError
from acquirer.codecs.masking import mask_field
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60, De61
from acquirer.codecs.response_codes import in_words
from acquirer.codecs.tpdu import ProcessingDemand
from acquirer.config.loading import load
from acquirer.terminals_sim.amounts import format_amount
from acquirer.terminals_sim.errors import ScenarioError
from acquirer.terminals_sim.state import TerminalState

STEPS_MAX = 1000
Value = str | bool | int | list[str]

ALIASES = {
    "response_code": "39",
    "rrn": "37",
    "approval_code": "38",
    "stan": "11",
    "local_time": "12",
    "local_date": "13",
}
WORDS = frozenset(
    {
        "answer",
        "outcome",
        "mac",
        "mti",
        "demand",
        "reversed",
        "faults",
        "amount",
        "journal",
        "batch",
        "open_orders",
    }
)
_DECIDES = frozenset({"answer", "outcome", "response_code", "39"})
_FIELD = re.compile(r"[0-9]{1,3}(\.[A-Za-z0-9]{1,2})?")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DE60 = De60.__struct_fields__
_DE61 = tuple(De61.__dataclass_fields__)


class ScenarioTerminal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A terminal of a scenario: ``tid`` of the estate, and the name that steps use."""

    tid: str
    name: str = ""
    follow_demands: bool = True


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step; which keys an action reads stands in ``docs/terminals.md``."""

    do: str
    terminal: str = ""
    note: str = ""
    amount: str = ""
    card: str = ""
    pin: str | None = None
    entry: Literal["stripe", "chip", "contactless", "keyed"] = "stripe"
    order: str = ""
    items: str = ""
    part: str = ""
    more: list[str] = []
    fields: dict[str, str] = {}
    way: str = ""
    courier: str = ""
    password: str | None = None
    by: str = ""
    reason: str = ""
    text: str = ""
    rrn: str = ""
    code: str = "003"
    plan: str = ""
    periods: int = 0
    spread: bool = False
    cvn2: str = ""
    hex: str = ""
    framed: bool = True
    set: dict[str, str] = {}
    remove: list[int] = []
    mac: Literal["good", "wrong", "none"] = "good"
    wait_s: float = 1.0
    expect: dict[str, Value] = {}
    capture: dict[str, str] = {}

    @property
    def crafted(self) -> bool:
        """Whether the message is to differ from what the terminal would send by itself."""
        return bool(self.set or self.remove or self.mac != "good")


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file."""

    title: str
    terminals: list[ScenarioTerminal]
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Observed:
    """What one step brought.

    Attributes:
        answer: ``yes``, ``none`` or ``close``.
        outcome: of the terminal's own judgement, or approved/declined by DE39.
        encoding: character set of DE59.
    """

    answer: Literal["yes", "none", "close"]
    outcome: str = ""
    reply: Message | None = field(default=None, repr=False)
    mac: str = "none"
    demand: ProcessingDemand = ProcessingDemand.NOTHING
    reversed: bool = False
    faults: tuple[str, ...] = ()
    state: TerminalState | None = field(default=None, repr=False)
    encoding: str = "gb18030"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first expectation that did not hold; ``got`` is masked."""

    key: str
    expected: str
    got: str

    def __str__(self) -> str:
        name = f"field {self.key}" if _FIELD.fullmatch(self.key) else self.key
        return f"{name}: expected {self.expected}, got {self.got}"


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ConfigError: the file cannot be read, or has a key that is missing, unknown or wrong.
        ScenarioError: it names an unknown terminal or expectation; the text names the step.
    """
    scenario = load(path, Scenario)
    if not scenario.terminals or not 0 < len(scenario.steps) <= STEPS_MAX:
        raise ScenarioError(f"{path}: needs a terminal and 1 to {STEPS_MAX} steps")
    names = {terminal.name or terminal.tid for terminal in scenario.terminals}
    for number, step in enumerate(scenario.steps, 1):
        where = f"{path}: step {number} ({step.do})"
        if step.terminal and step.terminal not in names:
            raise ScenarioError(f"{where}: no terminal {step.terminal!r} in this scenario")
        for key in (*step.expect, *step.capture.values()):
            if key not in WORDS and key not in ALIASES and not _FIELD.fullmatch(key):
                raise ScenarioError(f"{where}: nothing is called {key!r}")
    return scenario


def substitute(text: str, variables: dict[str, str]) -> str:
    """``text`` with every ``${name}`` replaced by what was captured.

    Raises:
        ScenarioError: nothing of this name was captured before.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in variables:
            raise ScenarioError(f"nothing was captured as ${{{found[1]}}}")
        return variables[found[1]]

    return _VARIABLE.sub(value, text)


def with_variables(step: Step, variables: dict[str, str]) -> Step:
    """The step with captured values in the place of their names.

    Raises:
        ScenarioError: a name that nothing was captured as.
    """
    changes: dict[str, str] = {
        name: substitute(value, variables)
        for name in step.__struct_fields__
        if isinstance(value := getattr(step, name), str)
    }
    expect = {
        key: substitute(value, variables) if isinstance(value, str) else value
        for key, value in step.expect.items()
    }
    overrides = {key: substitute(value, variables) for key, value in step.set.items()}
    fields = {key: substitute(value, variables) for key, value in step.fields.items()}
    more = [substitute(value, variables) for value in step.more]
    changed = msgspec.structs.replace(step, **changes)
    return msgspec.structs.replace(changed, expect=expect, set=overrides, fields=fields, more=more)


def value_of(key: str, observed: Observed) -> str:
    """What an expectation's key stands for in what was observed; empty where it is absent."""
    key = ALIASES.get(key, key)
    state, reply = observed.state, observed.reply
    match key:
        case "answer":
            return observed.answer
        case "outcome":
            return observed.outcome
        case "mac":
            return observed.mac
        case "demand":
            return str(int(observed.demand))
        case "reversed":
            return "true" if observed.reversed else "false"
        case "faults":
            return "; ".join(observed.faults)
        case "batch":
            return state.batch if state else ""
        case "journal":
            return state.journal[-1].state if state and state.journal else ""
        case "open_orders":
            return " ".join(order.order_no for order in state.open_orders) if state else ""
    if reply is None:
        return ""
    if key == "mti":
        return reply.mti
    if key == "amount":
        return format_amount(int(reply.get(4))) if reply.get(4) else ""
    number, _, part = key.partition(".")
    if not part:
        return reply.get(int(number)).strip()
    return _part(int(number), part, reply, observed.encoding)


def _part(number: int, part: str, reply: Message, encoding: str) -> str:
    try:
        if number == 59:
            return De59.parse(reply.binary(59)).text(part, encoding)
        if number == 60 and part in "1234567":
            return str(getattr(De60.parse(reply.get(60)), _DE60[int(part) - 1]))
        if number == 61 and part in "12345":
            return str(getattr(De61.parse(reply.get(61)), _DE61[int(part) - 1]))
    except CodecError as error:
        return f"[{error}]"
    raise ScenarioError(f"field {number} has no part {part!r} here")


def check(step: Step, observed: Observed) -> Mismatch | None:
    """The first expectation that does not hold, or None.

    A step that expects neither an answer, an outcome nor a response code must be approved.
    """
    expect: dict[str, Value] = dict(step.expect)
    if _DECIDES.isdisjoint(expect):
        expect = {"outcome": "approved", **expect}
    for key, expected in expect.items():
        got = value_of(key, observed)
        if not _holds(expected, got):
            return Mismatch(key, _shown(key, expected), _got(key, got, observed))
    return None


def _holds(expected: Value, got: str) -> bool:
    if isinstance(expected, list):
        return any(_holds(one, got) for one in expected)
    if isinstance(expected, bool):
        return got == ("true" if expected else "false")
    text = str(expected)
    if text == "*":
        return bool(got)
    if text == "-":
        return not got
    if len(text) > 2 and text[0] == text[-1] == "/":
        return re.fullmatch(text[1:-1], got) is not None
    return got == text


def _shown(key: str, expected: Value) -> str:
    if isinstance(expected, list):
        return " or ".join(_shown(key, one) for one in expected)
    if isinstance(expected, bool):
        return "true" if expected else "false"
    words = {"*": "anything", "-": "nothing"}.get(str(expected))
    return words or _quoted(key, str(expected))


def _got(key: str, got: str, observed: Observed) -> str:
    text = _quoted(key, got) if got else "nothing"
    if key in ("outcome", "answer") and observed.reply is not None:
        code = observed.reply.get(39)
        text += f" with response code {_quoted('39', code)}" if code else ""
    if observed.faults and key in ("outcome", "faults"):
        text += f" ({'; '.join(observed.faults)})"
    return text + (f" ({observed.reason})" if observed.reason else "")


def _quoted(key: str, value: str) -> str:
    number = ALIASES.get(key, key).partition(".")[0]
    shown = mask_field(int(number), value) if number.isdigit() and number != "62" else value
    words = in_words(value) if number == "39" else ""
    return f"{shown!r}" + (f" ({words})" if words else "")
