"""TOML files to typed values, with errors that name file, key and reason.

Every program of the product reads its file through :func:`load`. Source: TOML 1.0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import msgspec

T = TypeVar("T")
NO_CURES: Mapping[str, str] = MappingProxyType({})


class ConfigError(ValueError):
    """A configuration that cannot be used; the operator must mend it.

    Attributes:
        file: the file at fault.
        key: path of the key, such as ``banks[0].dialect``, or empty.
        reason: what is wrong and what would be right.
    """

    def __init__(self, file: str | Path, key: str, reason: str) -> None:
        super().__init__(f"{file}: {key}: {reason}" if key else f"{file}: {reason}")
        self.file = str(file)
        self.key = key
        self.reason = reason


def load(path: str | Path, kind: type[T], cures: Mapping[str, str] = NO_CURES) -> T:
    """Read a TOML file into a msgspec structure.

    Args:
        path: the file.
        kind: a ``msgspec.Struct`` type; declare it with ``forbid_unknown_fields=True`` so that
            a mistyped key is found.
        cures: key → what to do where it is at fault.

    Raises:
        ConfigError: no such file, no TOML, or a key that is missing, unknown or of a wrong type.
    """
    document = load_document(path)
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        key, reason = fault_of(error)
        raise ConfigError(path, key, "; ".join(filter(None, (reason, cures.get(key))))) from None


def load_document(path: str | Path) -> dict[str, Any]:
    """A TOML file's tables.

    Raises:
        ConfigError: no such file, or no TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(path, "", error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise ConfigError(path, "", "is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(path, "", f"is not TOML: {error}") from None


NO_SUCH_KEY = "no such key"


def readable(
    table: Mapping[str, Any], kind: type[msgspec.Struct], place: str = ""
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What a type takes of a table, and all that is wrong with the rest.

    Args:
        table: as TOML was parsed.
        place: where it stands; empty for the whole file.

    Returns:
        The keys that are right, lists with those of their tables that are, without keys that
        nobody knows; and key and reason of every fault.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    found: dict[str, Any] = {}
    faults = [(_below(place, name), NO_SUCH_KEY) for name in table if name not in fields]
    for name, field in fields.items():
        if name in table:
            taken, wrong = _taken(table[name], field.type, _below(place, name))
            faults += wrong
            if taken is not _NOTHING:
                found[name] = taken
        elif field.required:
            faults.append((_below(place, name), "is missing"))
    return found, faults


_NOTHING = object()


def _taken(value: Any, kind: Any, place: str) -> tuple[Any, list[tuple[str, str]]]:
    """A value, of a list of tables those that are right; nothing where it is at fault itself."""
    inner = next((one for one in get_args(kind) if _is_struct(one)), kind)
    if isinstance(value, list) and _is_struct(inner):
        parts = [_taken(one, inner, f"{place}[{n}]") for n, one in enumerate(value)]
        kept = [part for part, _ in parts if part is not _NOTHING]
        return kept, [fault for _, wrong in parts for fault in wrong]
    if isinstance(value, dict) and _is_struct(inner):
        known, faults = readable(value, inner, place)
        if any(reason != NO_SUCH_KEY for _, reason in faults):
            return _NOTHING, faults
        if faults:
            taken, more = _taken(known, kind, place)
            return taken, faults + more
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        key, reason = fault_of(error)
        return _NOTHING, [(_below(place, key), reason)]
    return value, []


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _below(place: str, name: str) -> str:
    return f"{place}.{name}".strip(".") if not name.startswith("[") else f"{place}{name}"


def fault_of(error: msgspec.ValidationError) -> tuple[str, str]:
    """The path of the key at fault, and what is wrong with it."""
    reason, _, where = str(error).partition(" - at `$")
    key = where.rstrip("`").lstrip(".")
    if "field `" in reason:
        named = reason.split("field `", 1)[1].split("`", 1)[0]
        key = f"{key}.{named}" if key else named
    return key, reason


def split_address(address: str, file: str, key: str) -> tuple[str, int]:
    """Host and port of ``host:port``.

    Raises:
        ConfigError: it is no such thing.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(file, key, f"{address!r} is not host:port")
    return host.strip("[]"), int(port)
