"""TOML files to typed values, with errors that name file, key and reason.

Every program of the product reads its file through :func:`load`. Source: TOML 1.0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

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
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise ConfigError(path, "", error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise ConfigError(path, "", "is not UTF-8") from None
    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(path, "", f"is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        key, reason = fault_of(error)
        raise ConfigError(path, key, "; ".join(filter(None, (reason, cures.get(key))))) from None


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
