"""A decoded ISO 8583 message: an MTI and its data elements.

Values are text: ``n`` and ``z`` fields as digits (``D`` is track 2's separator), ``an`` and
``ans`` as characters, ``b`` and raw fields as upper-case hexadecimal. ``repr`` masks card data.
Source: ISO 8583:1987, 4.2 (MTI), 4.3 (data elements).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.masking import mask_fields


@dataclass(slots=True)
class Message:
    """One message in any dialect.

    Attributes:
        mti: four digits.
        fields: data element number → value. The bitmap is not part of it.
        raw: the bytes it was decoded from or encoded to (MTI to last field), or empty.
    """

    mti: str
    fields: dict[int, str] = field(default_factory=dict)
    raw: bytes = b""

    def get(self, number: int) -> str:
        """The value of a data element, or the empty string where it is absent."""
        return self.fields.get(number, "")

    def need(self, number: int) -> str:
        """The value of a data element that must be there.

        Raises:
            RemoteFormatError: where it is absent or empty (reply hint 30).
        """
        value = self.fields.get(number, "")
        if not value:
            raise RemoteFormatError("the message needs this field", field=str(number))
        return value

    def binary(self, number: int) -> bytes:
        """The bytes of a ``b`` or raw data element, empty where it is absent."""
        return bytes.fromhex(self.fields.get(number, ""))

    @property
    def processing_code(self) -> str:
        """DE3, or the empty string."""
        return self.fields.get(3, "")

    def __repr__(self) -> str:
        shown = ", ".join(f"{n}={v!r}" for n, v in mask_fields(self.mti, self.fields).items())
        return f"Message({self.mti} {shown})"


def reply_mti(mti: str) -> str:
    """The MTI that answers a request or its repeat.

    >>> reply_mti("0200"), reply_mti("0421")
    ('0210', '0430')
    """
    return f"{mti[:2]}{int(mti[2]) + 1}0"
