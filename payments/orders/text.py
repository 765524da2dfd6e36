"""What a terminal shows of an order, in the merchant's own words: a Jinja2 template per merchant.

Pure. Templates come from the switch's file (``order_template.py`` says what they may hold), their
values from the merchant's order system; they run in Jinja2's sandbox, see texts only, and whatever
fails in one falls back to the order system's own text. Source: docs/interfaces/terminal.md, part
5, ``OT``.
"""

from __future__ import annotations

from acquirer.codecs.money import format_minor
from acquirer.payments.orders.template import compile_template
from acquirer.routing.orders.messages import OrderFacts

TEXT_CHARACTERS_MAX = 500
# Of what a template gives so much is read; blanks and empty lines in it are not shown.
RENDERED_CHARACTERS_MAX = 10_000
LINE_BREAK = "|"


class OrderText:
    """A merchant's template.

    >>> facts = OrderFacts(order_no="A1", merchant_id="M1", status="00", amount_minor=1250,
    ...     currency_code="156", pay_ways="1", text="Tea set", fields={"floor": "9"})
    >>> OrderText("{{ text }}\\n{{ amount }} CNY, floor {{ fields.floor }}").render(facts)
    'Tea set|12.50 CNY, floor 9'
    """

    def __init__(self, source: str) -> None:
        """Compile.

        Raises:
            ValueError: as for ``compile_template``.
        """
        self._template = compile_template(source)

    def render(self, facts: OrderFacts) -> str:
        """The lines to show, split by ``|``; the order system's text where the template fails."""
        try:
            rendered = self._rendered(facts)
        except Exception:
            # A template is not our code: there is no list of what can go wrong in one.
            return facts.text
        lines = [printable(line) for line in rendered.splitlines()]
        return LINE_BREAK.join(line for line in lines if line)[:TEXT_CHARACTERS_MAX]

    def _rendered(self, facts: OrderFacts) -> str:
        text = facts.text[:TEXT_CHARACTERS_MAX]
        pieces = self._template.generate(
            order_no=facts.order_no,
            text=text,
            lines=text.split(LINE_BREAK),
            amount=format_minor(facts.amount_minor, facts.currency_code),
            due=format_minor(facts.due_minor, facts.currency_code),
            reference=facts.reference,
            fields=dict(facts.fields),
        )
        read: list[str] = []
        room = RENDERED_CHARACTERS_MAX
        for piece in pieces:
            read.append(piece[:room])
            room -= len(read[-1])
            if not room:
                break
        return "".join(read)


def printable(line: str) -> str:
    """A text from elsewhere as one line that a terminal can show."""
    shown = "".join(character if character.isprintable() else " " for character in line)
    return " ".join(shown.split())
