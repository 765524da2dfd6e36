"""Pre-authorisations and completions: from the terminal to the bank and the books, and back."""

from __future__ import annotations

from typing import Any

import pytest
from pos_terminal import PosTerminal, Reply
from world import DROP, LATE, REFUSED, World, card

from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.reports.saf import saf_lines
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

SYBIL, ALICE = card("sybil"), card("alice")
SCHEME, PAYABLE, INCOME = (
    "assets:scheme:demo",
    "liabilities:merchant:898110053310001",
    "income:mdr",
)


def pending(world: World) -> tuple[int, int]:
    """What is pending at the bank and for the merchant."""
    with Database(world.url).read_only_engine().connect() as connection:
        verify(connection)
        rows = connection.exec_driver_sql(
            "SELECT name, debits_pending + credits_pending FROM accounts"
        )
        sums: dict[str, int] = dict(map(tuple, rows))
    return sums.get(SCHEME, 0), sums.get(PAYABLE, 0)


def posted(world: World) -> dict[str, int]:
    """Debits less credits of all accounts that have a balance."""
    return {name: net for name, net in world.balances().items() if net}


def is_free(world: World, reply: Reply) -> bool:
    """Whether nothing of the entry's is still to be undone at the bank."""
    with Database(world.url).read_only_engine().connect() as connection:
        query = f"SELECT claimed_by FROM journal WHERE rrn = '{reply[37]}'"
        return connection.exec_driver_sql(query).scalar() is None


def bank_state(world: World, reply: Reply) -> str:
    """What the bank's books say of a transaction."""
    return str(world.bank_rows(reply[37])[0]["state"])


async def held(world: World, amount_minor: int = 10_000) -> tuple[PosTerminal, Reply]:
    """A terminal with an approved pre-authorisation."""
    terminal = await world.signed_on()
    reply = await world.ask(terminal.preauth(SYBIL, amount_minor))
    assert ("0110", "00", True) == (reply.mti, reply.code, terminal.sealed(reply))
    return terminal, reply


async def about(world: World, what: str, amount_minor: int, original: Reply, **more: Any) -> Reply:
    """What a terminal is answered that names an earlier reply."""
    terminal = await world.signed_on()
    return await world.ask(terminal.about(what, SYBIL, amount_minor, original, **more))


async def test_a_completion_takes_its_part_and_releases_the_rest(world: World) -> None:
    """What was held is gone everywhere; what was taken is posted with its fee."""
    before = posted(world)
    _, kept = await held(world)
    assert ((10_000, 10_000), "held") == (pending(world), bank_state(world, kept))
    assert before == posted(world)
    made = await about(world, "completion", 8_000, kept)
    assert ("0210", "00", True) == (made.mti, made.code, bool(made[38].strip()))
    assert ((0, 0), "completed") == (pending(world), bank_state(world, kept))
    moved = {name: net - before.get(name, 0) for name, net in posted(world).items()}
    assert (8_000, -7_904, -96) == (moved[SCHEME], moved[PAYABLE], moved[INCOME])
    assert "12" == (await about(world, "completion", 100, kept)).code
    assert "12" == (await about(world, "preauth_void", 10_000, kept)).code
    await world.agree()


async def test_one_that_is_completed_is_not_reversed(world: World) -> None:
    """12: the completion stands."""
    terminal = await world.signed_on()
    preauth = terminal.preauth(SYBIL, 10_000)
    kept = await world.ask(preauth)
    made = await about(world, "completion", 10_000, kept)
    assert "12" == (await world.ask(terminal.reversal(preauth))).code
    assert ("completed", "approved") == (world.state(kept), world.state(made))
    await world.agree()


async def test_above_what_was_held(world: World) -> None:
    """Up to 15 % more is taken; a minor unit above that is not (61), and it stays open."""
    before = world.receivable()
    _, kept = await held(world)
    assert "61" == (await about(world, "completion", 11_501, kept)).code
    assert (10_000, 10_000) == pending(world)
    assert "00" == (await about(world, "completion", 11_500, kept)).code
    assert ((0, 0), before + 11_500) == (pending(world), world.receivable())
    await world.agree()


async def test_a_void_releases_it(world: World) -> None:
    """Of another amount 64; then nothing is held, and nothing completes it."""
    _, kept = await held(world)
    assert "64" == (await about(world, "preauth_void", 9_999, kept)).code
    assert "00" == (await about(world, "preauth_void", 10_000, kept)).code
    assert ((0, 0), "voided") == (pending(world), world.state(kept))
    assert "released" == bank_state(world, kept)
    assert "12" == (await about(world, "completion", 100, kept)).code
    await world.agree()


