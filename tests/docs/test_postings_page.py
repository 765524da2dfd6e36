"""``docs/interfaces/postings.md`` shows what the code posts."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from acquirer.codecs.bank_kinds import BankMessage
from acquirer.ledger.accounts.postings import (
    FeeRate,
    card_sale,
    cash_handed_in,
    cash_on_delivery,
    completion,
    preauth,
    refund,
    tip,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.switch.operators.saf import write_off_posting

TEXT = (Path(__file__).parents[2] / "docs" / "interfaces" / "postings.md").read_text("utf-8")


def _write_off(message: BankMessage) -> tuple[Any, ...]:
    item: Any = SimpleNamespace(bank="B", kind=message)
    original: Any = SimpleNamespace(kind=Kind.SALE, amount_minor=10_000)
    return (write_off_posting(item, original),)


TAKEN_MINOR, BESIDE = completion(11_000, 10_000, FeeRate(120), bank="B", merchant_id="M")
EVENTS: dict[str, tuple[Any, ...]] = {
    "card sale of 100.00": card_sale(10_000, FeeRate(120), bank="B", merchant_id="M"),
    "tip of 10.00 on a sale of 100.40": tip(10_040, 1_000, FeeRate(120), bank="B", merchant_id="M"),
    "pre-authorisation of 100.00, pending": preauth(10_000, bank="B", merchant_id="M"),
    "completion of it for 110.00: taken of what is pending": preauth(
        TAKEN_MINOR, bank="B", merchant_id="M"
    ),
    "and beside it": BESIDE,
    "refund of a sale, fee returned, 90.00 owed to the merchant": refund(
        10_000, 120, 9_000, bank="B", merchant_id="M"
    ),
    "order of 20.00 paid in cash": cash_on_delivery(
        2_000, FeeRate(80), courier_id="C", merchant_id="M"
    ),
    "courier hands in 20.00, all of it": cash_handed_in(2_000, 2_000, courier_id="C", station="S"),
    "courier hands in 19.50 of 20.00": cash_handed_in(2_000, 1_950, courier_id="C", station="S"),
    "courier hands in 20.50 for 20.00": cash_handed_in(2_000, 2_050, courier_id="C", station="S"),
    "dead reversal of 100.00 written off": _write_off(BankMessage.REVERSAL),
    "dead advice of 100.00 written off": _write_off(BankMessage.ADVICE),
}


def test_every_event_of_the_page_is_what_the_code_posts() -> None:
    """Accounts and amounts of each row, in their order."""
    shown = TEXT.partition("<!-- events -->\n")[2].partition("<!-- /events -->")[0]
    found: dict[str, list[tuple[str, str, int]]] = {}
    event = ""
    for row in re.finditer(r"^\| (.*?) ?\| `(.+?)` \| `(.+?)` \| (\d+) \|$", shown, re.M):
        event = row[1] or event
        found.setdefault(event, []).append((row[2], row[3], int(row[4])))
    expected = {
        name: [(p.debit, p.credit, p.amount_minor) for p in postings]
        for name, postings in EVENTS.items()
    }
    assert expected == found


def test_every_account_of_an_event_is_explained() -> None:
    """The table of accounts has each account that an event names."""
    table = TEXT.partition("## Accounts")[2].partition("## Events")[0]
    patterns = [
        re.escape(name).replace("<bank>", "B").replace("<mid>", "M").replace("<id>", "[CS]")
        for name in re.findall(r"^\| `(.+?)` \|", table, re.M)
    ]
    named = {account for ps in EVENTS.values() for p in ps for account in (p.debit, p.credit)}
    assert {n for n in named if not any(re.fullmatch(p, n) for p in patterns)} == set()
