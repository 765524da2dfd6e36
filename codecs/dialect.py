"""Message dialects: data files compiled to pyiso8583 specifications.

A dialect file says for each data element its type, length prefix, encoding and padding; nothing
of a vendor's habits is written in code. ``load_dialect("cup_pos")`` reads a shipped file from
``dialects/``; a path ending in ``.toml`` reads one of yours. The keys are in
``dialect_file.py``, the user's page is ``docs/dialects.md``.
Source: ISO 8583:1987 clause 4; docs/interfaces/terminal.md part 2; docs/interfaces/bank-link.md
"Framing and dialects".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NoReturn

import iso8583

from acquirer.codecs.bitmap import BitmapLayout
from acquirer.codecs.compiled import SEEN_MIN, CompiledMessages
from acquirer.codecs.dialect_checks import parse_file
from acquirer.codecs.dialect_file import compile_spec
from acquirer.codecs.dialect_parts import parts_of
from acquirer.codecs.dialect_source import dialect_source
from acquirer.codecs.errors import DialectError, LocalFormatError, RemoteFormatError
from acquirer.codecs.framing import LengthHeader
from acquirer.codecs.loose_reading import LooseReader, Reading
from acquirer.codecs.message import Message
from acquirer.codecs.reading_plan import plans_of
from acquirer.codecs.reasons import UNDEFINED, reason, reason_ours

MAC_BYTES = 8


class Dialect:
    """One compiled dialect: decodes and encodes whole messages (MTI to last field).

    Attributes:
        name: the file's name.
        title: one line on what it is.
        names: data element number → short name.
        types: data element number → type as the file has it.
        bitmap: where the bitmap stands and how it is written.
        length_header: how this dialect's links frame a message.
        envelope: the bytes that stand before the MTI in a frame (TPDU, fixed header) as we
            write them first; empty where there are none.
        trailer: the bytes that stand behind each message in a frame; empty where there are none.
        has_tpdu: whether the envelope starts with a TPDU of 5 bytes.
        reversal_mti: ``0400`` or ``0420``; its repeat is one more.
        compiled: reads and writes what comes often and is beyond doubt.
        parts: data element number → the fields that it is made of, where the file says so.
    """

    def __init__(self, source: dict[str, Any], name: str, *, seen_min: int = SEEN_MIN) -> None:
        """Compile a TOML document whose ``extends`` is resolved.

        Args:
            seen_min: how often a bitmap or a sequence of fields must be seen before functions
                for it are made.

        Raises:
            DialectError: the text names file, field and key.
        """
        file = parse_file(source, name)
        compiled = compile_spec(file)
        self.name = name
        self.title = file.title
        self.names = {int(key): f.name or f"field {key}" for key, f in file.fields.items()}
        self.types: dict[int, str] = {int(key): f.type for key, f in file.fields.items()}
        self._fitting = {n: (compiled[str(n)], t) for n, t in self.types.items()}
        self.length_header = LengthHeader.parse(file.length_header)
        self.envelope = bytes.fromhex(file.tpdu + file.header)
        self.trailer = bytes.fromhex(file.trailer)
        self.reversal_mti = file.reversal_mti
        self.has_tpdu = bool(file.tpdu)
        self._match_key = file.match_key
        self._needs = file.needs
        self._spec = {key: spec.pyiso for key, spec in compiled.items()}
        self._keys = {number: str(number) for number in self.types}
        self._numbers = {key: number for number, key in self._keys.items()}
        codec = str(self._spec["p"]["data_enc"])
        always = file.secondary_bitmap == "always"
        self.bitmap = BitmapLayout(2 if file.mti == "bcd" else 4, codec, always)
        self._numeric = frozenset(k for k, n in self._numbers.items() if self.types[n] == "n")
        self._tracks = tuple(k for k, n in self._numbers.items() if self.types[n] == "z")
        self._separators = {k: s.separator for k, s in compiled.items() if s.separator}
        self._forms = {key: spec.form for key, spec in compiled.items() if spec.form}
        self._hex_text = tuple(key for key, spec in compiled.items() if spec.hex_text)
        self._fills = {key: spec.fill for key, spec in compiled.items() if spec.fill}
        self._prefix_digits = {k: s.prefix_digits for k, s in compiled.items() if s.prefix_digits}
        self._plan = plans_of(compiled, self.types)
        self._mac_codec = self._mac_encoding(name)
        self.compiled = CompiledMessages(file, compiled, self.bitmap, seen_min)
        self.parts = parts_of(file, compiled, name, Dialect)
        self._loose = LooseReader(self._spec, self.bitmap, self._prefix_digits, self._decode)

    def decode(self, raw: bytes) -> Message:
        """Decode one message: MTI to last field, without framing, TPDU and header.

        Raises:
            RemoteFormatError: with the field's path, the offset and the fields read before it.
        """
        try:
            return self._read(raw)
        except RemoteFormatError as error:
            self._look_around(raw, error)
            raise

    def decode_around(self, raw: bytes) -> tuple[Message, tuple[RemoteFormatError, ...]]:
        """As :meth:`decode`, without the fields at fault whose length is certain.

        Text that is cut inside a character is kept as far as it goes.

        Returns:
            The message, and a fault for each field that was left out or cut; whether it may be is
            for the caller to say.

        Raises:
            RemoteFormatError: as for :meth:`decode`: the lengths do not lead to the last byte.
        """
        try:
            return self._read(raw), ()
        except RemoteFormatError as error:
            found = self._look_around(raw, error)
            if not (found.is_whole and found.faults):
                raise
            return Message(found.mti, found.fields, bytes(raw)), tuple(found.faults)

    def read_loosely(self, raw: bytes) -> Reading:
        """Whatever can be read, for people who look at a message; never raises on bad bytes."""
        return self._loose.read(raw)

    def wire_fields(self, raw: bytes) -> dict[int, tuple[bytes, bytes]]:
        """The bytes of each field of a message that decodes: length prefix and value.

        Args:
            raw: MTI to last field.
        """
        return self._loose.wire_fields(raw)

    def text_codec(self, number: int) -> str:
        """The encoding of a field's text, empty where it has none or is not part of this."""
        is_text = self.types.get(number) in ("an", "ans")
        return str(self._spec[str(number)]["data_enc"]) if is_text else ""

    def _look_around(self, raw: bytes, error: RemoteFormatError) -> Reading:
        """What can be read in spite of an error, which gets it as ``readable``."""
        found = self.read_loosely(raw)
        error.readable = error.partial | found.fields | ({0: found.mti} if found.mti else {})
        return found

    def _read(self, raw: bytes) -> Message:
        """The message, by a function that is made of the dialect where there is one by now."""
        message = self.compiled.decode(raw)
        if message is None:
            message = self._decode(raw)
            self.compiled.decoded(raw)
        return message

    def _decode(self, raw: bytes) -> Message:
        try:
            decoded, parts = iso8583.decode(self.bitmap.with_flag(raw), self._spec)
        except iso8583.DecodeError as error:
            text = reason(error.msg, self._spec[error.field]["data_enc"], len(raw) - error.pos)
            self._refuse(error.field, text, error.doc_dec, offset=error.pos)
        mti = decoded.pop("t")
        bitmap = decoded.pop("p") + decoded.pop("1", "")
        if len(bitmap) > 32:
            self._refuse("65", UNDEFINED, decoded, parts, mti)
        plan = self._plan(bitmap)
        for key in plan.formed:
            try:
                decoded[key] = self._forms[key].read(decoded[key])
            except ValueError as error:
                self._refuse(key, str(error), decoded, parts, mti)
        if not (mti.isdigit() and mti.isascii()):
            self._refuse("t", "the MTI is not four digits", {}, parts)
        digits = "".join([decoded[key] for key in plan.numeric])
        if digits and not (digits.isdigit() and digits.isascii()):
            wrong = next(key for key in plan.numeric if decoded[key].strip("0123456789"))
            self._refuse(wrong, "letters in a numeric field", decoded, parts, mti)
        for key, accepted in plan.prefixed:
            if parts[key]["len"].strip(accepted):
                self._refuse(key, "the length is no digits", decoded, parts, mti)
        for key in plan.tracks:
            track = decoded[key].replace("=", "D")
            if track.strip(_track_alphabet(decoded)):
                self._refuse(key, "a track holds digits and separators", decoded, parts, mti)
            decoded[key] = track
        for key in plan.hex_text:
            try:
                decoded[key] = _as_hex(decoded[key])
            except ValueError:
                self._refuse(key, "not hexadecimal", decoded, parts, mti)
        return Message(mti, dict(zip(plan.numbers, decoded.values(), strict=True)), bytes(raw))

    def encode(self, message: Message) -> bytes:
        """Encode a message; sets ``message.raw`` and returns it.

        Raises:
            LocalFormatError: a value does not fit its field.
        """
        raw = self.compiled.encode(message)
        if raw is None:
            raw = self._encode(message)
            self.compiled.encoded(message)
        message.raw = raw
        return raw

    def _encode(self, message: Message) -> bytes:
        keys = self._keys
        try:
            values = {keys[number]: value for number, value in message.fields.items()}
        except KeyError as error:
            raise LocalFormatError(UNDEFINED, field=str(error.args[0])) from None
        mti = message.mti
        if not (len(mti) == 4 and mti.isdigit() and mti.isascii()):
            raise LocalFormatError("the MTI is not four digits", field="t")
        for key, (char, side) in self._fills.items():
            if key in values:
                size = self._spec[key]["max_len"]
                text = values[key]
                values[key] = text.ljust(size, char) if side == "right" else text.rjust(size, char)
        numeric = self._numeric
        digits = "".join([value for key, value in values.items() if key in numeric])
        if digits and not (digits.isdigit() and digits.isascii()):
            wrong = (k for k, v in values.items() if k in numeric and v.strip("0123456789"))
            raise LocalFormatError("letters in a numeric field", field=next(wrong))
        for key in self._tracks:
            if key in values:
                track = values[key].replace("=", "D")
                if track.strip(_track_alphabet(values)):
                    raise LocalFormatError("a track holds digits and separators", field=key)
                if key in self._separators and not _tracks_encrypted(values):
                    track = track.replace("D", self._separators[key])
                values[key] = track
        for key in self._hex_text:
            if key in values:
                try:
                    values[key] = _as_hex(values[key])
                except ValueError:
                    raise LocalFormatError("not hexadecimal", field=key) from None
        for key, form in self._forms.items():
            if key in values:
                try:
                    values[key] = form.write(values[key])
                except ValueError as error:
                    raise LocalFormatError(str(error), field=key) from None
        values["t"] = mti
        try:
            encoded, _ = iso8583.encode(values, self._spec)
        except iso8583.EncodeError as error:
            text = reason_ours(error.msg, self._spec[error.field]["data_enc"])
            raise LocalFormatError(text, field=error.field) from None
        raw = bytes(encoded)
        return self.bitmap.without_flag(raw) if self.bitmap.always_both else raw

    def fits(self, number: int, value: str) -> bool:
        """Whether a field can hold a value, so that :meth:`encode` takes it."""
        known = self._fitting.get(number)
        return known is not None and known[0].fits(known[1], value)

    def mac_field(self, fields: Iterable[int]) -> int:
        """The data element that holds the MAC of a message with these fields: 64 or 128."""
        secondary = self.bitmap.always_both or max(fields, default=0) > 64
        return 128 if secondary and 128 in self.types else 64

    def mac_input(self, raw: bytes) -> bytes:
        """The bytes under the MAC of a message whose last field is an 8-byte MAC field."""
        return raw[: -MAC_BYTES if self._mac_codec == "b" else -2 * MAC_BYTES]

    def with_mac(self, raw: bytes, mac: bytes) -> bytes:
        """``raw`` with its last field, a placeholder, replaced by the MAC's 8 bytes."""
        if self._mac_codec == "b":
            return raw[:-MAC_BYTES] + mac
        return raw[: -2 * MAC_BYTES] + mac.hex().upper().encode(self._mac_codec)

    def split_envelope(self, frame: bytes) -> tuple[bytes, bytes]:
        """Cut a frame's body into what stands before the MTI and the message, without trailer.

        Raises:
            RemoteFormatError: the frame is shorter than this dialect's TPDU and header, or does
                not end with its trailer.
        """
        size, end = len(self.envelope), len(frame) - len(self.trailer)
        if end <= size:
            raise RemoteFormatError("shorter than TPDU and header", field="h", offset=0)
        if frame[end:] != self.trailer:
            text = f"a message ends with {self.trailer.hex().upper()}"
            raise RemoteFormatError(text, field="trailer", offset=end)
        return frame[:size], frame[size:end]

    def frame_body(self, raw: bytes, envelope: bytes | None = None) -> bytes:
        """A message with what stands before and behind it in a frame.

        Args:
            envelope: what stands before it, where that is not what we write first.
        """
        return (self.envelope if envelope is None else envelope) + raw + self.trailer

    def reply_envelope(self, envelope: bytes) -> bytes:
        """A request's envelope as its reply has it: TPDU addresses swapped, the rest echoed."""
        if not self.has_tpdu:
            return envelope
        return envelope[:1] + envelope[3:5] + envelope[1:3] + envelope[5:]

    def match_key(self, message: Message) -> tuple[str, ...]:
        """What a request and its reply have in common: MTI class and the dialect's fields.

        Fields that are absent count as empty.
        """
        fields = message.fields
        return (message.mti[:2], *[fields.get(number, "") for number in self._match_key])

    def is_needed(self, number: int, mti: str) -> bool:
        """Whether a message cannot be matched or understood without a field."""
        return number in self._match_key or number in self._needs.get(mti, ())

    def check_needs(self, message: Message) -> None:
        """Check that the fields are there that the dialect needs of this MTI.

        Raises:
            RemoteFormatError: names the first that is absent. Fields beyond are never refused.
        """
        for number in self._needs.get(message.mti, ()):
            message.need(number)

    def _refuse(
        self,
        key: str,
        text: str,
        decoded: dict[str, str],
        parts: dict[str, dict[str, bytes]] | None = None,
        mti: str = "",
        *,
        offset: int = 0,
    ) -> NoReturn:
        """Raise the error of field ``key`` with all sound fields that were read."""
        for name, part in (parts or {}).items():
            if name == key:
                break
            offset += len(part["len"]) + len(part["data"])
        head = {0: mti or decoded.get("t", "")}
        head = head if key != "t" and head[0] else {}
        names = list(decoded)
        before = names[: names.index(key)] if key in decoded else names
        partial = head | self._sound({name: decoded[name] for name in before})
        raise RemoteFormatError(text, field=key, offset=offset, partial=partial)

    def _sound(self, decoded: dict[str, str]) -> dict[int, str]:
        """The fields whose values are what their types say."""
        return {
            self._numbers[key]: value
            for key, value in decoded.items()
            if key in self._numbers and self._is_sound(key, value)
        }

    def _is_sound(self, key: str, value: str) -> bool:
        if key in self._forms:
            return self.fits(self._numbers[key], value)
        if key in self._numeric:
            return not value.strip("0123456789")
        if key in self._hex_text:
            return len(value) % 2 == 0 and not value.strip("0123456789ABCDEF")
        return value.isascii() or self._spec[key]["data_enc"] != "ascii"

    def _mac_encoding(self, name: str) -> str:
        found = {self._spec[str(n)]["data_enc"] for n in (64, 128) if n in self.types}
        if len(found) > 1:
            raise DialectError(f"{name}: fields 64 and 128 are encoded differently", field="128")
        return str(found.pop()) if found else "b"

    def __repr__(self) -> str:
        return f"Dialect({self.name!r}, {len(self.types)} fields)"


def _tracks_encrypted(fields: dict[str, str]) -> bool:
    """Whether DE53's third digit says that the tracks are a cryptogram: any nibble may occur."""
    return fields.get("53", "")[2:3] == "1"


def _track_alphabet(fields: dict[str, str]) -> str:
    return "0123456789ABCDEF" if _tracks_encrypted(fields) else "0123456789D"


def _as_hex(text: str) -> str:
    return bytes.fromhex(text).hex().upper()


@lru_cache(maxsize=64)
def load_dialect(name: str) -> Dialect:
    """Read and compile a dialect.

    Args:
        name: a shipped dialect (``cup_pos``, ``iso87_ascii``, …) or the path of a ``.toml`` file.

    Raises:
        DialectError: no such dialect, or the file is wrong; the text names file and field.
    """
    return Dialect(dialect_source(name), name)