async def test_found_by_code_and_card_from_another_terminal(world: World) -> None:
    """DE61 with zeros and a date, no DE37; another card's, another code or date are not found."""
    _, kept = await held(world)
    other = await world.signed_on("10000002")
    named: dict[int, Any] = {37: None, 61: "0" * 12 + kept[13]}
    code = await world.ask(other.about("completion", SYBIL, 100, kept, {**named, 38: "ZZZZZZ"}))
    date = {**named, 61: "0" * 12 + "0101"}
    assert ["25", "25", "25"] == [
        code.code,
        (await world.ask(other.about("completion", SYBIL, 100, kept, date))).code,
        (await world.ask(other.about("completion", ALICE, 100, kept, named))).code,
    ]
    assert "14" == (await world.ask(other.about("completion", ALICE, 100, kept))).code
    assert "00" == (await world.ask(other.about("completion", SYBIL, 9_000, kept, named))).code
    await world.agree()


async def test_references_must_all_agree(world: World) -> None:
    """One that is wrong is 25, whatever the others say."""
    _, kept = await held(world)
    wrong: list[dict[int, Any]] = [
        {37: "999999999999"},
        {38: "ZZZZZZ"},
        {61: f"{kept[60][2:8]}999999{kept[13]}"},
        {61: f"{kept[60][2:8]}{kept[11]}0101"},
        {37: None, 61: f"{kept[60][2:8]}999999{kept[13]}"},
    ]
    for what in ("completion", "completion_advice", "preauth_void"):
        codes = [
            (await about(world, what, 10_000, kept, changes=changes)).code for changes in wrong
        ]
        assert ["25"] * len(wrong) == codes
    assert "30" == (await about(world, "completion", 100, kept, changes={38: None})).code
    assert (10_000, 10_000) == pending(world)
    assert "00" == (await about(world, "preauth_void", 10_000, kept)).code


async def test_an_advice_is_answered_once_stored(world: World) -> None:
    """The bank is told when it is there again; the same advice again has no second effect."""
    terminal, kept = await held(world)
    before = world.receivable()
    await world.stop("bank")
    frame = terminal.about("completion_advice", SYBIL, 10_500, kept)
    made = await world.ask(frame)
    assert ("0230", "00", kept[38]) == (made.mti, made.code, made[38])
    assert ((0, 0), before + 10_500) == (pending(world), world.receivable())
    again = await world.ask(frame)
    assert ("00", made[37]) == (again.code, again[37])
    assert "12" == (await about(world, "completion_void", 10_500, made)).code
    assert "12" == (await world.ask(terminal.reversal(frame))).code
    await world.start("bank")
    await world.until(lambda: bank_state(world, kept) == "completed")
    await world.agree()
    with_pin = terminal.about(
        "completion_advice", SYBIL, 1, kept, {52: bytes(8), 26: "12", 53: "2600000000000000"}
    )
    assert "30" == (await world.ask(with_pin)).code


async def test_a_void_of_a_completion_opens_it_again(world: World) -> None:
    """And it is completed once more, for another amount."""
    before = posted(world)
    _, kept = await held(world)
    made = await about(world, "completion", 11_000, kept)
    assert "61" == (await about(world, "completion_void", 11_001, made)).code
    assert "13" == (await about(world, "completion_void", 10_999, made)).code
    assert "00" == (await about(world, "completion_void", 11_000, made)).code
    assert ("voided", "approved") == (world.state(made), world.state(kept))
    assert ((10_000, 10_000), "held") == (pending(world), bank_state(world, kept))
    assert before == posted(world)
    assert "00" == (await about(world, "completion", 7_000, kept)).code
    assert "12" == (await about(world, "completion_void", 11_000, made)).code
    await world.agree()


async def test_a_completion_is_refunded(world: World) -> None:
    """In part; then it is neither voided nor reversed."""
    terminal, kept = await held(world)
    frame = terminal.about("completion", SYBIL, 10_000, kept)
    made = await world.ask(frame)
    assert "00" == (await world.ask(terminal.refund(SYBIL, 4_000, made))).code
    assert "12" == (await about(world, "completion_void", 10_000, made)).code
    assert "12" == (await world.ask(terminal.reversal(frame))).code
    assert "00" == (await world.ask(terminal.refund(SYBIL, 6_000, made))).code
    assert "refunded" == world.state(made)
    await world.agree()


