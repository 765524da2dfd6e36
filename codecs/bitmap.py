"""Where a dialect's bitmap stands, and hosts that always send both halves of it.

ISO 8583 says with bit 1 that a secondary bitmap follows. Some hosts send it always and leave bit 1
clear; pyiso8583 does not know them, so the bit is set before it decodes and cleared after it
encodes. Source: ISO 8583:1987, 4.1.2; habits of hosts seen in published messages.
"""

from __future__ import annotations

from dataclasses import dataclass

_HALF_BYTES = 8


@dataclass(frozen=True, slots=True)
class BitmapLayout:
    """The bitmap of one dialect.

    Attributes:
        start: bytes before it, that is the MTI's length.
        codec: ``b`` for binary, else the text codec of its hexadecimal digits.
        always_both: whether 16 bytes follow the MTI whatever bit 1 says.
    """

    start: int
    codec: str
    always_both: bool = False

    @property
    def half_size(self) -> int:
        """Bytes on the wire of one half: 8 binary or 16 of text."""
        return _HALF_BYTES if self.codec == "b" else 2 * _HALF_BYTES

    def read(self, raw: bytes) -> bytes:
        """The 8 or 16 bytes of a message's bitmap, or nothing where it cannot be read.

        Args:
            raw: MTI to last field; need not decode beyond the bitmap.
        """
        bitmap = b""
        for at in (self.start, self.start + self.half_size):
            part = raw[at : at + self.half_size]
            try:
                bitmap += part if self.codec == "b" else bytes.fromhex(part.decode(self.codec))
            except ValueError:
                return b""
            if not bitmap or not (self.always_both or bitmap[0] & 0x80):
                break
        return bitmap if len(bitmap) in (_HALF_BYTES, 2 * _HALF_BYTES) else b""

    def of(self, number: int | None) -> bytes:
        """The bitmap of a message with one data element, or with none.

        >>> BitmapLayout(4, "b").of(11).hex(), BitmapLayout(4, "ascii").of(None)
        ('0020000000000000', b'0000000000000000')
        """
        bits = 1 << (128 - number) if number else 0
        if number and number > 64 and not self.always_both:
            bits |= 1 << 127
        both = bits.to_bytes(2 * _HALF_BYTES, "big")
        return self._text(both if bits >> 127 or self.always_both else both[:_HALF_BYTES])

    def numbers(self, raw: bytes) -> frozenset[int]:
        """The data elements that a message says it has; bit 1 counts, as the bitmap's own."""
        bitmap = self.read(raw)
        bits = int.from_bytes(bitmap, "big")
        width = 8 * len(bitmap)
        return frozenset(n for n in range(1, width + 1) if bits >> (width - n) & 1)

    def with_flag(self, raw: bytes) -> bytes:
        """``raw`` with bit 1 set where both halves always follow; else as it is."""
        if not self.always_both:
            return raw
        bitmap = self.read(raw)
        return self._write(raw, bitmap[0] | 0x80) if bitmap else raw

    def without_flag(self, encoded: bytes) -> bytes:
        """An encoded message with both halves there and bit 1 clear.

        Args:
            encoded: has a second half only where its bit 1 is set.
        """
        end = self.start + self.half_size
        first = self._first(encoded)
        cleared = self._write(encoded, first & 0x7F)
        return (
            cleared
            if first & 0x80
            else cleared[:end] + self._text(bytes(_HALF_BYTES)) + cleared[end:]
        )

    def _first(self, raw: bytes) -> int:
        if self.codec == "b":
            return raw[self.start]
        return int(raw[self.start : self.start + 2].decode(self.codec), 16)

    def _write(self, raw: bytes, first: int) -> bytes:
        text = self._text(bytes([first]))
        return raw[: self.start] + text + raw[self.start + len(text) :]

    def _text(self, part: bytes) -> bytes:
        return part if self.codec == "b" else part.hex().upper().encode(self.codec)
