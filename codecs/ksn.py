"""Key serial numbers of DUKPT terminals: which key a message is under, and how they count.

TDES: 10 bytes, 59 bits of identifiers and a counter of 21 bits; AES: 12 bytes, identifiers of 8 and
a counter of 4. Source: ANSI X9.24-1:2009, annex A; ANSI X9.24-3:2017, 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from acquirer.codecs.errors import RemoteFormatError

COUNTER_BITS = {10: 21, 12: 32}
BYTES_OF_SCHEME = {"dukpt_tdes": 10, "dukpt_aes": 12}
_ONES_MAX = {10: 10, 12: 16}


@dataclass(frozen=True, slots=True)
class Ksn:
    """One key serial number.

    >>> ksn = Ksn.of("FFFF9876543210E00001")
    >>> ksn.counter, ksn.initial, ksn.next().digits
    (1, 'FFFF9876543210E00000', 'FFFF9876543210E00002')
    """

    digits: str

    @classmethod
    def of(cls, digits: str) -> Ksn:
        """Read 20 hexadecimal digits, or 24.

        Raises:
            RemoteFormatError: any other number of them.
        """
        if len(digits) // 2 not in COUNTER_BITS or len(digits) % 2:
            raise RemoteFormatError("a key serial number has 10 bytes, or 12", field="62")
        try:
            return cls(bytes.fromhex(digits).hex().upper())
        except ValueError:
            raise RemoteFormatError("a key serial number is hexadecimal", field="62") from None

    @property
    def counter(self) -> int:
        """How often its terminal has used a key."""
        return int(self.digits, 16) & self._mask

    @property
    def initial(self) -> str:
        """The same with counter zero, which names the terminal's initial key."""
        return self._with(0)

    def next(self) -> Ksn:
        """The one that the terminal uses next; counters of too many one bits are left out.

        Raises:
            ValueError: the terminal's keys are used up.
        """
        counter, ones_max = self.counter + 1, _ONES_MAX[len(self.digits) // 2]
        while counter.bit_count() > ones_max:
            counter += counter & -counter
        if counter > self._mask:
            raise ValueError("the terminal's keys are used up")
        return Ksn(self._with(counter))

    @property
    def _mask(self) -> int:
        return (1 << COUNTER_BITS[len(self.digits) // 2]) - 1

    def _with(self, counter: int) -> str:
        number = int(self.digits, 16) & ~self._mask | counter
        return f"{number:0{len(self.digits)}X}"
