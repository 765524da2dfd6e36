"""A merchant's own words on the terminal: templates, their sandbox, their fall-back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.de59 import BYTES_MAX, De59
from acquirer.routing.orders.messages import OrderFacts
from acquirer.switch.order_text import TEXT_CHARACTERS_MAX, OrderText
from acquirer.switch.transactions.order_query import ITEM_HEAD_BYTES


def facts(text: str = "茶具|Block 9", **fields: str) -> OrderFacts:
    """An order of 79.30."""
    return OrderFacts(
        order_no="CM1",
        merchant_id="M1",
        status="00",
        amount_minor=7_930,
        currency_code="156",
        pay_ways="12",
        text=text,
        fields=fields,
    )


def test_words_of_the_merchant() -> None:
    """Names, conditions and loops; lines become parts of OT, empty ones vanish."""
    words = OrderText(
        "应付 {{ due }} 元\n{% if fields.gift %}Gift: {{ fields.gift }}{% endif %}\n"
        "{% for line in lines %}* {{ line }}\n{% endfor %}"
    )
    assert "应付 79.30 元|* 茶具|* Block 9" == words.render(facts())
    assert "应付 79.30 元|Gift: 贺卡|* 茶具|* Block 9" == words.render(facts(gift="贺卡"))


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ fields.__init__.__globals__ }}",
        "{{ 1 / 0 }}",
        "{{ lines.append('x') }}",
        "{{ range(10 ** 9) | list }}",
        "{{ nothing.at.all }}",
    ],
)
def test_what_a_template_may_not_do_shows_the_plain_text(source: str) -> None:
    """No way out of the sandbox, and no error that stops an order."""
    shown = OrderText(source).render(facts())
    assert shown in ("茶具|Block 9", "")


@pytest.mark.parametrize("source", ["{{ due", "{% if %}", "x" * 2001])
def test_what_is_no_template_is_refused_at_the_start(source: str) -> None:
    """The operator learns of it when the switch starts, not a courier at a door."""
    with pytest.raises(ValueError, match=r"template|characters"):
        OrderText(source)


@given(st.text(max_size=500))
def test_any_text_of_a_merchant_fits(text: str) -> None:
    """Whatever an order system says, the lines are bounded and have no control characters."""
    shown = OrderText("{{ text }}").render(facts(text))
    assert len(shown) <= TEXT_CHARACTERS_MAX
    assert shown.isprintable()


def test_length_counts_bytes_of_gb18030() -> None:
    """DE59 counts bytes: 500 Chinese characters are cut to what fits, never inside one."""
    shown = OrderText("{{ text }}").render(facts("茶" * 500)).encode("gb18030")
    room = BYTES_MAX - ITEM_HEAD_BYTES
    cut = shown[:room].decode("gb18030", "ignore")
    assert room - 1 <= len(cut.encode("gb18030")) <= room
    assert cut == De59.parse(bytes(De59.build({"OT": cut}))).text("OT")
