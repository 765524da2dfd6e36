"""Requests to bytes and replies to values: envelope, fields, MAC. Pure, without state.

``assemble`` builds one request from a row of the table and its fields; ``read_reply`` decides
whether a frame answers a request and what is wrong with it. Source: docs/interfaces/terminal.md,
parts 1
to 4.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from acquirer.codecs.dialect import load_dialect
from acquirer.codecs.errors import RemoteFormatError
from acquirer.codecs.message import Message
from acquirer.codecs.private_fields import De60
from acquirer.codecs.response_codes import APPROVING
from acquirer.codecs.tpdu import PosEnvelope, ProcessingDemand
from acquirer.terminals_sim.identity import Identity
from acquirer.terminals_sim.kinds import SALE, Kind
from acquirer.terminals_sim.security import KeyRing, message_mac

DIALECT = "cup_pos"
FRAME_BYTES_MAX = 4096
MacStatus = Literal["good", "bad", "none"]

_NO_MAC = "00" * 8
_ECHOED = (2, 3, 4, 11, 25, 41, 42, 49, 60)
_CHIP_CLASS = 0x61
_READ_CAPABILITY = "6"
_IC_CONDITION = "0"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it leaves.

    Attributes:
        message: fields and bytes, MTI to last field.
        mac_key: the key of its MAC; empty where it has none.
        reply_key: that of its reply's.
        ksn: the serial number that DE62 begins with, where keys are derived.
    """

    kind: Kind
    envelope: PosEnvelope
    message: Message
    mac: str
    mac_key: bytes = field(repr=False)
    reply_key: bytes = field(repr=False)
    ksn: str = ""

    @property
    def frame(self) -> bytes:
        """TPDU, header and message, without the length header."""
        return bytes(self.envelope) + self.message.raw

    @property
    def stan(self) -> str:
        """DE11, empty where it has none."""
        return self.message.get(11)

    @property
    def batch(self) -> str:
        """DE60.2."""
        return self.message.get(60)[2:8]


@dataclass(frozen=True, slots=True)
class Reply:
    """A frame that answers a request.

    Attributes:
        demand: what the header asks of the terminal.
        mac: whether DE64 verified under the request's key, did not, or is not there.
        faults: what breaks the interface, in words; empty for a sound reply.
    """

    message: Message
    demand: ProcessingDemand
    mac: MacStatus
    faults: tuple[str, ...] = ()

    @property
    def response_code(self) -> str:
        """DE39."""
        return self.message.get(39)


def de60(kind: Kind, batch: str, transaction_type: str = "") -> str:
    """DE60 of a request: to 60.3 for management messages, to 60.5 for all others."""
    head = De60(transaction_type or kind.transaction_type, batch, kind.network_code)
    if kind.management:
        return head.format()
    return head.format() + _READ_CAPABILITY + _IC_CONDITION


def assemble(
    identity: Identity,
    kind: Kind,
    fields: Mapping[int, str],
    keys: KeyRing | None = None,
    mti: str = "",
) -> Request:
    """Build a request; DE41 and DE42 are added, DE64 where the kind has one and a key is given.

    Raises:
        LocalFormatError: a field that the dialect cannot hold.
    """
    values = {**fields, 41: identity.terminal_id, 42: identity.merchant_id}
    header = bytearray(identity.header)
    if 55 in values:
        header[0] = _CHIP_CLASS
    key = reply_key = ksn = None
    if keys is not None and kind.mac:
        values[64] = _NO_MAC
        key, reply_key, ksn = keys.mac_key, keys.reply_key or keys.mac_key, keys.ksn
    if ksn:
        values[62] = ksn + values.get(62, "")
    message = Message(mti or kind.mti, values)
    envelope = PosEnvelope(identity.tpdu, bytes(header))
    request = Request(
        kind, envelope, message, identity.mac, key or b"", reply_key or b"", ksn or ""
    )
    seal(request)
    return request


def seal(request: Request) -> None:
    """Encode a request's message and put its MAC in place of the last field."""
    dialect, message = load_dialect(DIALECT), request.message
    raw = dialect.encode(message)
    if 64 in message.fields and request.mac_key:
        mac = message_mac(request.mac, request.mac_key, dialect.mac_input(raw))
        message.raw = dialect.with_mac(raw, mac)
        message.fields[64] = mac.hex().upper()


def read_reply(request: Request, frame: bytes) -> Reply | None:
    """The reply in a frame, or None where the frame does not answer this request.

    A frame answers where TPDU (swapped), MTI + 10, DE11 and DE41 fit; one that cannot be decoded
    answers nothing.

    Args:
        request: what was sent.
        frame: what came, without the length header.
    """
    try:
        envelope, raw = PosEnvelope.split(frame)
        message = load_dialect(DIALECT).decode(raw)
    except RemoteFormatError:
        return None
    sent = request.message
    if (
        envelope.tpdu != request.envelope.reply().tpdu
        or message.mti != f"{int(sent.mti) + 10:04d}"
        or (request.stan and message.get(11) != request.stan)
        or message.get(41) != sent.get(41)
    ):
        return None
    faults = _faults(request, envelope, message)
    return Reply(message, envelope.processing_demand, _mac_status(request, message), faults)


def _mac_status(request: Request, message: Message) -> MacStatus:
    if 64 not in message.fields:
        return "none"
    if not request.reply_key:
        return "bad"
    data = load_dialect(DIALECT).mac_input(message.raw)
    expected = message_mac(request.mac, request.reply_key, data)
    return "good" if hmac.compare_digest(expected, message.binary(64)) else "bad"


def _faults(request: Request, envelope: PosEnvelope, message: Message) -> tuple[str, ...]:
    sent, faults = request.message, []
    if envelope.reply().header != request.envelope.reply().header:
        faults.append("the header is not echoed")
    code = message.get(39)
    if not code:
        faults.append("field 39: absent")
    if code == "10" and not _is_in_part(request, message):
        faults.append("field 39: an approval in part without an amount below the one asked for")
    for number in _ECHOED:
        asked, got = sent.get(number), message.get(number)
        if not asked or (number == 4 and code == "10"):
            continue
        # The next batch's number comes with a sign-on, and with 77.
        if number == 60 and (sent.mti == "0800" or code == "77"):
            asked, got = asked[:2] + asked[8:], got[:2] + got[8:]
        if number not in message.fields:
            if code in APPROVING:
                faults.append(f"field {number}: not echoed")
        elif got != asked:
            faults.append(f"field {number}: not as it was sent")
    for number in (35, 36, 52, 26, 53):
        if number in message.fields:
            faults.append(f"field {number}: must not be in a reply")
    return tuple(faults)


def _is_in_part(request: Request, message: Message) -> bool:
    """Whether a reply grants a part of a sale's amount."""
    granted, asked = message.get(4), request.message.get(4)
    return request.kind.name == SALE.name and bool(granted) and 0 < int(granted) < int(asked)
