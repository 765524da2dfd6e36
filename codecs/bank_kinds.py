"""The messages that a bank core knows, by name; ``routing/banks/messages.py`` says how each looks.

Source: docs/interfaces/bank-link.md, "Messages".
"""

from __future__ import annotations

from enum import StrEnum


class BankMessage(StrEnum):
    """What a bank is asked or told."""

    BALANCE = "balance"
    SALE = "sale"
    VOID = "void"
    REFUND = "refund"
    PREAUTH = "preauth"
    COMPLETION = "completion"
    ADVICE = "advice"
    REVERSAL = "reversal"
    INQUIRY = "inquiry"
    SCRIPT_RESULT = "script_result"
