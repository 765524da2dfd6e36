"""Where dialect files are: those of the package and yours, and what one extends.

``dialect_file.py`` says what stands in one. Source: docs/dialects.md.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from acquirer.codecs.dialect_checks import extended
from acquirer.codecs.errors import DialectError

_EXTENDS_MAX = 4


def dialect_source(name: str) -> dict[str, Any]:
    """A dialect's document with all that it extends, not yet checked.

    Args:
        name: a shipped dialect or the path of a ``.toml`` file.

    Raises:
        DialectError: no such dialect, or the file is no TOML document; the text names it.
    """
    source, depth = _read(name), 0
    while "extends" in source:
        base, depth = source.pop("extends"), depth + 1
        if not isinstance(base, str) or depth > _EXTENDS_MAX:
            raise DialectError(f"{name}: extends names one file, {_EXTENDS_MAX} deep at most")
        if base.endswith(".toml") and name.endswith(".toml"):
            base = str(Path(name).parent / base)
        try:
            source = extended(_read(base), source)
        except DialectError as error:
            raise DialectError(f"{name}: extends: {error}") from None
    return source


def _read(name: str) -> dict[str, Any]:
    file: Any
    if name.endswith(".toml"):
        file = Path(name)
        if not file.is_file():
            raise DialectError(f"no dialect file {name}")
    else:
        file = resources.files("acquirer.codecs").joinpath("dialects", f"{name}.toml")
        if not (name.isidentifier() and file.is_file()):
            shipped = ", ".join(shipped_dialects())
            raise DialectError(f"no dialect {name!r}; shipped are {shipped}")
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise DialectError(f"{name}: {error}") from error


def shipped_dialects() -> list[str]:
    """The names of the dialects that come with the package, sorted."""
    folder = resources.files("acquirer.codecs").joinpath("dialects")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name[-5:] == ".toml")
