"""DE48 of a batch upload (0320): items of a terminal's list, and the count that ends it.

Source: docs/interfaces/terminal.md, "The batch and its settlement".
"""

from __future__ import annotations

from dataclasses import dataclass

from acquirer.codecs.errors import RemoteFormatError

ITEMS_MAX = 8
_COUNT, _ITEM = 2, 40
END_COUNT_DIGITS = 4


@dataclass(frozen=True, slots=True)
class UploadItem:
    """One transaction that stands at the terminal, 40 digits.

    Attributes:
        pan: its digits; empty where it has none.

    >>> UploadItem(False, "000017", "6225880000000007", 5320).format()
    '0000001700006225880000000007000000005320'
    """

    is_foreign: bool
    stan: str
    pan: str
    amount_minor: int

    def __repr__(self) -> str:
        return f"UploadItem({self.stan!r})"

    def format(self) -> str:
        """The 40 digits."""
        return f"{int(self.is_foreign):02d}{self.stan}{self.pan:0>20}{self.amount_minor:012d}"

    @classmethod
    def parse(cls, digits: str) -> UploadItem:
        """Read 40 digits.

        Raises:
            RemoteFormatError: it is neither domestic nor foreign.
        """
        if digits[:2] not in ("00", "01"):
            raise RemoteFormatError(f"an item is 00 or 01, not {digits[:2]}", field="48")
        return cls(digits[:2] == "01", digits[2:8], digits[8:28].lstrip("0"), int(digits[28:]))


def parse_items(value: str) -> list[UploadItem]:
    """Items of a 201.

    Raises:
        RemoteFormatError: they are not as many as it says, or more than eight.
    """
    count, rest = value[:_COUNT], value[_COUNT:]
    if len(count) < _COUNT or int(count) > ITEMS_MAX or len(rest) != int(count) * _ITEM:
        raise RemoteFormatError(
            f"a count n2 and up to {ITEMS_MAX} items of n{_ITEM}, not {len(value)} digits",
            field="48",
        )
    return [UploadItem.parse(rest[at : at + _ITEM]) for at in range(0, len(rest), _ITEM)]


def format_items(items: list[UploadItem]) -> str:
    """DE48 of a 201."""
    return f"{len(items):02d}" + "".join(item.format() for item in items)


def parse_end_count(value: str) -> int:
    """The count of a 202 or 207.

    Raises:
        RemoteFormatError: it is not n4.
    """
    if len(value) != END_COUNT_DIGITS:
        raise RemoteFormatError(f"a count is n{END_COUNT_DIGITS}", field="48")
    return int(value)