async def test_each_is_reversed(world: World) -> None:
    """A completion's opens it again, a void's lets its original stand, its own releases it."""
    terminal, before = await world.signed_on(), posted(world)
    preauth = terminal.preauth(SYBIL, 10_000)
    kept = await world.ask(preauth)
    completion = terminal.about("completion", SYBIL, 11_000, kept)
    made = await world.ask(completion)
    void = terminal.about("completion_void", SYBIL, 11_000, made)
    assert "00" == (await world.ask(void)).code
    assert "00" == (await world.ask(terminal.reversal(void))).code
    assert ("approved", "completed") == (world.state(made), world.state(kept))
    await world.until(lambda: bank_state(world, kept) == "completed")
    await world.until(lambda: is_free(world, made))
    await world.agree()
    assert "00" == (await world.ask(terminal.reversal(completion))).code
    assert ("approved", (10_000, 10_000)) == (world.state(kept), pending(world))
    await world.until(lambda: bank_state(world, kept) == "held")
    await world.agree()
    undone = terminal.about("preauth_void", SYBIL, 10_000, kept)
    await world.until(lambda: is_free(world, kept))
    assert "00" == (await world.ask(undone)).code
    assert "00" == (await world.ask(terminal.reversal(undone))).code
    assert ("approved", (10_000, 10_000)) == (world.state(kept), pending(world))
    await world.until(lambda: bank_state(world, kept) == "held")
    assert "00" == (await world.ask(terminal.reversal(preauth))).code
    await world.until(lambda: bank_state(world, kept) == "released")
    assert (0, 0) == pending(world)
    await world.agree()
    assert before == posted(world)


@pytest.mark.parametrize("amount_minor", [DROP, LATE])
async def test_a_silent_bank(world: World, amount_minor: int) -> None:
    """98, and store and forward undoes it: the pre-authorisation is open again, or never was."""
    terminal = await world.signed_on()
    _, kept = await held(world, 7_000)
    assert "98" == (await about(world, "completion", amount_minor, kept)).code
    await world.agree()
    await world.until(lambda: is_free(world, kept))
    assert ("approved", "held") == (world.state(kept), bank_state(world, kept))
    assert "00" == (await about(world, "completion", 7_000, kept)).code
    silent = await world.ask(terminal.preauth(SYBIL, LATE))
    assert "98" == silent.code
    await world.agree()
    assert ("reversed", "released") == (world.state(silent), bank_state(world, silent))


async def test_a_refusal_of_the_banks_changes_nothing(world: World) -> None:
    """The pre-authorisation stays open."""
    _, kept = await held(world, 7_000)
    assert "05" == (await about(world, "completion", REFUSED, kept)).code
    assert ("approved", (7_000, 7_000)) == (world.state(kept), pending(world))
    assert "00" == (await about(world, "completion", 7_000, kept)).code
    await world.agree()


def is_bank_told(world: World) -> bool:
    """Whether the bank has all that it is owed."""
    with Database(world.url).read_only_engine().connect() as connection:
        return not list(saf_lines(connection))


async def test_one_of_several_at_once(world: World) -> None:
    """Of completions, advices and voids at the same time one is approved, the rest is refused."""
    terminal, kept = await held(world)
    frames = [
        terminal.about(what, SYBIL, 10_000, kept)
        for what in ("completion", "completion_advice", "preauth_void", "completion", "completion")
    ]
    codes = sorted(reply.code for reply in await world.ask_all(*frames))
    assert ["00", "12", "12", "12", "12"] == codes
    await world.until(lambda: is_bank_told(world))
    await world.agree()
    assert (0, 0) == pending(world)


async def test_what_is_none(world: World) -> None:
    """No amount 13, another condition 40, nothing named 25."""
    terminal, kept = await held(world)
    assert "13" == (await world.ask(terminal.preauth(SYBIL, 0))).code
    assert "13" == (await about(world, "completion", 0, kept)).code
    assert "40" == (await about(world, "completion", 1, kept, changes={25: "00"})).code
    nothing: dict[int, Any] = {37: None, 61: "0" * 16, 35: None, 2: None}
    assert "25" == (await about(world, "completion", 1, kept, changes=nothing)).code
