"""DE48 on the bank link: items of a tag of 2 characters, a length of 3 digits, and a value.

``IN`` and ``IR`` are an instalment as asked for and as told, ``QR`` the code that a customer shows,
``CV`` the CVN2 of a card that is not there.
Source: docs/interfaces/bank-link.md, "DE48".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from acquirer.codecs.errors import RemoteFormatError

_HEAD = re.compile(r"([A-Z][A-Z0-9])([0-9]{3})")


def build_items(items: Mapping[str, str]) -> str:
    """DE48 of these items; those without a value are left out.

    >>> build_items({"CV": "123", "QR": ""})
    'CV003123'
    """
    return "".join(f"{tag}{len(value):03d}{value}" for tag, value in items.items() if value)


def parse_items(text: str) -> dict[str, str]:
    """The items of a DE48 by tag.

    >>> parse_items("CV003123")
    {'CV': '123'}

    Raises:
        RemoteFormatError: it does not consist of items, or a tag stands twice.
    """
    items: dict[str, str] = {}
    at = 0
    while at < len(text):
        head = _HEAD.match(text, at)
        if head is None:
            raise RemoteFormatError("an item is a tag and 3 digits", field="48", offset=at)
        tag, start = head[1], head.end()
        at = start + int(head[2])
        if at > len(text) or tag in items:
            raise RemoteFormatError("it is cut off, or stands twice", field=f"48.{tag}")
        items[tag] = text[start:at]
    return items
