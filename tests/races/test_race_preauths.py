"""One pre-authorisation at two switches: it ends once, whoever asks for it."""

from __future__ import annotations

from itertools import cycle

import pytest
from limits import ROUNDS
from race_estate import OpenPair
from served import asked

from acquirer.ledger.accounts.verify import verify
from acquirer.ledger.store.database import Database

pytestmark = pytest.mark.anyio

AMOUNT_MINOR = 1_000
RIVALS = ("completion", "completion_advice", "preauth_void", "completion")


async def test_it_is_completed_or_voided_once(open_pair: OpenPair) -> None:
    """Of two completions, an advice and a void at once one is approved, the others are 12."""
    async with open_pair() as (one, other):
        terminal = await one.signed_on()
        card = next(card for card in one.estate.cards if not card.status)
        for _ in range(ROUNDS):
            kept = await one.ask(terminal.preauth(card, AMOUNT_MINOR))
            assert "00" == kept.code
            frames = [terminal.about(what, card, AMOUNT_MINOR, kept) for what in RIVALS]
            replies = await asked(*zip(cycle((one, other)), frames, strict=False))
            assert ["00", "12", "12", "12"] == sorted(reply.code for reply in replies)
        with Database(one.url).read_only_engine().connect() as connection:
            verify(connection)
            held = connection.exec_driver_sql(
                "SELECT sum(debits_pending + credits_pending) FROM accounts"
            )
            assert 0 == held.scalar()
