"""A message in hexadecimal, field by field, with what nobody may see written as dots.

What is hidden is decided in ``masking.py``: a field that is not shown whole there is hidden whole
here, byte for byte, so that lengths can still be counted. What does not decode is hidden too.
Source: PCI DSS 4.0, 3.3 and 3.4.
"""

from __future__ import annotations

from acquirer.codecs.capture import Capture
from acquirer.codecs.dialect import Dialect
from acquirer.codecs.masking import mask_fields

HIDDEN = ".."


def masked_hex(found: Capture, dialect: Dialect) -> list[str]:
    """Envelope, MTI and bitmap, and each field, on a line of its own each."""
    envelope = (found.prefix + found.envelope).hex().upper()
    lines = [envelope] if envelope else []
    if found.message is None:
        return [*lines, f"{len(found.raw)} bytes that do not decode, hidden"]
    wire = dialect.wire_fields(found.raw)
    values = found.message.fields
    shown = mask_fields(found.message.mti, values)
    head = len(found.raw) - sum(len(length + data) for length, data in wire.values())
    lines.append(found.raw[:head].hex().upper())
    for number, (length, data) in wire.items():
        is_shown = number in values and shown[number] == values[number]
        text = data.hex().upper() if is_shown else HIDDEN * len(data)
        lines.append(f"DE{number:<4}{(length.hex().upper() + ' ').lstrip()}{text}")
    return lines


def masked_run(found: Capture, dialect: Dialect) -> str:
    """The bytes of a decoded message from MTI to the field before its MAC, as one text."""
    lines = masked_hex(found, dialect)[1 if found.prefix + found.envelope else 0 : -1]
    return "".join([lines[0], *(line[6:].replace(" ", "") for line in lines[1:])])
