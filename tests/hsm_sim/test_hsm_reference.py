"""The command reference in docs/hsm.md, executed; and what no command may do, tried on all."""

import hashlib
import re
import tracemalloc
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from acquirer.hsm_sim.commands import COMMANDS
from acquirer.hsm_sim.crypto.block_header import BlockHeader
from acquirer.hsm_sim.errors import ERROR_TEXTS
from acquirer.hsm_sim.key_types import PAIR_OF_CODE
from acquirer.hsm_sim.lmk import WorkingKey
from acquirer.hsm_sim.module import SecurityModule, published_lmks, published_old_lmks, reply_code
from acquirer.hsm_sim.state import Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "hsm.md"

_EXAMPLE = re.compile(r"^```hsm(?P<flags>[^\n]*)\n> (?P<request>.*)\n< (?P<reply>.*)\n```$", re.M)
_ESCAPE = re.compile(r"\\x([0-9A-F]{2})")


NOON = 1_796_040_000.0


class Example(NamedTuple):
    """One worked request and reply."""

    lmk: str
    authorised: bool
    fields: list[str]
    reply: str

    @property
    def request(self) -> str:
        """The request as it is sent."""
        return "".join(self.fields)


def unescaped(text: str) -> str:
    """The text with ``\\xNN`` turned into characters."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def examples() -> list[Example]:
    """Every worked example of the reference."""
    return [
        Example(
            (re.search(r"lmk=(\d\d)", found["flags"]) or ["", "00"])[1],
            "authorised" in found["flags"],
            [unescaped(field) for field in found["request"].split(" ")],
            unescaped(found["reply"]),
        )
        for found in _EXAMPLE.finditer(REFERENCE.read_text())
    ]


def counting_random() -> Callable[[int], bytes]:
    """SHA-256 of 0, 1, 2, … as a source of random bytes."""
    numbers, kept = count(), b""

    def random(size: int) -> bytes:
        nonlocal kept
        while len(kept) < size:
            kept += hashlib.sha256(str(next(numbers)).encode()).digest()
        taken, kept = kept[:size], kept[size:]
        return taken

    return random


def module(example: Example) -> SecurityModule:
    """A fresh module as the example wants it, on whose clock each log line has its own second."""
    chosen, random = Settings(header_length=0, test_lmk=True), counting_random()
    lmks = published_lmks(chosen, random)
    made = SecurityModule(
        lmks,
        settings=chosen,
        random=random,
        default_lmk=example.lmk,
        now=count().__next__,
        wall=lambda: NOON,
        old_lmks=published_old_lmks(lmks),
    )
    made.state.authorised = example.authorised
    return made


EXAMPLES = examples()
MODULES = {
    (lmk, authorised): module(Example(lmk, authorised, [], ""))
    for lmk in ("00", "01", "02")
    for authorised in (False, True)
}


def name_of(example: Example) -> str:
    """The test's id."""
    return example.fields[0] + example.lmk


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_worked_example(example: Example) -> None:
    """The reference's request gives the reference's reply, and a trailer comes back."""
    assert example.reply == module(example).execute_text(example.request)
    reply = module(example).execute_text(f"{example.request}%{example.lmk}\x19trailer")
    assert f"{example.reply}\x19trailer" == reply


def test_every_command_has_an_example() -> None:
    """No command is left out, and none is told of that does not exist."""
    commands = set(MODULES["00", False].commands)
    assert commands == {example.request[:2] for example in EXAMPLES}


def test_error_codes_are_told() -> None:
    """The reference's table of error codes is the module's."""
    rows = re.findall(r"^\| ([0-9A-Z]{2}) \| (.*) \|$", REFERENCE.read_text(), re.M)
    assert ERROR_TEXTS == dict(rows)


