"""A merchant's own words on the terminal: templates, their sandbox, their fall-back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.de59 import BYTES_MAX, De59
from acquirer.codecs.order_codes import OrderStatus
from acquirer.payments.orders.text import TEXT_CHARACTERS_MAX, OrderText
from acquirer.routing.orders.messages import OrderFacts
from acquirer.switch.terminals.commands import ITEM_HEAD_BYTES, fitted


def facts(text: str = "茶具|Block 9", **fields: str) -> OrderFacts:
    """An order of 79.30."""
    return OrderFacts(
        order_no="CM1",
        merchant_id="M1",
        status=OrderStatus.TO_PAY,
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
    ("source", "shown"),
    [
        ("{{ lines[1] | upper }}", "BLOCK 9"),
        ("{{ text | replace('|', ', ') | truncate(5, true, '…', 0) }}", "茶具, …"),
        ("{{ fields.floor | default('no floor') }}", "no floor"),
        ("{% for line in lines[1:] %}{{ loop.index + 1 }} {{ line }}{% endfor %}", "2 Block 9"),
        ("{% for name in fields %}{{ name }}={{ fields[name] }} {% endfor %}", "gift=card"),
        ("{{ 'gift' if fields.gift is defined and not due == '0.00' else text }}", "gift"),
        ("{{ lines | join(' / ') ~ '!' }}", "茶具 / Block 9!"),
    ],
)
def test_what_a_template_may_say(source: str, shown: str) -> None:
    """Values, conditions, one loop, texts put together, and a few filters."""
    assert shown == OrderText(source).render(facts(gift="card"))


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{{ '*' * 300000000 }}", "Mul"),
        ("{{ 9 ** 9 ** 9 ** 9 }}", "Pow"),
        ("{{ '%0300000000d' % 1 }}", "Mod"),
        ("{{ 1 / 0 }}", "Div"),
        ("{{ text.ljust(300000000) }}", "Call"),
        ("{{ lines.append('x') }}", "Call"),
        ("{{ range(10 ** 9) | list }}", "list"),
        ("{{ 'x' | center(300000000) }}", "center"),
        ("{{ 'x' | indent(300000000) }}", "indent"),
        ("{{ 'x' | format(1) }}", "format"),
        ("{{ lines | map('upper') | join }}", "map"),
        ("{{ lines | batch(1, 'x') }}", "batch"),
        ("{{ 'x' | wordwrap(1) }}", "wordwrap"),
        ("{{ lines | join(*lines) }}", r"arguments by \*"),
        ("{{ text is sameas text }}", "sameas"),
        ("{{ ''.__class__.__mro__ }}", "__class__|__mro__"),
        ("{{ nothing }}", "no value 'nothing'"),
        ("{% for a in lines %}{% for b in lines %}x{% endfor %}{% endfor %}", "inside another"),
        ("{% for a in range(10 ** 9) %}x{% endfor %}", "a loop goes over"),
        ("{% for a in lines recursive %}{{ loop(lines) }}{% endfor %}", "a loop goes over"),
        ("{% for text in lines %}{{ text }}{% endfor %}", "name of its own"),
        ("{% for a in lines %}x{% endfor %}" * 20, r"could take \d+ steps"),
        ("{% macro more() %}{{ more() }}{% endmacro %}{{ more() }}", "Macro"),
        ("{% set text = text ~ text %}{{ text }}", "Assign"),
        ("{% include 'other' %}", "Include"),
        ("{% filter upper %}x{% endfilter %}", "FilterBlock"),
        ("{{ " + "(" * 900 + "1" + ")" * 900 + " }}", "nested"),
        ("{{ " + "not " * 400 + "1 }}", "nested"),
        ("{{ " + "1 + " * 400 + "1 }}", "nested"),
        ("due\n{{ due", "line 2"),
        ("{% if %}", "line 1"),
        ("x" * 2001, "characters"),
    ],
)
def test_what_a_template_may_not_say_is_refused_at_the_start(source: str, named: str) -> None:
    """The operator learns of it when the switch starts, with the place; not a courier at a door."""
    with pytest.raises(ValueError, match=named):
        OrderText(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a'" + "| replace('a', 'aa')" * 25 + " }}",
        "{{ text | replace('茶', text ~ text ~ text ~ text ~ text) }}",
        "{{ fields.floor - 1 }}",
        "{{ lines | join(" + " ~ ".join(["text"] * 200) + ") }}",
        "{{ order_no | truncate(text) }}",
    ],
)
def test_what_fails_in_a_template_shows_the_plain_text(source: str) -> None:
    """No error stops an order, and a text that grows without end is one."""
    plain = "茶" * 500
    assert plain == OrderText(source).render(facts(plain, floor="9"))


@pytest.mark.parametrize(
    "source",
    [
        "{% for line in lines %}{{ " + " ~ ".join(["text"] * 30) + " }}{% endfor %}",
        "{% for line in lines %}{% if fields.big | title | upper %}{% endif %}{% endfor %}",
        "{{ " + " ~ ".join(["text"] * 250) + " }}",
        "{{ text }}" * 200,
    ],
)
def test_the_dearest_templates_show_no_more_than_others(source: str) -> None:
    """What is let in at the edge of the limits ends by itself, and is cut to a screen."""
    shown = OrderText(source).render(facts("|" * 499 + "x", big="aß" * 100))
    assert len(shown) <= TEXT_CHARACTERS_MAX


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


@given(
    reference=st.text(max_size=40),
    asked=st.text(max_size=400),
    text=st.text(max_size=500),
    encoding=st.sampled_from(["gb18030", "ascii", "latin-1", "utf-8", "big5"]),
)
def test_whatever_a_merchant_says_can_be_answered(
    reference: str, asked: str, text: str, encoding: str
) -> None:
    """An item that the terminal's encoding lacks, or that has no room, is left out."""
    whole = {"ON": "SP1/2", "OS": "00", "OW": "12", "OP": reference, "OI": asked}

    items = De59.parse(bytes.fromhex(fitted(whole, text, encoding)))

    assert ("SP1/2", "00", "12") == tuple(items.text(tag, encoding) for tag in ("ON", "OS", "OW"))
    for tag in ("OP", "OI"):
        assert tag not in items or whole[tag] == items.text(tag, encoding)
    assert text.encode(encoding, "replace").startswith(items.get("OT") or b"")
