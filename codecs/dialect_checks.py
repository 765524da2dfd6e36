"""Reads a dialect's document and finds all that is wrong with its keys and values at once.

``dialect_file.py`` has the keys, and finds what contradicts itself inside one field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

import msgspec

from acquirer.codecs.dialect_file import (
    BYTE_TYPES,
    Defaults,
    DialectFile,
    FieldFormat,
    field_spec,
)
from acquirer.codecs.errors import DialectError
from acquirer.codecs.field_parts import PartsFormat, inner_source
from acquirer.codecs.framing import LengthHeader

_TABLES = ("defaults", "needs", "fields")


def parse_file(source: dict[str, Any], name: str) -> DialectFile:
    """Check a file's keys and values.

    Args:
        source: the TOML document, ``extends`` resolved.
        name: the file's name, for error texts.

    Raises:
        DialectError: unknown keys, or values that are not allowed; the text names all of them.
    """
    faults = list(_faults(source))
    if faults:
        raise DialectError(f"{name}: " + "; ".join(faults))
    return msgspec.convert(source, DialectFile)


def extended(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged entry by entry; an entry, such as a whole field, is replaced."""
    merged = {**base, **own}
    for key in _TABLES:
        tables = base.get(key, {}), own.get(key, {})
        if all(isinstance(table, dict) for table in tables):
            merged[key] = {**tables[0], **tables[1]}
    return merged


def _faults(source: dict[str, Any]) -> Iterator[str]:
    kinds = get_type_hints(DialectFile)
    yield from _unknown(source, DialectFile, "")
    for key in sorted(kinds.keys() & source.keys()):
        if key not in ("defaults", "fields"):
            yield from _misfit(source[key], kinds[key], key, _TOP.get(key))
    yield from _table(source.get("defaults", {}), Defaults, "defaults")
    entries = source.get("fields", {})
    if not isinstance(entries, dict):
        yield "fields: a table is expected"
        return
    for key, entry in entries.items():
        if not (key.isascii() and key.isdigit() and 2 <= int(key) <= 128 and int(key) != 65):
            yield f"field {key}: data elements are 2 to 128 without 65"
        elif faults := list(_table(entry, FieldFormat, f"fields.{key}")):
            yield from faults
        else:
            yield from _contradictions(key, entry, source.get("defaults", {}))


def _contradictions(key: str, entry: dict[str, Any], defaults: Any) -> Iterator[str]:
    try:
        shared = msgspec.convert(defaults, Defaults)
    except msgspec.ValidationError:
        return
    try:
        whole = msgspec.convert(entry, FieldFormat)
        field_spec(whole, shared)
        inner = whole.parts and inner_source(
            whole.parts, defaults, as_text=whole.type not in BYTE_TYPES
        )
    except ValueError as error:
        yield f"field {key}: {error}"
        return
    for fault in _faults(inner or {}):
        yield f"field {key}: parts: {fault}"


def _table(entry: Any, kind: type, path: str) -> Iterator[str]:
    """The faults of a table whose keys are a dataclass's."""
    if not isinstance(entry, dict):
        yield f"{path}: a table is expected"
        return
    yield from _unknown(entry, kind, f"{path}.")
    kinds = get_type_hints(kind)
    for key in sorted(kinds.keys() & entry.keys()):
        if key == "parts":
            yield from _table(entry[key], PartsFormat, f"{path}.parts")
        else:
            yield from _misfit(entry[key], kinds[key], f"{path}.{key}")
    for need in fields(kind):
        if need.default is need.default_factory is MISSING and need.name not in entry:
            yield f"{path}: {need.name} is missing"


def _unknown(entry: dict[str, Any], kind: type, path: str) -> list[str]:
    known = {one.name for one in fields(kind)}
    return [f"no such key: {path}{key}" for key in sorted(entry.keys() - known)]


def _misfit(
    value: Any, kind: Any, path: str, check: Callable[[Any], str] | None = None
) -> Iterator[str]:
    try:
        converted = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield f"{path}: {error}"
        return
    if check and (fault := check(converted)):
        yield fault


def _length_header(text: str) -> str:
    try:
        LengthHeader.parse(text)
    except DialectError as error:
        return str(error)
    return ""


def _hexadecimal(key: str, sizes: tuple[int, ...] = ()) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            sound = bytes.fromhex(text).hex() == text.lower()
        except ValueError:
            sound = False
        sound = sound and (not sizes or len(text) in sizes)
        return "" if sound else f"{key} is no hexadecimal text of the right length"

    return check


def _match_key(numbers: tuple[int, ...]) -> str:
    sound = 11 in numbers and len(numbers) > 1
    return "" if sound else "match_key needs 11 and at least one field more"


def _reversal_mti(mti: str) -> str:
    return "" if mti in ("0400", "0420", "1420") else "reversal_mti is 0400, 0420 or 1420"


_TOP: dict[str, Callable[[Any], str]] = {
    "length_header": _length_header,
    "tpdu": _hexadecimal("tpdu", (0, 10)),
    "header": _hexadecimal("header"),
    "trailer": _hexadecimal("trailer"),
    "match_key": _match_key,
    "reversal_mti": _reversal_mti,
}
