"""All that is wrong with an answer of an order system, member by member. Pure.

For people who build one; the switch itself stops at the first fault (``messages.py``).
Source: ``docs/order-system-openapi.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from acquirer.routing.orders.errors import AnswerError
from acquirer.routing.orders.messages import OrderFacts, Problem


def answer_faults(body: bytes, check: Callable[[OrderFacts], object]) -> list[str]:
    """All that is wrong with an answer about an order. Pure.

    Args:
        check: holds it against the question; raises ``AnswerError``.
    """
    document = _document(body)
    if document is None:
        return ["the body is no JSON object"]
    faults = []
    for one in msgspec.structs.fields(OrderFacts):
        if one.encode_name not in document:
            if one.required:
                faults.append(f"{one.encode_name} is missing")
            continue
        value = document[one.encode_name]
        try:
            msgspec.convert(value, one.type)
        except msgspec.ValidationError as error:
            reason = str(error).partition(" - at")[0]
            faults.append(f"{one.encode_name}: {reason}; came {sent_value(value)}")
    if faults:
        return faults
    try:
        check(msgspec.convert(document, OrderFacts))
    except AnswerError as error:
        return [f"{error}; came {error.got}"]
    return []


def problem_faults(body: bytes, word: str = "") -> list[str]:
    """All that is wrong with a refusal. Pure.

    Args:
        word: what ``error`` must be; any where it is empty.
    """
    document = _document(body)
    if document is None:
        return ["the body is no JSON object"]
    try:
        problem = msgspec.convert(document, Problem)
    except msgspec.ValidationError as error:
        return [str(error)]
    if word and problem.error != word:
        return [f"error must be {word}, came {sent_value(problem.error)}"]
    return []


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def sent_value(value: object) -> str:
    """A value of a document as people are shown it, 60 characters at most."""
    return msgspec.json.encode(value).decode()[:60]
