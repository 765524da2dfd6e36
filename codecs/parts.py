"""Fields that are a row of fixed-width parts, cut and joined in one place.

Not a public format by itself: ``private_fields`` and ``bank_fields`` build on it. Errors carry the
part's path, such as ``60.3``.
"""

from __future__ import annotations

from collections.abc import Sequence

from acquirer.codecs.errors import LocalFormatError, RemoteFormatError


def is_digits(text: str) -> bool:
    """Whether ``text`` is one or more ASCII digits."""
    return text.isascii() and text.isdigit()


def cut(value: str, sizes: Sequence[int], field: str, *, parts_min: int) -> list[str]:
    """Cut digits into parts of the given widths; the value may end after any part.

    Args:
        value: the field's digits.
        sizes: width of each part in digits.
        field: the data element's number, for error paths.
        parts_min: how many parts must be there.

    Returns:
        One string a part; parts that are not there are empty.

    Raises:
        RemoteFormatError: no digits, a part that is cut short, too few or too many digits.
    """
    if value and not is_digits(value):
        raise RemoteFormatError("holds digits only", field=field)
    parts: list[str] = []
    at = 0
    for index, size in enumerate(sizes, 1):
        part = value[at : at + size]
        if len(part) != size and (part or index <= parts_min):
            text = f"{size} digits are needed, {len(part)} are there"
            raise RemoteFormatError(text, field=f"{field}.{index}")
        parts.append(part)
        at += size
    if len(value) > at:
        raise RemoteFormatError(f"{len(value)} digits; at most {at} are allowed", field=field)
    return parts


def join(parts: Sequence[str], sizes: Sequence[int], field: str, *, parts_min: int) -> str:
    """The reverse of :func:`cut`.

    Raises:
        LocalFormatError: a part of the wrong width, no digits, or a part after an absent one.
    """
    ended = False
    for index, (part, size) in enumerate(zip(parts, sizes, strict=True), 1):
        if not part and index > parts_min:
            ended = True
        elif ended:
            raise LocalFormatError("stands after an absent part", field=f"{field}.{index}")
        elif len(part) != size or not is_digits(part):
            raise LocalFormatError(f"must be {size} digits", field=f"{field}.{index}")
    return "".join(parts)


def amount_digits(amount: int, size: int, path: str) -> str:
    """A number that is not negative as zero-filled digits (minor units or a count).

    Raises:
        LocalFormatError: negative, or more digits than fit.
    """
    if amount < 0 or len(str(amount)) > size:
        raise LocalFormatError(f"must be 0 to {size} nines", field=path)
    return f"{amount:0{size}d}"
