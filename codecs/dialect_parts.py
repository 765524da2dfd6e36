"""The parts of a dialect's fields, made of its file.

``field_parts.py`` cuts them; here it is told what of, and how the value's text is bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from acquirer.codecs.dialect_file import BYTE_TYPES, TEXT_CODECS, DialectFile, FieldSpec
from acquirer.codecs.field_parts import Coder, FieldParts, inner_source


def parts_of(
    file: DialectFile,
    compiled: Mapping[str, FieldSpec],
    name: str,
    make: Callable[[dict[str, Any], str], Coder],
) -> dict[int, FieldParts]:
    """Data element number → its parts, of fields that have any.

    Args:
        compiled: the file's fields.
        name: of the file.
        make: a dialect of a document and a name.
    """
    found: dict[int, FieldParts] = {}
    for key, entry in file.fields.items():
        if entry.parts is None:
            continue
        as_text = entry.type not in BYTE_TYPES
        codec = TEXT_CODECS[file.defaults.text]
        if as_text:
            codec = str(compiled[key].pyiso["data_enc"]) if entry.type[0] == "a" else "ascii"
        coder = None
        if entry.parts.kind in ("bitmap", "positional"):
            inner = inner_source(entry.parts, asdict(file.defaults), as_text=as_text)
            coder = make(inner, f"{name}: field {key}")
        found[int(key)] = FieldParts(int(key), entry.parts, codec, coder, as_text=as_text)
    return found
