"""Text of somebody else's on its way to a screen, a log or a terminal's display. Pure.

A control character moves a cursor or starts a command of the screen's, a bidi control turns round
what stands beside it. :func:`printable` writes such a character out, for people who look for a
fault; :func:`one_line` puts a blank in its place, for people who read a price.
Source: Unicode Standard, chapter 23 (control, format and bidi characters); ECMA-48 (C0, C1).
"""

from __future__ import annotations

from unicodedata import category

_BEYOND_BMP = 0x10000


def is_shown(character: str) -> bool:
    """Whether a character is a letter, a sign or a blank, and steers nothing.

    >>> [is_shown(one) for one in ("茶", " ", "\\u3000", "\\x1b", "\\x9b", "\\u202e", "\\u2028")]
    [True, True, True, False, False, False, False]
    """
    return character.isprintable() or category(character) == "Zs"


def printable(text: str) -> str:
    r"""The text with what would steer a screen written as an escape.

    >>> printable("a\x1b[2J\u202e")
    'a\\x1b[2J\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(c if is_shown(c) else c.encode("unicode_escape").decode() for c in text)


def printable_json(document: str) -> str:
    r"""A JSON document on one line, the same document, with no character that steers a screen.

    >>> printable_json('{"text":"a\u202e"}')
    '{"text":"a\\u202e"}'
    """
    if document.isprintable():
        return document
    return "".join(c if is_shown(c) else _json_escape(c) for c in document)


def one_line(text: str) -> str:
    r"""The text with a blank for each character that a line cannot show.

    >>> one_line("Tea\nset\u202e  12.50")
    'Tea set   12.50'
    """
    if text.isprintable():
        return text
    return "".join(c if is_shown(c) else " " for c in text)


def _json_escape(character: str) -> str:
    code = ord(character)
    if code < _BEYOND_BMP:
        return f"\\u{code:04x}"
    high, low = divmod(code - _BEYOND_BMP, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
