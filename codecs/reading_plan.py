"""What is to be checked in a message that pyiso8583 has read: which of its fields need what.

A peer sends few different bitmaps, so plans are kept; how many is limited.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from acquirer.codecs.dialect_file import FieldSpec

_KEPT_MAX = 512


@dataclass(frozen=True, slots=True)
class Plan:
    """The data elements of one bitmap: all numbers, and the keys that need a check."""

    numbers: tuple[int, ...]
    numeric: tuple[str, ...]
    prefixed: tuple[tuple[str, bytes], ...]
    tracks: tuple[str, ...]
    hex_text: tuple[str, ...]
    formed: tuple[str, ...]


def plans_of(compiled: Mapping[str, FieldSpec], types: Mapping[int, str]) -> Callable[[str], Plan]:
    """Plans by bitmap, in hexadecimal.

    Args:
        compiled: a dialect's fields.
        types: data element number → type as the file has it.
    """

    def plan(bitmap: str) -> Plan:
        bits, width = int(bitmap, 16), 4 * len(bitmap)
        numbers = tuple(n for n in range(2, width + 1) if bits >> (width - n) & 1)
        keys = [(str(n), types.get(n, ""), compiled[str(n)]) for n in numbers]
        return Plan(
            numbers=numbers,
            numeric=tuple(key for key, kind, _ in keys if kind == "n"),
            prefixed=tuple((k, s.prefix_digits) for k, _, s in keys if s.prefix_digits),
            tracks=tuple(key for key, kind, _ in keys if kind == "z"),
            hex_text=tuple(key for key, _, spec in keys if spec.hex_text),
            formed=tuple(key for key, _, spec in keys if spec.form),
        )

    return lru_cache(maxsize=_KEPT_MAX)(plan)
