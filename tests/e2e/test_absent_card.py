"""Codes that a customer shows, and orders by mail or telephone, from terminal to bank."""

from __future__ import annotations

from pathlib import Path

import pytest
from pos_terminal import PosTerminal, Reply, de59
from world import OpenWorld, World, card

pytestmark = pytest.mark.anyio

SYBIL = card("sybil")
WITHOUT_RIGHTS = "10000004"


async def test_a_code_pays_once(world: World) -> None:
    """No card in any answer; a repeat gets the first answer, the code once more 14."""
    terminal, code = await world.signed_on(), await world.new_code("sybil")
    frame = terminal.code_sale(code, 1_200)
    reply = await world.ask(frame)
    assert ("00", False, False, True) == (
        reply.code,
        2 in reply.fields,
        59 in reply.fields,
        terminal.sealed(reply),
    )
    again = await world.ask(frame)
    assert reply.without(12, 13, 64) == again.without(12, 13, 64)
    assert "14" == (await world.ask(terminal.code_sale(code, 1_200))).code
    other = terminal.code_sale(await world.new_code("sybil"), 1_200, stan=reply[11])
    assert "94" == (await world.ask(other)).code
    (row,) = world.bank_rows(reply[37])
    assert ("approved", SYBIL.pan[:6]) == (row["state"], row["pan"][:6])
    await world.agree()


async def test_a_code_of_nobody_and_one_that_is_too_old(world: World) -> None:
    """14 and 54; no route is 92; a code of other digits, or one with a card, is 30."""
    terminal = await world.signed_on()
    assert "14" == (await world.ask(terminal.code_sale("622588" + "7" * 13, 100))).code
    old = await world.new_code("sybil")
    world.bank_ahead_s += 61
    assert "54" == (await world.ask(terminal.code_sale(old, 100))).code
    assert "92" == (await world.ask(terminal.code_sale("9" * 19, 100))).code
    for code in ("622588", "622588" + "x" * 13, ""):
        assert "30" == (await world.ask(terminal.code_sale(code, 100))).code
    good = await world.new_code("sybil")
    with_card: list[dict[int, str | bytes]] = [
        {35: SYBIL.track2},
        {2: SYBIL.pan},
        {22: "022"},
        {14: "3101"},
    ]
    for more in with_card:
        assert "30" == (await world.ask(terminal.code_sale(good, 100, more=more))).code
    assert "00" == (await world.ask(terminal.code_sale(good, 100))).code


async def test_void_refund_and_reversal_bear_no_card(world: World) -> None:
    """All three reach the bank, and its books agree with ours."""
    terminal, before = await world.signed_on(), world.receivable()

    async def paid() -> tuple[bytes, Reply]:
        frame = terminal.code_sale(await world.new_code("sybil"), 5_000)
        return frame, await world.ask(frame)

    _, first = await paid()
    assert "14" == (await world.ask(terminal.void(SYBIL, 5_000, first))).code
    assert "00" == (await world.ask(terminal.void(None, 5_000, first))).code
    _, second = await paid()
    assert "14" == (await world.ask(terminal.refund(SYBIL, 5_000, second))).code
    part = await world.ask(terminal.refund(None, 2_000, second))
    assert "00" == part.code
    (row,) = world.bank_rows(part[37])
    assert (SYBIL.pan[:6], SYBIL.pan[-4:]) == (row["pan"][:6], row["pan"][-4:])
    assert "00" == (await world.ask(terminal.refund(None, 3_000, second))).code
    frame, third = await paid()
    assert "00" == (await world.ask(terminal.reversal(frame))).code
    await world.until(lambda: world.state(third) == "reversed")
    assert ("voided", "refunded", before) == (
        world.state(first),
        world.state(second),
        world.receivable(),
    )
    await world.agree()


