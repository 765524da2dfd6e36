"""TPDU and POS header: the eleven bytes before a terminal's message.

Layout: TPDU 5 bytes BCD (``60`` + destination n4 + source n4), header 6 bytes BCD n12
(application class n2, software version n2, terminal status n1, processing demand n1,
software sub-version n6). Source: docs/interfaces/terminal.md, part 1.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from acquirer.codecs.errors import RemoteFormatError

ENVELOPE_BYTES = 11


class ProcessingDemand(IntEnum):
    """What a reply's header asks of the terminal."""

    NOTHING = 0
    DOWNLOAD_PARAMETERS = 1
    UPLOAD_STATUS = 2
    SIGN_ON = 3
    DOWNLOAD_CA_KEYS = 4
    DOWNLOAD_IC_PARAMETERS = 5


class PosEnvelope(msgspec.Struct, frozen=True):
    """TPDU (5 bytes) and header (6 bytes) of one terminal message."""

    tpdu: bytes
    header: bytes

    @classmethod
    def split(cls, frame: bytes) -> tuple[PosEnvelope, bytes]:
        """Cut a frame's body into its envelope and the message.

        Raises:
            RemoteFormatError: too short, or not BCD, or the TPDU does not start with 60.
        """
        if len(frame) <= ENVELOPE_BYTES:
            raise RemoteFormatError("shorter than TPDU and header", field="tpdu", offset=0)
        tpdu, header = frame[:5], frame[5:ENVELOPE_BYTES]
        if tpdu[0] != 0x60 or not tpdu.hex().isdigit():
            raise RemoteFormatError("the TPDU is not 60 and eight digits", field="tpdu", offset=0)
        if not header.hex().isdigit():
            raise RemoteFormatError("the header is not twelve digits", field="header", offset=5)
        return cls(tpdu, header), frame[ENVELOPE_BYTES:]

    @property
    def processing_demand(self) -> ProcessingDemand:
        """What the header asks for; digits without a meaning count as nothing."""
        digit = self.header[2] & 0x0F
        return ProcessingDemand(digit) if digit <= 5 else ProcessingDemand.NOTHING

    def reply(self, demand: ProcessingDemand = ProcessingDemand.NOTHING) -> PosEnvelope:
        """The answer's envelope: addresses swapped, header echoed with its own demand."""
        tpdu = self.tpdu[:1] + self.tpdu[3:5] + self.tpdu[1:3]
        header = bytearray(self.header)
        header[2] = (header[2] & 0xF0) | demand
        return PosEnvelope(tpdu, bytes(header))

    def __bytes__(self) -> bytes:
        return self.tpdu + self.header
