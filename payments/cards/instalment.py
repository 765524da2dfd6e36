"""Instalment: a card pays a merchant, and its holder pays the bank back in parts.

As a sale, but the bank must know the plan, and says what the holder pays first. The bank bears the
credit: the merchant is owed the amount at once, less his fee and the plan's.
Source: docs/interfaces/terminal.md, part 4 ("Instalment");
docs/interfaces/postings.md, "Card sale".
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from acquirer.codecs.bank_items import parse_items
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.instalments import InstalmentTerms, Repayment
from acquirer.codecs.response_codes import ResponseCode
from acquirer.config.business import InstalmentPlanSettings
from acquirer.ledger.accounts.postings import card_sale
from acquirer.ledger.accounts.transfer_steps import Post
from acquirer.ledger.journal.entries import (
    State,
)
from acquirer.ledger.journal.kinds import Kind
from acquirer.ledger.journal.steps import (
    InsertEntry,
)
from acquirer.payments.kernel.commands import Command, Outcome, PresentedCard, Repeat
from acquirer.payments.kernel.commits import card_request, forward, settle
from acquirer.payments.kernel.ports import Ports
from acquirer.payments.kernel.ready_card import ReadyCard, ready_card
from acquirer.payments.kernel.records import new_entry, refuse
from acquirer.routing.outcomes import Replied

log = structlog.get_logger("acquirer.switch")

KIND = Kind.INSTALMENT


class InstalmentRequested(Command, frozen=True):
    """A card's holder wants to pay the origin's amount in parts."""

    card: PresentedCard
    terms: InstalmentTerms


async def instalment(ports: Ports, command: InstalmentRequested) -> Outcome:
    """Authorise an instalment sale and post it.

    Raises:
        HsmUnavailable, BookBusy, BookUnavailable: nothing has left for a bank.
    """
    origin, terms = command.origin, command.terms

    async def refused(code: str) -> Outcome:
        return await refuse(ports, origin, KIND, code, pan=command.card.pan)

    plan = _plan_or_refusal(ports, command)
    if isinstance(plan, ResponseCode):
        return await refused(plan)
    card = await ready_card(ports, origin, command.card, KIND)
    if not isinstance(card, ReadyCard):
        return card
    if card.bank not in plan.banks:
        return await refused(ResponseCode.NOT_PERMITTED_TO_CARD)

    entry = await new_entry(ports, origin, KIND, State.SENT, pan=command.card.pan, bank=card.bank)
    if await ports.book.commit(InsertEntry(entry)):
        return Repeat()

    message = card_request(ports, origin, entry, card, {"IN": terms.format()})
    outcome = await forward(ports, origin, entry, message)

    own = Repayment.of(entry.amount_minor, terms, plan.buyer_ppm, entry.currency_code)
    rate = replace(origin.fee_rate, ppm=plan.merchant_ppm)
    postings = card_sale(entry.amount_minor, rate, bank=card.bank, merchant_id=entry.merchant_id)
    post = Post(entry.id, entry.currency_code, entry.business_date, postings)
    told = {"repayment": _repayment(outcome, own).format()} if isinstance(outcome, Replied) else {}
    return await settle(ports, origin, entry, outcome, approved=(post,), told=told)


def _plan_or_refusal(
    ports: Ports, command: InstalmentRequested
) -> InstalmentPlanSettings | ResponseCode:
    """The plan that is asked for, or the code that refuses it."""
    origin, terms = command.origin, command.terms
    plan = origin.business.plans.get(terms.plan_id)
    today = ports.calendar.stamp(origin.now_ms).business_date
    if plan is None or plan.id not in origin.merchant.plans or terms.periods not in plan.counts:
        return ResponseCode.NOT_PERMITTED_TO_CARD
    if today < plan.valid_from or (plan.valid_to and today > plan.valid_to):
        return ResponseCode.NOT_PERMITTED_TO_CARD
    if origin.named_minor > plan.amount_to_minor:
        return ResponseCode.OVER_AMOUNT_LIMIT
    return ResponseCode.INVALID_AMOUNT if origin.named_minor < plan.amount_from_minor else plan


def _repayment(replied: Replied, own: Repayment) -> Repayment:
    """What the bank says of the repayment; where that cannot be, what the plan says."""
    text = replied.message.get(48)
    try:
        told = Repayment.parse(parse_items(text).get("IR", ""), "48.IR")
    except RemoteFormatError:
        told = None
    if told is None or (told.currency_code, told.is_spread) != (own.currency_code, own.is_spread):
        log.warning("bank_field_not_shown", field=48, rrn=replied.message.get(37))
        return own
    return told