async def test_an_order_by_mail(world: World) -> None:
    """A wrong CVN2 is refused (05); sale, void and refund are as their namesakes."""
    terminal = await world.signed_on()
    wrong = f"{(int(SYBIL.cvn2) + 1) % 1000:03d}"
    assert "05" == (await world.ask(terminal.mail_sale(SYBIL, 900, wrong))).code
    assert "00" == (await world.ask(terminal.mail_sale(SYBIL, 900, ""))).code
    first = await world.ask(terminal.mail_sale(SYBIL, 900, SYBIL.cvn2))
    assert ("00", "08", SYBIL.pan) == (first.code, first[25], first[2])
    assert "00" == (await world.ask(terminal.void(SYBIL, 900, first, condition="08"))).code
    second = await world.ask(terminal.mail_sale(SYBIL, 900, SYBIL.cvn2))
    assert "00" == (await world.ask(terminal.refund(SYBIL, 400, second, condition="08"))).code
    assert ("voided", "approved") == (world.state(first), world.state(second))
    for cvn2 in ("12", "1234", "12x"):
        assert "30" == (await world.ask(terminal.mail_sale(SYBIL, 900, cvn2))).code
    swiped = terminal.sale_fields(SYBIL, 900) | {2: SYBIL.pan, 14: SYBIL.expiry, 25: "08"}
    assert "30" == (await world.ask(terminal.frame("0200", swiped))).code
    await world.agree()


async def test_a_pre_authorisation_by_mail(world: World) -> None:
    """DE25 18 for all of its family; the CVN2 is the bank's to check, and the right is needed."""
    terminal, stranger = await world.signed_on(), await world.signed_on(WITHOUT_RIGHTS)
    wrong = f"{(int(SYBIL.cvn2) + 1) % 1000:03d}"

    def mailed(pos: PosTerminal, cvn2: str) -> bytes:
        fields = pos.sale_fields(SYBIL, 700, pin="") | {3: "030000", 60: f"10{pos.batch}00050"}
        fields |= {2: SYBIL.pan, 14: SYBIL.expiry, 22: "012", 25: "18", 59: de59(CV=cvn2)}
        del fields[35]
        return pos.frame("0100", fields)

    assert "58" == (await world.ask(mailed(stranger, SYBIL.cvn2))).code
    assert "05" == (await world.ask(mailed(terminal, wrong))).code
    keyed: dict[int, str | bytes | None] = {
        2: SYBIL.pan,
        14: SYBIL.expiry,
        22: "012",
        25: "18",
        35: None,
    }
    held = await world.ask(mailed(terminal, SYBIL.cvn2))
    assert ("00", "18") == (held.code, held[25])
    done = await world.ask(terminal.about("completion", SYBIL, 700, held, keyed))
    assert "00" == done.code
    swiped = terminal.about("completion", SYBIL, 700, held, {25: "18"})
    assert "30" == (await world.ask(swiped)).code
    undone = terminal.about("completion_void", SYBIL, 700, done, keyed)
    assert "00" == (await world.ask(undone)).code
    assert "00" == (await world.ask(terminal.about("preauth_void", SYBIL, 700, held, keyed))).code
    await world.agree()


async def test_rights(world: World) -> None:
    """A merchant without them: 58, whether the card is keyed in at the till or by mail."""
    stranger = await world.signed_on(WITHOUT_RIGHTS)
    assert "58" == (await world.ask(stranger.mail_sale(SYBIL, 900, ""))).code
    fields = stranger.sale_fields(SYBIL, 900, pin="") | {
        2: SYBIL.pan,
        14: SYBIL.expiry,
        22: "012",
    }
    del fields[35]
    assert "58" == (await world.ask(stranger.frame("0200", fields))).code


async def test_neither_cvn2_nor_code_is_written_anywhere(
    open_world: OpenWorld, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in the switch's books nor in what it says, though the bank was told."""
    async with open_world() as world:
        terminal, code = await world.signed_on(), await world.new_code("sybil")
        sale = await world.ask(terminal.mail_sale(SYBIL, 900, SYBIL.cvn2))
        assert ("00", "00") == (sale.code, (await world.ask(terminal.code_sale(code, 100))).code)
        await world.agree()
    said = "".join(capfd.readouterr())
    books = _books(tmp_path)
    assert books
    for secret in (f"CV003{SYBIL.cvn2}", code):
        assert secret not in said
        assert secret.encode() not in books


def _books(folder: Path) -> bytes:
    """All that the switch has written."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if "switch" in path.name)
