"""What a terminal shows of an order, in the merchant's own words: a Jinja2 template per merchant.

Pure. Templates come from the switch's file, their values from the merchant's order system; they
run in Jinja2's sandbox, see texts only, and a failing one falls back to the order system's own
text. Source: terminal interface, part 5, ``OT``; jinja2.sandbox.
"""

from __future__ import annotations

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from acquirer.ledger.money import format_minor
from acquirer.routing.orders.messages import OrderFacts

TEXT_CHARACTERS_MAX = 500
TEMPLATE_CHARACTERS_MAX = 2000
LINE_BREAK = "|"

_environment = ImmutableSandboxedEnvironment(autoescape=False)
# A template sees no functions: range() could make a long text of a short template.
_environment.globals.clear()


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
            ValueError: no template, or too long; the text says where.
        """
        if len(source) > TEMPLATE_CHARACTERS_MAX:
            raise ValueError(f"more than {TEMPLATE_CHARACTERS_MAX} characters")
        try:
            self._template: Template = _environment.from_string(source)
        except TemplateError as error:
            raise ValueError(f"no template: {error}") from None

    def render(self, facts: OrderFacts) -> str:
        """The lines to show, split by ``|``; the order system's text where the template fails."""
        try:
            text = self._template.render(
                order_no=facts.order_no,
                text=facts.text,
                lines=facts.text.split(LINE_BREAK),
                amount=format_minor(facts.amount_minor, facts.currency_code),
                due=format_minor(facts.due_minor, facts.currency_code),
                reference=facts.reference,
                fields=dict(facts.fields),
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError):
            return facts.text
        lines = [printable(line) for line in text.splitlines()]
        return LINE_BREAK.join(line for line in lines if line)[:TEXT_CHARACTERS_MAX]


def printable(line: str) -> str:
    """A text from elsewhere as one line that a terminal can show."""
    shown = "".join(character if character.isprintable() else " " for character in line)
    return " ".join(shown.split())
