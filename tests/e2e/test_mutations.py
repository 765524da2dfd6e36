"""Real frames, spoiled or filled with nonsense: the switch lives, and the books stay right."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pos_terminal import FIELDS, Line, PosTerminal, Reply, de59
from world import World

from acquirer.codecs.message import Message
from acquirer.config.estate import load_estate
from acquirer.hosts_sim.bank import connection
from acquirer.hosts_sim.bank.host import reply_of
from acquirer.payments.kernel.bank_codes import reading_of

pytestmark = pytest.mark.anyio

CARDS = {card.name: card for card in load_estate().cards}
SYBIL = CARDS["sybil"]
ANSWERS = "00 03 12 13 14 25 30 40 41 51 54 55 57 58 61 62 64 68 75 77 91 92 94 96 97 98 99 A0 A7"
CODES = frozenset(ANSWERS.split())
AGAIN = frozenset({("0230", "68"), ("0230", "91"), ("0410", "64")})
FUZZ = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def requests_of(terminal: PosTerminal) -> list[bytes]:
    """One frame of each kind, under STANs that nothing else uses."""
    items = de59(ON="SP20261121001", OC="C1001")
    sale = terminal.sale(SYBIL, 4_444)
    original = Reply(b"", b"", "0210", {11: "000001", 13: "0101", 37: "0" * 12}, b"")
    paid = {4: "000000021478", **terminal.card_fields(SYBIL, None)}
    named: dict[int, str | bytes] = {61: f"{terminal.batch}000009"}
    return [
        sale,
        terminal.balance(SYBIL),
        terminal.reversal(sale),
        terminal.void(SYBIL, 4_444, original),
        terminal.courier("C1001", "270475"),
        terminal.order("0200", "380000", "71", items),
        terminal.order("0200", "000000", "72", items, paid),
        terminal.order("0220", "000000", "73", items, named),
        terminal.order("0220", "920000", "74", items, named),
    ]


@st.composite
def spoiling(draw: st.DrawFn) -> Any:
    """A function that changes at least one byte of a message, and keeps the length right."""
    kind = draw(st.sampled_from(["flip", "cut", "insert", "swap"]))
    where = draw(st.floats(0, 0.999))
    value = draw(st.integers(1, 255))
    more = draw(st.binary(min_size=1, max_size=20))

    def spoil(frame: bytes) -> bytes:
        body = frame[2:]
        at = 11 + int(where * (len(body) - 11))
        if kind == "flip":
            body = body[:at] + bytes([body[at] ^ value]) + body[at + 1 :]
        elif kind == "cut":
            body = body[:at] + body[at + 1 + value % 8 :]
        elif kind == "insert":
            body = body[:at] + more + body[at:]
        else:
            body = body[:at] + body[at:][::-1]
            if body == frame[2:]:
                body += b"\0"
        return len(body).to_bytes(2, "big") + body

    return spoil


async def ask_or_close(world: World, frame: bytes) -> Reply | None:
    """The reply, or None where the switch closed the connection."""
    line: Line
    async with world.line() as line:
        try:
            return await line.ask(frame)
        except (EOFError, trio.BrokenResourceError):
            return None


@FUZZ
@given(spoil=spoiling(), which=st.integers(0, 8))
async def test_spoiled_frames(world: World, spoil: Any, which: int) -> None:
    """Whatever byte of a sealed request changes: refused or closed, and no book changes."""
    terminal = await world.with_courier("10000001")
    frame = requests_of(terminal)[which]
    journal, balances = len(world.journal()), world.balances()
    reply = await ask_or_close(world, spoil(frame))
    if reply is not None:
        assert reply.code in ("30", "97", "03", "A0", "40"), reply
    assert (journal, balances) == (len(world.journal()), world.balances())


def value_of(number: int) -> st.SearchStrategy[Any]:
    """Any value that a field can hold, or nearly."""
    kind, size = FIELDS[number]
    exact = "L" not in kind
    if kind[0] in "nN":
        digits = st.text("0123456789", min_size=size if exact else 0, max_size=size)
        return digits
    if kind[0] == "b":
        return st.binary(min_size=size if exact else 0, max_size=min(size, 60))
    text = st.text(
        st.characters(max_codepoint=255),
        min_size=size if exact else 0,
        max_size=size,
    )
    return text


ITEMS = st.lists(
    st.tuples(st.sampled_from(["ON", "OC", "OR", "OX", "OD", "A3"]), st.binary(max_size=42)),
    max_size=4,
).map(lambda found: b"".join(b"%b%03d%b" % (tag.encode(), len(v), v) for tag, v in found))
CHANGES = st.dictionaries(
    st.sampled_from(
        [
            2,
            3,
            4,
            14,
            22,
            23,
            25,
            26,
            32,
            35,
            36,
            37,
            38,
            39,
            48,
            49,
            52,
            53,
            54,
            55,
            58,
            60,
            61,
            62,
            63,
        ]
    ),
    st.none(),
    max_size=4,
).flatmap(lambda keys: st.fixed_dictionaries({number: value_of(number) for number in keys}))


@FUZZ
@given(
    changes=CHANGES,
    items=st.none() | ITEMS,
    which=st.integers(0, 8),
    mti=st.none()
    | st.sampled_from(["0100", "0200", "0220", "0320", "0400", "0500", "0620", "0820"]),
    stan=st.integers(0, 999_999),
)
async def test_sealed_nonsense(
    world: World,
    changes: dict[int, Any],
    items: bytes | None,
    which: int,
    mti: str | None,
    stan: int,
) -> None:
    """A terminal that seals nonsense gets an answer of the table, or none; never a crash.

    A sealed answer is in the books, but for one to an advice that is to be sent again.
    """
    terminal = await world.with_courier("10000001")
    original = Reply.of(requests_of(terminal)[which][2:])
    fields = {**original.without(64), **changes, 11: f"{stan:06d}"}
    if items is not None:
        fields[59] = items
    reply = await ask_or_close(world, terminal.frame(mti or original.mti, fields))
    if reply is not None:
        assert reply.code in CODES, reply
        if 64 in reply.fields and (reply.mti, reply.code) not in AGAIN:
            assert f"{stan:06d}" in {line.stan for line in world.journal()}, reply


LATIN = st.characters(max_codepoint=255)


def is_doubtful(code: str) -> bool:
    """Whether it is no clear refusal; a bank that declines what it has kept lies about money."""
    return reading_of(code) == "in_doubt"


BROUGHT = st.fixed_dictionaries(
    {},
    optional={
        38: st.text(LATIN, min_size=6, max_size=6),
        39: st.just("00") | st.text(LATIN, min_size=2, max_size=2).filter(is_doubtful),
        44: st.text(LATIN, max_size=25),
        48: st.text(LATIN, max_size=60),
        54: st.text(LATIN, max_size=120),
        62: st.text(LATIN, max_size=60),
        102: st.text(LATIN, max_size=28),
    },
)


@FUZZ
@given(fields=BROUGHT, which=st.sampled_from(["sale", "balance"]))
async def test_any_reply_of_a_bank(
    patient_world: World, monkeypatch: pytest.MonkeyPatch, fields: dict[int, str], which: str
) -> None:
    """Whatever a bank brings, the terminal is answered; approved only where the bank says 00."""
    terminal = await patient_world.signed_on("10000009")

    def altered(request: Message, *more: Any) -> Message:
        reply = reply_of(request, *more)
        return Message(reply.mti, reply.fields | fields if request.mti == "0200" else reply.fields)

    frame = terminal.sale(SYBIL, 100) if which == "sale" else terminal.balance(SYBIL)
    with monkeypatch.context() as patched:
        patched.setattr(connection, "reply_of", altered)
        reply = await patient_world.ask(frame)
    assert terminal.sealed(reply)
    assert ("00" if fields.get(39, "00") == "00" else "98") == reply.code
    assert (reply.get(38) + str(reply.get(54))).isprintable()


async def test_sales_go_on(world: World) -> None:
    """After all that no request has failed by a bug, and an honest sale is approved."""
    terminal = await world.signed_on("10000009")
    assert "00" == (await world.ask(terminal.sale(SYBIL, 100))).code
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"http://{world.http}/metrics")).text
    assert "acquirer_failed_requests_total 0.0" in metrics
