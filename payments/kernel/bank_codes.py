"""What a bank's DE39 means for money. Pure tables: what is in none of them is never success.

Each kind of message has its own reading: an authorisation is approved, refused or in doubt; what
a bank is owed is taken, to be sent again, or refused for good, which an operator must decide.
Source: ISO 8583:1987, 4.3.39; docs/interfaces/bank-link.md, "Messages".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from acquirer.codecs.bank_kinds import BankMessage

Reading = Literal["approved", "refused", "in_doubt"]

APPROVED = "00"
# The bank has moved nothing. Anything else but an approval may have moved money: one with a
# condition (08, 10, 11, 16, 32, A2 to A6), work in progress (09), no answer from behind the bank
# (68, 98), a code that nobody here knows. Whoever gets one undoes it, as after no answer.
REFUSALS = frozenset(
    f"{code:02d}"
    for part in ((1, 8), (12, 16), (17, 24), (25, 26), (30, 32), (33, 46), (51, 68), (75, 76))
    for code in range(*part)
) | {"77", "90", "91", "92", "93", "94", "95", "96", "97", "99", "A0", "A7"}
# What a bank says of our link to it (MAC, module, sign-on, who we are) would tell a terminal
# to do something about its own.
OF_THE_LINK = frozenset({"77", "97", "A0", "A7"})
# The bank has not dealt with what it is owed: it must come again.
TO_BE_SENT_AGAIN = OF_THE_LINK | {"30", "68", "90", "91", "96", "98"}
# By kind of what a bank is owed: it has that now. A reversal's 25 says that it never had the
# original, so that there is nothing to undo.
TAKEN: Mapping[BankMessage, frozenset[str]] = MappingProxyType(
    {
        BankMessage.REVERSAL: frozenset({APPROVED, "25", "94"}),
        BankMessage.ADVICE: frozenset({APPROVED, "94"}),
        BankMessage.REFUND: frozenset({APPROVED, "94"}),
        BankMessage.COMPLETION: frozenset({APPROVED, "94"}),
        BankMessage.SCRIPT_RESULT: frozenset({APPROVED, "94"}),
    }
)


def reading_of(code: str) -> Reading:
    """What the answer to an authorisation, a void or an inquiry says of it.

    >>> reading_of("00"), reading_of("51"), reading_of("10"), reading_of("")
    ('approved', 'refused', 'in_doubt', 'in_doubt')
    """
    if code == APPROVED:
        return "approved"
    return "refused" if code in REFUSALS else "in_doubt"