def test_nothing_secret_reaches_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command, right and wrong in many ways: no field, no clear key, no number in the log.

    A text in the log has no eight hexadecimal and no four decimal digits in a row, so that no key,
    PIN, account or data can stand in it, whatever its form.
    """
    opened: set[str] = set()
    make = WorkingKey.__init__

    def noted(
        self: WorkingKey, clear: bytes, scheme: str, header: BlockHeader | None = None
    ) -> None:
        opened.update((clear.hex().upper(), repr(clear).upper()))
        make(self, clear, scheme, header)

    monkeypatch.setattr(WorkingKey, "__init__", noted)
    called: set[str] = set()
    with capture_logs() as events:
        for example in EXAMPLES:
            hsm = module(example)
            called.add(example.request[:2])
            hsm.execute_text(example.request)
            for end in range(len(example.fields) + 1):
                kept = example.fields[:end]
                wrong = [*kept, *("0" * len(field) for field in example.fields[end:])]
                for request in ("".join(kept), "".join(wrong), f"{example.request}1"):
                    hsm.execute_text(request)
    texts = [str(value) for event in events for value in {**event, "place": ""}.values()]
    logged = "\n".join(texts).upper()
    secrets = {
        field.upper().strip("F")
        for example in EXAMPLES
        for field in [*example.fields, example.reply[4:]]
        if len(field) >= 8 and field.isascii() and field.isalnum()
    } - {"0" * 12}
    assert len(events) > 500
    assert len(secrets) > 60
    assert called == {*COMMANDS, "NK"}
    assert len(opened) > 60
    assert [secret for secret in sorted(secrets | opened) if secret in logged] == []
    own_words = [re.sub(r" is none of \w+$", "", text) for text in texts]
    assert [text for text in own_words if re.search(r"[0-9A-Fa-f]{8}|[0-9]{4}", text)] == []
    assert {event["code"] for event in events if "code" in event} <= ERROR_TEXTS.keys()


characters = st.characters(max_codepoint=255)
changes = st.lists(
    st.tuples(
        st.sampled_from(("cut", "change", "insert", "delete", "append")),
        st.integers(0, 400),
        st.text(characters, min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=3,
)


def changed(request: str, edits: list[tuple[str, int, str]]) -> str:
    """A request with some of its characters other than they should be."""
    for kind, where, text in edits:
        at = 2 + where % max(1, len(request) - 2)
        if kind == "cut":
            request = request[:at]
        elif kind == "change":
            request = request[:at] + text + request[at + len(text) :]
        elif kind == "insert":
            request = request[:at] + text + request[at:]
        elif kind == "delete":
            request = request[:at] + request[at + len(text) :]
        else:
            request += text
    return request


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(EXAMPLES), changes)
def test_broken_requests_are_answered(example: Example, edits: list[tuple[str, int, str]]) -> None:
    """Whatever is wrong with a request, its reply has the right code and no internal error."""
    request = changed(example.request, edits)
    reply = MODULES[example.lmk, example.authorised].execute_text(request)
    assert reply[:2] == reply_code(request[:2])
    assert reply[2:4] in ERROR_TEXTS
    assert reply[2:4] != "41"


def test_letters_that_grow_in_upper_case() -> None:
    """A MAC of letters whose upper case is not Latin-1 differs, and no more."""
    for example in EXAMPLES:
        if example.request[:2] in ("M8", "GW"):
            request = example.request[:-8] + "\xff\xb5\xdf" + "\xff" * 5
            hsm = MODULES[example.lmk, False]
            assert hsm.execute_text(request)[2:4] in ("00", "01")


def test_memory_is_bounded() -> None:
    """Thousands of commands, refused ones and ever new keys among them, leave nothing behind."""
    hsm = module(Example("00", True, [], ""))
    requests = [example.request for example in EXAMPLES if example.lmk == "00"]

    def play(rounds: int) -> None:
        for _ in range(rounds):
            for request in requests:
                hsm.execute_text(request)
                hsm.execute_text(request[:-1])

    play(10)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    play(20)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 64 * 1024


def test_the_pairs_are_those_of_the_key_types() -> None:
    """Each pair code of the page's table stands for the pair that the module takes."""
    rows = re.findall(r"^\| (\d\d)-(\d\d) \| (0[0-9A-D]) \|", REFERENCE.read_text(), re.M)
    assert {code: (2 * at, 2 * at + 1) for code, at in PAIR_OF_CODE.items()} == {
        code: (int(left), int(right)) for left, right, code in rows
    }
