"""What of a bank's reply a terminal is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.message import Message
from acquirer.payments.kernel.bank_reply import approval_code_of, brought_by
from acquirer.routing.outcomes import NoReply, Replied

BALANCE = "1002156C000000001250"
CUP = load_dialect("cup_pos")


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({38: "A12345", 54: BALANCE + BALANCE}, {38: "A12345", 54: BALANCE}),
        ({38: "      ", 54: "short"}, {}),
        ({38: "\0" * 6, 54: "\x1b" + BALANCE}, {}),
        ({38: "A1234", 54: BALANCE[:-1] + "x"}, {}),
        ({38: "A123456", 54: BALANCE.replace("C", "X")}, {}),
        ({38: "\xc1\xe9\xbf\xf1\xe0\xe7", 54: BALANCE[:-1] + "\xb2"}, {}),
        ({38: "\u202e12345", 54: BALANCE[:-1] + "\u0663"}, {}),
    ],
)
def test_only_what_a_terminal_can_read(fields: dict[int, str], shown: dict[int, str]) -> None:
    """One balance, a whole approval code; nothing that is short or holds control characters."""
    assert (shown.get(38, ""), shown.get(54, "")) == brought_by(Replied(Message("0210", fields)))


@given(st.dictionaries(st.sampled_from([38, 39, 54, 44]), st.text(max_size=40)))
def test_whatever_a_bank_brings_can_be_sent_on(fields: dict[int, str]) -> None:
    """The terminal's dialect holds it, and the merchant is told the code that the terminal got."""
    replied = Replied(Message("0210", fields))
    code, balance = brought_by(replied)
    shown = {number: value for number, value in ((38, code), (54, balance)) if value}
    sent = CUP.decode(CUP.encode(Message("0210", {**shown, 41: "10000001"})))
    assert {**shown, 41: "10000001"} == sent.fields
    assert code == approval_code_of(replied)
    assert "" == approval_code_of(NoReply())
