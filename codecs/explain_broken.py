"""What may be shown of a message that does not decode: what can be read, and the rest in bytes.

Behind a card number or a track whose length may lie, any byte can be a part of it. So bytes that no
field explains are shown only where the message holds nothing that is masked or hidden; else how
many there are. ``explain.py`` tells the fields, ``capture.py`` finds the message.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from acquirer.codecs.capture import Capture
from acquirer.codecs.dialect import Dialect
from acquirer.codecs.errors import CodecError
from acquirer.codecs.explain import Line, explain_message
from acquirer.codecs.masking import MASKED


@dataclass(frozen=True, slots=True)
class Remains:
    """What was found of a message, whole or broken.

    Attributes:
        mti: four digits, or empty.
        fields: data element number → value, clear.
        broken: data element number → the bytes of a field at fault, as they may be shown.
        rest: the bytes behind what could be read, as they may be shown; empty where there are none.
        errors: everything that is wrong, in the order of the message.
    """

    mti: str = ""
    fields: dict[int, str] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)
    rest: str = ""
    errors: tuple[CodecError, ...] = ()


def remains_of(found: Capture, dialect: Dialect) -> Remains:
    """Sort what was found into what can be read and what cannot."""
    first = (found.error,) if found.error else ()
    if found.message:
        return Remains(found.message.mti, found.message.fields, errors=first)
    reading = found.reading
    if reading is None:
        return Remains(errors=first)
    present = dialect.bitmap.numbers(found.raw)
    guarded = not reading.is_whole and bool(present & MASKED or not present)
    errors = {str(error): error for error in (*first, *reading.faults)}
    return Remains(
        mti=reading.mti,
        fields=reading.fields,
        broken={
            number: _shown(data, hidden=guarded or number in MASKED)
            for number, data in reading.broken.items()
            if number not in reading.fields
        },
        rest=_shown(found.raw[reading.end :], hidden=guarded),
        errors=tuple(sorted(errors.values(), key=lambda error: error.offset)),
    )


def explain_found(found: Capture, dialect: Dialect, encoding: str = "") -> list[Line]:
    """MTI, bitmap and every field, what could not be read, and all that is wrong; masked.

    Args:
        encoding: as for :func:`explain_message`.
    """
    remains = remains_of(found, dialect)
    lines = explain_message(
        remains.mti,
        remains.fields,
        dialect,
        raw=found.raw,
        encoding=encoding,
        broken=remains.broken,
    )
    if remains.rest:
        lines.append(Line("rest", "", remains.rest))
    return lines + [Line("error", "", str(error)) for error in remains.errors]


def _shown(data: bytes, *, hidden: bool) -> str:
    if hidden and data:
        return f"[{len(data)} bytes hidden]"
    return data.hex().upper()
